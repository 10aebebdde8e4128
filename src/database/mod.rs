//! Sessions with databases. Whoever reads or writes tables finds here how one gets in, and what an error leads to; what is asked
//! there is its own affair.

pub mod postgres;
pub mod sqlite;
