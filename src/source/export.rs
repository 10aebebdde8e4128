//! Streams that are exports: a request makes a job, it is asked after until it is done, and its files are read like any listing.
//!
//! ```text
//!   (no position) --make--> job, file 0 --ask until done, read--> .. --> job, file n --> (end; the job is deleted)
//! ```
//!
//! The hard idea is that the job is a part of the position. It becomes durable while it is waited for, so a crash goes on with
//! the same job, at the same record of the same file. A job that is gone, or that failed when an earlier run had made it, is made
//! anew once, and the pass begins again; what was delivered is recognised.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::Method;
use serde_json::value::RawValue;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use url::Url;

use super::{
    ApiSource, Source,
    asking::{self, Asked},
    cut::scalar,
    window,
};
use crate::{
    config::plan::{Api, Download, Export, Form, Incremental, Paginate, RequestPlan, Stream},
    expr::Scope,
    http::{Answer, Call, Client, render, said},
    model::{Blame, BoxFuture, Checkpoint, Code, Disposition, Fault, Page, Position, Reason, Scan},
    transform::Personal,
};

/// The longest time between two questions that nobody asked for.
const EVERY_MAX: Duration = Duration::from_secs(60);
/// Files of one job before it is an error.
const FILES_MAX: usize = 100_000;

/// A stream of one connection whose records are in the files of a job.
pub struct ExportSource {
    api: Arc<Api>,
    stream: Arc<Stream>,
    plan: Arc<Export>,
    name: Arc<str>,
    client: Client,
    /// Reads a file as a stream of its own.
    files: ApiSource,
    /// The job that is done, and its file under way. No position depends on it.
    done: Mutex<Option<Done>>,
    /// The job that this source made.
    made: std::sync::Mutex<Option<String>>,
    /// The pass under way has had its job made anew.
    renewed: AtomicBool,
}

/// A job that is done.
struct Done {
    id: String,
    /// Nothing: its file has a path.
    urls: Option<Vec<Url>>,
    file: Option<(u64, ApiSource)>,
}

/// Where a pass stands in a job.
struct At {
    id: String,
    file: u64,
    inside: Option<Box<Position>>,
}

/// Why a job gave no page.
enum Trouble {
    /// It is not there any more, or its files are not.
    Gone(Fault),
    Failed(Fault),
    Fault(Fault),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Source for ExportSource {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        Box::pin(async move {
            let place = || format!("stream {}", self.stream.name);
            self.read_page(at).await.map_err(|fault| fault.at(place()))
        })
    }
}

impl ExportSource {
    pub fn new(
        api: &Arc<Api>,
        stream: &Arc<Stream>,
        plan: Arc<Export>,
        client: &Client,
        personal: Arc<Personal>,
    ) -> Self {
        let files = ApiSource::new(api.clone(), Arc::new(file_of(stream, &plan)), client.clone()).protected(personal);
        Self {
            api: api.clone(),
            stream: stream.clone(),
            plan,
            name: stream.name.as_str().into(),
            client: client.clone(),
            files,
            done: Mutex::default(),
            made: std::sync::Mutex::default(),
            renewed: AtomicBool::new(false),
        }
    }

