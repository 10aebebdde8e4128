//! JSON Schemas of the four kinds of files, for editors. They come from the raw types, so they cannot drift from what is
//! accepted; the descriptions are the comments there.

use schemars::{JsonSchema, generate::SchemaSettings};

use super::{raw_case::RawCase, raw_connector::RawConnector, raw_pipeline::RawPipeline, raw_workspace::RawWorkspace};

/// A kind of configuration file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// `renkei.yaml`
    Workspace,
    /// `connectors/<name>/connector.yaml`
    Connector,
    /// `pipelines/<name>.yaml`
    Pipeline,
    /// `connectors/<name>/cases/<case>.yaml`
    Case,
}

/// The JSON Schema (draft 7, which every editor knows) of a kind of file.
pub fn schema(kind: FileKind) -> serde_json::Value {
    match kind {
        FileKind::Workspace => of::<RawWorkspace>(),
        FileKind::Connector => of::<RawConnector>(),
        FileKind::Pipeline => of::<RawPipeline>(),
        FileKind::Case => of::<RawCase>(),
    }
}

fn of<T: JsonSchema>() -> serde_json::Value {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<T>().to_value()
}
