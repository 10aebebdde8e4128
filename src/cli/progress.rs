//! How far runs are, while they run: one line per stream on a terminal, one JSON object per line elsewhere.
//!
//! The numbers are the engine's; this file only looks at them now and then, so a slow terminal never holds a run up.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::time::Instant;

use super::{args::Format, format, output::Output, summary::Outcome};

/// Between two looks: often enough to look alive on a terminal, rarely enough for a log.
const TERMINAL_TICK: Duration = Duration::from_millis(120);
const LOG_TICK: Duration = Duration::from_secs(5);

/// What the engine says about a run under way.
#[derive(Clone, Copy, Default, Debug)]
pub struct Look {
    pub read: u64,
    pub settled: u64,
    pub pages: u64,
    /// Everybody on one of the run's connections waits for quota until then.
    pub waiting_until: Option<DateTime<Utc>>,
}

/// Shows the progress of runs.
pub struct Progress {
    output: Arc<Output>,
}

/// One run on show.
pub struct Shown {
    pipeline: String,
    bar: Option<ProgressBar>,
    output: Arc<Output>,
}

impl Progress {
    pub fn new(output: Arc<Output>) -> Self {
        Self { output }
    }

    /// Begins to show a run.
    pub fn begin(&self, pipeline: &str, stream: &str) -> Shown {
        self.event(
            json!({ "event": "started", "pipeline": pipeline, "stream": stream }),
            &format!("{pipeline} started"),
        );
        let bar = self.output.bars().map(|bars| named(bars.add(ProgressBar::new_spinner()), pipeline));
        Shown { pipeline: pipeline.to_owned(), bar, output: self.output.clone() }
    }

    /// Ends it, however it went.
    pub fn end(&self, shown: Shown, outcome: &Outcome) {
        if let Some(bar) = shown.bar {
            bar.finish_and_clear();
        }
        let event = json!({ "event": "ended", "pipeline": shown.pipeline, "run": outcome.to_json() });
        self.event(event, &format!("{} ended", shown.pipeline));
    }

    /// A sentence for the person who waits.
    pub fn say(&self, event: &str, text: &str) {
        match self.output.log_format {
            Format::Json => self.output.note(json!({ "event": event, "message": text })),
            Format::Text => self.output.note(text),
        }
    }

    fn event(&self, event: serde_json::Value, text: &str) {
        match (self.output.log_format, self.output.bars()) {
            (Format::Json, _) => self.output.note(event),
            (Format::Text, None) => self.output.note(text),
            (Format::Text, Some(_)) => {}
        }
    }
}

/// Dresses a bar that is already among the others: one that is not would draw its first frame over theirs.
fn named(bar: ProgressBar, pipeline: &str) -> ProgressBar {
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {wide_msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(pipeline.to_owned());
    bar
}

impl Shown {
    /// Keeps the numbers up to date for as long as it is polled; it never ends by itself.
    pub async fn follow(&self, look: &(dyn Fn() -> Look + Send + Sync)) {
        let mut rate = Rate::new();
        let period = if self.bar.is_some() { TERMINAL_TICK } else { LOG_TICK };
        let mut tick = tokio::time::interval_at(Instant::now() + period, period);
        loop {
            tick.tick().await;
            let now = look();
            self.show(&now, rate.of(now.read.max(now.settled)));
        }
    }

    fn show(&self, look: &Look, per_second: u64) {
        match (&self.bar, self.output.log_format) {
            (Some(bar), _) => {
                bar.set_message(line(look, per_second));
                bar.tick();
            }
            (None, Format::Text) => self.output.note(format_args!("{}  {}", self.pipeline, line(look, per_second))),
            (None, Format::Json) => self.output.note(json!({
                "event": "progress",
                "pipeline": self.pipeline,
                "read": look.read,
                "settled": look.settled,
                "pages": look.pages,
                "per_second": per_second,
                "waiting_until": look.waiting_until,
            })),
        }
    }
}

fn line(look: &Look, per_second: u64) -> String {
    let mut text = format!("{} read  {} settled  {} pages  {per_second}/s", look.read, look.settled, look.pages);
    if let Some(until) = look.waiting_until {
        text.push_str(&format!("  waiting for quota until {}", format::clock(until)));
    }
    text
}

/// Records per second over the last few looks, so that a pause shows and a hiccup does not.
struct Rate {
    looks: std::collections::VecDeque<(Instant, u64)>,
}

impl Rate {
    const SPAN: Duration = Duration::from_secs(5);

    fn new() -> Self {
        Self { looks: [(Instant::now(), 0)].into() }
    }

    fn of(&mut self, records: u64) -> u64 {
        let now = Instant::now();
        self.looks.push_back((now, records));
        while self.looks.len() > 2 && self.looks.get(1).is_some_and(|(at, _)| now - *at >= Self::SPAN) {
            self.looks.pop_front();
        }
        let Some((at, before)) = self.looks.front() else {
            return 0;
        };
        let seconds = (now - *at).as_secs_f64().max(0.001);
        (records.saturating_sub(*before) as f64 / seconds).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_of_the_last_seconds_and_not_of_the_whole_run() {
        let mut rate = Rate::new();
        for second in 1..=20 {
            tokio::time::advance(Duration::from_secs(1)).await;
            rate.of(second * 100);
        }
        assert_eq!(rate.of(2000), 100);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(rate.of(2000), 0);
    }

    #[test]
    fn a_line_says_until_when_it_waits() {
        let until = DateTime::from_timestamp(1_767_225_605, 0);
        let look = Look { read: 500, settled: 480, pages: 10, waiting_until: until };
        assert_eq!(line(&look, 50), "500 read  480 settled  10 pages  50/s  waiting for quota until 00:00:05 UTC");
    }
}
