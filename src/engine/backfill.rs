//! A window of a stream, read beside the stream's own progress.
//!
//! A backfill is a run of its pipeline over a part of its stream: with a checkpoint, an outbox and a journal of its own, and with the
//! stream's links. So what was delivered already is recognised, by either of them, and nothing is doubled.
//!
//! The hard idea is that it must not take a record back to a state that is older than the one the live run delivered. Two rules see to
//! that. A pipeline is at work once at most, so no page lies here, read and not yet delivered, while the live run reads a newer one
//! and delivers it (`schedule/`). And whatever any of them left staged is delivered before the other reads (`deliver_others`), so
//! no staged batch waits out a crash and then overtakes. Between the two, what a backfill writes was read after everything that was
//! delivered before it.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};

use super::{
    Engine,
    build::bug,
    canonical::Job,
    deletes::Deletes,
    limit::RejectLimit,
    naming::{agree, naming},
    stop::Stop,
    stream_id,
    sync::{Options, Route, sync},
};
use crate::{
    config::plan::{CursorFormat, Incremental, Pipeline, Plan, Stream, To},
    http::Priority,
    model::{Blame, BoxFuture, Checkpoint, Code, Cursor, Entropy, Fault, Page, Scan, midnight},
    source::Source,
    store::{Backfill, Run, RunState, StreamId},
};

/// Checks that a window of a pipeline's stream can be read, and names the backfill. A bound is written as the stream's cursor is: a
/// time, a date (its beginning in UTC), or a whole number.
pub fn plan_backfill(
    plan: &Plan,
    pipeline: &str,
    from: &str,
    to: &str,
    now: DateTime<Utc>,
    entropy: &dyn Entropy,
) -> Result<Backfill, Fault> {
    let plan = plan.pipelines.get(pipeline).ok_or_else(|| bug("a pipeline that is not in the plan"))?;
    let format = readable(plan)?;
    let (from, to) = (bound(format, from)?, bound(format, to)?);
    if from.compare(&to) != Some(std::cmp::Ordering::Less) {
        return Err(window("it ends before it begins", "Write the earlier bound as --from."));
    }
    if matches!(&to, Cursor::Instant(to) if *to > now) {
        return Err(window("it ends in the future", "What changes from now on is read by the pipeline's own runs."));
    }
    let stream = stream_id(plan).part(&format!("{:08x}", entropy.bits() >> 32)).stream;
    Ok(Backfill { pipeline: pipeline.to_owned(), stream, from, to, asked_at: now })
}

impl Engine {
    /// Reads the window on from where it stands, and forgets the backfill once it came to its end.
    pub async fn backfill(&self, backfill: &Backfill, stop: &Stop) -> Result<(Run, Option<Fault>), Fault> {
        let plan = self.pipeline(&backfill.pipeline)?;
        readable(plan)?;
        let _gate = self.gate(plan).await;
        let stream = backfill.stream_id();
        if stream.ledger() != stream_id(plan) {
            return Err(window("its pipeline reads another stream now", "Drop it with --drop, and ask for it again."));
        }
        // Its requests come after everybody else's.
        let mut route = self.route_of(plan, stream.clone(), Priority::Backfill)?;
        agree(self.state(), &stream, &naming(plan, route.mapping.personal())).await?;
        self.deliver_others(plan, &stream, stop).await?;
        // A window does not tell what is gone from the whole, only records that say so of themselves.
        let own_flags = |deletes| Deletes { tombstones: None, sweep: None, ..deletes };
        route.deletes = route.deletes.map(own_flags);
        let (from, to) = (Some(backfill.from.clone()), Some(backfill.to.clone()));
        let start = Scan { from, until: to.clone(), high: to, ..Scan::default() };
        route.source = Box::new(Window { source: route.source, start });
        let (rejects, canary) = (plan.limits.map(RejectLimit), self.canary(plan).await?);
        let options = Options { rejects, canary, job: Job::Backfill, ..Options::default() };
        let ended = match self.has_ended(&stream).await? {
            // The process died after the last commit and before it could say so.
            true => sync(&self.context(&backfill.pipeline), &route, Options { limit: Some(0), ..options }, stop).await,
            false => sync(&self.context(&backfill.pipeline), &route, options, stop).await,
        };
        self.trim(&route.stream).await?;
        if ended.0.state == RunState::Done && self.has_ended(&stream).await? {
            self.state().end_backfill(backfill).await?;
        }
        Ok(ended)
    }

