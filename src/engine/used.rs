//! Which connections a pipeline uses, and what they have used of their accounts.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    config::plan::{Api, Pipeline, To},
    http::{Client, Notices, Usage},
    model::{Code, Notice},
};

/// The API connections of a pipeline, the same one once.
pub fn apis(pipeline: &Pipeline) -> impl Iterator<Item = &Arc<Api>> {
    let to = match &pipeline.to {
        To::Operation { api, .. } => Some(api),
        To::File { folder, .. } => folder.api(),
        To::Table { .. } => None,
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

/// What the answers of each connection have said about the end of calls.
pub fn heard(clients: &[Client]) -> Vec<Notices> {
    clients.iter().map(|client| client.meter().notices()).collect()
}

/// What they have said since then, each call once.
pub fn notices(clients: &[Client], before: &[Notices]) -> Vec<Notice> {
    let of = |(client, before): (&Client, &Notices)| {
        let said = client.meter().notices().since(before);
        let connection = client.name().to_owned();
        said.into_iter().map(move |((name, method, route), said)| Notice {
            connection: connection.clone(),
            name: name.to_string(),
            call: format!("{method} {route}"),
            deprecated: said.deprecated,
            deprecated_at: said.deprecated_at,
            sunset_at: said.sunset_at,
        })
    };
    clients.iter().zip(before).flat_map(of).collect()
}
