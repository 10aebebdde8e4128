//! The store on disk against what machines do to it: processes killed at any moment, power cut at every operation,
//! damaged files, other processes, full and read-only disks.
//!
//! `RENKEI_LONG=1` makes the random parts longer. A failure prints the seed of its history.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

mod child;
mod damage;
mod disk;
mod kill;
mod power;
mod trace;
mod trouble;
mod workload;

/// How many rounds a random test runs: few in a normal run, many in a long one.
fn rounds(normal: usize, long: usize) -> usize {
    if variable("RENKEI_LONG").is_some() { long } else { normal }
}

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a test is told about its length and its part by its caller")]
    std::env::var(name).ok()
}

/// Says why a test could not look at what it is for.
fn skip(reason: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}
