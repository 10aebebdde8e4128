//! A stream that is read in slices, several at once.
//!
//! ```text
//!   ways      the next slice's values ----> begin ----> open slices, each with its parts (windows)
//!                                                          |  one task per part reads its next page
//!   page + checkpoint  <---- whichever part comes first <--'
//! ```
//!
//! Every page moves one part, and the checkpoint that comes with it says where all of them stand, so pages may come in any order and
//! still be read again from any checkpoint. What a task has read ahead is only a memory: a page whose part has moved on is dropped.
//!
//! A slice that fails keeps its place, and the others go on; the run ends with its fault when nothing else can be read. A slice whose
//! parent is gone (404, 410, or as a rule of the connector says) is passed over.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{sync::Mutex, task::JoinSet};
use tracing::{Instrument, Span, info};

use super::{
    ApiSource, Source, no_slice,
    ways::{Pages, Ways},
    window, windows,
};
use crate::{
    config::plan::{SliceWay, Slices, Stream},
    model::{Blame, BoxFuture, Checkpoint, Code, Cursor, Fault, KeyHash, Page, Scan, Slice, Slicing, slice_name},
    store::SliceCursors,
};

/// Listings without a record in one reading, before the checkpoint moves over them.
const QUIET_MAX: usize = 100;

/// A stream of one connection, in slices.
pub struct SlicedSource {
    stream: Arc<Stream>,
    slices: Arc<Slices>,
    /// Makes the source of a slice.
    whole: ApiSource,
    ways: Ways,
    /// How far each slice was delivered. Nothing: as far as the checkpoint says of all of them.
    cursors: Option<SliceCursors>,
    concurrency: usize,
    reading: Mutex<Reading>,
}

/// What is under way. No position depends on it.
#[derive(Default)]
struct Reading {
    tasks: JoinSet<(Ahead, Result<Page, Fault>)>,
    running: Vec<Ahead>,
    ready: Vec<(Ahead, Result<Page, Fault>)>,
    failed: Vec<(Ahead, Fault)>,
    /// By the values of their slices.
    sources: BTreeMap<String, Arc<ApiSource>>,
    parents: Pages,
}

/// Names a page that is read ahead.
#[derive(Clone, PartialEq, Eq)]
struct Ahead {
    values: String,
    cursor: Option<Cursor>,
    scan: Scan,
}

/// A part of an open slice.
#[derive(Clone, Copy)]
struct At {
    slice: usize,
    part: usize,
}

impl Source for SlicedSource {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        Box::pin(async move {
            let mut reading = self.reading.lock().await;
            self.read_on(at, &mut reading).await
        })
    }
}

impl SlicedSource {
    pub fn new(
        stream: Arc<Stream>,
        slices: Arc<Slices>,
        whole: ApiSource,
        ways: Ways,
        cursors: Option<SliceCursors>,
    ) -> Self {
        let concurrency = slices.concurrency;
        Self { stream, slices, whole, ways, cursors, concurrency, reading: Mutex::default() }
    }

    /// One slice after the other, in an order that stays.
    pub fn in_order(self) -> Self {
        Self { concurrency: 1, ..self }
    }

    async fn read_on(&self, at: &Checkpoint, reading: &mut Reading) -> Result<Page, Fault> {
        let (mut scan, mut slicing) = self.begun(at);
        let mut told = Vec::new();
        let mut quiet = 0;
        loop {
            self.open_more(at, &scan, &mut slicing, reading).await?;
            if slicing.open.is_empty() {
                return self.ended(at, scan, slicing, told);
            }
            let Some((from, result)) = self.first_ready(&scan, &slicing, reading).await? else {
                let failed = reading.failed.first().map(|(_, fault)| fault.clone());
                return Err(failed.unwrap_or_else(|| bug("no slice is read and none has failed")));
            };
            let page = match result {
                Ok(page) => page,
                Err(fault) if fault.code == Code::NotFound && self.has_parents() => {
                    slicing.open.remove(from.slice);
                    slicing.missing += 1;
                    continue;
                }
                Err(fault) if fault.code == Code::OffsetCap && self.split(&mut slicing, from) => continue,
                Err(fault) => {
                    let ahead = ahead(&slicing.open[from.slice], from.part, 0);
                    reading.failed.push((ahead, fault));
                    continue;
                }
            };
            scan.pages += 1;
            let read = self.taken(&scan, &slicing, from, &page);
            let page = self.moved(&mut scan, &mut slicing, from, page, &mut told);
            quiet += 1;
            if page.records.is_empty() && page.rejects.is_empty() && page.skipped.is_empty() && quiet < QUIET_MAX {
                continue;
            }
            let scan = Scan { slices: Some(Box::new(slicing)), ..scan };
            let next = Checkpoint { scan: Some(scan), slice_cursors: told, ..at.clone() };
            return Ok(Page { next, scan: read, end: false, restarted: false, ..page });
        }
    }

