//! Deletions as meant: how a stream tells them, and what a pipeline does about them at its sink.

use std::{sync::Arc, time::Duration};

use super::plan::{Operation, Stream};
use crate::{expr::Expression, model::Path};

/// How a stream tells that records are gone. Streams are names here: a connector's streams are compiled side by side.
#[derive(Clone, Debug, Default)]
pub struct Deletions {
    pub flag: Option<Flag>,
    /// The stream that lists what is gone.
    pub tombstones: Option<String>,
    pub sweep: Option<Sweep<String>>,
}

/// A field of the record that says that it is gone.
#[derive(Clone, Debug)]
pub struct Flag {
    pub path: Path,
    /// Texts that mean it. None: it is there, and neither null nor false.
    pub values: Vec<String>,
}

/// A listing that shows everything that exists: what it does not show is gone.
#[derive(Clone, Debug)]
pub struct Sweep<S> {
    /// The stream that is listed for it. Nothing: each listing of the stream itself is one.
    pub stream: Option<S>,
    /// How often that stream is listed. Default 24 h.
    pub every: Duration,
}

/// What a pipeline does about records that are gone.
#[derive(Clone, Debug)]
pub struct Deletes {
    pub operation: Arc<Operation>,
    /// What the operation sees as `record`. Nothing: the tombstone.
    pub fields: Option<Vec<(String, Expression)>>,
    /// A request names the record by its id at the sink, so nothing can be sent without one.
    pub by_id: bool,
    pub brake: Brake,
    pub tombstones: Option<Arc<Stream>>,
    pub sweep: Option<Sweep<Arc<Stream>>>,
}

/// How much one run may delete.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Brake {
    /// Of the records kept at the sink, from 0 to 1. Default 0.1.
    pub share: f64,
    /// Default 1000.
    pub max: u64,
}

impl Flag {
    /// Whether a record says that it is gone.
    pub fn is_set(&self, record: &str) -> bool {
        let Some(raw) = self.path.find(record).map(|raw| raw.get()) else { return false };
        if self.values.is_empty() {
            return !matches!(raw, "null" | "false");
        }
        let text: Option<String> = serde_json::from_str(raw).ok();
        self.values.iter().any(|value| value == text.as_deref().unwrap_or(raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_set(values: &[&str], record: &str) -> bool {
        let path = Path::parse("a.gone").unwrap();
        Flag { path, values: values.iter().map(|value| (*value).to_owned()).collect() }.is_set(record)
    }

    #[test]
    fn a_flag_is_any_value_but_null_and_false_or_one_of_its_texts() {
        assert!(is_set(&[], r#"{"a":{"gone":true}}"#));
        assert!(is_set(&[], r#"{"a":{"gone":"2026-01-01"}}"#));
        for record in [r#"{"a":{"gone":false}}"#, r#"{"a":{"gone":null}}"#, r#"{"a":{}}"#, r#"{"gone":true}"#] {
            assert!(!is_set(&[], record), "{record}");
        }
        assert!(is_set(&["true", "archived"], r#"{"a":{"gone":"archived"}}"#));
        assert!(is_set(&["true"], r#"{"a":{"gone":true}}"#));
        assert!(!is_set(&["archived"], r#"{"a":{"gone":true}}"#));
    }
}
