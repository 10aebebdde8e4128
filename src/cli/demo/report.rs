//! What the demo says, act by act, and the report at the end.

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    super::{
        output::{Output, Paint},
        summary::numbers,
    },
    stage::Stage,
};
use crate::{
    sandbox::{Counters, Report},
    store::{Run, RunState},
};

/// What the sandbox saw during one act.
pub struct Act {
    pub name: &'static str,
    pub requests: u64,
    pub replayed: u64,
    pub throttled: u64,
}

impl Act {
    pub fn new(name: &'static str, before: &Counters, after: &Counters) -> Self {
        Self {
            name,
            requests: after.requests - before.requests,
            replayed: after.replayed - before.replayed,
            throttled: after.throttled - before.throttled,
        }
    }
}

pub struct Teller<'a> {
    output: &'a Output,
    paint: Paint,
}

/// How full the CRM is, while an act plays; it goes when the act ends.
pub struct Bar(Option<ProgressBar>);

impl Bar {
    pub fn leads(&self, now: u64, of: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(of.max(now));
            bar.set_position(now);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl<'a> Teller<'a> {
    pub fn new(output: &'a Output) -> Self {
        Self { output, paint: Paint(output.color_stdout) }
    }

    pub fn bar(&self) -> Bar {
        Bar(self.output.bars().map(|bars| {
            let bar = bars.add(ProgressBar::new(1));
            if let Ok(style) = ProgressStyle::with_template("   {bar:40} {pos} of {len} leads in the CRM") {
                bar.set_style(style);
            }
            bar
        }))
    }

    pub fn open(&self, stage: &Stage) {
        let paint = self.paint;
        let folder = stage.folder.display();
        self.say(format_args!("{}  seed {}  workspace {folder}", paint.bold("renkei demo"), stage.seed));
        self.act(1, "A shop and a CRM open, on this machine only");
        let customers = stage.sandbox.world().customers().count();
        self.say(format_args!(
            "   {customers} customers, {} of them belong into the CRM. Both systems lose answers, cut bodies,\n   \
             stall, fail and throttle on purpose; the CRM creates a double whenever it is asked to.",
            stage.eligible
        ));
    }

    pub fn act(&self, number: u32, title: &str) {
        self.say(format_args!("\n{}  {}", self.paint.blue(number), self.paint.bold(title)));
    }

    pub fn note(&self, text: &str) {
        self.say(format_args!("   {text}"));
    }

    pub fn close(&self, stage: &Stage, acts: &[Act], runs: &[Run], report: &Report) {
        if self.output.json() {
            return self.output.document(&json!({
                "seed": stage.seed,
                "workspace": stage.folder,
                "runs": runs,
                "account": report,
                "lost": report.lost,
                "doubled": report.doubled,
            }));
        }
        self.table(acts, runs);
        self.account(report);
        self.next(stage);
    }

    fn table(&self, acts: &[Act], runs: &[Run]) {
        let columns = columns(acts, runs);
        let row = |name: &str, cell: &dyn Fn(&Column) -> String| {
            let cells: String = columns.iter().map(|column| format!("{:>16}", cell(column))).collect();
            format!("   {name:<12}{cells}")
        };
        let title = row("", &|column| column.name.to_owned());
        self.say(format_args!("\n{}", self.paint.bold(title)));
        type Number = fn(&Column) -> u64;
        let rows: [(&str, Number); 11] = [
            ("read", |column| column.counts.read),
            ("resumed", |column| column.counts.resumed),
            ("created", |column| column.counts.created),
            ("updated", |column| column.counts.updated),
            ("unchanged", |column| column.counts.unchanged),
            ("skipped", |column| column.counts.skipped),
            ("rejected", |column| column.counts.rejected),
            ("parked", |column| column.counts.parked),
            ("requests", |column| column.requests),
            ("retries", |column| column.retries),
            ("429s", |column| column.throttled),
        ];
        for (name, number) in rows {
            self.say(row(name, &|column| number(column).to_string()));
        }
    }

    fn account(&self, report: &Report) {
        let paint = self.paint;
        let counters = &report.counters;
        self.say(format_args!("\n{}", paint.bold("What the sandbox's own account says")));
        let arrived = [
            ("requests", counters.requests),
            ("answered from a key's memory", counters.replayed),
            ("throttled", counters.throttled),
        ];
        self.say(format_args!("   {}", numbers(&arrived, paint)));
        let struck: Vec<(String, u64)> = counters
            .faults
            .iter()
            .map(|(kind, n)| (json!(kind).as_str().unwrap_or_default().replace('_', " "), *n))
            .collect();
        let struck: Vec<(&str, u64)> = struck.iter().map(|(kind, n)| (kind.as_str(), *n)).collect();
        for (at, part) in struck.chunks(4).enumerate() {
            let label = if at == 0 { "faults:" } else { "       " };
            self.say(format_args!("   {label} {}", numbers(part, paint)));
        }
        let verdict = format!("lost {}, doubled {}", report.lost, report.doubled);
        let good = report.lost + report.doubled == 0;
        let verdict = if good { paint.green(verdict) } else { paint.red(verdict) };
        self.say(format_args!("   {} leads for {} customers: {verdict}", report.leads, report.eligible));
        if !good {
            let ids = [&report.lost_ids[..], &report.doubled_ids[..]].concat();
            self.say(format_args!("   {}", ids.join(" ")));
        }
    }

    fn next(&self, stage: &Stage) {
        let paint = self.paint;
        let program = std::env::args().next().unwrap_or_else(|| "renkei".to_owned());
        let folder = stage.folder.display();
        self.say(format_args!(
            "\n{}\n   {program} -C {folder} runs\n   {program} -C {folder} dead-letters list\n   \
             {program} init my-workspace\n   \
             rm -r {folder}",
            paint.bold("Next")
        ));
    }

    /// A line of the story. With `--output json` only the document at the end goes to stdout.
    fn say(&self, text: impl std::fmt::Display) {
        if !self.output.json() {
            self.output.line(text);
        }
    }
}

/// All runs of one act together: an act has several where a run gave up.
struct Column {
    name: &'static str,
    counts: crate::model::Counts,
    requests: u64,
    retries: u64,
    throttled: u64,
}

/// The first run is the killed one; the last successful one before the changes ends the second act.
fn columns(acts: &[Act], runs: &[Run]) -> Vec<Column> {
    let ends = |run: &Run| run.state == RunState::Done;
    let second = runs.iter().skip(1).position(ends).map_or(runs.len(), |at| at + 2);
    let parts = [runs.get(..1), runs.get(1..second), runs.get(second..)];
    acts.iter()
        .zip(parts)
        .map(|(act, runs)| {
            let runs = runs.unwrap_or_default();
            let mut counts = crate::model::Counts::default();
            runs.iter().for_each(|run| counts.merge(&run.counts));
            let retries = runs.iter().map(|run| run.retries).sum();
            Column { name: act.name, counts, requests: act.requests, retries, throttled: act.throttled }
        })
        .collect()
}
