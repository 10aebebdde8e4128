//! A connection's settings: what templates see as `config`.

use bytes::Bytes;

use super::{
    check::Check,
    compile_connector::Connector,
    diagnostic::Problem,
    fill,
    shape::{Named, Spanned, Tree},
    source::Span,
};
use crate::model::{Code, Fields};

impl Check<'_> {
    /// One JSON object with every setting that the connector declares: as given, or its default, or null.
    pub fn settings(
        &self,
        name: Span,
        owner: Span,
        given: Option<&Named<Spanned<Tree>>>,
        connector: &Connector,
    ) -> Fields {
        let declared = &connector.raw.config;
        for (key, _) in given.iter().flat_map(|given| given.iter()) {
            if !declared.has(&key.value) {
                let lead = format!("the settings of the connector `{}` are", connector.name);
                self.unknown("setting", key, declared.names().into_iter(), &lead);
            }
        }
        let mut json = String::from("{");
        for (key, setting) in declared.iter() {
            let value = given.and_then(|given| given.get(&key.value)).map(|(_, value)| value);
            if setting.required && value.is_none() {
                let message = format!("the connector `{}` needs the setting `{}`", connector.name, key.value);
                let help = format!("write `config: {{ {}: .. }}`", key.value);
                self.absent(
                    owner,
                    Problem::new(Code::MissingKey, name, message).help(help).related(key.span, "declared here"),
                );
            }
            if json.len() > 1 {
                json.push(',');
            }
            push_text(&mut json, &key.value);
            json.push(':');
            match value.or(setting.default.as_ref()) {
                Some(value) => self.push_json(&mut json, value),
                None => json.push_str("null"),
            }
        }
        json.push('}');
        Fields::from_object(Bytes::from(json))
    }

    /// A tree as JSON text.
    pub fn json(&self, tree: &Spanned<Tree>) -> String {
        let mut json = String::new();
        self.push_json(&mut json, tree);
        json
    }

    /// Writes a tree as JSON. Texts are filled; a filled text stays a text.
    fn push_json(&self, json: &mut String, tree: &Spanned<Tree>) {
        match &tree.value {
            Tree::Null => json.push_str("null"),
            Tree::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
            Tree::Number(number) => json.push_str(&number.0),
            Tree::Text(text) => {
                let filled = fill::fill(&text.0, self.reading.env, self.reading.base);
                self.reading.report_missing(&filled, tree.span);
                push_text(json, &filled.text);
            }
            Tree::List(items) => {
                json.push('[');
                for (at, item) in items.iter().enumerate() {
                    json.push_str(if at > 0 { "," } else { "" });
                    self.push_json(json, item);
                }
                json.push(']');
            }
            Tree::Map(entries) => {
                json.push('{');
                for (at, (key, value)) in entries.iter().enumerate() {
                    json.push_str(if at > 0 { "," } else { "" });
                    push_text(json, &key.value);
                    json.push(':');
                    self.push_json(json, value);
                }
                json.push('}');
            }
        }
    }
}

fn push_text(json: &mut String, text: &str) {
    json.push_str(&serde_json::Value::from(text).to_string());
}
