//! Reads a stream of an API, one page per call. [`ApiSource::read`] asks, cuts and decides; what it decides is in the
//! pure files beside this one. A page is an answer, or a piece of a large one.
//!
//! The hard idea is beginning again. A saved position may be refused (tokens expire), and an offset listing may turn out
//! to have moved. Both lead to the same answer: the listing is read from its start, over the same pinned window, and the
//! page says so. That is counted, because a listing that never holds still must become an error and not a loop.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use bytes::Bytes;
use url::Url;

use super::{
    Source,
    asking::{self, Asked},
    conditional, cut,
    expand::{self, Whole},
    one_slice::OneSlice,
    pace::{self, Pace},
    paginate::{self, Answered, Turn},
    pieces::{self, Fetched, Kept, Reading},
    sift::sift,
    window,
};
use crate::{
    config::plan::{Api, Incremental, Stream},
    http::{Call, Client, same_origin, scrub},
    model::{BoxFuture, Checkpoint, Cursor, Fault, Page, Position, Scan},
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
    /// The file of a job that it reads.
    file: Option<File>,
    /// The items around its records, where these stand in lists inside of them.
    around: Option<Stream>,
    /// What a look-up asks for, as JSON.
    asking: Option<String>,
    /// How large its pages are.
    pace: Pace,
    /// The large answer that is being read. It spares fetching it again; no position depends on it.
    kept: Mutex<Option<Kept>>,
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
            file: None,
            around,
            asking: None,
            pace: Pace::default(),
            kept: Mutex::default(),
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

    /// One file of a job. `after` follows it where it is not the last one.
    pub fn of_file(&self, job: String, url: Option<Url>, after: Option<Position>) -> Self {
        let (api, stream) = (self.api.clone(), self.stream.clone());
        let file = File { job, url, after };
        Self { personal: self.personal.clone(), file: Some(file), ..Self::new(api, stream, self.client.clone()) }
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
        if !paginate::fits(stream, scan.position.as_ref()) {
            scan = window::again(&scan);
            restarted = true;
        }
        let mut body_bytes = 0;
        let mut empty_pages = 0;
        loop {
            let Part { mut cut, fetched, bytes, rest, again } = match self.part(at, &mut scan).await? {
                Got::Part(part) => part,
                Got::Unchanged => return Ok(conditional::nothing_new(at, scan)),
                Got::Begun { again } => {
                    restarted |= again;
                    continue;
                }
            };
            body_bytes += bytes;
            restarted |= again;
            window::pin(&mut scan, stream, fetched.server_time.unwrap_or_else(|| self.client.server_now()));
            let answered = Answered { cut: &cut, headers: &fetched.headers, url: &fetched.url, size: fetched.size };
            let turn = match rest {
                Some(rest) => Turn::Next(rest),
                None => paginate::turn(stream, scan.answer(), &answered)?,
            };
            let next = match turn {
                Turn::Moved if self.may_restart() => {
                    scan = window::again(&scan);
                    restarted = true;
                    continue;
                }
                Turn::Moved => return Err(paginate::moving(stream, RESTARTS_MAX)),
                Turn::Next(position) => Some(asking::without_secrets(&self.api, position)),
                Turn::End => self.file.as_ref().and_then(|file| file.after.clone()),
            };
            self.remember_token(&cut, &mut scan);
            if let (true, Some(position), false) =
                (cut.items.is_empty(), &next, matches!(next, Some(Position::Job { .. })))
            {
                empty_pages += 1;
                if empty_pages > stream.empty_pages_max {
                    return Err(paginate::endless(stream));
                }
                scan.position = Some(position.clone());
                continue;
            }
            // The record that was asked for once more to see whether the listing moved is already delivered.
            let again = paginate::ask(stream, scan.answer(), fetched.size)?.again;
            cut.items.drain(..again.min(cut.items.len()));
            return self.page(at, scan, cut, next, Found { restarted, body_bytes });
        }
    }

    /// The next part of a listing: of the answer that is under way, or of one that is asked for.
    async fn part(&self, at: &Checkpoint, scan: &mut Scan) -> Result<Got, Fault> {
        let stream = &*self.stream;
        let reading = Reading::of(&self.api, stream, !self.personal.is_idle());
        if let (Some(reading), Some(position @ Position::Within { records, .. })) = (&reading, &scan.position)
            && let Some(kept) = self.take_kept(position)
            && let Some(kept) = reading.go_to(kept, *records).await?
        {
            return self.piece(reading, kept).await;
        }
        if scan.pages >= stream.pages_max {
            return Err(paginate::over_budget(stream));
        }
        let size = self.pace.size(&stream.paginate);
        let mut call = self.call(scan, size)?;
        conditional::ask(&mut call, stream, at);
        let spool = pieces::spool(&mut call, &self.api, stream.form.large.as_ref());
        let answer = self.client.execute(&call).await;
        if pace::is_too_large(&answer) && self.pace.slower(&stream.paginate) {
            return Ok(Got::Begun { again: false });
        }
        let answer = answer?;
        if conditional::is_unchanged(&answer) {
            return Ok(Got::Unchanged);
        }
        if asking::is_forgotten(&answer, scan, stream) {
            *scan = window::from_the_start(scan);
            return Ok(Got::Begun { again: false });
        }
        if asking::is_expired(&answer, scan) && (self.got_further(scan) || self.may_restart()) {
            *scan = window::again(scan);
            return Ok(Got::Begun { again: true });
        }
        let answer = answer.accepted().map_err(|fault| asking::explained(fault, stream, scan))?;
        self.pace.well();
        conditional::learn(scan, stream, &call, &answer);
        scan.pages += 1;
        let fetched = Fetched::new(&answer, call.url, size);
        let Some(reading) = reading else {
            let cut = self.own(self.cut(&answer.body, &fetched)?)?;
            return Ok(Got::Part(Part {
                cut,
                fetched: fetched.into(),
                bytes: answer.body.len(),
                rest: None,
                again: false,
            }));
        };
        let body = pieces::body(&answer, spool.as_ref());
        drop(answer);
        let kept = reading.open(scan.answer().cloned(), fetched, body).await?;
        self.resume(&reading, kept, scan).await
    }

    /// Goes to where a scan stands in an answer that was fetched again, if it is the same answer.
    async fn resume(&self, reading: &Reading<'_>, kept: Kept, scan: &mut Scan) -> Result<Got, Fault> {
        let Some(Position::Within { answer, records, of }) = &scan.position else {
            return self.piece(reading, kept).await;
        };
        let is_same = kept.is(of);
        let there = reading.go_to(kept, if is_same { *records } else { 0 }).await?;
        if is_same && let Some(kept) = there {
            return self.piece(reading, kept).await;
        }
        if !self.may_restart() {
            return Err(paginate::moving(&self.stream, RESTARTS_MAX));
        }
        tracing::info!(stream = %self.stream.name, "a large answer is another one than before, so its listing begins again");
        let kept = there.filter(|_| answer.is_none());
        *scan = window::again(scan);
        let Some(kept) = kept else { return Ok(Got::Begun { again: true }) };
        scan.pages = 1;
        Ok(match self.piece(reading, kept).await? {
            Got::Part(part) => Got::Part(Part { again: true, ..part }),
            other => other,
        })
    }

    async fn piece(&self, reading: &Reading<'_>, kept: Kept) -> Result<Got, Fault> {
        let fetched = kept.fetched.clone();
        let (piece, kept) = reading.next(kept).await?;
        let (bytes, rest) = (piece.text.len(), kept.as_ref().map(Kept::position));
        *self.kept() = kept;
        let stream = self.around.as_ref().unwrap_or(&self.stream);
        let cut = cut::cut_piece(piece, stream, |frame| self.cut(frame, &fetched))?;
        Ok(Got::Part(Part { cut: self.own(cut)?, fetched, bytes, rest, again: false }))
    }

    /// The answer under way, if a position is in it. Any other one is dropped.
    fn take_kept(&self, position: &Position) -> Option<Kept> {
        self.kept().take().filter(|kept| kept.holds(position))
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self, body: &Bytes, fetched: &Fetched) -> Result<cut::Cut, Fault> {
        let stream = self.around.as_ref().unwrap_or(&self.stream);
        match self.personal.is_idle() {
            true => cut::cut(body, &fetched.headers, stream, &|text| scrub(text, &fetched.secrets)),
            false => cut::cut_unquoted(body, &fetched.headers, stream),
        }
    }

    /// Gives items what their slice adds, and protects what is personal before anything else sees it: positions hold keys, too.
    fn own(&self, mut cut: cut::Cut) -> Result<cut::Cut, Fault> {
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

    fn call(&self, scan: &Scan, size: Option<u64>) -> Result<Call, Fault> {
        let slice = self.slice.as_ref().map(|slice| slice.values.as_str());
        let job = self.file.as_ref().map(|file| file.job.as_str());
        let asked = Asked { scan, size, slice, lookup: self.asking.as_deref(), job };
        let mut call = asking::call(&self.api, &self.stream, &self.name, &asked)?;
        if let Some(url) = self.file.as_ref().and_then(|file| file.url.as_ref()) {
            call.unsigned = !same_origin(url, &self.api.base_url);
            call.url = url.clone();
        }
        Ok(call)
    }

    fn page(
        &self,
        at: &Checkpoint,
        mut scan: Scan,
        cut: cut::Cut,
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

    /// Where the sink is slow, a short-lived position dies again and again. Records that were delivered cost nothing the next time, so
    /// each beginning gets further, and in the end to the end.
    fn got_further(&self, scan: &Scan) -> bool {
        self.furthest.fetch_max(scan.pages, Ordering::Relaxed) < scan.pages
    }

    /// Counts a beginning again, if there may be one more.
    fn may_restart(&self) -> bool {
        self.restarts.fetch_add(1, Ordering::Relaxed) < RESTARTS_MAX
    }

    /// A stream with an opaque token: the newest one wins.
    fn remember_token(&self, cut: &cut::Cut, scan: &mut Scan) {
        if let Some(Incremental::Token { next, .. }) = &self.stream.incremental
            && let Some(token) = paginate::text_at(cut, next)
        {
            scan.furthest = Some(Cursor::Token(token));
        }
    }
}

/// One file of a job, as a stream.
struct File {
    /// What templates see as `job`.
    job: String,
    /// Nothing: the stream's request names it.
    url: Option<Url>,
    after: Option<Position>,
}

/// What came of asking for the next part of a listing.
enum Got {
    Part(Part),
    /// Nothing is new.
    Unchanged,
    /// The scan was changed, and what it asks for now is still to be read. `again`: it begins from its start.
    Begun {
        again: bool,
    },
}

/// As much of an answer as makes a page: all of it, or a piece.
struct Part {
    cut: cut::Cut,
    fetched: Arc<Fetched>,
    bytes: usize,
    /// Where the rest of the answer begins.
    rest: Option<Position>,
    /// The listing begins again with it.
    again: bool,
}

/// What reading found besides the page itself.
struct Found {
    restarted: bool,
    body_bytes: usize,
}
