//! Reads a stream of an API, one page per call. [`ApiSource::read`] asks, cuts and decides; what it decides is in the
//! pure files beside this one.
//!
//! The hard idea is beginning again. A saved position may be refused (tokens expire), and an offset listing may turn out
//! to have moved. Both lead to the same answer: the listing is read from its start, over the same pinned window, and the
//! page says so. That is counted, because a listing that never holds still must become an error and not a loop.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use http::StatusCode;
use url::Url;

use super::{
    Source, conditional,
    expand::{self, Whole},
    instant,
    one_slice::OneSlice,
    pace::{self, Pace},
    paginate::{self, Answered, Turn},
    sift::sift,
    slice, window,
};
use crate::{
    config::plan::{Api, Auth, Incremental, PageSize, Paginate, Stream},
    expr::Scope,
    http::{Answer, Call, Client, Ruling, render},
    model::{Blame, BoxFuture, Checkpoint, Cursor, Fault, Page, Position, Scan},
    transform::Personal,
};

/// Beginnings again of one pass, without getting further, before it is an error.
const RESTARTS_MAX: u32 = 3;

/// A stream of one connection.
pub struct ApiSource {
    api: Arc<Api>,
    stream: Arc<Stream>,
    client: Client,
    name: Arc<str>,
    personal: Arc<Personal>,
    /// The part of the stream that it reads.
    slice: Option<OneSlice>,
    /// The items around its records, where these stand in lists inside of them.
    around: Option<Stream>,
    /// What a look-up asks for, as JSON.
    asking: Option<String>,
    /// How large its pages are.
    pace: Pace,
    /// How often the pass under way was begun again. It guards; no position depends on it.
    restarts: AtomicU32,
    /// How many pages the pass under way came to before its position was forgotten.
    furthest: AtomicU64,
}

impl Source for ApiSource {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        Box::pin(async move {
            let place = || match &self.slice {
                Some(slice) if slice.values != "{}" => format!("stream {}, slice {}", self.stream.name, slice.values),
                Some(_) | None => format!("stream {}", self.stream.name),
            };
            self.read_page(at).await.map_err(|fault| fault.at(place()))
        })
    }
}

impl ApiSource {
    pub fn new(api: Arc<Api>, stream: Arc<Stream>, client: Client) -> Self {
        let name = stream.name.as_str().into();
        let around = expand::around(&stream);
        Self {
            api,
            stream,
            client,
            name,
            personal: Arc::default(),
            slice: None,
            around,
            asking: None,
            pace: Pace::default(),
            restarts: AtomicU32::new(0),
            furthest: AtomicU64::new(0),
        }
    }

    /// The same with personal fields protected, in all that leaves it and in the positions that are saved.
    pub fn protected(self, personal: Arc<Personal>) -> Self {
        Self { personal, ..self }
    }

    /// One slice of the stream.
    pub fn of_slice(&self, values: &str) -> Self {
        let (api, stream) = (self.api.clone(), self.stream.clone());
        let slice = OneSlice::new(&api, &stream, values);
        Self { personal: self.personal.clone(), slice: Some(slice), ..Self::new(api, stream, self.client.clone()) }
    }

    /// What the server's clock says now.
    pub fn server_now(&self) -> chrono::DateTime<chrono::Utc> {
        self.client.server_now()
    }

    /// The same for what one look-up asks for: its templates see it as `lookup`.
    pub fn asking(self, asked: String) -> Self {
        Self { asking: Some(asked), ..self }
    }

