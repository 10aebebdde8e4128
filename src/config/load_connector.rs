//! From a connector's folder to what it reads and writes, without a workspace around it.

use std::{cell::RefCell, path::Path, sync::Arc};

use http::HeaderName;

use super::{
    check::Check,
    diagnostic::Report,
    load::{Loaded, Loading},
    plan::{Operation, Stream},
    raw_connector::RawConnector,
    read::Reading,
    source::Sources,
    stand_in::StandIns,
};

/// A connector by itself.
#[derive(Debug)]
pub struct OneConnector {
    pub base_url: Option<String>,
    /// Sent with every request.
    pub headers: Vec<HeaderName>,
    /// By their names.
    pub streams: Vec<Arc<Stream>>,
    pub operations: Vec<Arc<Operation>>,
}

/// Reads `connector.yaml` in a folder, wherever that is.
pub fn load_connector(folder: &Path) -> Result<OneConnector, Report> {
    let reading = Reading {
        env: &StandIns,
        base: folder,
        offline: false,
        problems: RefCell::default(),
        dropped: RefCell::default(),
    };
    let mut loading = Loading { dir: folder, reading, sources: Sources::default() };
    let vendor: Loaded<RawConnector> = loading.file(&folder.join("connector.yaml"), "connector".to_owned());
    let Loading { reading, sources, .. } = loading;
    let check = Check::new(&sources, &reading);
    let compiled = vendor.raw.map(|raw| check.connector(vendor.name, raw));
    let report = Report::new(&sources, reading.problems.take());
    match compiled.filter(|_| report.errors() == 0) {
        None => Err(report),
        Some(connector) => Ok(OneConnector {
            base_url: connector.raw.base_url.as_ref().map(|url| url.value.clone()),
            headers: connector.headers.into_iter().map(|(name, _)| name).collect(),
            streams: connector.streams.into_values().flatten().collect(),
            operations: connector.operations.into_values().flatten().collect(),
        }),
    }
}
