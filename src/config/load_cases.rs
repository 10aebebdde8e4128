//! From a connector's folder to its cases: one report of all that is wrong in any of them.

use std::{cell::RefCell, path::Path};

use super::{
    check::Check,
    compile_connection::Connectors,
    diagnostic::Report,
    files,
    load::{Loaded, Loading},
    plan_case::Case,
    raw_case::RawCase,
    raw_connector::RawConnector,
    read::Reading,
    source::Sources,
    stand_in::StandIns,
};

/// The names of the workspace's connectors; none where there is no folder of them.
pub fn connector_names(dir: &Path) -> Vec<String> {
    let folders = files::list(&dir.join("connectors")).unwrap_or_default();
    let named = folders.iter().filter(|folder| folder.join("connector.yaml").is_file());
    named.filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned())).collect()
}

/// Loads the cases of a connector of the workspace in `dir`, in the order of their names. `renkei.yaml` is not looked at.
pub fn load_cases(dir: &Path, connector: &str) -> Result<Vec<Case>, Report> {
    let reading = Reading {
        env: &StandIns,
        base: dir,
        offline: false,
        problems: RefCell::default(),
        dropped: RefCell::default(),
    };
    let mut loading = Loading { dir, reading, sources: Sources::default() };
    let folder = dir.join("connectors").join(connector);
    let vendor: Loaded<RawConnector> = loading.file(&folder.join("connector.yaml"), connector.to_owned());
    let files = loading.list(&format!("connectors/{connector}/cases"));
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    let cases: Vec<Loaded<RawCase>> = files
        .map(|path| loading.file(&path, path.file_stem().unwrap_or_default().to_string_lossy().into_owned()))
        .collect();
    let Loading { reading, sources, .. } = loading;
    let check = Check::new(&sources, &reading);
    let auth = vendor.raw.as_ref().and_then(|raw| raw.value.auth.clone());
    let compiled = vendor.raw.map(|raw| check.connector(connector.to_owned(), raw));
    let connectors: Connectors = [(connector.to_owned(), compiled)].into();
    let compiled: Vec<Case> = cases
        .iter()
        .filter_map(|Loaded { name, raw }| check.case(name, raw.as_ref()?, &connectors, auth.as_ref(), &folder))
        .collect();
    let report = Report::new(&sources, reading.problems.take());
    if report.errors() > 0 { Err(report) } else { Ok(compiled) }
}

/// The innermost names of all fields that the connector's streams declare personal.
pub fn personal_names(dir: &Path, connector: &str) -> Vec<String> {
    let reading =
        Reading { env: &StandIns, base: dir, offline: true, problems: RefCell::default(), dropped: RefCell::default() };
    let mut loading = Loading { dir, reading, sources: Sources::default() };
    let path = dir.join("connectors").join(connector).join("connector.yaml");
    let vendor: Loaded<RawConnector> = loading.file(&path, connector.to_owned());
    let streams = vendor.raw.iter().flat_map(|raw| raw.value.streams.iter());
    let paths = streams
        .flat_map(|(_, stream)| stream.value.personal.names().into_iter().map(str::to_owned).collect::<Vec<_>>());
    let innermost = |path: String| {
        let last = path.rsplit('.').next().unwrap_or_default();
        last.split('[').next().unwrap_or_default().to_lowercase()
    };
    paths.map(innermost).collect()
}
