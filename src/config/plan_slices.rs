//! How a stream is read in slices, as meant.

use std::{sync::Arc, time::Duration};

use chrono_tz::Tz;

use super::plan::{Node, Stream};
use crate::{expr::Expression, model::Path};

/// The slices of a stream.
#[derive(Clone, Debug)]
pub struct Slices {
    /// Outermost first. None: the stream is one slice, which is read in windows.
    pub by: Vec<SliceBy>,
    pub windows: Option<Windows>,
    /// Fields that are added to each record.
    pub add: Vec<(Path, Expression)>,
    /// Listings under way at once. Default 8.
    pub concurrency: usize,
    /// Slices of one pass before it is an error. Default 10,000,000.
    pub slices_max: u64,
}

#[derive(Clone, Debug)]
pub struct SliceBy {
    /// Templates see the value as `slice.<name>`.
    pub name: String,
    pub way: SliceWay,
}

#[derive(Clone, Debug)]
pub enum SliceWay {
    /// A list, or an expression over `config` that gives one.
    Values(Node),
    Parent(Parent),
}

#[derive(Clone, Debug)]
pub struct Parent {
    pub stream: Arc<Stream>,
    /// What a slice knows of its parent.
    pub fields: Vec<Path>,
    /// Only parents that changed since the last pass are visited.
    pub changed_only: bool,
}

/// Windows of the cursor field.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    pub step: SliceStep,
    /// In which calendar steps begin.
    pub zone: Tz,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SliceStep {
    Day,
    /// From Monday.
    Week,
    Month,
    Quarter,
    Year,
    Every(Duration),
}
