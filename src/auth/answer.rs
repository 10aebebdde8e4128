//! What a token endpoint answers. Pure.
//!
//! Real ones stray from RFC 6749 in harmless ways: a life written as text, no token type, 201 for 200, a JSON answer
//! labelled as something else, an error with status 200. Those are read as they are meant. A life that makes no sense is
//! no life at all: the token then holds until the server refuses it. Everything else is an error, and whatever the error,
//! a refresh token that came along is handed on.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::keeper::Granted;
use crate::{
    http::{Answer, scrub},
    model::{Blame, Code, Fault},
};

/// Characters of a server's own words that are shown.
const SAID_CHARS_MAX: usize = 200;

/// Scopes of one grant that are kept.
const SCOPES_MAX: usize = 500;

pub enum Reply {
    Granted(Granted),
    Refused(Refusal),
}

/// The endpoint said no, in the words of the standard.
pub struct Refusal {
    /// `invalid_grant` and the like.
    pub error: String,
    /// What it said about it, fit to be shown.
    said: String,
    /// The request was sent several times, so an answer to it may be lost.
    repeated: bool,
}

/// Reads an answer. `from` names the endpoint and `secrets` are the texts that must not be shown.
pub fn read(answer: &Answer, from: &str, secrets: &[SecretString]) -> Reply {
    let json = match serde_json::from_slice(&answer.body) {
        Ok(Value::Object(json)) => json,
        _ => {
            let access = Err(unusable(from, unreadable(&answer.body)));
            return Reply::Granted(Granted { access, refresh: None, lives_seconds: None, scopes: None });
        }
    };
    if let Some(refusal) = refusal(&json, answer.attempts, secrets) {
        return Reply::Refused(refusal);
    }
    let access = match answer.status.is_success() {
        true => access(&json).map_err(|why| unusable(from, why)),
        false => Err(unusable(from, "it is a refusal without a reason")),
    };
    let refresh = json.get("refresh_token").and_then(Value::as_str).filter(|token| !token.is_empty());
    let refresh = refresh.map(SecretString::from);
    let lives_seconds = json.get("expires_in").and_then(whole_seconds);
    Reply::Granted(Granted { access, refresh, lives_seconds, scopes: json.get("scope").and_then(scopes) })
}

/// Reads an answer that is an object but no token, such as the codes of a device.
pub fn object(answer: &Answer, from: &str, secrets: &[SecretString]) -> Result<Map<String, Value>, Fault> {
    match serde_json::from_slice(&answer.body) {
        Ok(Value::Object(json)) => match refusal(&json, answer.attempts, secrets) {
            Some(refusal) => Err(refusal.fault(from, false)),
            None => Ok(json),
        },
        _ => Err(unusable(from, unreadable(&answer.body))),
    }
}

fn unreadable(body: &[u8]) -> &'static str {
    let start = body.trim_ascii_start();
    match () {
        () if start.is_empty() => "it is empty",
        () if start.starts_with(b"<") => "it is a page of HTML or XML",
        () => "it is no JSON object",
    }
}

fn refusal(json: &Map<String, Value>, attempts: u32, secrets: &[SecretString]) -> Option<Refusal> {
    let text = |name: &str| json.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let error = text("error").filter(|_| !json.contains_key("access_token"))?;
    let description = text("error_description").map(|said| format!(": {said}")).unwrap_or_default();
    let said = scrub(&format!("{error}{description}"), secrets);
    let said = said.chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX).collect();
    Some(Refusal { error: error.to_owned(), said, repeated: attempts > 1 })
}

fn access(json: &Map<String, Value>) -> Result<SecretString, &'static str> {
    let token = json.get("access_token").ok_or("it has no `access_token`")?;
    let token = token.as_str().ok_or("its `access_token` is no text")?;
    // Vendors write their own words here and mean a bearer token; these two are the ones that do not.
    let kind = json.get("token_type").and_then(Value::as_str).unwrap_or("bearer");
    if ["mac", "dpop"].iter().any(|other| kind.eq_ignore_ascii_case(other)) {
        return Err("its token is no bearer token");
    }
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its access token is empty or holds a character that no header can carry");
    }
    Ok(token.into())
}

/// The scopes that were granted. The standard (RFC 6749, 3.3) puts spaces between them; commas and lists are met too.
fn scopes(said: &Value) -> Option<Vec<String>> {
    let words = |text: &str| -> Vec<String> {
        let words = text.split([' ', ',']).filter(|word| !word.is_empty());
        words.map(|word| word.chars().take(SAID_CHARS_MAX).collect()).take(SCOPES_MAX).collect()
    };
    match said {
        Value::String(text) => Some(words(text)),
        Value::Array(list) => Some(list.iter().filter_map(Value::as_str).flat_map(words).take(SCOPES_MAX).collect()),
        _ => None,
    }
}

/// A life as number or text, in whole seconds. Nothing for a negative one and for what is none.
pub fn whole_seconds(life: &Value) -> Option<u64> {
    let seconds = match life {
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        Value::Number(number) => number.as_f64()?,
        _ => return None,
    };
    (seconds >= 0.0).then_some(seconds as u64)
}

/// A time as RFC 3339, or as seconds or milliseconds since 1970. Seconds reach the year 5138 before they look like
/// milliseconds.
pub fn until(text: &str) -> Option<DateTime<Utc>> {
    const SECONDS_MAX: f64 = 1e11;
    if let Ok(at) = DateTime::parse_from_rfc3339(text.trim()) {
        return Some(at.to_utc());
    }
    let number = text.trim().parse::<f64>().ok().filter(|number| *number >= 0.0)?;
    let milliseconds = if number < SECONDS_MAX { number * 1000.0 } else { number };
    DateTime::from_timestamp_millis(milliseconds as i64)
}

impl Refusal {
    /// `spent`: the request spent a token, which then is dead.
    pub fn fault(&self, from: &str, spent: bool) -> Fault {
        let (code, help) = match self.error.as_str() {
            "invalid_grant" if spent => (Code::SignInAgain, SIGN_IN),
            "invalid_grant" => (Code::TokenRefused, GRANT),
            "invalid_scope" => (Code::TokenRefused, SCOPES),
            _ => (Code::TokenRefused, CLIENT),
        };
        let lost =
            if self.repeated && code == Code::SignInAgain { " (an answer before may have been lost)" } else { "" };
        let message = format!("the token endpoint {from} refused: {}{lost}", self.said);
        Fault::halt(code, Blame::Credentials, message).help(help)
    }
}

const SIGN_IN: &str = "The refresh token is expired, revoked or already used, and is not sent again. Nothing is lost: the \
    cursor has not moved. Sign in again: `renkei auth login CONNECTION`, or put a new refresh token where the connection \
    reads it. `renkei auth refresh CONNECTION` tries the old one once more.";

const SCOPES: &str = "The account does not give these scopes. Compare `scopes` with what the vendor's app may ask for. \
    Nothing is lost: the cursor has not moved.";

const GRANT: &str = "The vendor does not accept what this connection signs in with. Nothing is lost: the cursor has not moved. \
    Compare the grant's settings with those of the vendor's app, then run again.";

const CLIENT: &str = "Check client id, credentials and token URL of the connection, then run again. Nothing is lost: the \
    cursor has not moved.";

pub fn unusable(from: &str, why: &str) -> Fault {
    let message = format!("the answer of the token endpoint {from} cannot be used: {why}");
    Fault::halt(Code::TokenAnswer, Blame::Remote, message).help(
        "Nothing is lost: the cursor has not moved. Check that `token_url` is the vendor's token endpoint and not a \
         page for people, then run again.",
    )
}
