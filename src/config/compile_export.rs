//! Streams that are exports: what makes their job, how it is asked after, and where its files are.

use http::Method;

use super::{
    check::Check,
    compile_body::RawRequest,
    compile_poll::Polling,
    plan::{Download, Export, Incremental, Paginate, RequestPlan},
    raw_export::{RawDownload, RawExport, RawExportPoll},
    raw_stream::RawStream,
    shape::{Named, Source, Spanned},
    source::Span,
};

const JOB_ROOTS: [&str; 2] = ["config", "job"];
const FILE_ROOTS: [&str; 3] = ["config", "job", "page"];

impl Check<'_> {
    pub fn export(
        &self,
        raw: &Spanned<RawExport>,
        stream: &RawStream,
        paginate: &Paginate,
        incremental: Option<&Incremental>,
    ) -> Option<Export> {
        let (at, raw) = (raw.span, &raw.value);
        self.beside_an_export(at, stream, incremental);
        let poll = self.poll(&polling(&raw.poll.value), self.poll_request(&raw.poll));
        let download = self.download(&raw.download, paginate);
        let delete =
            raw.delete.as_ref().map(|path| self.bare_request(Method::DELETE, path, &Named::default(), &JOB_ROOTS));
        let delete = match delete {
            Some(delete) => Some(delete?),
            None => None,
        };
        Some(Export { id: self.path(&raw.id), poll: poll?, download: download?, delete })
    }

    fn beside_an_export(&self, at: Span, stream: &RawStream, incremental: Option<&Incremental>) {
        if stream.slices.is_some() {
            self.conflict(
                at,
                "an export is not read in slices",
                "remove `slices`, or read the stream without `export`",
            );
        }
        if stream.conditional.as_ref().is_some_and(|conditional| conditional.value) {
            self.conflict(at, "whether an export is new nobody can say", "remove `conditional`");
        }
        if matches!(incremental, Some(Incremental::Token { .. })) {
            let help = "use a field of the records: `incremental: { field, format }`";
            self.conflict(at, "the files of an export have no place for a token of changes", help);
        }
    }

    fn poll_request(&self, poll: &Spanned<RawExportPoll>) -> Option<RequestPlan> {
        let (at, poll) = (poll.span, &poll.value);
        let (method, path) = match (&poll.get, &poll.post) {
            (Some(path), None) => (Method::GET, path),
            (None, Some(path)) => (Method::POST, path),
            (None, None) => {
                self.missing_key(at, at, "get", "write `get: \"/jobs/{{ job.id }}\"`, or `post: /path` with a body");
                return None;
            }
            (Some(_), Some(post)) => {
                self.conflict(post.span, "a job is asked after in one way", "keep either `get` or `post`");
                return None;
            }
        };
        if method == Method::GET && poll.body.is_some() {
            self.conflict(path.span, "a GET has no body", "use `query`, or `post` instead of `get`");
        }
        let body = poll.body.as_ref().and_then(|body| self.body(body, &JOB_ROOTS));
        let headers = Named::default();
        let raw = RawRequest { method, path, query: &poll.query, headers: &headers, timeout: None };
        self.request(&raw, body, &JOB_ROOTS)
    }

    fn download(&self, raw: &Spanned<RawDownload>, paginate: &Paginate) -> Option<Download> {
        let (at, raw) = (raw.span, &raw.value);
        match (&raw.get, &raw.urls) {
            (Some(path), None) => self.bare_request(Method::GET, path, &raw.query, &FILE_ROOTS).map(Download::Request),
            (None, Some(urls)) => {
                if let Some((name, _)) = raw.query.iter().next() {
                    self.conflict(name.span, "`query` without `get`", "a URL brings its own parameters: remove it");
                }
                if !matches!(paginate, Paginate::None) {
                    self.conflict(urls.span, "each URL is one whole file", "remove `paginate`");
                }
                Some(Download::Urls(self.path(urls)))
            }
            (None, None) => {
                let help = "write `get: \"/jobs/{{ job.id }}/results\"`, or `urls:` with the place of the URLs";
                self.missing_key(at, at, "get", help);
                None
            }
            (Some(_), Some(urls)) => {
                self.conflict(urls.span, "files have one place", "keep either `get` or `urls`");
                None
            }
        }
    }

    fn bare_request(
        &self,
        method: Method,
        path: &Spanned<Source>,
        query: &Named<Spanned<Source>>,
        roots: &[&str],
    ) -> Option<RequestPlan> {
        let headers = Named::default();
        self.request(&RawRequest { method, path, query, headers: &headers, timeout: None }, None, roots)
    }
}

fn polling(raw: &RawExportPoll) -> Polling<'_> {
    let RawExportPoll { every, wait_max, state, done, failed, .. } = raw;
    let (every, wait_max, failed) = (every.as_ref(), wait_max.as_ref(), failed.as_ref());
    Polling { every, wait_max, state, done, failed, leads_to: "files" }
}
