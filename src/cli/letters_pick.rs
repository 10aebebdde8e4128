//! Which dead letters a command is about: by id, pipeline, and what `engine::letters` can be asked for.

use std::path::Path;

use super::{
    args::{Filters, Picked},
    failure::Failure,
    listing::{close, known},
    output::Output,
    suggest, workspace,
};
use crate::{
    config::Plan,
    engine::letters::{Picking, WithDetails},
    model::{Clock, SystemClock},
    store::DeadLetter,
};

impl Picked {
    pub fn one(id: &str) -> Self {
        Self { ids: vec![id.to_owned()], pipeline: None, filters: Filters::default(), all: false }
    }
}

/// The plan, the letters that were meant, newest first, and all letters of the workspace.
pub async fn pick(
    dir: &Path,
    picked: &Picked,
    output: &Output,
) -> Result<(Plan, Vec<DeadLetter>, Vec<DeadLetter>), Failure> {
    let Filters { code, condition, older_than, newer_than } = &picked.filters;
    let typed = WithDetails {
        codes: code,
        condition: condition.as_deref(),
        older_than: older_than.as_deref(),
        newer_than: newer_than.as_deref(),
    };
    let filter = Picking::of(typed, SystemClock.now())?;
    let plan = workspace::plan_without_secrets(dir, output)?;
    let opened = workspace::look(&plan.store).await?;
    let all = match &opened {
        Some(opened) => opened.state.dead_letters(None).await?,
        None => Vec::new(),
    };
    close(opened).await;
    if let Some(name) = &picked.pipeline {
        known(name, &plan, all.iter().map(|letter| letter.pipeline.as_str()))?;
    }
    if let Some(id) = picked.ids.iter().find(|id| all.iter().all(|letter| letter.id != **id)) {
        let help = match suggest::nearest(id, all.iter().map(|letter| letter.id.as_str())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "renkei dead-letters list shows all ids".to_owned(),
        };
        return Err(Failure::usage(format!("there is no dead letter `{id}`"), help));
    }
    let mut letters = Vec::new();
    for letter in &all {
        let wanted = (picked.ids.is_empty() || picked.ids.contains(&letter.id))
            && picked.pipeline.as_ref().is_none_or(|name| *name == letter.pipeline);
        if wanted && filter.takes(letter)? {
            letters.push(letter.clone());
        }
    }
    letters.sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));
    Ok((plan, letters, all))
}
