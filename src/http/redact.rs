//! The one place where text about a request leaves: for errors, logs and dead letters. Headers never leave at all; URLs
//! leave without user, password, fragment and secret parameters; a server's own words leave short, without control
//! characters, and without anything the signer put into the request.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::{Url, form_urlencoded::byte_serialize};

use super::xml;

/// What stands where a secret stood.
const HIDDEN: &str = "***";

/// Characters of a server's message that are shown.
const MESSAGE_CHARS_MAX: usize = 200;

/// A body larger than this is not searched for a message.
const MESSAGE_BODY_BYTES_MAX: usize = 64 << 10;

/// A secret shorter than this is not searched for: it would blank out ordinary words and tell its length.
const SECRET_BYTES_MIN: usize = 4;

/// And one shorter than this not in base64 and hex.
const ENCODED_BYTES_MIN: usize = 8;

/// A query parameter whose name contains one of these carries a secret.
const SECRET_NAMES: [&str; 12] = [
    "token",
    "key",
    "secret",
    "password",
    "passwd",
    "signature",
    "sig",
    "code",
    "auth",
    "credential",
    "session",
    "jwt",
];

/// A URL fit to be shown. `secrets` are the texts the signer put in.
pub fn url(url: &Url, secrets: &[SecretString]) -> String {
    let mut shown = url.clone();
    // Both fail only for URLs that cannot have a user.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_fragment(None);
    if url.query().is_some() {
        let pairs: Vec<String> = url
            .query_pairs()
            .map(|(name, value)| format!("{name}={}", if is_secret(&name) { HIDDEN } else { &value }))
            .collect();
        shown.set_query(None);
        return scrub(&format!("{shown}?{}", pairs.join("&")), secrets);
    }
    scrub(shown.as_str(), secrets)
}

/// Takes the secrets out of a text, as they are and as a URL, a form, base64 or hex would write them.
pub fn scrub(text: &str, secrets: &[SecretString]) -> String {
    let forms = secrets.iter().flat_map(|secret| forms(secret.expose_secret()));
    let mut hidden: Vec<String> = forms.filter(|form| form.len() >= SECRET_BYTES_MIN).collect();
    // The longest first: a secret that begins with another one must not be left half.
    hidden.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    hidden.iter().fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
}

/// How a secret may be written. Base64 and hex of a short one would blank out ordinary words.
fn forms(secret: &str) -> Vec<String> {
    let encoded: String = byte_serialize(secret.as_bytes()).collect();
    let spaced = encoded.replace('+', "%20");
    let mut forms = vec![secret.to_owned(), small_percents(&encoded), small_percents(&spaced), encoded, spaced];
    if secret.len() >= ENCODED_BYTES_MIN {
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        forms.extend([hex.to_uppercase(), hex]);
        forms.extend((0..3).flat_map(|before| inside_base64(secret, before)));
    }
    forms
}

/// `%2F` as `%2f`.
fn small_percents(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (digits, rest) = part.split_at(part.len().min(2));
        format!("{text}%{}{rest}", digits.to_lowercase())
    })
}

/// What is the same of a secret in base64, whatever stands around it, where `before` bytes more than a multiple of three stand
/// before it.
fn inside_base64(secret: &str, before: usize) -> [String; 2] {
    let bytes = [&[0_u8; 2][..before], secret.as_bytes()].concat();
    let (from, until) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)].map(|text| text[from..until].to_owned())
}

/// The secrets that a URL brings along, such as the token in a page link.
pub fn in_url(url: &Url) -> Vec<SecretString> {
    url.query_pairs().filter(|(name, _)| is_secret(name)).map(|(_, value)| value.as_ref().into()).collect()
}

