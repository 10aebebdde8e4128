//! A person's JSON Schema of a record. It owes the rest one question, whether a record fits, and an answer that never quotes a
//! value. It reads no other file and asks no server: what a schema refers to stands in it.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

/// Violations that are told of one record.
const TOLD_MAX: usize = 10;

/// A compiled schema, draft 2020-12.
#[derive(Debug)]
pub struct RecordSchema {
    text: Value,
    validator: Validator,
}

/// Why a record does not fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// A JSON pointer into the record.
    pub at: String,
    pub message: String,
}

impl RecordSchema {
    /// Compiles a schema's text, or says why that cannot be done.
    pub fn parse(text: &str) -> Result<Self, String> {
        let schema: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        if !schema.is_object() {
            return Err("it is no JSON object".to_owned());
        }
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        // Patterns that cannot take more than linear time: records come from outside.
        let options = options.with_pattern_options(PatternOptions::regex()).offline();
        match options.build(&schema) {
            Ok(validator) => Ok(Self { text: schema, validator }),
            Err(error) => Err(format!("at `{}`: {error}", error.instance_path())),
        }
    }

    /// The schema as it was written.
    pub fn text(&self) -> &Value {
        &self.text
    }

    /// What is wrong with a record; of very much the first.
    pub fn violations(&self, record: &Value) -> Vec<Violation> {
        let told = self.validator.iter_errors(record).take(TOLD_MAX);
        told.map(|error| Violation {
            at: error.instance_path().to_string(),
            message: error.masked_with("the value").to_string(),
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_checked_and_no_value_of_it_is_quoted() {
        let schema = RecordSchema::parse(
            r#"{"type":"object","required":["id"],"properties":{"email":{"type":"string","format":"email"}}}"#,
        )
        .unwrap();
        assert!(schema.violations(&json!({"id": 1, "email": "ada@example.com"})).is_empty());
        let violations = schema.violations(&json!({"email": "geheim"}));
        let places: Vec<&str> = violations.iter().map(|violation| violation.at.as_str()).collect();
        assert_eq!(violations.len(), 2, "{violations:?}");
        assert!(places.contains(&"") && places.contains(&"/email"), "{violations:?}");
        assert!(!format!("{violations:?}").contains("geheim"), "{violations:?}");
    }

    #[test]
    fn what_is_no_schema_or_refers_elsewhere_is_refused() {
        for (text, why) in [
            ("{", "no JSON"),
            ("[]", "no JSON object"),
            (r#"{"type":"thing"}"#, "type"),
            (r#"{"$ref":"https://example.com/schema.json"}"#, "example.com"),
            (r#"{"pattern":"("}"#, "pattern"),
        ] {
            let error = RecordSchema::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
