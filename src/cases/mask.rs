//! Takes out of recorded traffic what must not be in a file: secrets, and what names or reaches a person. Equal values are replaced by
//! equal ones, so that a case still plays as it was recorded.
//!
//! The hard idea: a field's name says more than its value, and a value that was met once is known everywhere. So everything is walked
//! twice: once to learn, and once to replace.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// What stands where a secret stood.
pub const HIDDEN: &str = "***";
/// Shorter texts are not looked for inside of others: they are in everything.
const INSIDE_CHARS_MIN: usize = 6;

const SECRET: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "api_key",
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "signature",
];
/// Names of fields that only look so: they say where a listing goes on.
const NO_SECRET: &[&str] = &["page_token", "next_token", "nextpagetoken", "pagetoken", "next_page_token", "sync_token"];
const EMAIL: &[&str] = &["email", "mail", "メール"];
const PHONE: &[&str] = &["phone", "mobile", "fax", "tel", "電話", "携帯"];
const NAME: &[&str] = &["name", "kana", "氏名", "名前", "フリガナ", "担当"];
const PLACE: &[&str] = &["address", "street", "line1", "line2", "postal", "zip", "住所", "郵便"];
const BIRTH: &[&str] = &["birth", "生年月日"];

/// What is known of the values of one recording.
#[derive(Default)]
pub struct Mask {
    secrets: Vec<SecretString>,
    /// Names of fields that the stream declares personal.
    declared: Vec<String>,
    /// What each value is replaced by.
    known: BTreeMap<String, String>,
}

impl Mask {
    pub fn new<'s>(secrets: impl Iterator<Item = &'s SecretString>) -> Self {
        let secrets = secrets.filter(|secret| !secret.expose_secret().is_empty()).cloned().collect();
        Self { secrets, ..Self::default() }
    }

    /// The same with the fields that are personal by declaration.
    pub fn declaring(mut self, names: Vec<String>) -> Self {
        self.declared = names;
        self
    }

    /// Notes what a value holds.
    pub fn learn(&mut self, name: &str, value: &Value) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| self.learn(name, value)),
            Value::Array(items) => items.iter().for_each(|item| self.learn(name, item)),
            Value::String(text) => self.learn_text(name, text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    pub fn learn_text(&mut self, name: &str, text: &str) {
        for email in emails(text) {
            self.replace(email, |n| format!("person{n}@example.com"));
        }
        let is_phone = |text: &str| {
            let digits = text.chars().filter(char::is_ascii_digit).count();
            text.starts_with('+') && digits >= 9 && text.chars().all(|c| c.is_ascii_digit() || "+-() ".contains(c))
        };
        if text.is_empty() || self.known.contains_key(text) {
            return;
        }
        match kind(name, &self.declared) {
            Kind::Phone => self.replace(text, |n| format!("+8150{n:08}")),
            _ if is_phone(text) => self.replace(text, |n| format!("+8150{n:08}")),
            Kind::Name => self.replace(text, |n| format!("Name {n}")),
            Kind::Place => self.replace(text, |n| format!("Place {n}")),
            Kind::Birth => self.replace(text, |_| "1980-01-01".to_owned()),
            Kind::Declared => self.replace(text, |n| format!("Personal {n}")),
            Kind::Email | Kind::Secret | Kind::Plain => {}
        }
    }

    fn replace(&mut self, text: &str, made_up: impl Fn(usize) -> String) {
        if !self.known.contains_key(text) {
            let number = self.known.len() + 1;
            self.known.insert(text.to_owned(), made_up(number));
        }
    }

    /// The value as it may be kept.
    pub fn value(&self, name: &str, value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                Value::Object(fields.iter().map(|(name, value)| (name.clone(), self.value(name, value))).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(|item| self.value(name, item)).collect()),
            Value::String(text) => Value::String(self.text(name, text)),
            Value::Number(number) => match kind(name, &self.declared) {
                Kind::Secret | Kind::Phone | Kind::Birth | Kind::Declared => Value::from(0),
                _ => Value::Number(number.clone()),
            },
            other => other.clone(),
        }
    }

    pub fn text(&self, name: &str, text: &str) -> String {
        let is_secret = self.secrets.iter().any(|secret| text.contains(secret.expose_secret()));
        if is_secret || (kind(name, &self.declared) == Kind::Secret && !text.is_empty()) {
            return HIDDEN.to_owned();
        }
        let is_whole = kind(name, &self.declared) != Kind::Plain || text.contains('@') || text.starts_with('+');
        if let Some(known) = self.known.get(text).filter(|_| is_whole) {
            return known.clone();
        }
        let mut text = text.to_owned();
        for (known, made_up) in self.reaching() {
            for (known, made_up) in [(known.to_owned(), made_up.to_owned()), (in_url(known), in_url(made_up))] {
                text = text.replace(&known, &made_up);
            }
        }
        text
    }

    /// What of secrets and addresses still stands in a text. It must be nothing.
    pub fn leak(&self, text: &str) -> Option<&'static str> {
        if self.secrets.iter().any(|secret| text.contains(secret.expose_secret())) {
            return Some("a secret of the connection");
        }
        let made_up: Vec<&String> = self.known.values().collect();
        let stays = |known: &str| text.contains(known) && !made_up.iter().any(|made_up| made_up.contains(known));
        self.reaching().any(|(known, _)| stays(known)).then_some("an email address or a phone number")
    }

    /// Values by which a person can be reached. They are replaced inside of longer texts, too.
    fn reaching(&self) -> impl Iterator<Item = (&str, &str)> {
        let reaches = |text: &str| text.contains('@') || text.starts_with('+');
        let known = self.known.iter().map(|(known, made_up)| (known.as_str(), made_up.as_str()));
        known.filter(move |(known, _)| known.chars().count() >= INSIDE_CHARS_MIN && reaches(known))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Secret,
    Email,
    Phone,
    Name,
    Place,
    Birth,
    Declared,
    Plain,
}