    /// A pass that came to its end has a cursor and no listing under way.
    async fn has_ended(&self, stream: &StreamId) -> Result<bool, Fault> {
        let checkpoint = self.state().checkpoint(stream).await?;
        Ok(checkpoint.is_some_and(|checkpoint| checkpoint.scan.is_none() && checkpoint.cursor.is_some()))
    }

    /// Delivers what others of the same ledger left staged: only then do links tell what the sink holds.
    pub(super) async fn deliver_others(&self, plan: &Arc<Pipeline>, own: &StreamId, stop: &Stop) -> Result<(), Fault> {
        let ledger = stream_id(plan);
        let mut left = self.state().parts_left(&ledger).await?;
        if self.state().outbox_depth(&ledger).await? > 0 {
            left.insert(ledger);
        }
        left.remove(own);
        for stream in left {
            let route = Route { deletes: None, ..self.route_of(plan, stream, Priority::Incremental)? };
            let delivering = Options { limit: Some(0), ..Options::default() };
            if let (_, Some(fault)) = sync(&self.context(&plan.name), &route, delivering, stop).await {
                return Err(fault);
            }
        }
        Ok(())
    }
}

/// Reads a window as a pass that has begun already.
struct Window {
    source: Box<dyn Source>,
    start: Scan,
}

impl Source for Window {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        Box::pin(async move {
            if at.scan.is_some() {
                return self.source.read(at).await;
            }
            self.source.read(&Checkpoint { scan: Some(self.start.clone()), ..at.clone() }).await
        })
    }
}

/// How the bounds of a window are written, where a pipeline can be read by window at all.
fn readable(plan: &Pipeline) -> Result<CursorFormat, Fault> {
    if let To::File { .. } = plan.to {
        let help = "A file keeps records in the order in which they come, and its length belongs to the live run's checkpoint. To \
                    write everything once more: renkei run --full-refresh";
        return Err(refused("a file cannot be written by two", help));
    }
    let Stream { name, incremental, .. } = &*plan.from.stream;
    match incremental {
        Some(Incremental::Field(field)) => Ok(field.format),
        Some(Incremental::Token { .. }) | None => {
            let help = format!(
                "Only a stream with a cursor field has windows. To read all of it: renkei run --full-refresh {name}"
            );
            Err(refused(&format!("the stream {name} cannot be read by window"), &help))
        }
    }
}

fn refused(message: &str, help: &str) -> Fault {
    Fault::halt(Code::NoBackfill, Blame::Config, message)
        .help(format!("Nothing was read and nothing was changed. {help}"))
}

fn window(message: &str, help: &str) -> Fault {
    refused(&format!("this window cannot be read: {message}"), help)
}

fn bound(format: CursorFormat, text: &str) -> Result<Cursor, Fault> {
    let instant = || {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|date| date.and_hms_opt(0, 0, 0));
        let time = || DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc));
        date.map(|date| date.and_utc()).or_else(time).map(Cursor::Instant)
    };
    let (cursor, like) = match format {
        CursorFormat::Integer => (text.parse().ok().map(Cursor::Integer), "a whole number such as 120000"),
        CursorFormat::Date(zone) => (midnight(text, zone).map(Cursor::Instant), "a date such as 2026-04-01"),
        CursorFormat::Rfc3339 | CursorFormat::EpochSeconds | CursorFormat::EpochMillis => {
            (instant(), "a date such as 2026-04-01 or a time such as 2026-04-01T09:00:00+09:00")
        }
    };
    cursor.ok_or_else(|| window(&format!("`{}` is no bound of it", text.escape_debug()), &format!("Write {like}.")))
}