    /// The listing under way, or a new one.
    fn begun(&self, at: &Checkpoint) -> (Scan, Slicing) {
        let mut scan = at.scan.clone().unwrap_or_else(|| Scan { start_mark: at.mark, ..Scan::default() });
        let slicing = scan.slices.take().map(|slicing| *slicing);
        let found_nothing = |slicing: &Slicing| slicing.next.is_none() && slicing.open.is_empty() && slicing.ended == 0;
        let slicing = slicing.filter(|slicing| !found_nothing(slicing));
        let start = || Slicing { next: Some(self.ways.start(&at.parents)), ..Slicing::default() };
        (scan, slicing.unwrap_or_else(start))
    }

    /// Begins slices until enough are under way.
    async fn open_more(
        &self,
        at: &Checkpoint,
        pass: &Scan,
        slicing: &mut Slicing,
        reading: &mut Reading,
    ) -> Result<(), Fault> {
        while slicing.under_way() < self.concurrency {
            if let Some(slice) = slicing.open.iter_mut().find(|slice| slice.rest.is_some()) {
                self.begin_window(slice);
                continue;
            }
            let Some(mut places) = slicing.next.take() else { break };
            let taken = self.ways.take(&mut places, &at.parents, &mut slicing.parents, &mut reading.parents).await?;
            let Some(values) = taken else { break };
            if slicing.ended + slicing.missing + slicing.open.len() as u64 >= self.slices.slices_max {
                let message = format!("there are more than {} slices", self.slices.slices_max);
                return Err(no_slice(&self.stream.name, &message));
            }
            // A stream that is only read in windows is one slice.
            slicing.next = Some(places).filter(|places| !places.is_empty());
            slicing.open.push(self.begin(values, at, pass).await?);
        }
        Ok(())
    }

    /// A value of a list does not go away: one that the server does not know is a mistake.
    fn has_parents(&self) -> bool {
        self.slices.by.iter().any(|by| matches!(by.way, SliceWay::Parent(_)))
    }

    async fn begin(&self, values: String, at: &Checkpoint, pass: &Scan) -> Result<Slice, Fault> {
        let is_given = pass.high.is_some();
        let (cursor, scan) = if is_given {
            let (from, until, high) = (pass.from.clone(), pass.until.clone(), pass.high.clone());
            (None, Scan { from, until, high, ..Scan::default() })
        } else {
            let cursor = match &self.cursors {
                Some(cursors) if !self.slices.by.is_empty() => cursors.of(&values).await?,
                Some(_) | None => at.cursor.clone(),
            };
            let begins = Checkpoint { cursor: cursor.clone(), ..Checkpoint::default() };
            let scan = window::begin(&self.stream, &begins, self.whole.server_now())?;
            (cursor, scan)
        };
        let mut slice = Slice { values, cursor, ..Slice::default() };
        match (&self.slices.windows, &scan.from, &scan.until) {
            (Some(_), Some(Cursor::Instant(from)), Some(until @ Cursor::Instant(end))) if from < end => {
                slice.rest = Some((*from, *end));
                slice.reached = Some(until.clone());
                self.begin_window(&mut slice);
            }
            _ => slice.parts.push(scan),
        }
        Ok(slice)
    }

    fn begin_window(&self, slice: &mut Slice) {
        let (Some((from, end)), Some(plan)) = (slice.rest.take(), &self.slices.windows) else { return };
        let until = windows::end_of(plan, from).min(end);
        slice.rest = (until < end).then_some((until, end));
        slice.parts.push(window_of(from, until));
    }

