//! When pipelines are due: crontab's meaning in five time zones over ten years, against rules that know neither the cron crate
//! nor how the engine resolves gaps and overlaps; and what becomes of times that a downtime missed.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_macros, reason = "a test prints its seed")]

mod days;
mod missed;
mod oracle;
mod zones;
