//! A person's JSON Schema of a record. It owes the rest whether a record fits and in what it differs, and never quotes a value. It
//! reads no other file and asks no server: what a schema refers to stands in it.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use super::{
    known::Known,
    look::{Counts, Sighting, sightings},
    refs,
};

/// Violations that are told of one record.
const TOLD_MAX: usize = 10;

/// A compiled schema, draft 2020-12.
#[derive(Debug)]
pub struct RecordSchema {
    text: Value,
    validator: Validator,
    known: Known,
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
        Self::of(serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?)
    }

    /// Compiles a schema, or says why that cannot be done.
    pub fn of(schema: Value) -> Result<Self, String> {
        if !schema.is_object() {
            return Err("it is no JSON object".to_owned());
        }
        refs::check(&schema)?;
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        // Patterns that cannot take more than linear time: records come from outside.
        let options = options.with_pattern_options(PatternOptions::regex()).offline();
        match options.build(&schema) {
            Ok(validator) => Ok(Self { known: Known::of(&schema), text: schema, validator }),
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

    /// In what a record differs, also where it fits. Misfits that `counts` is false for are not told; they come first.
    pub fn look<'r>(&self, record: &'r Value, counts: Counts<'_>) -> Vec<Sighting<'r>> {
        let broken = !self.validator.is_valid(record);
        let errors = broken.then(|| self.validator.iter_errors(record)).into_iter().flatten();
        sightings(errors, &self.known, record, counts)
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
            (r##"{"$ref":"#"}"##, "circle"),
            (r#"{"pattern":"("}"#, "pattern"),
        ] {
            let error = RecordSchema::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    fn told(schema: Value, record: Value) -> Vec<(String, bool)> {
        let schema = RecordSchema::of(schema).unwrap();
        let seen = schema.look(&record, &|_, _, _| true);
        seen.iter().map(|one| (format!("{} {}", one.kind.name(), one.words()), one.fits)).collect()
    }

    #[test]
    fn every_kind_of_difference_is_told_with_its_place() {
        let schema = json!({
            "required": ["id", "name"],
            "properties": {
                "id": {"type": "integer"},
                "name": {"type": "string", "maxLength": 3},
                "state": {"enum": ["open", "closed"]},
                "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "either": {"oneOf": [{"enum": ["a", "b"]}, {"type": "null"}]},
                "forms": {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
                "lines": {"items": {"properties": {"price": {"type": ["number", "null"]}}, "additionalProperties": false}}
            }
        });
        let record = json!({"id": "7", "state": "lost", "maybe": 1, "either": "c", "forms": {}, "extra": 1,
            "lines": [{"price": 1.5}, {"price": "1.5", "tax": 0}]});
        let seen = told(schema, record);
        let words: Vec<&str> = seen.iter().map(|(words, _)| words.as_str()).collect();
        for (wanted, fits) in [
            ("missing_field `name` is missing", false),
            ("type_change `id` is string and not integer", false),
            ("enum_value `state` is not one of the 2 values that are listed", false),
            ("type_change `maybe` is integer and not string or null", false),
            ("enum_value `either` is not one of the 2 values that are listed", false),
            ("broken_rule `forms` does not keep `anyOf`", false),
            ("new_field `extra` is not described", true),
            ("type_change `lines[].price` is string and not null or number", false),
            ("new_field `lines[].tax` is not described", false),
        ] {
            assert!(seen.contains(&(wanted.to_owned(), fits)), "{wanted}: {words:#?}");
        }
        assert_eq!(seen.len(), 9, "{words:#?}");
    }

    #[test]
    fn a_name_that_looks_like_data_is_not_shown() {
        let seen =
            told(json!({"properties": {"id": {}}}), json!({"ada@example.com": 1, "090-1234-5678": 1, "会社名": 1}));
        let words: Vec<String> = seen.into_iter().map(|(words, _)| words).collect();
        let hidden = "new_field `***` is not described";
        assert_eq!(words, [hidden, hidden, "new_field `会社名` is not described"]);
    }

    #[test]
    fn a_schema_and_a_record_that_contain_themselves_deeply_are_looked_at() {
        let schema = json!({"properties": {"next": {"$ref": "#"}, "id": {"type": "integer"}}});
        let record = (0..120).fold(json!({"id": "x"}), |inner, _| json!({"next": inner}));
        assert_eq!(told(schema, record).len(), 1);
    }
}
