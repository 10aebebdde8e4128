//! Which spans and lines a layer gets: lines by the level of their target, and spans of ours only while somebody collects.

use std::sync::Arc;

use tracing::{Metadata, Subscriber, subscriber::Interest};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::{Context, Filter},
};

use super::Switch;
use crate::telemetry::SPAN;

pub struct Kept {
    levels: Targets,
    switch: Arc<Switch>,
    /// Nothing at all is kept while nobody collects.
    is_collector: bool,
}

impl Kept {
    /// For what is written in any case.
    pub fn lines(levels: Targets, switch: Arc<Switch>) -> Self {
        Self { levels, switch, is_collector: false }
    }

    /// For what is collected.
    pub fn collected(levels: Targets, switch: Arc<Switch>) -> Self {
        Self { levels, switch, is_collector: true }
    }

    /// What is decided by the switch alone.
    fn switched(&self, metadata: &Metadata<'_>) -> Option<bool> {
        match self.switch.is_on() {
            is_on if metadata.target() == SPAN => Some(is_on),
            false if self.is_collector => Some(false),
            _ => None,
        }
    }
}

impl<S: Subscriber> Filter<S> for Kept {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        self.switched(metadata).unwrap_or_else(|| Filter::<S>::enabled(&self.levels, metadata, context))
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.switched(metadata) {
            Some(true) => Interest::always(),
            Some(false) => Interest::never(),
            None => Filter::<S>::callsite_enabled(&self.levels, metadata),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        if self.is_collector && !self.switch.is_on() {
            return Some(LevelFilter::OFF);
        }
        Filter::<S>::max_level_hint(&self.levels)
    }
}
