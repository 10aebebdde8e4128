//! Schemas of streams and operations, and the contracts that pipelines make of them.

use std::{path::Path as FilePath, sync::Arc};

use serde_json::Value;

use super::{
    check::Check,
    diagnostic::Problem,
    document::yaml_document,
    files,
    plan::{From, To},
    plan_contract::{Contract, Contracts, Terms},
    raw_contract::RawContract,
    raw_pipeline::{RawPipeline, RawStep, RawTo},
    shape::{Spanned, Tree},
};
use crate::{contract::RecordSchema, model::Code};

/// Values in a schema's file, aliases counted as often as they are used.
const NODES_MAX: usize = 200_000;

/// A schema, if there is one.
pub type Schema = Option<Arc<RecordSchema>>;

impl Check<'_> {
    /// The schema that stands in the connector, or in a file beside it. The outer option is nothing when it cannot be used.
    pub fn schema(&self, raw: Option<&Spanned<Tree>>) -> Option<Schema> {
        let Some(raw) = raw else { return Some(None) };
        let read = match &raw.value {
            Tree::Text(file) => self.schema_file(raw, &file.0),
            Tree::Map(_) => serde_json::from_str::<Value>(&self.json(raw)).map_err(|error| error.to_string()),
            _ => Err("it is neither a file's name nor a schema".to_owned()),
        };
        match read.and_then(RecordSchema::of) {
            Ok(schema) => Some(Some(Arc::new(schema))),
            Err(why) => {
                let file = match &raw.value {
                    Tree::Text(file) => format!("the schema {} cannot be used: {why}", file.0),
                    _ => format!("the schema cannot be used: {why}"),
                };
                let help = "it is a JSON Schema of draft 2020-12, written here or in a file beside connector.yaml";
                self.report(Problem::new(Code::ContractSchema, raw.span, file).help(help));
                None
            }
        }
    }

    /// A JSON or YAML file beside connector.yaml.
    fn schema_file(&self, raw: &Spanned<Tree>, name: &str) -> Result<Value, String> {
        let connector = self.sources.file(raw.span.file).map(|file| file.path.clone()).unwrap_or_default();
        let folder = connector.parent().unwrap_or(FilePath::new(""));
        let inside = FilePath::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if name.is_empty() || !inside {
            return Err("a schema's file stands in the connector's folder".to_owned());
        }
        let path = self.reading.base.join(folder).join(name);
        self.schemas.borrow_mut().push(path.clone());
        let text = files::text(&path).map_err(|(_, message, _)| message)?;
        if name.ends_with(".json") {
            return serde_json::from_str(&text).map_err(|error| format!("it is no JSON: {error}"));
        }
        yaml_document(&text, NODES_MAX)
            .map_err(|bad| format!("it is no YAML, line {}, column {}: {}", bad.line, bad.column, bad.message))
    }

    /// The contracts of a pipeline, as far as its ends could be compiled.
    pub fn contracts(
        &self,
        raw: &RawPipeline,
        typed: Option<&RawTo>,
        from: Option<&From>,
        to: Option<&To>,
    ) -> Contracts {
        let said = raw.from.as_ref().and_then(|from| from.value.contract.as_ref());
        let read = from.and_then(|from| match &from.api {
            Some(api) => {
                let place = match raw.steps.first() {
                    Some(RawStep::Split(_)) => "what `split` makes of a record".to_owned(),
                    _ => format!("the stream `{}` of the connector `{}`", from.stream.name, api.connector),
                };
                self.contract(said, from.stream.schema.as_ref(), &place)
            }
            None => self.contract(said, None, "`ingress`, whose own `schema` holds what is pushed,"),
        });
        let said = typed.and_then(|to| to.contract.as_ref());
        let sent = to.and_then(|to| match to {
            To::Operation { api, operation, .. } => {
                let place = format!("the operation `{}` of the connector `{}`", operation.name, api.connector);
                self.contract(said, operation.schema.as_ref(), &place)
            }
            To::File { .. } | To::Table { .. } => self.contract(said, None, "a file or table"),
        });
        Contracts { read, sent }
    }

    fn contract(
        &self,
        said: Option<&Spanned<RawContract>>,
        schema: Option<&Arc<RecordSchema>>,
        place: &str,
    ) -> Option<Contract> {
        if let (Some(said), None) = (said, schema) {
            let message = format!("a contract without a schema: {place} has none");
            let help = "write `schema:` there, as a file's name or as a JSON Schema; or remove `contract`";
            self.report(Problem::new(Code::ContractNothing, said.span, message).help(help));
        }
        let terms = said.map_or(Terms::Warn, |said| match said.value {
            RawContract::Evolve => Terms::Evolve,
            RawContract::Warn => Terms::Warn,
            RawContract::Reject => Terms::Reject,
            RawContract::Freeze => Terms::Freeze,
        });
        Some(Contract { schema: schema?.clone(), terms })
    }
}