fn is_secret(parameter: &str) -> bool {
    let name = parameter.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// What the server said about its refusal, or nothing where it said nothing readable.
pub fn message(body: &[u8], secrets: &[SecretString]) -> Option<String> {
    if body.len() > MESSAGE_BODY_BYTES_MAX {
        return None;
    }
    let said = match serde_json::from_slice::<Value>(body) {
        Ok(json) => said(&json)?,
        Err(_) => xml::said(body)?,
    };
    let clean: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // First the secrets, then the cut: a secret cut in half would not be found.
    let clean = scrub(clean.trim(), secrets);
    let short: String = clean.chars().take(MESSAGE_CHARS_MAX).collect();
    (!short.is_empty()).then(|| if short.len() < clean.len() { format!("{short}...") } else { short })
}

/// Where vendors put their message: RFC 9457 problems, `error.message`, `message`, `errors[0].message`, OAuth's
/// `error_description`, and plain texts under `error` or `errors`.
fn said(json: &Value) -> Option<String> {
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    if let Some(title) = text("/title") {
        // RFC 9457 shows a list of single problems in this form.
        let pointed = || match (text("/errors/0/detail")?, text("/errors/0/pointer")) {
            (detail, Some(pointer)) => Some(format!("{detail} ({pointer})")),
            (detail, None) => Some(detail.to_owned()),
        };
        if let Some(detail) = text("/detail").map(str::to_owned).or_else(pointed) {
            return Some(format!("{}: {detail}", title.trim_end_matches(['.', ':'])));
        }
    }
    const PLACES: [&str; 15] = [
        "/detail",
        "/title",
        "/error/message",
        "/error_description",
        "/message",
        "/errors/0/message",
        "/errors/0/detail",
        "/errors/0/title",
        "/0/message",
        "/error/description",
        "/errors/0",
        "/errors",
        "/error",
        "/reason",
        "/type",
    ];
    PLACES.iter().find_map(|place| text(place)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, secrets: &[&str]) -> String {
        url(&Url::parse(text).unwrap(), &secrets.iter().map(|s| SecretString::from(*s)).collect::<Vec<_>>())
    }

    #[test]
    fn a_url_is_shown_without_user_password_fragment_and_secret_parameters() {
        assert_eq!(
            shown("https://me:pw@api.test/v1?page=2&api_key=abc&Access_Token=def&x-Sig=1#frag", &[]),
            "https://api.test/v1?page=2&api_key=***&Access_Token=***&x-Sig=***"
        );
        assert_eq!(shown("https://api.test/v1?hapi=sesame1&b=2", &["sesame1"]), "https://api.test/v1?hapi=***&b=2");
        assert_eq!(shown("https://api.test/sesame1/x", &["sesame1"]), "https://api.test/***/x");
    }

    #[test]
    fn a_parameter_signed_in_with_odd_characters_is_found_decoded() {
        assert_eq!(shown("https://api.test/?x=a%2Fb%20c%26d", &["a/b c&d"]), "https://api.test/?x=***");
    }

    #[test]
    fn the_servers_message_is_found_where_vendors_put_it() {
        for (body, expected) in [
            (r#"{"title":"Bad.","detail":"no email"}"#, "Bad: no email"),
            (r#"{"title":"Bad","errors":[{"detail":"no email"}]}"#, "Bad: no email"),
            (r#"{"title":"Bad","errors":[{"message":"no email"}]}"#, "Bad"),
            (
                r#"{"type":"https://example.com/probs/out-of-credit","balance":30}"#,
                "https://example.com/probs/out-of-credit",
            ),
            (r#"{"error":{"message":"no such plan","code":7}}"#, "no such plan"),
            (r#"{"message":"nope","error":"x"}"#, "nope"),
            (r#"{"errors":[{"message":"first"},{"message":"second"}]}"#, "first"),
            (r#"{"error":"invalid_grant","error_description":"expired"}"#, "expired"),
            (r#"{"ok":false,"error":"not_in_channel"}"#, "not_in_channel"),
            (r#"[{"message":"duplicate"}]"#, "duplicate"),
        ] {
            assert_eq!(message(body.as_bytes(), &[]).unwrap(), expected, "{body}");
        }
        assert_eq!(message(b"<html>oops</html>", &[]), None);
        assert_eq!(message(br#"{"message":""}"#, &[]), None);
    }

    #[test]
    fn a_message_is_short_without_control_characters_and_without_the_secrets_it_echoes() {
        let secret = [SecretString::from("tok_4711")];
        let body = format!(r#"{{"message":"bad\n\u001b[31mtoken tok_4711 {}"}}"#, "é".repeat(300));
        let shown = message(body.as_bytes(), &secret).unwrap();
        assert!(shown.starts_with("bad  [31mtoken *** éé"), "{shown}");
        assert_eq!(shown.chars().count(), MESSAGE_CHARS_MAX + 3);
        assert!(!shown.chars().any(char::is_control));
    }

    #[test]
    fn secrets_are_found_encoded_and_when_one_begins_with_another() {
        let secrets = [SecretString::from("abcd"), SecretString::from("abcd/ef"), SecretString::from("abc")];
        assert_eq!(scrub("x=abcd%2Fef y=abcd/ef z=abcd abc", &secrets), "x=*** y=*** z=*** abc");
    }

    #[test]
    fn secrets_are_found_in_whatever_form_a_server_says_them_back() {
        let secret = "pla nted/7+x?~";
        let secrets = [SecretString::from(secret)];
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let pair = |user: &str| STANDARD_NO_PAD.encode(format!("{user}:{secret}; and more"));
        let forms = [
            hex.to_uppercase(),
            hex,
            pair("a"),
            pair("ab"),
            pair("abc"),
            URL_SAFE_NO_PAD.encode(secret),
            "pla+nted%2F7%2Bx%3F%7E".to_owned(),
            "pla%20nted%2f7%2bx%3f%7e".to_owned(),
        ];
        for form in forms {
            let shown = scrub(&format!("got {form}"), &secrets);
            assert!(shown.contains("***") && shown.len() < form.len(), "{form}: {shown}");
        }
        assert_eq!(scrub("a longword", &[SecretString::from("long")]), "a ***word");
        assert_eq!(scrub("bG9uZw 6c6f6e67", &[SecretString::from("long")]), "bG9uZw 6c6f6e67");
    }

    #[test]
    fn a_page_links_own_token_is_a_secret() {
        let found = in_url(&Url::parse("https://api.test/?page_token=next-7&x=1").unwrap());
        assert_eq!(found.iter().map(|secret| secret.expose_secret()).collect::<Vec<_>>(), ["next-7"]);
    }
}
