//! Every metric there is, in one table. `docs/metrics.md` and what `/metrics` prints are compared with it by a test.
//!
//! Names have the prefix `renkei_` and end with their base unit. The values of labels come from the configuration or from a short list
//! of ours, never from a record, a path or an answer, so how many series there are is known when the files are read.

use Kind::{Counter, Gauge, Histogram};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Counter => "counter",
            Gauge => "gauge",
            Histogram => "histogram",
        }
    }
}

/// A metric with all its series.
#[derive(Debug)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
    pub labels: &'static [&'static str],
}

/// Declares the families, so that the table stands in one place.
macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub static $constant: Family = Family { name: $name, kind: $kind, help: $help, labels: &[$($label),*] };)*

        /// The table, in the order in which it is printed.
        pub static FAMILIES: &[&Family] = &[$(&$constant),*];
    };
}

families! {
    BUILD_INFO = Gauge "renkei_build_info" ["version"] "Always 1; the label tells the version.";
    STARTED = Gauge "renkei_start_timestamp_seconds" [] "When the service began.";
    PIPELINES = Gauge "renkei_pipelines" ["state"] "Pipelines by what they do: idle, running, waiting, needs_person, paused.";

    RECORDS_READ = Counter "renkei_records_read_total" ["pipeline"] "Records read from sources.";
    RECORDS = Counter "renkei_records_total" ["pipeline", "verdict"] "Records with a committed verdict.";
    RUNS = Counter "renkei_runs_total" ["pipeline", "outcome"] "Runs that ended: done, stopped or failed.";
    RUN_DURATION = Histogram "renkei_run_duration_seconds" [] "How long runs took.";
    FAILURES = Gauge "renkei_run_failures" ["pipeline"] "Runs in a row that failed.";
    SCHEDULE_LAG = Histogram "renkei_schedule_lag_seconds" [] "How much later than they were due runs began.";
    FRESHNESS = Gauge "renkei_freshness_seconds" ["pipeline"] "Since the beginning of the last run that was done.";
    CURSOR_LAG = Gauge "renkei_cursor_lag_seconds" ["pipeline"] "How far behind now the delivered cursor is, where it is a time.";

    SLO_BURN_RATE = Gauge "renkei_slo_burn_rate" ["pipeline", "objective", "window"]
        "How many times as fast as it may an objective's error budget burns, in 5m, 1h, 30m and 6h.";
    SLO_IN_FORCE = Gauge "renkei_slo_reaction_in_force" ["pipeline", "reaction"] "1 while slow_down, async or pause is in force.";
    SLO_REACTIONS = Counter "renkei_slo_reactions_total" ["pipeline", "reaction"] "How often slow_down, async or pause began.";

    REQUESTS = Counter "renkei_requests_total" ["connection", "method", "route", "class"]
        "Requests to vendors by status class; none: no answer came.";
    REQUEST_DURATION = Histogram "renkei_request_duration_seconds" ["connection", "method", "route"]
        "How long requests to vendors took, with or without an answer.";
    RETRIES = Counter "renkei_retries_total" ["connection", "cause"] "Requests that were sent again, by the code of the cause.";
    THROTTLED = Counter "renkei_throttled_total" ["connection"] "Answers that asked us to slow down.";
    QUOTA_WAIT = Counter "renkei_quota_wait_seconds_total" ["connection"] "How long the account's limits held everybody back.";
    QUOTA_REMAINING = Gauge "renkei_quota_remaining" ["connection", "limit"] "Calls, places or points left, where that is known.";
    QUOTA_LIMIT = Gauge "renkei_quota_limit" ["connection", "limit"] "Of so many.";
    BREAKER_STATE = Gauge "renkei_breaker_state" ["connection", "call"] "0 closed, 1 half open, 2 open.";
    BREAKER_OPENED = Counter "renkei_breaker_opened_total" ["connection"] "How often a call was begun to be left alone.";
    PROBE_UP = Gauge "renkei_probe_up" ["connection"] "1 where the last probe went well, 0 where it did not.";
    PROBE_SECONDS = Gauge "renkei_probe_seconds" ["connection"] "How long the last probe took.";
    TOKEN_EXPIRY = Gauge "renkei_token_expiry_timestamp_seconds" ["connection"] "When the access token ends.";
    CERTIFICATE_EXPIRY = Gauge "renkei_certificate_expiry_timestamp_seconds" ["connection"] "When the client certificate ends.";

    OUTBOX_BATCHES = Gauge "renkei_outbox_batches" ["pipeline"] "Batches that are staged and have no verdict yet.";
    OUTBOX_OLDEST = Gauge "renkei_outbox_oldest_age_seconds" ["pipeline"] "How long the oldest of them has been staged.";
    DEAD_LETTERS = Gauge "renkei_dead_letters" ["pipeline"] "Rejected and parked records that wait for a person.";
    STORE_BYTES = Gauge "renkei_store_bytes" [] "What the store takes on disk.";
    STORE_BYTES_MAX = Gauge "renkei_store_bytes_max" [] "What it may take.";

    RELOADS = Counter "renkei_reloads_total" ["outcome"] "Changed files that were taken over or refused.";
    ADMIN_REQUESTS = Counter "renkei_admin_requests_total" ["route", "class"] "Requests to the admin API.";
    EVENTS = Counter "renkei_events_total" [] "Events told to whoever listens.";
    AUDIT_ENTRIES = Counter "renkei_audit_entries_total" [] "Entries written to the audit log.";
    OTLP_SENT = Counter "renkei_otlp_sent_total" ["signal"] "Spans (traces) and log lines (logs) that the collector took.";
    OTLP_DROPPED = Counter "renkei_otlp_dropped_total" ["signal"]
        "Those that were given up: the queue was full, or the collector did not take them.";
    SERIES_LEFT_OUT = Gauge "renkei_series_left_out" [] "Series that this page has no room for.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_that_dashboards_count_on() {
        for family in FAMILIES {
            let Family { name, kind, help, labels } = family;
            assert!(name.starts_with("renkei_") && help.ends_with('.'), "{name}");
            let lower = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(lower(name) && labels.iter().all(|label| lower(label)), "{name}");
            assert_eq!(*kind == Counter, name.ends_with("_total"), "{name}");
            assert!(*kind != Histogram || name.ends_with("_seconds"), "{name}: a histogram of times");
            assert!(!labels.iter().any(|label| ["le", "quantile", "job", "instance"].contains(label)), "{name}");
        }
        let names: std::collections::BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), FAMILIES.len(), "a name stands twice");
    }
}
