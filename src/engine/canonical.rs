//! The canonical line: the one log line in which a run says at its end everything that one greps for. Its names are stable
//! (`docs/telemetry.md`). Of a cursor it says times and numbers; a vendor's own token stays here.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use tokio::time::Instant;

use super::{
    spans,
    sync::{Context, Options, Route},
};
use crate::{
    model::{Code, Cursor, Drift, DriftKind, Fault},
    store::{Run, RunState},
    telemetry::CANONICAL,
};

/// Why there is a run.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Job {
    /// Somebody asked for it, or its time came.
    #[default]
    Run,
    Backfill,
    Replay,
    /// Records were pushed.
    Pushed,
}

impl Job {
    pub fn name(self) -> &'static str {
        match self {
            Job::Run => "run",
            Job::Backfill => "backfill",
            Job::Replay => "replay",
            Job::Pushed => "pushed",
        }
    }
}

/// The time that a run stands for, and how much later it began.
#[derive(Clone, Copy, Debug)]
pub struct DueAt {
    pub at: DateTime<Utc>,
    pub late: Duration,
}

/// How things stood when a run began.
pub struct Before {
    began: Instant,
    cursor: Option<Cursor>,
}

impl Before {
    pub async fn of(context: &Context, route: &Route) -> Self {
        Self { began: Instant::now(), cursor: cursor(context, route).await }
    }
}

/// The stream's cursor, where a line will tell it. A store that fails says so elsewhere.
async fn cursor(context: &Context, route: &Route) -> Option<Cursor> {
    if !tracing::enabled!(target: CANONICAL, tracing::Level::INFO) {
        return None;
    }
    context.state.checkpoint(&route.stream).await.ok().flatten()?.cursor
}

/// Tells how a run went.
pub async fn tell(
    context: &Context,
    route: &Route,
    options: Options,
    before: Before,
    run: &Run,
    fault: Option<&Fault>,
) {
    let after = cursor(context, route).await;
    let age_ms = match after {
        Some(Cursor::Instant(at)) => Some((context.clock.now() - at).num_milliseconds()),
        Some(Cursor::Integer(_) | Cursor::Token(_)) | None => None,
    };
    let (from, to) = (before.cursor.and_then(shown), after.and_then(shown));
    let due = options.due.map(|due| due.at.to_rfc3339_opts(SecondsFormat::Secs, true));
    let late_ms = options.due.map(|due| due.late.as_millis() as u64);
    let (counts, retries_by) = (&run.counts, causes(&(route.causes)()));
    let (place, drift) = (fault.map(|fault| fault.place.join(", ")), kinds(&run.drift));
    // The same fields for each of three levels and messages.
    macro_rules! line {
        ($say:ident, $message:literal) => {
            tracing::$say!(
                target: CANONICAL,
                pipeline = run.pipeline,
                run = run.id,
                stream = run.stream,
                job = options.job.name(),
                due,
                late_ms,
                took_ms = before.began.elapsed().as_millis() as u64,
                read = counts.read + counts.resumed,
                resumed = counts.resumed,
                written = counts.created + counts.updated + counts.deleted,
                created = counts.created,
                updated = counts.updated,
                deleted = counts.deleted,
                unchanged = counts.unchanged,
                skipped = counts.skipped,
                refused = counts.dead_letters(),
                rejected = counts.rejected,
                parked = counts.parked,
                pages = run.pages,
                requests = run.requests,
                retries = run.retries,
                retries_by,
                throttled = run.throttled,
                waited_ms = run.waited_ms,
                drift,
                ending = (!run.notices.is_empty()).then_some(run.notices.len()),
                cursor_before = from,
                cursor_after = to,
                cursor_age_ms = age_ms,
                code = fault.map(|fault| tracing::field::display(fault.code)),
                why = fault.map(|fault| fault.message.as_str()),
                place,
                $message
            )
        };
    }
    let outcome = match run.state {
        RunState::Failed | RunState::Running => "failed",
        RunState::Stopped => "stopped",
        RunState::Done => "done",
    };
    spans::run_over(outcome, run, fault);
    match run.state {
        RunState::Failed | RunState::Running => line!(warn, "run failed"),
        RunState::Stopped => line!(info, "run stopped"),
        RunState::Done => line!(info, "run done"),
    }
}

/// A cursor as it may be shown.
fn shown(cursor: Cursor) -> Option<String> {
    match cursor {
        Cursor::Instant(at) => Some(at.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        Cursor::Integer(number) => Some(number.to_string()),
        Cursor::Token(_) => None,
    }
}

/// `RK0301=2 RK0310=1`; nothing where nothing was tried again.
fn causes(all: &BTreeMap<Code, u64>) -> Option<String> {
    let shown: Vec<String> =
        all.iter().filter(|(_, count)| **count > 0).map(|(code, count)| format!("{code}={count}")).collect();
    (!shown.is_empty()).then(|| shown.join(" "))
}

/// `new_field=2 type_change=1`: places in records, by how they differ from their contract. Nothing where none does.
fn kinds(drift: &Drift) -> Option<String> {
    let mut all: BTreeMap<DriftKind, u64> = BTreeMap::new();
    drift.rows.iter().for_each(|row| *all.entry(row.kind).or_default() += 1);
    let shown: Vec<String> = all.iter().map(|(kind, count)| format!("{}={count}", kind.name())).collect();
    (!shown.is_empty()).then(|| shown.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_by_code_and_a_vendors_token_is_not_told() {
        let all = BTreeMap::from([(Code::Unauthorized, 2), (Code::Deadline, 0), (Code::StoreClosed, 1)]);
        let text = causes(&all).unwrap();
        assert_eq!(text.split(' ').count(), 2, "{text}");
        assert!(text.contains(&format!("{}=2", Code::Unauthorized)));
        assert_eq!(causes(&BTreeMap::new()), None);
        assert_eq!(shown(Cursor::Token("next-7".into())), None);
        assert_eq!(shown(Cursor::Integer(7)).unwrap(), "7");
        let at = DateTime::from_timestamp_millis(1_500).unwrap();
        assert_eq!(shown(Cursor::Instant(at)).unwrap(), "1970-01-01T00:00:01.500Z");
    }
}