    async fn read_page(&self, at: &Checkpoint) -> Result<Page, Fault> {
        let mut restarted = false;
        let mut scan = match &at.scan {
            Some(scan) => scan.clone(),
            None => window::begin(&self.stream, at, self.client.server_now())?,
        };
        loop {
            let Some(Position::Job { id, file, inside }) = scan.position.clone() else {
                if scan.position.is_some() {
                    // Of a listing that the stream was before.
                    (scan, restarted) = (window::again(&scan), true);
                }
                return self.make(at, scan, restarted).await;
            };
            let place = At { id, file, inside };
            let fault = match self.read_file(at, &scan, &place).await {
                Ok(page) if page.restarted && place.file > 0 => {
                    // A file is another one than before. What came before it is taken back, too.
                    let first = Position::Job { id: place.id, file: 0, inside: None };
                    scan = Scan { position: Some(first), ..window::again(&scan) };
                    restarted = true;
                    continue;
                }
                Ok(page) => {
                    if page.end {
                        self.renewed.store(false, Ordering::Relaxed);
                        self.delete(&place.id).await;
                    }
                    return Ok(Page { restarted: restarted || page.restarted, ..page });
                }
                Err(Trouble::Gone(fault)) => fault,
                Err(Trouble::Failed(fault)) if !self.is_ours(&place.id) => fault,
                Err(Trouble::Failed(fault) | Trouble::Fault(fault)) => return Err(fault),
            };
            if self.renewed.swap(true, Ordering::Relaxed) {
                return Err(fault);
            }
            tracing::warn!(stream = %self.stream.name, job = %place.id, code = %fault.code, "the export's job is made anew");
            (scan, restarted) = (window::again(&scan), true);
        }
    }

