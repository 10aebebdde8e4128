//! What comes over the wire and cannot be used: each is one clear coded block with its exit code, and nothing is lost: as
//! soon as the vendor is well, the next run brings everything.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    sync::Arc,
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{
    harness::Ran,
    vendor::{Asked, Desk, Vendor, answer, people},
};

/// The one block of an error on stderr, complete and of this code.
fn expect(ran: &Ran, exit: i32, code: &str, words: &str) {
    let about = ran.transcript();
    assert_eq!(ran.code, exit, "{about}");
    assert_eq!(ran.stderr.matches("error[").count(), 1, "{about}");
    let block = &ran.stderr[ran.stderr.find("error[").unwrap()..];
    assert!(block.starts_with(&format!("error[{code}]: ")), "{about}");
    assert!(block.contains(words), "no `{words}` in {about}");
    for part in ["\n  --> ", "\n  = help: ", &format!("\n  = more: renkei explain {code}\n")] {
        assert!(block.contains(part), "no {part} in {about}");
    }
}

const RUN: [&str; 3] = ["run", "--log-level", "off"];

/// A run against a vendor that answers `bad`, and one against the same vendor when it is well.
fn refused_then_mended(
    stream: &str,
    bad: impl Fn(&Asked) -> Vec<u8> + Send + 'static,
    exit: i32,
    code: &str,
    words: &str,
) {
    let vendor = Vendor::new(bad);
    let desk = Desk::to_files(&vendor, stream);
    expect(&desk.renkei(&RUN), exit, code, words);
    assert_eq!(desk.lines(), Vec::<String>::new(), "{code}: no part of a bad answer is used");
    vendor.mend(|_| answer("200 OK", &people(0..3)));
    let mended = desk.renkei(&RUN);
    assert_eq!((mended.code, desk.lines().len()), (0, 3), "{code}: {}", mended.transcript());
}

#[test]
fn an_answer_with_a_bad_status_is_told_by_whose_move_it_is() {
    for (status, exit, code, words) in [
        ("401 Unauthorized", 4, "RK0601", "(401): who are you"),
        ("403 Forbidden", 4, "RK0602", "(403): who are you"),
        ("404 Not Found", 5, "RK0212", "(404): who are you"),
        ("500 Internal Server Error", 5, "RK0210", "(after 2 attempts)"),
    ] {
        let bad = move |_: &Asked| answer(status, r#"{"message":"who are you"}"#);
        refused_then_mended("people", bad, exit, code, words);
    }
}

#[test]
fn a_page_of_html_is_no_list_of_records() {
    let html =
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<!doctype html><title>Sign in</title>";
    refused_then_mended("people", move |_| html.into(), 5, "RK0301", "the answer is no JSON but text/html");
}

#[test]
fn an_answer_that_ends_early_is_not_used() {
    let cut = |_: &Asked| {
        let mut whole = answer("200 OK", &people(0..50));
        whole.truncate(whole.len() - 20);
        whole
    };
    refused_then_mended("people", cut, 5, "RK0205", "ended before its body was whole");
}

#[test]
fn a_page_of_65_mib_is_over_the_limit_whether_or_not_it_says_so_before() {
    for announced in [true, false] {
        let huge = move |_: &Asked| {
            let body = format!(r#"{{"data":[{{"id":1,"text":"{}"}}]}}"#, "x".repeat(65 << 20));
            let length = if announced { format!("content-length: {}\r\n", body.len()) } else { String::new() };
            format!("HTTP/1.1 200 OK\r\n{length}connection: close\r\n\r\n{body}").into_bytes()
        };
        refused_then_mended("people", huge, 3, "RK0206", "larger than this connection allows");
    }
}

#[test]
fn a_page_token_that_repeats_ends_the_listing_with_an_error_and_not_never() {
    let stuck = |_: &Asked| answer("200 OK", r#"{"data":[],"next":"same"}"#);
    refused_then_mended("paged", stuck, 5, "RK0303", "the page that follows is the page that was asked for");
}

#[test]
fn a_server_whose_certificate_nobody_vouches_for_is_not_spoken_to() {
    let vendor = Vendor::new(|_| answer("200 OK", &people(0..3)));
    let desk = Desk::to_files(&vendor, "people");
    desk.edit("renkei.yaml", &vendor.url, &format!("https://127.0.0.1:{}", tls_port()));
    expect(&desk.renkei(&RUN), 5, "RK0202", "UnknownIssuer");
    let of_the_house = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/request_path/tls/ca.pem");
    desk.edit(
        "renkei.yaml",
        "    connector: vendor\n",
        &format!("    connector: vendor\n    ca: {}\n", of_the_house.display()),
    );
    let trusted = desk.renkei(&RUN);
    assert_eq!((trusted.code, desk.lines().len()), (0, 3), "{}", trusted.transcript());
}

/// Serves the people over TLS with a certificate of our own authority.
fn tls_port() -> u16 {
    let file = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/request_path/tls").join(name);
    let certificate = CertificateDer::from_pem_file(file("good.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("good.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), socket.unwrap());
            // A client that does not like the certificate hangs up here.
            if tls.read(&mut [0; 4096]).is_ok() {
                let _ = tls.write_all(&answer("200 OK", &people(0..3)));
            }
        }
    });
    port
}

