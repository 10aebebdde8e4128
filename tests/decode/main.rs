//! Answers that are no plain JSON, or larger than memory should hold, over real sockets, into files: formats, bad input, crashes; and
//! vendors that tell changes by days.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_macros, reason = "a test prints what it measured")]

mod bad_input;
mod crash;
mod days;
mod exports;
mod formats;
mod memory;
mod rig;