    /// Makes a job. The page holds nothing but where to go on, which becomes durable while the job is waited for.
    async fn make(&self, at: &Checkpoint, mut scan: Scan, restarted: bool) -> Result<Page, Fault> {
        let maker = Stream { form: Form::default(), paginate: Paginate::None, ..(*self.stream).clone() };
        let asked = Asked { scan: &scan, size: None, slice: None, lookup: None, job: None };
        let call = asking::call(&self.api, &maker, &self.name, &asked)?;
        let answer = self.client.execute(&call).await?.accepted()?;
        let id = text_at(&answer, &self.plan.id).ok_or_else(|| {
            let why = format!("the answer names no job at `{}`{}", self.plan.id, words(&answer));
            self.fault(Code::ExportFailed, why)
        })?;
        window::pin(&mut scan, &self.stream, answer.server_time.unwrap_or_else(|| self.client.server_now()));
        scan.pages += 1;
        *self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(id.clone());
        let read = scan.clone();
        scan.position = Some(Position::Job { id, file: 0, inside: None });
        let next = Checkpoint { scan: Some(scan), ..at.clone() };
        let (records, rejects, skipped) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Page { records, rejects, skipped, next, scan: read, end: false, restarted, body_bytes: answer.body.len() })
    }

    fn is_ours(&self, id: &str) -> bool {
        self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner).as_deref() == Some(id)
    }

    /// Reads a page of a file. URLs end, so a file that is not there is asked for once more by a newer one.
    async fn read_file(&self, at: &Checkpoint, scan: &Scan, place: &At) -> Result<Page, Trouble> {
        let mut known = self.done.lock().await;
        let mut is_fresh = false;
        loop {
            if known.as_ref().is_none_or(|done| done.id != place.id) {
                *known = Some(self.wait(&place.id).await?);
                is_fresh = true;
            }
            let Some(done) = known.as_mut() else { continue };
            let Some((source, has_url)) = self.file(done, place)? else {
                return Ok(self.nothing(at, scan));
            };
            let inside = Scan { position: place.inside.as_deref().cloned(), ..scan.clone() };
            let read = source.read(&Checkpoint { scan: Some(inside), ..at.clone() }).await;
            match read {
                Ok(page) => return Ok(wrapped(page, place)),
                Err(fault) if is_gone(&fault, has_url) => {
                    *known = None;
                    if is_fresh || !has_url {
                        return Err(Trouble::Gone(self.gone(&place.id, &fault)));
                    }
                }
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    /// What reads a file, and whether it does so by a URL. Nothing: the job has no files.
    fn file<'d>(&self, done: &'d mut Done, place: &At) -> Result<Option<(&'d ApiSource, bool)>, Trouble> {
        let url = match &done.urls {
            None => None,
            Some(urls) if urls.is_empty() && place.file == 0 => return Ok(None),
            Some(urls) => match urls.get(place.file as usize) {
                Some(url) => Some(url.clone()),
                None => {
                    let less = self.fault(Code::ExportGone, format!("job {} has fewer files than before", place.id));
                    return Err(Trouble::Gone(less));
                }
            },
        };
        let has_url = url.is_some();
        if done.file.as_ref().is_none_or(|(file, _)| *file != place.file) {
            let files = done.urls.as_ref().map_or(1, |urls| urls.len() as u64);
            let next = place.file + 1;
            let after = (next < files).then(|| Position::Job { id: place.id.clone(), file: next, inside: None });
            let job = serde_json::json!({ "id": place.id }).to_string();
            done.file = Some((place.file, self.files.of_file(job, url, after)));
        }
        Ok(done.file.as_ref().map(|(_, source)| (source, has_url)))
    }

    /// Asks after a job until it is done.
    async fn wait(&self, id: &str) -> Result<Done, Trouble> {
        let (began, mut every) = (Instant::now(), self.plan.poll.every);
        loop {
            let call = self.job_call(&self.plan.poll.request, id)?;
            let answer = match self.client.execute(&call).await?.accepted() {
                Ok(answer) => answer,
                Err(fault) if fault.code == Code::NotFound => return Err(Trouble::Gone(self.gone(id, &fault))),
                Err(fault) => return Err(fault.into()),
            };
            let Some(state) = text_at(&answer, &self.plan.poll.state) else {
                let why =
                    format!("the answer names no state of job {id} at `{}`{}", self.plan.poll.state, words(&answer));
                return Err(self.fault(Code::ExportFailed, why).into());
            };
            if self.plan.poll.done.contains(&state) {
                let urls = self.urls(&answer, id)?;
                return Ok(Done { id: id.to_owned(), urls, file: None });
            }
            let state = answer.hushed(&state);
            if self.plan.poll.failed.contains(&state) {
                let why = format!("job {id} ended as `{state}`{}", words(&answer));
                return Err(Trouble::Failed(self.fault(Code::ExportFailed, why)));
            }
            let asked = self.client.asked_to_wait(&answer).filter(|asked| !asked.is_zero());
            let wait = asked.unwrap_or(every);
            if began.elapsed() + wait > self.plan.poll.wait_max {
                let (waited, most) = (began.elapsed().as_secs(), self.plan.poll.wait_max);
                let why = format!("job {id} is still `{state}` after {waited} s; `wait_max` is {most:?}");
                let fault = self.fault(Code::ExportUnfinished, why).with(Disposition::Retry { after: None });
                return Err(fault.into());
            }
            sleep(wait).await;
            every = (every * 2).min(EVERY_MAX.max(self.plan.poll.every));
        }
    }

    fn urls(&self, answer: &Answer, id: &str) -> Result<Option<Vec<Url>>, Fault> {
        let Download::Urls(path) = &self.plan.download else { return Ok(None) };
        let body = std::str::from_utf8(&answer.body).unwrap_or_default();
        let found = path.find(body).map_or("null", RawValue::get);
        let list: Option<Vec<String>> = match found.as_bytes().first() {
            Some(b'[') => serde_json::from_str(found).ok(),
            Some(b'"') => serde_json::from_str(found).ok().map(|one: String| vec![one]),
            Some(b'n') | None => Some(Vec::new()),
            Some(_) => None,
        };
        let urls = list.into_iter().flatten().filter(|url| !url.is_empty());
        let urls: Option<Vec<Url>> = urls.map(|url| answer_url(&self.api, &url)).collect();
        match (found.starts_with(['[', '"', 'n']), urls) {
            (true, Some(urls)) if urls.len() <= FILES_MAX => Ok(Some(urls)),
            _ => {
                let why = format!("the answer about job {id} has no URLs at `{path}`, or more than {FILES_MAX}");
                Err(self.fault(Code::ExportFailed, why))
            }
        }
    }

    /// Says that the job is not needed any more. A vendor that does not care forgets it by itself.
    async fn delete(&self, id: &str) {
        let Some(request) = &self.plan.delete else { return };
        let Ok(call) = self.job_call(request, id) else { return };
        let deleted = self.client.execute(&call).await.and_then(Answer::accepted);
        if let Err(fault) = deleted {
            tracing::info!(stream = %self.stream.name, job = id, code = %fault.code, "the export's job was not deleted");
        }
    }

    fn job_call(&self, request: &RequestPlan, id: &str) -> Result<Call, Fault> {
        let job = serde_json::json!({ "id": id }).to_string();
        let scope = Scope::new().json("job", job).json("config", self.api.settings.as_str());
        render::call(&self.api, request, &self.name, &scope, true).map_err(|reason: Reason| {
            let message = format!("the request after job {id}: {}", reason.message);
            Fault::halt(reason.code, Blame::Config, message).help(SAFE)
        })
    }

    /// The end of a pass over a job without files.
    fn nothing(&self, at: &Checkpoint, scan: &Scan) -> Page {
        let cursor = window::advance(&self.stream, at.cursor.as_ref(), scan, true);
        let next = Checkpoint { cursor, scan: None, ..at.clone() };
        let (records, rejects, skipped) = (Vec::new(), Vec::new(), Vec::new());
        Page { records, rejects, skipped, next, scan: scan.clone(), end: true, restarted: false, body_bytes: 0 }
    }

    fn gone(&self, id: &str, fault: &Fault) -> Fault {
        self.fault(Code::ExportGone, format!("job {id} or its file is not there any more: {}", fault.message))
    }

    fn fault(&self, code: Code, message: String) -> Fault {
        Fault::halt(code, Blame::Remote, message).help(SAFE)
    }
}

const SAFE: &str = "What was read is delivered, and the cursor did not move. The next run goes on with the same job, or makes a new one \
    where it failed or is gone. Look at the job at the vendor, and compare `export:` of the stream with what it answers.";

/// A file of the job, as a stream: what was asked for was asked of the job.
fn file_of(stream: &Stream, plan: &Export) -> Stream {
    // The URL stands in place of the path.
    let bare = || RequestPlan {
        method: Method::GET,
        route: "a file of the job".into(),
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
        ..stream.request.clone()
    };
    let request = match &plan.download {
        Download::Request(request) => request.clone(),
        Download::Urls(_) => bare(),
    };
    let mut incremental = stream.incremental.clone();
    if let Some(Incremental::Field(field)) = &mut incremental {
        (field.since, field.until) = (None, None);
    }
    let form = Form { export: None, ..stream.form.clone() };
    Stream { request, incremental, form, ..stream.clone() }
}

/// The page of a file as a page of the stream.
fn wrapped(mut page: Page, place: &At) -> Page {
    let wrap = |position: Option<Position>| match position {
        Some(job @ Position::Job { .. }) => job,
        inside => Position::Job { id: place.id.clone(), file: place.file, inside: inside.map(Box::new) },
    };
    page.scan.position = Some(wrap(page.scan.position.take()));
    if let Some(scan) = &mut page.next.scan {
        scan.position = Some(wrap(scan.position.take()));
    }
    page
}

/// Whether a file is not there. By the URL of a store of files that ended, this is said in many ways.
fn is_gone(fault: &Fault, has_url: bool) -> bool {
    match fault.code {
        Code::NotFound => true,
        Code::Refused | Code::Forbidden | Code::Unauthorized => has_url,
        _ => false,
    }
}

fn answer_url(api: &Api, url: &str) -> Option<Url> {
    api.base_url.join(url).ok()
}

fn text_at(answer: &Answer, path: &crate::model::Path) -> Option<String> {
    let body = std::str::from_utf8(&answer.body).ok()?;
    let text = scalar(path.find(body)?.get())?;
    Some(text.into_owned()).filter(|text| !text.is_empty())
}

/// What an answer says in words.
fn words(answer: &Answer) -> String {
    said(&answer.body, &answer.secrets).map(|words| format!(": {words}")).unwrap_or_default()
}
