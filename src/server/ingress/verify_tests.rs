use http::HeaderValue;

use super::*;

const BODY: &[u8] = br#"{"id": 1}"#;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    let one =
        |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    all.iter().map(one).collect()
}

fn sign(secret: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn secrets(all: &[&[u8]]) -> Vec<SecretSlice<u8>> {
    all.iter().map(|secret| secret.to_vec().into()).collect()
}

fn webhooks(all: &[&[u8]]) -> Callers {
    Callers::StandardWebhooks(StandardWebhooks { secrets: secrets(all), tolerance: Duration::from_secs(300) })
}

fn hooked(id: &str, at: i64, signatures: &str) -> HeaderMap {
    let at = at.to_string();
    headers(&[("webhook-id", id), ("webhook-timestamp", &at), ("webhook-signature", signatures)])
}

fn v1(secret: &[u8], id: &str, at: i64, body: &[u8]) -> String {
    let text = format!("{id}.{at}.{}", std::str::from_utf8(body).unwrap());
    format!("v1,{}", STANDARD.encode(sign(secret, &text)))
}

#[test]
fn the_example_of_the_standard_webhooks_specification_is_accepted() {
    // The example of its reference libraries: secret, id, time, body and signature.
    let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let body = br#"{"test": 2432232314}"#;
    let given =
        hooked("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    let then = DateTime::from_timestamp(1_614_265_330, 0).unwrap();
    let known = verify(&webhooks(&[&secret]), &given, body, then).unwrap();
    assert_eq!(known.message.as_deref(), Some("msg_p5jXN8AQM9LWM0D4loKWxJek"));
}

#[test]
fn a_webhook_is_known_by_any_of_its_signatures_and_any_of_our_secrets() {
    let (old, new) = (b"old secret".as_slice(), b"new secret".as_slice());
    let at = now().timestamp();
    let both = format!("v1,bm9uZQ== v1a,xyz {} {}", v1(old, "msg_1", at, BODY), v1(new, "msg_1", at, BODY));
    for known in [&[old][..], &[new], &[b"another".as_slice(), new]] {
        assert!(verify(&webhooks(known), &hooked("msg_1", at, &both), BODY, now()).is_ok());
    }
    let other = verify(&webhooks(&[b"another".as_slice()]), &hooked("msg_1", at, &both), BODY, now());
    assert_eq!(other, Err(Refused::Unknown));
}

#[test]
fn a_signature_is_of_one_id_one_time_and_the_body_byte_for_byte() {
    let secret = b"secret".as_slice();
    let at = now().timestamp();
    let good = v1(secret, "msg_1", at, BODY);
    let try_it = |id: &str, at: i64, body: &[u8]| verify(&webhooks(&[secret]), &hooked(id, at, &good), body, now());
    assert!(try_it("msg_1", at, BODY).is_ok());
    assert_eq!(try_it("msg_2", at, BODY), Err(Refused::Unknown));
    assert_eq!(try_it("msg_1", at + 1, BODY), Err(Refused::Unknown));
    assert_eq!(try_it("msg_1", at, br#"{"id":1}"#), Err(Refused::Unknown), "the same JSON is not the same body");
    for (age, expected) in [(300, None), (301, Some(Refused::Elsewhen)), (-300, None), (-301, Some(Refused::Elsewhen))]
    {
        let then = at - age;
        let given = hooked("msg_1", then, &v1(secret, "msg_1", then, BODY));
        assert_eq!(verify(&webhooks(&[secret]), &given, BODY, now()).err(), expected, "{age} s");
    }
    let twice = {
        let mut twice = hooked("msg_1", at, &good);
        twice.append("webhook-id", HeaderValue::from_static("msg_2"));
        twice
    };
    assert_eq!(verify(&webhooks(&[secret]), &twice, BODY, now()), Err(Refused::Unknown), "a header that stands twice");
}

fn vendor(header: &'static str) -> Signed {
    Signed {
        header: HeaderName::from_static(header),
        secrets: secrets(&[b"It's a Secret to Everybody"]),
        hash: Hash::Sha256,
        encoding: Encoding::Hex,
        prefix: String::new(),
        element: None,
        signed: vec![SignedPart::Body],
        timestamp: None,
        tolerance: Duration::from_secs(300),
    }
}

#[test]
fn the_example_of_githubs_documentation_is_accepted() {
    let plan = Signed { prefix: "sha256=".to_owned(), ..vendor("x-hub-signature-256") };
    let callers = Callers::Signed(Box::new(plan));
    let digits = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let try_it = |value: &str, body: &[u8]| verify(&callers, &headers(&[("x-hub-signature-256", value)]), body, now());
    assert!(try_it(&format!("sha256={digits}"), b"Hello, World!").is_ok());
    for (value, body) in
        [(format!("sha256={digits}"), "Hello, World?"), (digits.to_owned(), "Hello, World!"), (String::new(), "")]
    {
        assert_eq!(try_it(&value, body.as_bytes()), Err(Refused::Unknown), "{value} {body}");
    }
}

#[test]
fn a_header_that_is_a_list_holds_the_time_and_several_signatures() {
    let plan = Signed {
        element: Some("v1".to_owned()),
        signed: vec![SignedPart::Timestamp, SignedPart::Text(".".to_owned()), SignedPart::Body],
        timestamp: Some(TimestampAt::Element("t".to_owned())),
        ..vendor("stripe-signature")
    };
    let callers = Callers::Signed(Box::new(plan));
    let given = |at: i64| {
        let good = hex(&sign(b"It's a Secret to Everybody", &format!("{at}.{{\"id\": 1}}")));
        headers(&[("stripe-signature", &format!("t={at},v1=00ff,v1={good},v0=abc"))])
    };
    let at = now().timestamp();
    assert!(verify(&callers, &given(at), BODY, now()).is_ok());
    assert_eq!(verify(&callers, &given(at - 400), BODY, now()), Err(Refused::Elsewhen));
    let later = headers(&[(
        "stripe-signature",
        &given(at - 400)["stripe-signature"].to_str().unwrap().replace(&(at - 400).to_string(), &at.to_string()),
    )]);
    assert_eq!(verify(&callers, &later, BODY, now()), Err(Refused::Unknown), "another time under an old signature");
}

#[test]
fn tokens_and_keys_are_known_whole_or_not_at_all() {
    let tokens: Vec<SecretString> = vec!["first token".into(), "second token".into()];
    let bearer = Callers::Bearer(tokens.clone());
    for (value, is_known) in [
        ("Bearer second token", true),
        ("bearer first token", true),
        ("Bearer second toke", false),
        ("Basic second token", false),
        ("Bearer ", false),
    ] {
        let known = verify(&bearer, &headers(&[("authorization", value)]), BODY, now());
        assert_eq!(known.is_ok(), is_known, "{value}");
    }
    assert!(verify(&bearer, &HeaderMap::new(), BODY, now()).is_err());
    let key = Callers::ApiKey { header: HeaderName::from_static("x-api-key"), values: tokens };
    assert!(verify(&key, &headers(&[("x-api-key", "first token")]), BODY, now()).is_ok());
    assert!(verify(&key, &headers(&[("authorization", "first token")]), BODY, now()).is_err());
}
