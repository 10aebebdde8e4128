//! How a run went: one block for people, one object for programs. The counts add up to what was read, always.

use serde_json::json;

use super::{
    failure::fault_json,
    format,
    output::{Output, Paint, printable},
};
use crate::{
    model::{DRIFT_ROWS_MAX, DriftKind, DriftRow, Fault},
    store::{Run, RunState},
};

/// Differences that the block shows; `runs show` has all of them.
const DRIFT_SHOWN: usize = 8;

/// A run with the fault that ended it, if one did.
pub struct Outcome {
    /// Nothing where the run could not even begin.
    pub run: Option<Run>,
    pub fault: Option<Fault>,
}

impl Outcome {
    /// The run as it stands in `runs --output json`, with the whole fault instead of its summary.
    pub fn to_json(&self) -> serde_json::Value {
        let mut value = self.run.as_ref().map_or_else(|| json!({}), |run| json!(run));
        if let Some(fault) = &self.fault {
            value["fault"] = fault_json(fault);
        }
        value
    }

    pub fn dead_letters(&self) -> u64 {
        self.run.as_ref().map_or(0, |run| run.counts.dead_letters())
    }

    /// Writes the block to stdout.
    pub fn tell(&self, output: &Output) {
        for line in self.run.iter().flat_map(|run| lines(run, Paint(output.color_stdout))) {
            output.line(line);
        }
    }
}

fn lines(run: &Run, paint: Paint) -> Vec<String> {
    let took = run.ended_at.map(|end| format::duration(format::between(run.started_at, end))).unwrap_or_default();
    let state = match (run.state, run.counts.dead_letters()) {
        (RunState::Done, 0) => paint.green("done"),
        (RunState::Done, _) => paint.yellow("done with dead letters"),
        (RunState::Stopped, _) => paint.yellow("stopped after a clean checkpoint"),
        (RunState::Failed | RunState::Running, _) => paint.red("failed"),
    };
    let mut head = format!("{} {state} in {took}", paint.bold(&run.pipeline));
    if run.counts.resumed > 0 {
        head.push_str(&format!(", {} of them left by an earlier run", run.counts.resumed));
    }
    let all = [head, format!("  {}", verdicts(run, paint)), format!("  {}", costs(run, paint))];
    let more = drift(run, paint, DRIFT_SHOWN).into_iter().chain(ending(run, paint));
    all.into_iter().chain(more.map(|line| format!("  {line}"))).collect()
}

/// In what records differed from their contracts, one line for each place.
pub fn drift(run: &Run, paint: Paint, most: usize) -> Vec<String> {
    let rows = &run.drift.rows;
    let mut lines: Vec<String> = rows.iter().take(most).map(|row| row_line(row, paint)).collect();
    let (hidden, uncounted) = (rows.len().saturating_sub(most), run.drift.left_out);
    if hidden > 0 {
        lines.push(format!("and {hidden} other differences: renkei runs show {}", run.id));
    }
    if uncounted > 0 {
        lines.push(format!("and more than {DRIFT_ROWS_MAX} places; {uncounted} differences were not kept"));
    }
    lines
}

fn row_line(row: &DriftRow, paint: Paint) -> String {
    let kind = paint.yellow(row.kind.name());
    let mut line = format!("{} {kind} {}", row.end.name(), paint.bold(printable(&row.path)));
    match row.kind {
        DriftKind::NewField | DriftKind::MissingField => {}
        DriftKind::TypeChange => line.push_str(&format!(": {}, not {}", row.found, row.expected)),
        DriftKind::EnumValue => line.push_str(&format!(": not {}", row.expected)),
        DriftKind::BrokenRule => line.push_str(&format!(": not {}", printable(&row.expected))),
    }
    let records = if row.records == 1 { "1 record".to_owned() } else { format!("{} records", row.records) };
    line.push_str(&format!("; {records}"));
    if !row.sample.is_empty() {
        line.push_str(&format!(", such as {}", printable(&row.sample)));
    }
    line
}

/// What answers said about the end of calls.
pub fn ending(run: &Run, paint: Paint) -> Vec<String> {
    run.notices.iter().map(|notice| paint.yellow(printable(&notice.to_string()))).collect()
}

/// What became of a run's records.
pub fn verdicts(run: &Run, paint: Paint) -> String {
    let counts = &run.counts;
    let all = [
        ("read", counts.read + counts.resumed),
        ("created", counts.created),
        ("updated", counts.updated),
        ("unchanged", counts.unchanged),
        ("deleted", counts.deleted),
        ("skipped", counts.skipped),
        ("rejected", counts.rejected),
        ("parked", counts.parked),
    ];
    numbers(&all, paint)
}

/// What a run asked of its servers, and how long they held it back.
pub fn costs(run: &Run, paint: Paint) -> String {
    let all = [("requests", run.requests), ("retries", run.retries), ("429s", run.throttled)];
    let waited = format::duration(std::time::Duration::from_millis(run.waited_ms));
    format!("{}  waited for quota {waited}", numbers(&all, paint))
}

/// `read 500  created 432`; what is zero steps back.
pub fn numbers(all: &[(&str, u64)], paint: Paint) -> String {
    let shown = all.iter().map(|(name, number)| match number {
        0 => paint.dim(format_args!("{name} 0")),
        number => format!("{name} {}", paint.bold(number)),
    });
    shown.collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::{Counts, Drift, Latency};

    #[test]
    fn a_summary_names_every_verdict_and_what_the_run_cost() {
        let at = |ms| DateTime::from_timestamp_millis(ms).unwrap();
        let counts = Counts { read: 490, resumed: 10, created: 430, skipped: 50, rejected: 20, ..Counts::default() };
        let run = Run {
            id: "1".into(),
            pipeline: "leads".into(),
            stream: "customers".into(),
            started_at: at(0),
            ended_at: Some(at(6_200)),
            state: RunState::Done,
            counts,
            latency: Latency::default(),
            pages: 10,
            requests: 530,
            retries: 22,
            throttled: 3,
            waited_ms: 3_400,
            drift: Drift::default(),
            notices: Vec::new(),
            fault: None,
        };
        insta::assert_snapshot!(lines(&run, Paint(false)).join("\n"), @r"
        leads done with dead letters in 6.2 s, 10 of them left by an earlier run
          read 500  created 430  updated 0  unchanged 0  deleted 0  skipped 50  rejected 20  parked 0
          requests 530  retries 22  429s 3  waited for quota 3.4 s
        ");
    }
}
