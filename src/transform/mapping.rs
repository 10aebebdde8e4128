//! `fields:` of a target: what the sink gets of a record, in the order written.

use std::sync::Arc;

use bytes::Bytes;

use super::{Personal, contract::Contract};
use crate::{
    expr::{Expression, Scope},
    model::{Code, ContentHash, Fields, Reason},
};

/// The largest mapped record.
const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Names with their expressions, or nothing: the record as it is.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    fields: Option<Vec<Field>>,
    personal: Arc<Personal>,
    contract: Contract,
}

#[derive(Clone, Debug)]
struct Field {
    name: String,
    /// The name as JSON with the colon, written once.
    head: String,
    value: Expression,
}

impl Mapping {
    pub fn new(fields: Option<&[(String, Expression)]>) -> Self {
        let field = |(name, value): &(String, Expression)| Field {
            name: name.clone(),
            head: format!("{}:", serde_json::Value::from(name.as_str())),
            value: value.fresh(),
        };
        Self {
            fields: fields.map(|fields| fields.iter().map(field).collect()),
            personal: Arc::default(),
            contract: Contract::default(),
        }
    }

    /// The same for records that are held to a contract once they are mapped.
    pub fn under(self, contract: Contract) -> Self {
        Self { contract, ..self }
    }

    /// What mapped records are held to.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The same for records whose personal fields are protected by these rules.
    pub fn protected(self, personal: Arc<Personal>) -> Self {
        Self { personal, ..self }
    }

    /// The rules by which its records are protected.
    pub fn personal(&self) -> &Personal {
        &self.personal
    }

    /// Names what the sink gets, whatever key encrypted parts of it.
    pub fn content(&self, mapped: &Fields) -> ContentHash {
        self.personal.content(mapped)
    }

    /// What the sink gets. A field whose value is absent is left out; null is written as null.
    pub fn apply(&self, record: Fields) -> Result<Fields, Reason> {
        let Some(fields) = &self.fields else {
            return Ok(record);
        };
        let scope = Scope::of(&record);
        let mut out = String::with_capacity(record.len() + 64);
        out.push('{');
        for field in fields {
            let value = field.value.evaluate_json(&scope);
            let Some(value) = value.map_err(|error| error.reason(&format!("field {}", field.name)))? else {
                continue;
            };
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(&field.head);
            out.push_str(&value);
            if out.len() > RECORD_BYTES_MAX {
                return Err(Reason::new(Code::FuelSpent, "the mapped record is larger than 16 MiB"));
            }
        }
        out.push('}');
        Ok(Fields::from_object(Bytes::from(out)))
    }
}