    async fn read_page(&self, at: &Checkpoint) -> Result<Page, Fault> {
        let stream = &*self.stream;
        let mut restarted = false;
        let mut scan = match &at.scan {
            Some(scan) => scan.clone(),
            None => window::begin(stream, at, self.client.server_now())?,
        };
        if !paginate::fits(&stream.paginate, scan.position.as_ref()) {
            scan = window::again(&scan);
            restarted = true;
        }
        let mut body_bytes = 0;
        let mut empty_pages = 0;
        loop {
            if scan.pages >= stream.pages_max {
                return Err(paginate::over_budget(stream));
            }
            let size = self.pace.size(&stream.paginate);
            let mut call = self.call(&scan)?;
            conditional::ask(&mut call, stream, at);
            let answer = self.client.execute(&call).await;
            if pace::is_too_large(&answer) && self.pace.slower(&stream.paginate) {
                continue;
            }
            let answer = answer?;
            if conditional::is_unchanged(&answer) {
                return Ok(conditional::nothing_new(at, scan));
            }
            if is_forgotten(&answer, &scan, stream) {
                scan = window::from_the_start(&scan);
                continue;
            }
            if is_expired(&answer, &scan) && (self.got_further(&scan) || self.may_restart()) {
                scan = window::again(&scan);
                restarted = true;
                continue;
            }
            let answer = answer.accepted().map_err(|fault| explained(fault, stream, &scan))?;
            self.pace.well();
            conditional::learn(&mut scan, stream, &call, &answer);
            body_bytes += answer.body.len();
            let mut cut = self.cut(&answer)?;
            window::pin(&mut scan, stream, answer.server_time.unwrap_or_else(|| self.client.server_now()));
            scan.pages += 1;
            let answered = Answered { cut: &cut, headers: &answer.headers, url: &call.url, size };
            let next = match paginate::turn(stream, scan.position.as_ref(), &answered)? {
                Turn::Moved if self.may_restart() => {
                    scan = window::again(&scan);
                    restarted = true;
                    continue;
                }
                Turn::Moved => return Err(paginate::moving(stream, RESTARTS_MAX)),
                Turn::Next(position) => Some(self.without_secrets(position)),
                Turn::End => None,
            };
            self.remember_token(&cut, &mut scan);
            if let (true, Some(position)) = (cut.items.is_empty(), &next) {
                empty_pages += 1;
                if empty_pages > stream.empty_pages_max {
                    return Err(paginate::endless(stream));
                }
                scan.position = Some(position.clone());
                continue;
            }
            // The record that was asked for once more to see whether the listing moved is already delivered.
            let again = paginate::ask(stream, scan.position.as_ref(), size)?.again;
            cut.items.drain(..again.min(cut.items.len()));
            return self.page(at, scan, cut, next, Found { restarted, body_bytes });
        }
    }

    /// Cuts an answer, and protects what is personal before anything else sees it: positions hold keys, too.
    fn cut(&self, answer: &Answer) -> Result<slice::Cut, Fault> {
        let stream = self.around.as_ref().unwrap_or(&self.stream);
        let mut cut = match self.personal.is_idle() {
            true => slice::cut(&answer.body, &answer.headers, stream, &|text| answer.hushed(text))?,
            false => slice::cut_unquoted(&answer.body, &answer.headers, stream)?,
        };
        if let (Some(slice), None) = (&self.slice, &self.around) {
            slice.add_to(&mut cut.items, &self.stream)?;
        }
        if self.personal.is_idle() {
            return Ok(cut);
        }
        for item in &mut cut.items {
            if self.around.is_some() {
                // Its records are protected, and it must not name a place in the listing by what nobody protected.
                item.key = None;
                continue;
            }
            item.fields = self.personal.read(item.fields.clone(), item.object);
            item.key = item.key.take().map(|key| self.personal.key(key));
        }
        Ok(cut)
    }