    /// A window that the vendor does not list to its end is read in two halves. False: it is too short, or no window.
    fn split(&self, slicing: &mut Slicing, at: At) -> bool {
        let slice = &mut slicing.open[at.slice];
        let scan = &slice.parts[at.part];
        let (Some(Cursor::Instant(from)), Some(Cursor::Instant(until))) = (&scan.from, &scan.until) else {
            return false;
        };
        let Some(middle) = windows::middle_of(*from, *until).filter(|_| self.slices.windows.is_some()) else {
            return false;
        };
        let halves = [window_of(*from, middle), window_of(middle, *until)];
        slice.parts.splice(at.part..=at.part, halves);
        true
    }

    /// The page of whichever part is read first. Nothing: all that are under way have failed.
    async fn first_ready(
        &self,
        pass: &Scan,
        slicing: &Slicing,
        reading: &mut Reading,
    ) -> Result<Option<(At, Result<Page, Fault>)>, Fault> {
        let wanted = wanted(pass, slicing);
        let is_wanted = |ahead: &Ahead| wanted.iter().any(|(_, other)| other == ahead);
        reading.ready.retain(|(ahead, _)| is_wanted(ahead));
        reading.sources.retain(|values, _| slicing.open.iter().any(|slice| slice.values == *values));
        for (_, ahead) in &wanted {
            self.read_ahead(ahead, reading);
        }
        loop {
            if let Some(index) = reading.ready.iter().position(|(ahead, _)| is_wanted(ahead)) {
                let (ahead, result) = reading.ready.remove(index);
                let at = wanted.iter().find(|(_, other)| *other == ahead).map(|(at, _)| *at);
                return Ok(at.map(|at| (at, result)));
            }
            if !reading.running.iter().any(is_wanted) {
                return Ok(None);
            }
            match reading.tasks.join_next().await {
                Some(Ok((ahead, result))) => {
                    reading.running.retain(|running| *running != ahead);
                    reading.ready.push((ahead, result));
                }
                Some(Err(_)) => return Err(bug("the reading of a slice panicked")),
                None => return Ok(None),
            }
        }
    }

    fn read_ahead(&self, ahead: &Ahead, reading: &mut Reading) {
        let known = reading.running.iter().chain(reading.ready.iter().map(|(ahead, _)| ahead));
        if known.chain(reading.failed.iter().map(|(ahead, _)| ahead)).any(|known| known == ahead) {
            return;
        }
        let source = reading.sources.entry(ahead.values.clone());
        let source = source.or_insert_with(|| Arc::new(self.whole.of_slice(&ahead.values))).clone();
        reading.running.push(ahead.clone());
        let ahead = ahead.clone();
        let read = async move {
            let at =
                Checkpoint { cursor: ahead.cursor.clone(), scan: Some(ahead.scan.clone()), ..Checkpoint::default() };
            let page = source.read(&at).await;
            (ahead, page)
        };
        reading.tasks.spawn(read.instrument(Span::current()));
    }

    /// The listing as it stood when a page was read, with the page's part first: `partial` is about that.
    fn taken(&self, pass: &Scan, slicing: &Slicing, at: At, page: &Page) -> Scan {
        let mut slicing = slicing.clone();
        let mut slice = slicing.open.remove(at.slice);
        slice.parts.remove(at.part);
        slice.parts.insert(0, Scan { partial: 0, ..page.scan.clone() });
        slicing.open.insert(0, slice);
        Scan { slices: Some(Box::new(slicing)), ..pass.clone() }
    }

    /// Moves a part over its page.
    fn moved(
        &self,
        pass: &mut Scan,
        slicing: &mut Slicing,
        at: At,
        mut page: Page,
        told: &mut Vec<(KeyHash, Cursor)>,
    ) -> Page {
        pass.partial = 0;
        let slice = &mut slicing.open[at.slice];
        let part = &mut slice.parts[at.part];
        for record in &mut page.records {
            // A slice that begins again takes back nothing that others delivered: its records are recognised by their links.
            record.overlap.after = true;
        }
        if let (false, Some(scan)) = (page.end, page.next.scan.take()) {
            *part = scan;
            return page;
        }
        let ended = slice.parts.remove(at.part);
        self.reach(slice, &ended, &page);
        if slice.parts.is_empty() && slice.rest.is_none() {
            let slice = slicing.open.remove(at.slice);
            slicing.ended += 1;
            if let Some(cursor) = slice.reached {
                slicing.reached = Some(match slicing.reached.take() {
                    Some(known) if known.compare(&cursor).is_some_and(std::cmp::Ordering::is_lt) => known,
                    _ => cursor.clone(),
                });
                // Of a window that was given, nothing follows about the rest.
                if pass.high.is_none() && !self.slices.by.is_empty() {
                    told.push((slice_name(&slice.values), cursor));
                }
            }
        }
        page
    }