/// Whether a field says where a listing goes on.
pub fn is_place(name: &str) -> bool {
    NO_SECRET.contains(&name.to_lowercase().as_str())
}

/// What a field's name says about its values.
fn kind(name: &str, declared: &[String]) -> Kind {
    // Of a form's nested name the innermost part.
    let inner = name.rsplit('[').map(|part| part.trim_end_matches(']')).find(|part| part.parse::<usize>().is_err());
    let name = inner.unwrap_or(name).to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match () {
        () if declared.contains(&name) => Kind::Declared,
        () if has(SECRET) && !is_place(&name) => Kind::Secret,
        () if has(EMAIL) => Kind::Email,
        () if has(PHONE) => Kind::Phone,
        () if has(NAME) => Kind::Name,
        () if has(PLACE) => Kind::Place,
        () if has(BIRTH) => Kind::Birth,
        () => Kind::Plain,
    }
}

/// The email addresses in a text.
fn emails(text: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| c.is_alphanumeric() || "@._+-".contains(c);
    let words = text.split(move |c| !part(c)).map(|word| word.trim_matches(['.', '-', '+']));
    words.filter(|word| word.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.')))
}

fn in_url(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn masked(value: Value) -> Value {
        let mut mask = Mask::new([SecretString::from("hunter22".to_owned())].iter());
        mask.learn("", &value);
        mask.value("", &value)
    }

    #[test]
    fn people_are_made_up_and_the_same_person_is_the_same() {
        let value = json!([
            {"email": "ada@acme.test", "name": "Ada", "note": "call ada@acme.test at +44 20 7946 0000", "mobile": "090-1"},
            {"contact": {"Email": "ada@acme.test", "氏名": "山田"}, "url": "/x?e=ada%40acme.test"}
        ]);
        let got = masked(value);
        let text = got.to_string();
        for gone in ["ada", "Ada", "acme", "090-1", "山田"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
        assert_eq!(got[0]["email"], got[1]["contact"]["Email"]);
        assert!(got[1]["url"].as_str().unwrap().starts_with("/x?e=person"), "{text}");
    }

    #[test]
    fn secrets_go_by_their_value_and_by_their_name_and_places_of_listings_stay() {
        let value = json!({"echo": "key hunter22!", "client_secret": "x", "next_page_token": "abc", "id": 7});
        let expected = json!({"echo": "***", "client_secret": "***", "next_page_token": "abc", "id": 7});
        assert_eq!(masked(value), expected);
    }
}
