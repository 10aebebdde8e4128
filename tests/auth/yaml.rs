//! Connections as people write them: a workspace of YAML, loaded and checked.

use std::{fs, path::Path, sync::Arc};

use renkei::config::{
    self, MapEnvironment,
    plan::{Api, Connection},
};

/// The connection `shop` of a workspace in this folder. `connector` and `connection` are YAML at the top level of the two.
pub fn load(folder: &Path, connector: &str, connection: &str, variables: &[(&str, &str)]) -> Arc<Api> {
    let stream = "version: 1\nretry: { base: 1ms, cap: 2ms }\nstreams:\n  customers: { get: /shop/customers, records: data, key: id }\n";
    fs::create_dir_all(folder.join("connectors/shop")).unwrap();
    fs::write(folder.join("connectors/shop/connector.yaml"), format!("{stream}{connector}\n")).unwrap();
    let indented: String = connection.lines().map(|line| format!("    {line}\n")).collect();
    let workspace = format!("version: 1\nconnections:\n  shop:\n    connector: shop\n{indented}");
    fs::write(folder.join("renkei.yaml"), workspace).unwrap();
    let plan = config::load_connections(folder, &MapEnvironment::new(variables), &["shop"])
        .unwrap_or_else(|report| panic!("{}", report.render(false)));
    match &plan.connections["shop"] {
        Connection::Api(api) => api.clone(),
        other => panic!("no API: {other:?}"),
    }
}
