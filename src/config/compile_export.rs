//! Streams that are exports: what makes their job, how it is asked after, and where its files are.

use std::time::Duration;

use http::Method;

use super::{
    check::Check,
    compile_body::RawRequest,
    plan::{Download, Export, Incremental, Paginate, RequestPlan},
    raw_export::{RawDownload, RawExport, RawExportPoll},
    raw_stream::RawStream,
    shape::{Named, OneOrMany, Source, Spanned},
    source::Span,
};

const JOB_ROOTS: [&str; 2] = ["config", "job"];
const FILE_ROOTS: [&str; 3] = ["config", "job", "page"];
const HOUR: Duration = Duration::from_secs(3600);

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
        let poll = &raw.poll.value;
        let every = self.time(poll.every.as_ref(), Duration::from_secs(5), Duration::from_millis(100)..=HOUR);
        let wait_max = self.time(poll.wait_max.as_ref(), HOUR / 2, Duration::from_secs(1)..=24 * HOUR);
        if let Some(span) = poll.every.as_ref().filter(|_| every > wait_max).map(|every| every.span) {
            self.conflict(span, "`every` is longer than `wait_max`", "the job would never be asked after");
        }
        let (done, failed) = self.export_states(poll);
        let request = self.poll_request(&raw.poll);
        let download = self.download(&raw.download, paginate);
        let delete =
            raw.delete.as_ref().map(|path| self.bare_request(Method::DELETE, path, &Named::default(), &JOB_ROOTS));
        let delete = match delete {
            Some(delete) => Some(delete?),
            None => None,
        };
        let (id, state) = (self.path(&raw.id), self.path(&poll.state));
        Some(Export { id, poll: request?, every, wait_max, state, done, failed, download: download?, delete })
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

    fn export_states(&self, poll: &RawExportPoll) -> (Vec<String>, Vec<String>) {
        let texts = |states: &OneOrMany<String>| states.0.iter().map(|state| state.value.clone()).collect::<Vec<_>>();
        let done = texts(&poll.done);
        let failed = poll.failed.as_ref().map(texts).unwrap_or_default();
        if done.is_empty() {
            self.conflict(poll.state.span, "a job that is never done", "name at least one state under `done:`");
        }
        if let Some(state) = poll.failed.iter().flat_map(|failed| &failed.0).find(|state| done.contains(&state.value)) {
            let message = format!("`{}` is both done and failed", state.value);
            self.conflict(state.span, message, "a state leads to the files or to an error: keep it in one list");
        }
        (done, failed)
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
