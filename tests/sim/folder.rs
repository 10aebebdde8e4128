//! A workspace that a test writes: with the CRM of `workspace/`, and with whatever else the test says.

use std::{fs, path::Path, sync::Arc};

use renkei::config::{self, MapEnvironment, Plan};
use tempfile::TempDir;

/// Where files are written that need not outlive the test: in memory where there is such a place, because the histories are many.
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }).unwrap()
}

/// The connector of the CRM, at another port.
pub fn crm(port: u16) -> String {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/workspace/connectors/crm/connector.yaml");
    fs::read_to_string(own).unwrap().replace("127.0.0.1:1", &format!("127.0.0.1:{port}"))
}

/// Writes files of a workspace.
pub fn write(files: &[(&str, String)]) -> TempDir {
    let folder = scratch();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// What the files of a workspace mean. `OUT` is where it writes files.
pub fn plan(folder: &Path, out: &Path) -> Arc<Plan> {
    let environment = MapEnvironment::new(&[("SECRET", "demo-secret"), ("OUT", out.to_str().unwrap())]);
    Arc::new(config::load(folder, &environment).unwrap_or_else(|report| panic!("{}", report.render(false))))
}
