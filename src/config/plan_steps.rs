//! Steps as meant.

use std::{sync::Arc, time::Duration};

use chrono_tz::Tz;

use super::plan::{Api, Personal, Stream};
use crate::{expr::Expression, model::Path};

/// One step of a pipeline.
#[derive(Clone, Debug)]
pub enum StepPlan {
    Filter(Expression),
    Set(Vec<(Path, Expression)>),
    Rename(Vec<(Path, Path)>),
    Drop(Vec<Path>),
    Keep(Vec<Path>),
    /// Done where records are read: the pipeline's stream has it as its last [`Expand`]. Here it keeps the count of steps.
    Split,
    Dedupe(Dedupe),
    Flatten(Flatten),
    Coerce(Vec<(Path, Kind)>),
    Validate(Vec<Rule>),
    Lookup(Arc<Lookup>),
}

impl StepPlan {
    /// As it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Filter(_) => "filter",
            Self::Set(_) => "set",
            Self::Rename(_) => "rename",
            Self::Drop(_) => "drop",
            Self::Keep(_) => "keep",
            Self::Split => "split",
            Self::Dedupe(_) => "dedupe",
            Self::Flatten(_) => "flatten",
            Self::Coerce(_) => "coerce",
            Self::Validate(_) => "validate",
            Self::Lookup(_) => "lookup",
        }
    }
}

/// A list inside an item becomes records.
#[derive(Clone, PartialEq, Debug)]
pub struct Expand {
    pub list: Path,
    /// The field under which a record keeps the item.
    pub parent: String,
    /// What is kept of the item, needed fields included. Nothing: all but the list.
    pub keep: Option<Vec<Path>>,
    /// The field under which a record keeps its place in the list, from 1.
    pub place: Option<String>,
}

/// Of records that are alike one goes on.
#[derive(Clone, Debug)]
pub struct Dedupe {
    pub by: Expression,
    pub winner: Winner,
    /// Values that are remembered at the most.
    pub max: usize,
}

/// Which of them goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Winner {
    FirstOfRun,
    FirstOfPage,
    LastOfPage,
}

/// Objects become fields of the record.
#[derive(Clone, PartialEq, Debug)]
pub struct Flatten {
    pub separator: String,
    /// Levels that are taken apart.
    pub depth: usize,
    /// Nothing: all fields.
    pub only: Option<Vec<String>>,
}

/// The type that a value is to have.
#[derive(Clone, PartialEq, Debug)]
pub enum Kind {
    Integer,
    Number,
    Boolean,
    Text,
    Date,
    DateAs(String),
    Time,
    /// With the zone of a form that names none.
    TimeAs(String, Tz),
    Epoch(Duration),
}

/// What must hold for a record.
#[derive(Clone, Debug)]
pub struct Rule {
    pub that: Expression,
    pub message: String,
    pub otherwise: Otherwise,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Otherwise {
    Reject,
    Skip,
    Warn,
}

/// Adds to each record what another stream or request tells of it.
#[derive(Clone, Debug)]
pub struct Lookup {
    pub api: Arc<Api>,
    /// How it is asked. Its key is the field that is compared.
    pub stream: Arc<Stream>,
    /// What names a record of it for good, where that is known: two states of one record are not two records.
    pub names: Vec<Path>,
    pub asks: Asks,
    pub matched: Expression,
    pub into: Path,
    pub missing: Missing,
    /// Records that are remembered.
    pub max: usize,
    /// How personal fields of what is found are protected.
    pub personal: Personal,
}

/// For how many values one request asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asks {
    /// For as many as this.
    Many(usize),
    One,
    /// For none: everything is read once.
    All,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    Reject,
    Skip,
    Empty,
}
