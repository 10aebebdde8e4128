//! The steps of a pipeline, in stages: those that look at one record at a time go together, and between them stand those that
//! must see a whole page.

use super::{contract::Contract, dedupe::Dedupe, each::Each, lookup::Lookup, memory::Warned};
use crate::{
    config::plan::StepPlan,
    model::{Record, Reject, Skip},
};

/// What became of a record.
#[derive(Debug)]
pub enum Outcome {
    Kept(Record),
    /// A filter said that the record does not go on.
    Skipped(Skip),
    /// A step failed for it.
    Rejected(Reject),
}

/// Steps, ready to be applied stage by stage.
#[derive(Clone, Debug, Default)]
pub struct Transform {
    stages: Vec<Stage>,
    contract: Contract,
}

/// Steps that see the same: a record, a page, or a page with what was looked up for it.
#[derive(Clone, Debug)]
pub enum Stage {
    Each(Each),
    Dedupe(Dedupe),
    /// With its place among the look-ups of the pipeline.
    Lookup(Lookup, usize),
}

impl Transform {
    pub fn new(steps: &[StepPlan]) -> Self {
        let (mut stages, mut each, mut lookups) = (Vec::new(), Each::default(), 0);
        for (at, step) in steps.iter().enumerate() {
            if each.push(at + 1, step) {
                continue;
            }
            stages.extend(Some(std::mem::take(&mut each)).filter(|each| !each.is_empty()).map(Stage::Each));
            match step {
                StepPlan::Dedupe(dedupe) => stages.push(Stage::Dedupe(Dedupe::new(at + 1, dedupe))),
                StepPlan::Lookup(lookup) => {
                    stages.push(Stage::Lookup(Lookup::new(at + 1, lookup), lookups));
                    lookups += 1;
                }
                _ => {}
            }
        }
        stages.extend(Some(each).filter(|each| !each.is_empty()).map(Stage::Each));
        Self { stages, contract: Contract::default() }
    }

    /// The same for records that are held to a contract before the steps.
    pub fn under(self, contract: Contract) -> Self {
        Self { contract, ..self }
    }

    /// What records are held to before the steps.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// In their order. All records of a page go through one before any goes into the next.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Applies steps that look at one record at a time; there may be no others.
    pub fn apply(&self, record: Record) -> Outcome {
        let (mut outcome, mut warned) = (Outcome::Kept(record), Warned::default());
        for stage in &self.stages {
            if let Stage::Each(each) = stage {
                each.change(&mut outcome, &mut warned);
            }
        }
        outcome
    }
}