/// Dead letters as `code key`, with the exit code of the run that left them.
fn letters_of(stream: &str, body: &'static str) -> (i32, usize, Vec<String>) {
    let vendor = Vendor::new(move |_| answer("200 OK", body));
    let desk = Desk::to_files(&vendor, stream);
    let ran = desk.renkei(&["run", "--log-level", "off", "--output", "json"]);
    let counts = ran.json()["runs"][0]["counts"].clone();
    let letters = desk.renkei(&["dead-letters", "list", "--output", "json"]).json();
    let letters: Vec<String> =
        letters.as_array().unwrap().iter().map(|l| format!("{} {}", l["reason"]["code"], l["key"])).collect();
    assert_eq!(counts["rejected"], letters.len());
    assert_eq!(counts["read"], desk.lines().len() + letters.len(), "every record has its verdict");
    (ran.code, desk.lines().len(), letters)
}

#[test]
fn a_record_without_its_key_is_a_dead_letter_and_the_others_go_on() {
    let body = r#"{"data":[{"id":1},{"name":"no key"},{"id":2}]}"#;
    assert_eq!(letters_of("people", body), (1, 2, vec![r#""RK0306" null"#.to_owned()]));
}

#[test]
fn a_cursor_field_that_is_missing_or_cannot_be_read_is_a_dead_letter_and_the_others_go_on() {
    let body = r#"{"data":[{"id":1,"at":"2026-01-01T00:00:00Z"},{"id":2},{"id":3,"at":"yesterday"}]}"#;
    let (exit, written, mut letters) = letters_of("changed", body);
    letters.sort();
    assert_eq!((exit, written), (1, 1));
    assert_eq!(letters, [r#""RK0307" "2""#, r#""RK0307" "3""#]);
}

#[test]
fn a_sink_that_answers_for_fewer_records_than_were_sent_decides_nothing() {
    let answered_for = |count: usize| {
        move |asked: &Asked| {
            if asked.line.starts_with("GET") {
                return answer("200 OK", &people(0..3));
            }
            let sent: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
            let done: Vec<_> = sent["inputs"].as_array().unwrap().iter().take(count).cloned().collect();
            answer("200 OK", &serde_json::json!({ "done": done }).to_string())
        }
    };
    let vendor = Vendor::new(answered_for(2));
    let desk = Desk::new(&vendor, "people", "{ connection: vendor, operation: put_people }");
    expect(&desk.renkei(&RUN), 5, "RK0402", "was sent 3 records, and its answer speaks of 2");
    let standing = desk.renkei(&["status", "--output", "json"]).json();
    assert_eq!(standing[0]["staged"], 1, "the batch waits: {standing}");

    vendor.mend(answered_for(3));
    let mended = desk.renkei(&["run", "--output", "json"]);
    let counts = &mended.json()["runs"][0]["counts"];
    assert_eq!((mended.code, &counts["resumed"], &counts["updated"]), (0, &3.into(), &3.into()), "{counts}");
}

#[test]
fn credentials_that_are_refused_after_signing_in_again_need_a_person() {
    let signed_in = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let serve = |good: bool| {
        let signed_in = signed_in.clone();
        move |asked: &Asked| {
            if asked.line == "POST /token" {
                let number = signed_in.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                return answer(
                    "200 OK",
                    &format!(r#"{{"access_token":"t{number}","token_type":"bearer","expires_in":3600}}"#),
                );
            }
            match good {
                true => answer("200 OK", &people(0..3)),
                false => answer("401 Unauthorized", r#"{"message":"the token was revoked"}"#),
            }
        }
    };
    let vendor = Vendor::new(serve(false));
    let desk = Desk::to_files(&vendor, "people");
    let auth = "    connector: vendor\n    auth: { oauth2: { grant: { client_credentials: {} }, token_url: /token, client_id: me, client_secret: \"${SECRET:-s3cret}\" } }\n";
    desk.edit("renkei.yaml", "    connector: vendor\n", auth);
    let ran = desk.renkei(&RUN);
    expect(&ran, 4, "RK0601", "(401): the token was revoked");
    assert_eq!(signed_in.load(std::sync::atomic::Ordering::Relaxed), 2, "it signed in again, once");
    assert!(!ran.transcript().contains("s3cret"));

    vendor.mend(serve(true));
    let mended = desk.renkei(&RUN);
    assert_eq!((mended.code, desk.lines().len()), (0, 3), "{}", mended.transcript());
}
