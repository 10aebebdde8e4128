//! From a connector's folder to the schemas of its streams and operations.

use std::{cell::RefCell, collections::BTreeMap, path::Path};

use super::{
    check::Check,
    compile_contract::Schema,
    diagnostic::Report,
    load::{Loaded, Loading},
    raw_connector::RawConnector,
    read::Reading,
    source::Sources,
    stand_in::StandIns,
};

/// By name; nothing: it has no schema.
#[derive(Debug)]
pub struct ConnectorSchemas {
    pub streams: BTreeMap<String, Schema>,
    pub operations: BTreeMap<String, Schema>,
}

/// Reads `connector.yaml` in a folder, wherever that is.
pub fn connector_schemas(folder: &Path) -> Result<ConnectorSchemas, Report> {
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
        Some(connector) => Ok(ConnectorSchemas {
            streams: named(connector.streams, |stream| stream.schema.clone()),
            operations: named(connector.operations, |operation| operation.schema.clone()),
        }),
    }
}

fn named<T>(
    all: BTreeMap<String, Option<std::sync::Arc<T>>>,
    schema: impl Fn(&T) -> Schema,
) -> BTreeMap<String, Schema> {
    all.into_iter().map(|(name, one)| (name, one.and_then(|one| schema(&one)))).collect()
}
