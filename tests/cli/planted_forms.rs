//! How a text can be written so that somebody could read it back.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// A text as it is, percent-encoded, in hex, as JSON writes it, and in base64 with anything before and behind it.
pub fn forms(text: &str) -> Vec<String> {
    let percent = |keep: &dyn Fn(u8) -> bool, small: bool| -> String {
        let one = |byte: u8| match keep(byte) {
            true => char::from(byte).to_string(),
            false if small => format!("%{byte:02x}"),
            false => format!("%{byte:02X}"),
        };
        text.bytes().map(one).collect()
    };
    let letters = |byte: u8| byte.is_ascii_alphanumeric();
    let unreserved = |byte: u8| letters(byte) || b"-._~".contains(&byte);
    let in_form = |byte: u8| letters(byte) || b"-._*".contains(&byte);
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let quoted = serde_json::to_string(text).unwrap();
    let mut forms = vec![text.to_owned(), quoted.trim_matches('"').to_owned(), hex.to_uppercase(), hex];
    for small in [false, true] {
        forms.extend([percent(&unreserved, small), percent(&in_form, small)]);
    }
    for before in 0..3 {
        let bytes = [&[0_u8; 2][..before], text.as_bytes()].concat();
        let (from, until) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        forms.push(STANDARD_NO_PAD.encode(&bytes)[from..until].to_owned());
        forms.push(URL_SAFE_NO_PAD.encode(&bytes)[from..until].to_owned());
    }
    forms.sort();
    forms.dedup();
    forms
}

#[test]
fn a_text_is_found_in_each_of_its_forms() {
    let forms = forms("planted/7+x=q");
    for written in [
        "{\"a\":\"planted/7+x=q\"}",
        "?k=planted%2F7%2Bx%3Dq&",
        "?k=planted%2f7%2bx%3dq",
        "706c616e7465642f372b783d71",
        "bWU6cGxhbnRlZC83K3g9cQ==",
        "eHg6cGxhbnRlZC83K3g9cTp5",
        "eDpwbGFudGVkLzcreD1x",
    ] {
        assert!(forms.iter().any(|form| written.contains(form)), "{written}");
    }
    assert!(!forms.iter().any(|form| "planter, painted".contains(form)));
}
