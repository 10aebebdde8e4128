//! Which kinds of source there are. A new kind is one arm.

use std::{collections::BTreeMap, sync::Arc};

use super::{ApiSource, Source};
use crate::{
    config::plan::Pipeline,
    http::Client,
    model::{Blame, Code, Fault},
};

/// Builds a pipeline's source. `clients` holds one client per API connection, by the connection's name.
pub fn build(pipeline: &Pipeline, clients: &BTreeMap<String, Client>) -> Result<Box<dyn Source>, Fault> {
    let (api, stream) = (&pipeline.from.api, &pipeline.from.stream);
    let client = clients.get(&api.name).cloned().ok_or_else(|| {
        Fault::halt(Code::Bug, Blame::Bug, format!("connection {} has no client", api.name))
            .help("Nothing was read. This is a mistake in renkei; please report it.")
    })?;
    Ok(Box::new(ApiSource::new(Arc::clone(api), Arc::clone(stream), client)))
}
