//! Charts as SVG, drawn here: a stretched picture without text in it, so that it fits any width, with its numbers beside it as text. Each has a
//! label that says in words what it shows.

use std::{fmt::Write, time::Duration};

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::words::{between, number, span, when};
use crate::{
    model::Counts,
    store::{Run, RunState},
};

/// What became of records, in the three groups that people tell apart.
#[derive(Clone, Copy, Default)]
pub struct Became {
    pub written: u64,
    pub left: u64,
    pub refused: u64,
}

impl Became {
    pub fn of(counts: &Counts) -> Self {
        Self {
            written: counts.created + counts.updated + counts.deleted,
            left: counts.unchanged + counts.skipped,
            refused: counts.dead_letters(),
        }
    }

    fn all(self) -> u64 {
        self.written + self.left + self.refused
    }

    fn parts(self) -> [(&'static str, u64); 3] {
        [("written", self.written), ("left", self.left), ("refused", self.refused)]
    }
}

/// Runs that a spark line has room for.
pub const SPARKS: usize = 24;

/// Records of each run in a line's height, the newest at the right end.
pub fn spark(runs: &[&Run]) -> Markup {
    let records: Vec<u64> = runs.iter().map(|run| run.counts.verdicts()).collect();
    let Some(most) = records.iter().copied().max() else { return html! { span.none { "no run yet" } } };
    let mut bars = String::new();
    for (at, records) in records.iter().rev().take(SPARKS).enumerate() {
        // A run without records leaves a mark all the same.
        let height = if most == 0 { 1.0 } else { (*records as f64 / most as f64 * 22.0).round().max(1.0) };
        bar(&mut bars, ((SPARKS - at - 1) * 4) as f64, 24.0, 3.0, height);
    }
    let last = records.last().copied().unwrap_or_default();
    let label = format!(
        "Records of the last {} runs: {} at the most, {} in the last",
        records.len(),
        number(most),
        number(last)
    );
    html! { svg.spark viewBox="0 0 96 24" preserveAspectRatio="none" role="img" aria-label=(label) { path d=(bars) {} } }
}

fn bar(path: &mut String, left: f64, foot: f64, width: f64, height: f64) {
    // A text takes whatever is written to it.
    let _ = write!(path, "M{left} {foot}v-{height}h{width}v{height}z");
}

/// One bar for each run, oldest first: what became of its records, and whether it failed.
pub fn verdict_bars(runs: &[&Run], now: DateTime<Utc>) -> Markup {
    const HEIGHT: f64 = 100.0;
    // Few runs are not drawn as wide as many.
    let empty = 20_usize.saturating_sub(runs.len());
    let all: Vec<Became> = runs.iter().map(|run| Became::of(&run.counts)).collect();
    let most = all.iter().map(|became| became.all()).max().unwrap_or_default();
    let (mut paths, mut failed) = ([String::new(), String::new(), String::new()], String::new());
    for (at, (became, run)) in all.iter().zip(runs).enumerate() {
        let (left, mut foot) = (((at + empty) * 10 + 1) as f64, HEIGHT);
        for (path, (_, records)) in paths.iter_mut().zip(became.parts()).filter(|(_, (_, records))| *records > 0) {
            let height = (records as f64 / most.max(1) as f64 * HEIGHT).ceil();
            bar(path, left, foot, 8.0, height);
            foot -= height;
        }
        if run.state == RunState::Failed {
            bar(&mut failed, left, HEIGHT + 8.0, 8.0, 5.0);
        }
    }
    let failures = runs.iter().filter(|run| run.state == RunState::Failed).count();
    let label = format!(
        "Bars of {} runs, up to {} records each; {failures} of the runs failed. The table below has their numbers.",
        runs.len(),
        number(most)
    );
    let kinds = ["written", "left", "refused"];
    html! {
        figure.chart {
            div.scale aria-hidden="true" { span { (number(most)) } span { "0" } }
            svg viewBox={ "0 0 " ((runs.len() + empty) * 10) " 108" } preserveAspectRatio="none" role="img" aria-label=(label) {
                @for (kind, path) in kinds.iter().zip(&paths) { path class=(kind) d=(path) {} }
                path.failed d=(failed) {}
            }
        }
        (ends(runs.first(), runs.last(), now))
    }
}

/// When the first and the last run of a chart began.
fn ends(first: Option<&&Run>, last: Option<&&Run>, now: DateTime<Utc>) -> Markup {
    html! {
        p.ends {
            @if let Some((first, last)) = first.zip(last) { "began " (when(first.started_at, now)) " to " (when(last.started_at, now)) }
        }
    }
}

/// What became of all records together, as one bar with its numbers.
pub fn verdict_sum(became: Became) -> Markup {
    let all = became.all();
    let names = [("written", "written"), ("left", "unchanged or skipped"), ("refused", "refused")];
    let share = |records: u64| records as f64 / all.max(1) as f64 * 100.0;
    let parts = became.parts().into_iter().scan(0.0, |from, (kind, records)| {
        *from += share(records);
        Some((kind, *from - share(records), share(records)))
    });
    html! {
        svg.sum viewBox="0 0 100 1" preserveAspectRatio="none" role="img"
            aria-label={ "Of " (number(all)) " records " (number(became.written)) " were written, " (number(became.left)) " left as they are, "
                (number(became.refused)) " refused" } {
            @for (kind, from, share) in parts.filter(|(.., share)| *share > 0.0) {
                rect class=(kind) x=(format!("{from:.2}")) width=(format!("{share:.2}")) height="1" {}
            }
        }
        ul.legend {
            @for ((kind, records), (_, name)) in became.parts().iter().zip(names) {
                li { span class={ "key " (kind) } {} (name) " " strong { (number(*records)) } }
            }
        }
    }
}

/// p50, p95 and p99.
pub const SHARES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

/// How long records took, run by run, oldest first; on a scale on which each step up is ten times as long.
pub fn latency(runs: &[&Run], now: DateTime<Utc>) -> Markup {
    const HEIGHT: f64 = 100.0;
    let of = |run: &&Run, share: f64| run.latency.quantile(share).map(|took| took.as_secs_f64().max(1e-3));
    let told: Vec<&&Run> = runs.iter().filter(|run| !run.latency.is_empty()).collect();
    let times = || told.iter().flat_map(|run| SHARES.iter().filter_map(move |(_, share)| of(run, *share)));
    let (least, most) = (times().fold(f64::MAX, f64::min), times().fold(0.0, f64::max));
    if told.len() < 2 {
        return html! { p.empty { "There is a line as soon as two runs have delivered records." } };
    }
    let (low, high) = (least.log10().floor(), most.log10().ceil().max(least.log10().floor() + 1.0));
    let y = |seconds: f64| HEIGHT - (seconds.log10() - low) / (high - low) * HEIGHT;
    let line = |share: f64| {
        let points = told.iter().enumerate().filter_map(|(at, run)| Some((at, of(run, share)?)));
        points.map(|(at, seconds)| format!("{at},{:.1}", y(seconds))).collect::<Vec<_>>().join(" ")
    };
    let shown = |power: f64| span(Duration::from_secs_f64(10f64.powf(power)));
    let tens: Vec<f64> = (0..=(high - low) as u32).map(|step| low + f64::from(step)).collect();
    let label = format!(
        "p50, p95 and p99 of how long records took in each of {} runs, between {} and {}",
        told.len(),
        span(Duration::from_secs_f64(least)),
        span(Duration::from_secs_f64(most))
    );
    html! {
        figure.chart {
            div.scale aria-hidden="true" { @for power in tens.iter().rev() { span { (shown(*power)) } } }
            svg viewBox={ "0 0 " (told.len() - 1) " 100" } preserveAspectRatio="none" role="img" aria-label=(label) {
                @for power in &tens { path.rule d=(format!("M0 {0:.1}H{1}", y(10f64.powf(*power)), told.len() - 1)) {} }
                @for (name, share) in SHARES { polyline class=(name) points=(line(share)) {} }
            }
        }
        (ends(told.first().copied(), told.last().copied(), now))
    }
}

/// How much of something is used.
pub fn gauge(used: u64, of: u64) -> Markup {
    let share = (used as f64 / of.max(1) as f64 * 100.0).clamp(0.0, 100.0);
    html! {
        svg.gauge viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true" { rect width=(format!("{share:.1}")) height="1" {} }
    }
}

pub fn took(run: &Run) -> Option<Duration> {
    run.ended_at.map(|ended| between(run.started_at, ended))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StreamId;

    fn run(records: u64, refused: u64, took_ms: u64) -> Run {
        let mut run = Run::begin("1", &StreamId::new("p", "s"), DateTime::default());
        run.counts = Counts { created: records, rejected: refused, ..Counts::default() };
        run.latency.add(Duration::from_millis(took_ms), records);
        run
    }

    #[test]
    fn bars_stand_on_each_other_as_high_as_their_records_and_a_line_needs_two_runs() {
        let (one, other) = (run(50, 0, 10), run(80, 20, 1_000));
        let now = DateTime::default();
        assert!(spark(&[]).into_string().contains("no run yet"));
        let shown = spark(&[&one, &other]).into_string();
        assert!(
            shown.contains("M92 24v-22h3v22z")
                && shown.contains("M88 24v-11h3v11z")
                && shown.contains("100 in the last"),
            "{shown}"
        );
        let shown = verdict_bars(&[&one, &other], now).into_string();
        assert!(
            shown.contains("M191 100v-80h8v80z") && shown.contains("M191 20v-20h8v20z"),
            "refused stand on written: {shown}"
        );
        assert!(latency(&[&one], now).into_string().contains("as soon as two runs"));
        let shown = latency(&[&one, &run(0, 0, 0), &other], now).into_string();
        assert!(shown.matches("<polyline").count() == 3 && shown.contains("in each of 2 runs"), "{shown}");
    }
}