    fn page(
        &self,
        at: &Checkpoint,
        mut scan: Scan,
        cut: slice::Cut,
        next: Option<Position>,
        found: Found,
    ) -> Result<Page, Fault> {
        let stream = &*self.stream;
        let (items, unexpanded) = match &self.around {
            Some(_) => {
                let whole = Whole { slice: self.slice.as_ref(), personal: &self.personal };
                expand::expanded(cut.items, stream, &whole, self.api.body_bytes_max)?
            }
            None => (cut.items, Vec::new()),
        };
        let sorted = window::sort(items, stream, at.cursor.as_ref(), &mut scan);
        let ascending = matches!(&stream.incremental, Some(Incremental::Field(field)) if field.ascending);
        // In an ascending listing nothing of this pass can follow what lies beyond it. So a stream that grows faster than
        // it is read still ends.
        let next = next.filter(|_| !(sorted.beyond && ascending));
        let end = next.is_none();
        if end {
            self.restarts.store(0, Ordering::Relaxed);
            self.furthest.store(0, Ordering::Relaxed);
        }
        let cursor = window::advance(stream, at.cursor.as_ref(), &scan, end);
        let validators = if end { scan.validators.clone() } else { at.validators.clone() };
        let sifted = sift(sorted.records, stream);
        let rejects = [sorted.rejects, unexpanded, sifted.rejects].into_iter().flatten().collect();
        let next = next.map(|position| Scan { position: Some(position), partial: 0, ..scan.clone() });
        Ok(Page {
            records: sifted.records,
            rejects,
            skipped: sifted.skipped,
            next: Checkpoint { cursor, scan: next, validators, ..at.clone() },
            scan,
            end,
            restarted: found.restarted,
            body_bytes: found.body_bytes,
        })
    }

    fn call(&self, scan: &Scan) -> Result<Call, Fault> {
        let stream = &*self.stream;
        let ask = paginate::ask(stream, scan.position.as_ref(), self.pace.size(&stream.paginate))?;
        let bounds = Bounds::of(stream, scan);
        let token = match &scan.position {
            Some(Position::Token(token)) => Some(token.as_str()),
            _ => None,
        };
        let page = serde_json::json!({"token": token, "number": ask.number, "offset": ask.offset, "size": ask.size});
        let window = serde_json::json!({"since": bounds.since, "until": bounds.until});
        let scope = Scope::new()
            .json("config", self.api.settings.as_str())
            .json("page", page.to_string())
            .json("window", window.to_string())
            .json("slice", self.slice.as_ref().map_or("{}", |slice| slice.values.as_str()))
            .json("lookup", self.asking.as_deref().unwrap_or("null"));
        let unbuilt = |reason: crate::model::Reason| {
            Fault::halt(
                reason.code,
                Blame::Config,
                format!("the request of stream {}: {}", stream.name, reason.message),
            )
            .help("Nothing was sent. Mend the stream's request in its connector, or the connection's settings.")
        };
        let mut call = render::call(&self.api, &stream.request, &self.name, &scope, true).map_err(unbuilt)?;
        if let Some(Position::Url(next)) = &scan.position {
            // The server wrote the whole address of the next page, its parameters included.
            call.url = Url::parse(next)
                .map_err(|_| paginate::stuck(stream, "the saved address of the next page is no URL"))?;
            return Ok(call);
        }
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let size = |size: &'_ PageSize| size.query.clone().zip(number(ask.size));
        let (place, limit) = match &stream.paginate {
            Paginate::Cursor { query, size: sized, .. } => {
                (query.clone().zip(token.map(str::to_owned)), sized.as_ref().and_then(size))
            }
            Paginate::Page { query, size: sized, .. } => {
                (Some(query.clone()).zip(number(ask.number)), sized.as_ref().and_then(size))
            }
            Paginate::Offset { query, size: sized, .. } => (Some(query.clone()).zip(number(ask.offset)), size(sized)),
            Paginate::None | Paginate::NextUrl { .. } | Paginate::Link => (None, None),
        };
        let parameters = bounds.parameters(stream).into_iter().chain(place).chain(limit);
        let parameters: Vec<(String, String)> = parameters.collect();
        render::add_query(&mut call.url, parameters.iter().map(|(name, value)| (name.as_str(), value.clone())));
        Ok(call)
    }

    /// Where the sink is slow, a short-lived position dies again and again. Records that were delivered cost nothing the next time, so
    /// each beginning gets further, and in the end to the end.
    fn got_further(&self, scan: &Scan) -> bool {
        self.furthest.fetch_max(scan.pages, Ordering::Relaxed) < scan.pages
    }

