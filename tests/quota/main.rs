//! The account's allowance against servers that allow it and not one call more: on a paused clock in every run, and with
//! `RENKEI_LONG=1` also over real sockets and real time.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its servers has to fail")]

mod allowance;
mod bad_input;
mod learned;
mod load;
mod points;
mod restart;
mod sockets;
mod strict;