    /// How far a slice came with a part that ended.
    fn reach(&self, slice: &mut Slice, part: &Scan, page: &Page) {
        let is_window = self.slices.windows.is_some() && slice.reached.is_some();
        if !is_window {
            slice.reached = page.next.cursor.clone().or_else(|| slice.cursor.clone());
            return;
        }
        // By the server's clock the window may have ended earlier than was asked for: the rest comes with the next pass.
        let is_before = |a: &Cursor, b: &Cursor| a.compare(b).is_some_and(std::cmp::Ordering::is_lt);
        if let (Some(high), Some(until), Some(reached)) = (&page.scan.high, &part.until, &slice.reached)
            && is_before(high, until)
            && is_before(high, reached)
        {
            slice.reached = Some(high.clone());
        }
    }

    fn ended(
        &self,
        at: &Checkpoint,
        scan: Scan,
        slicing: Slicing,
        told: Vec<(KeyHash, Cursor)>,
    ) -> Result<Page, Fault> {
        if slicing.missing > 0 {
            info!(stream = %self.stream.name, slices = slicing.missing, "the parents of some slices are gone");
            // A parent that goes while its children are read is none that the server never knew.
            if scan.pages == 0 {
                return Err(none_found(&self.stream, slicing.missing));
            }
        }
        let mut parents = at.parents.clone();
        parents.retain(|(name, _)| !slicing.parents.iter().any(|(other, _)| other == name));
        parents.extend(slicing.parents.iter().cloned());
        let reached = slicing.reached.clone().filter(|_| self.stream.incremental.is_some());
        let cursor = match (&at.cursor, reached) {
            // What a given window reached may lie before what is known.
            (Some(cursor), Some(reached)) => Some(cursor.clone().later(reached)),
            (cursor, reached) => reached.or_else(|| cursor.clone()),
        };
        let next = Checkpoint { cursor, scan: None, slice_cursors: told, parents, ..at.clone() };
        let (records, rejects, skipped) = (Vec::new(), Vec::new(), Vec::new());
        let scan = Scan { slices: Some(Box::new(slicing)), ..scan };
        Ok(Page { records, rejects, skipped, next, scan, end: true, restarted: false, body_bytes: 0 })
    }
}

/// The pages that are to be read, each with its part. Of a page that was cut short, only that.
fn wanted(pass: &Scan, slicing: &Slicing) -> Vec<(At, Ahead)> {
    let parts = slicing
        .open
        .iter()
        .enumerate()
        .flat_map(|(index, slice)| (0..slice.parts.len()).map(move |part| (At { slice: index, part }, slice)));
    let page =
        |(at, slice): (At, &Slice)| (at, ahead(slice, at.part, if at.slice + at.part == 0 { pass.partial } else { 0 }));
    parts.map(page).take(if pass.partial > 0 { 1 } else { usize::MAX }).collect()
}

fn ahead(slice: &Slice, part: usize, partial: u64) -> Ahead {
    let scan = Scan { partial, ..slice.parts[part].clone() };
    Ahead { values: slice.values.clone(), cursor: slice.cursor.clone(), scan }
}

fn window_of(from: chrono::DateTime<chrono::Utc>, until: chrono::DateTime<chrono::Utc>) -> Scan {
    Scan { from: Some(Cursor::Instant(from)), until: Some(Cursor::Instant(until)), ..Scan::default() }
}

fn none_found(stream: &Stream, missing: u64) -> Fault {
    let message = format!("stream {}: the server knows none of its {missing} slices", stream.name);
    Fault::halt(Code::NoSliceFound, Blame::Remote, message).help(
        "Nothing was read, and no cursor moved. One parent that is gone is normal; that all are is not: compare the stream's \
         path with the vendor's documentation, and what the account may see.",
    )
}

fn bug(message: &str) -> Fault {
    Fault::halt(Code::Bug, Blame::Bug, message)
}
