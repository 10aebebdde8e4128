//! Which connections a pipeline uses, and what they have used of their accounts.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    config::plan::{Api, Pipeline, To},
    http::{Client, Usage},
    model::Code,
};

/// The API connections of a pipeline, the same one once.
pub fn apis(pipeline: &Pipeline) -> impl Iterator<Item = &Arc<Api>> {
    let to = match &pipeline.to {
        To::Operation { api, .. } => Some(api),
        To::File { .. } | To::Table { .. } => None,
    };
    let mut all: Vec<&Arc<Api>> = Vec::new();
    for api in pipeline.from.api.iter().chain(to).chain(pipeline.lookups().map(|lookup| &lookup.api)) {
        if all.iter().all(|known| known.name != api.name) {
            all.push(api);
        }
    }
    all.into_iter()
}

pub fn total(clients: &[Client]) -> Usage {
    clients.iter().map(Client::usage).fold(Usage::default(), |sum, more| Usage {
        requests: sum.requests + more.requests,
        retries: sum.retries + more.retries,
        throttled: sum.throttled + more.throttled,
        waited: sum.waited + more.waited,
    })
}

/// Why calls were tried again, and how often.
pub fn causes(clients: &[Client]) -> BTreeMap<Code, u64> {
    let mut all = BTreeMap::new();
    for (cause, count) in clients.iter().flat_map(|client| client.meter().causes()) {
        *all.entry(cause).or_default() += count;
    }
    all
}

pub fn difference(now: Usage, before: Usage) -> Usage {
    Usage {
        requests: now.requests - before.requests,
        retries: now.retries - before.retries,
        throttled: now.throttled - before.throttled,
        waited: now.waited - before.waited,
    }
}