    /// Counts a beginning again, if there may be one more.
    fn may_restart(&self) -> bool {
        self.restarts.fetch_add(1, Ordering::Relaxed) < RESTARTS_MAX
    }

    /// A server may repeat our API key in its links. The signer adds it to each request; it must not be saved.
    fn without_secrets(&self, position: Position) -> Position {
        let (Position::Url(url), Auth::ApiKeyQuery { parameter, .. }) = (&position, &self.api.auth) else {
            return position;
        };
        let Ok(mut url) = Url::parse(url) else { return position };
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| name != parameter)
            .map(|(n, v)| (n.into_owned(), v.into_owned()))
            .collect();
        url.set_query(None);
        render::add_query(&mut url, kept.iter().map(|(name, value)| (name.as_str(), value.clone())));
        Position::Url(url.into())
    }

    /// A stream with an opaque token: the newest one wins.
    fn remember_token(&self, cut: &slice::Cut, scan: &mut Scan) {
        if let Some(Incremental::Token { next, .. }) = &self.stream.incremental
            && let Some(token) = paginate::text_at(cut, next)
        {
            scan.furthest = Some(Cursor::Token(token));
        }
    }
}

/// What reading found besides the page itself.
struct Found {
    restarted: bool,
    body_bytes: usize,
}

/// The window's bounds as they are sent.
struct Bounds {
    since: Option<String>,
    until: Option<String>,
}

impl Bounds {
    fn of(stream: &Stream, scan: &Scan) -> Self {
        let format = match &stream.incremental {
            Some(Incremental::Field(field)) => Some(field.format),
            Some(Incremental::Token { .. }) | None => None,
        };
        let sent = |bound: &Option<Cursor>| bound.as_ref().map(|bound| instant::sent(format, bound));
        Self { since: sent(&scan.from), until: sent(&scan.until) }
    }

    fn parameters(&self, stream: &Stream) -> Vec<(String, String)> {
        let (since, until) = match &stream.incremental {
            Some(Incremental::Field(field)) => (field.since.as_ref(), field.until.as_ref()),
            Some(Incremental::Token { query, .. }) => (query.as_ref(), None),
            None => (None, None),
        };
        let parameter = |name: Option<&String>, value: &Option<String>| name.cloned().zip(value.clone());
        parameter(since, &self.since).into_iter().chain(parameter(until, &self.until)).collect()
    }
}

/// Says what to do where the refused request began a pass with a token that the vendor may have forgotten.
fn explained(fault: Fault, stream: &Stream, scan: &Scan) -> Fault {
    let by_token = matches!(stream.incremental, Some(Incremental::Token { .. }));
    if !by_token || scan.from.is_none() || scan.position.is_some() {
        return fault;
    }
    let help = format!(
        "Nothing was read and nothing was changed. If the vendor no longer knows the token of the last pass, read the \
         stream from its start, where what was written before is recognised: renkei run --full-refresh {}",
        stream.name
    );
    fault.help(help)
}

/// Whether the vendor no longer knows the token with which the pass began.
fn is_forgotten(answer: &Answer, scan: &Scan, stream: &Stream) -> bool {
    let Some(Incremental::Token { expired, .. }) = &stream.incremental else { return false };
    let is_first = scan.from.is_some() && scan.position.is_none();
    let is_forgotten =
        is_first && matches!(answer.ruling, Ruling::Refused(_)) && expired.contains(&answer.status.as_u16());
    if is_forgotten {
        tracing::warn!(stream = %stream.name, "the vendor no longer knows the last token, so everything is listed again");
    }
    is_forgotten
}

/// Whether the server no longer accepts the position: a token or URL of its own that it once gave.
fn is_expired(answer: &Answer, scan: &Scan) -> bool {
    matches!(scan.position, Some(Position::Token(_) | Position::Url(_)))
        && matches!(answer.ruling, Ruling::Refused(_))
        && matches!(
            answer.status,
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::UNPROCESSABLE_ENTITY
        )
}
