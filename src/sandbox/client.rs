//! Who asks at the token endpoint: a client with its secret in the header or the form, one that signs an assertion, or,
//! where the world allows it, one that only names itself.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;

use super::{
    assertion::{self, Seen},
    call::{Call, Refusal, error, set},
    config::WorldConfig,
};

/// The fields of a form, each once.
pub(super) type Form = BTreeMap<String, String>;

pub(super) fn form(call: &Call) -> Form {
    url::form_urlencoded::parse(call.body).into_owned().collect()
}

pub(super) fn admitted(call: &Call, form: &Form, config: &WorldConfig, seen: &mut Seen) -> Result<(), Refusal> {
    let field = |name: &str| form.get(name).cloned();
    if let Some(assertion) = field("client_assertion") {
        return assertion::admit_client(&assertion, form, call, config, seen);
    }
    let client = match call.header("authorization").and_then(|text| text.strip_prefix("Basic ")) {
        Some(basic) => decode_basic(basic),
        None => field("client_id").zip(field("client_secret")),
    };
    let named_only = config.public_client && client.is_none() && field("client_id").as_ref() == Some(&config.client_id);
    if named_only || client == Some((config.client_id.clone(), config.client_secret.clone())) {
        return Ok(());
    }
    Err(unknown("the client id or secret is wrong"))
}

pub(super) fn unknown(why: &str) -> Refusal {
    let mut answer = error(StatusCode::UNAUTHORIZED, "invalid_client", why);
    set(&mut answer, "www-authenticate", "Basic realm=\"sandbox\"");
    answer
}

/// RFC 6749 2.3.1: id and secret are form-encoded before they are joined.
pub(super) fn decode_basic(text: &str) -> Option<(String, String)> {
    let plain = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (id, secret) = plain.split_once(':')?;
    let decoded = |part: &str| {
        let joined = format!("v={part}");
        url::form_urlencoded::parse(joined.as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    decoded(id).zip(decoded(secret))
}
