//! Which letters may go again, by pipeline, and why the others may not.

use std::collections::BTreeMap;

use crate::{
    config::Plan,
    engine::{Accepted, HeldBack, choose, is_repeatable, stream_id},
    store::DeadLetter,
};

#[derive(Default, Debug)]
pub struct Again {
    /// By pipeline.
    pub work: Vec<(String, Vec<DeadLetter>)>,
    /// With nothing for a reason: no pipeline reads its stream any more.
    pub held: Vec<(DeadLetter, Option<HeldBack>)>,
}

/// Of the chosen `letters`, given `all` that there are.
pub fn again(plan: &Plan, letters: Vec<DeadLetter>, all: &[DeadLetter], accepted: Accepted) -> Again {
    let mut by_pipeline: BTreeMap<String, Vec<DeadLetter>> = BTreeMap::new();
    letters.into_iter().for_each(|letter| by_pipeline.entry(letter.pipeline.clone()).or_default().push(letter));
    let mut again = Again::default();
    for (name, letters) in by_pipeline {
        // Letters of a stream that the pipeline no longer reads have no way to go.
        let Some(pipeline) = plan.pipelines.get(&name) else {
            again.held.extend(letters.into_iter().map(|letter| (letter, None)));
            continue;
        };
        let stream = stream_id(pipeline).stream;
        let (own, others) = letters.into_iter().partition(|letter| letter.stream == stream);
        again.held.extend(Vec::<DeadLetter>::into_iter(others).map(|letter| (letter, None)));
        let of: Vec<DeadLetter> = all.iter().filter(|l| l.pipeline == name && l.stream == stream).cloned().collect();
        let (chosen, back) = choose(own, &of, is_repeatable(pipeline), accepted);
        again.held.extend(back.into_iter().map(|(letter, why)| (letter, Some(why))));
        if !chosen.is_empty() {
            again.work.push((name, chosen));
        }
    }
    again
}

impl HeldBack {
    /// Its name for programs. Nothing: no pipeline reads its stream any more.
    pub fn word(why: Option<Self>) -> &'static str {
        match why {
            Some(HeldBack::Superseded) => "superseded",
            Some(HeldBack::Doubt) => "in_doubt",
            Some(HeldBack::Untracked) => "untracked",
            Some(HeldBack::NoKey) => "no_key",
            None => "no_pipeline",
        }
    }
}
