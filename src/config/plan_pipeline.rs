//! A pipeline as meant.

use std::sync::Arc;

use super::plan::{Canary, Contracts, Digest, From, Limits, Lookup, Personal, Schedule, Slo, StepPlan, To};
use crate::expr::Expression;

/// From a stream, through steps, to a sink.
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub name: String,
    /// The name of its file, which may have several targets: each of them is a pipeline.
    pub file: String,
    pub description: String,
    pub from: From,
    pub steps: Vec<StepPlan>,
    /// `fields:` of the target: what the sink gets, in this order. Nothing: the record as it is.
    pub fields: Option<Vec<(String, Expression)>>,
    pub to: To,
    pub limits: Option<Limits>,
    pub canary: Option<Canary>,
    /// What `renkei serve` is to keep of it.
    pub slo: Option<Slo>,
    pub personal: Personal,
    /// What its records are held to.
    pub contracts: Contracts,
    /// When it runs by itself.
    pub schedule: Option<Schedule>,
    /// Names the text of its file.
    pub made_of: Digest,
}

impl Pipeline {
    /// Its file has several targets.
    pub fn is_one_of_several(&self) -> bool {
        self.name != self.file
    }

    /// The names of the connections it reads from and writes to.
    pub fn connections(&self) -> impl Iterator<Item = &str> {
        let to = match &self.to {
            To::Operation { api, .. } => api.name.as_str(),
            To::File { folder, .. } => &folder.name,
            To::Table { database, .. } => database.name(),
        };
        let from = self.from.api.iter().map(|api| api.name.as_str());
        let rows = self.from.rows.iter().map(|rows| rows.database.name());
        from.chain(rows).chain([to]).chain(self.lookups().map(|lookup| lookup.api.name.as_str()))
    }

    /// Its steps that look something up.
    pub fn lookups(&self) -> impl Iterator<Item = &Arc<Lookup>> {
        self.steps.iter().filter_map(|step| match step {
            StepPlan::Lookup(lookup) => Some(lookup),
            _ => None,
        })
    }
}
