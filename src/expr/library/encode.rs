//! Filters that write a text in another alphabet.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use minijinja::{Environment, value::Value};
use sha2::{Digest, Sha256};

use super::{Result, bounded, no_value, text_of, trouble};

pub const FILTERS: &[&str] = &["url_encode", "base64", "base64_decode", "sha256"];

pub fn add(language: &mut Environment<'static>) {
    language.add_filter("url_encode", |value: &Value| map(value, |text| Ok(crate::expr::encode_segment(text))));
    language.add_filter("base64", |value: &Value| map(value, |text| Ok(STANDARD.encode(text))));
    language.add_filter("base64_decode", |value: &Value| map(value, decode));
    language.add_filter("sha256", |value: &Value| {
        map(value, |text| Ok(Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()))
    });
}

fn map(value: &Value, write: impl Fn(&str) -> Result<String>) -> Result {
    if no_value(value) { Ok(value.clone()) } else { bounded(write(&text_of(value)?)?) }
}

/// Reads both alphabets, with and without padding.
fn decode(text: &str) -> Result<String> {
    let bytes =
        [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD].iter().find_map(|read| read.decode(text).ok());
    let bytes = bytes.ok_or_else(|| trouble("the text is not base64"))?;
    String::from_utf8(bytes).map_err(|_| trouble("the decoded bytes are no UTF-8 text"))
}
