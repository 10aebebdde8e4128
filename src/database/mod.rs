//! Sessions with databases. Whoever reads or writes tables finds here how one gets in, and what an error leads to; what is asked
//! there is its own affair.

pub mod mysql;
pub mod postgres;
pub mod sqlite;

use crate::model::{Blame, Code, Disposition, Fault};

/// What a sink without a session says.
pub fn session_ended() -> Fault {
    Fault::halt(Code::Database, Blame::Remote, "the database session ended at an earlier error, or was never resumed")
        .with(Disposition::Retry { after: None })
        .help("Rows and checkpoint are stored together, so nothing is lost. The first error of this run says why.")
}
