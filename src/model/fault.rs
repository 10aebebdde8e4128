//! Trouble while running. A fault is decided where the knowledge is and then only obeyed: nobody above downcasts it or
//! reads its text.

use std::{fmt, time::Duration};

use super::{Code, Reason};

/// Whose move it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    Config,
    Credentials,
    Remote,
    Record,
    Host,
    Bug,
}

/// What the fault leads to. Only `engine/escalate.rs` acts on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// The same call may succeed later. The call's own attempts are spent; the next run goes on from here.
    Retry { after: Option<Duration> },
    /// This record will never be accepted; the others go on.
    Reject,
    /// This record, or this connection, waits for a person; the others go on.
    Park,
    /// The run stops. Everything staged stays staged.
    Halt,
}

/// One trouble, fit to be shown: `message` says what happened in a lowercase fragment, `place` where (pipeline,
/// stream, call), `help` what is safe and what to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    pub code: Code,
    pub blame: Blame,
    pub disposition: Disposition,
    pub message: String,
    pub place: Vec<String>,
    pub help: String,
}

impl Fault {
    /// A fault that stops the run.
    pub fn halt(code: Code, blame: Blame, message: impl Into<String>) -> Self {
        Self {
            code,
            blame,
            disposition: Disposition::Halt,
            message: message.into(),
            place: Vec::new(),
            help: String::new(),
        }
    }

    pub fn with(mut self, disposition: Disposition) -> Self {
        self.disposition = disposition;
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// Adds where it happened, the nearest place first.
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place.push(place.into());
        self
    }

    /// The same trouble as the reason of one record.
    pub fn reason(&self) -> Reason {
        Reason::new(self.code, self.message.clone())
    }

    /// The process's exit code, as documented in `docs/exit-codes.md`.
    pub fn exit_code(&self) -> u8 {
        match (self.code, self.blame) {
            (Code::AlreadyRunning, _) => 7,
            (_, Blame::Config) => 3,
            (_, Blame::Credentials) => 4,
            (_, Blame::Remote | Blame::Record) => 5,
            (_, Blame::Host) => 6,
            (_, Blame::Bug) => 70,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Fault {}
