//! `renkei doctor` over TLS: certificates of servers and our own, good and bad. They are made anew by openssl.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    thread,
};

use chrono::TimeDelta;
use renkei::model::{Clock, SystemClock};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::{
    doctor::{json, line, states},
    harness::Ran,
    openssl,
    vendor::{Desk, Vendor, answer},
};

/// Serves an empty list over TLS with this certificate. With `wants`, only to clients with a certificate of `ca`.
fn serve(keys: &openssl::Desk, certificate: &str, wants: bool) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_file(keys.path(&format!("{certificate}.pem"))).unwrap()];
    let key = PrivateKeyDer::from_pem_file(keys.path(&format!("{certificate}.key"))).unwrap();
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match wants {
        false => builder.with_no_client_auth(),
        true => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(keys.path("ca.pem")).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The threads end with the process.
    thread::spawn(move || {
        for socket in listener.incoming() {
            let config = config.clone();
            thread::spawn(move || {
                let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), socket.unwrap());
                let mut head = [0; 4096];
                // A client that does not like the certificate hangs up here, and so do we on one without ours.
                let Ok(read) = tls.read(&mut head) else { return };
                let body = if head[..read].starts_with(b"HEAD") { "" } else { r#"{"data":[]}"# };
                let date = httpdate::fmt_http_date(SystemClock.now().into());
                let _ = tls.write_all(&answer(&format!("200 OK\r\ndate: {date}"), body));
                tls.conn.send_close_notify();
                let _ = tls.flush();
            });
        }
    });
    port
}

/// Keys, and a server's certificate that holds for so many more days out of a hundred.
fn keys(days: i64) -> openssl::Desk {
    let keys = openssl::Desk::new();
    keys.authority("ca");
    keys.certificate("server", "ca", "subjectAltName=IP:127.0.0.1", 30);
    let time = |days: i64| (SystemClock.now() + TimeDelta::days(days)).format("%Y%m%d%H%M%SZ").to_string();
    std::fs::write(keys.path("server.ext"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    // The authority's own life does not matter to whoever checks; the server's does.
    keys.certificate_of_key("server", "ca", "subjectAltName=IP:127.0.0.1", -1);
    keys.dated("server", "ca", &time(days - 100), &time(days));
    keys
}

fn desk(keys: &openssl::Desk, url: &str, lines: &str) -> Desk {
    let vendor = Vendor::new(|_| answer("200 OK", "{}"));
    let desk = Desk::to_files(&vendor, "people");
    let ca = keys.path("ca.pem").display().to_string();
    desk.edit("renkei.yaml", &vendor.url, &format!("{url}\n    ca: {ca}\n{lines}"));
    desk
}

fn examined(keys: &openssl::Desk, certificate: &str) -> Ran {
    let port = serve(keys, certificate, false);
    json(&desk(keys, &format!("https://127.0.0.1:{port}"), ""), "vendor")
}

#[test]
fn a_good_certificate_shows_its_end_and_one_that_ends_soon_is_a_warning() {
    for (days, state) in [(50, "ok"), (3, "warning")] {
        let ran = examined(&keys(days), "server");
        assert_eq!(ran.code, 0, "{}", ran.transcript());
        let tls = line(&ran, "tls");
        assert_eq!(tls["state"], state, "{tls}");
        let left = tls["facts"]["days_left"].as_i64().unwrap();
        assert!((days - 1..=days).contains(&left) && tls["facts"]["subject"] == "CN=server", "{tls}");
        assert_eq!(tls["help"].is_string(), state == "warning");
        assert_eq!(line(&ran, "read")["state"], "ok");
    }
}

#[test]
fn a_certificate_that_is_over_or_of_another_name_or_authority_fails_and_nothing_is_read() {
    let over = keys(-5);
    let name = keys(50);
    name.certificate("elsewhere", "ca", "subjectAltName=DNS:elsewhere.test", 30);
    let authority = keys(50);
    authority.authority("other");
    authority.certificate("stranger", "other", "subjectAltName=IP:127.0.0.1", 30);
    for (keys, certificate, words) in [
        (&over, "server", "the server's certificate expired at 20"),
        (&name, "elsewhere", "not valid for name"),
        (&authority, "stranger", "UnknownIssuer"),
    ] {
        let ran = examined(keys, certificate);
        assert_eq!(ran.code, 5, "{}", ran.transcript());
        assert_eq!(
            states(&ran),
            "dns ok, connect ok, tls failed, clock not_tried, sign_in ok, read not_tried, quota not_tried"
        );
        let tls = line(&ran, "tls");
        assert!(tls["code"] == "RK0202" && tls["seen"].as_str().unwrap().contains(words), "{tls}");
        assert!(tls["help"].as_str().unwrap().contains("`ca:`"), "{tls}");
    }
}

#[test]
fn our_own_certificate_is_looked_at_and_a_server_that_wants_one_is_understood() {
    let keys = keys(50);
    keys.authority("other");
    keys.certificate("me", "ca", "", 20);
    keys.certificate("over", "ca", "", -1);
    keys.certificate("unknown", "other", "", 90);
    keys.openssl("pkcs8 -topk8 -in me.key -out sealed.key -passout pass:hush");
    let port = serve(&keys, "server", true);
    let pem = |certificate: &str, key: &str, more: &str| {
        let file = |name: &str| keys.path(name).display().to_string();
        let files = format!("{{ certificate: {}, key: {} }}", file(&format!("{certificate}.pem")), file(key));
        format!("    client_certificate: {{ pem: {files}{more} }}\n")
    };
    for (lines, state, code, words) in [
        (pem("me", "me.key", ", warn_before: 7d"), "ok", None, "CN=me holds until"),
        (pem("me", "me.key", ", warn_before: 30d"), "warning", None, "CN=me holds until"),
        (pem("over", "over.key", ""), "failed", Some("RK0214"), "CN=over ended at 2021-01-01"),
        (pem("unknown", "unknown.key", ""), "failed", Some("RK0215"), "UnknownCA; CN=unknown holds until"),
        (pem("me", "sealed.key", ""), "failed", Some("RK0214"), "sealed with a password"),
        (String::new(), "failed", Some("RK0215"), "CertificateRequired"),
    ] {
        let ran = json(&desk(&keys, &format!("https://127.0.0.1:{port}"), &lines), "vendor");
        let own = line(&ran, "client_certificate");
        assert_eq!((own["state"].as_str(), own["code"].as_str()), (Some(state), code), "{lines}: {own}");
        assert!(own["seen"].as_str().unwrap().contains(words), "{own}");
        assert_eq!(ran.code, if code.is_some() { 4 } else { 0 }, "{}", ran.transcript());
        assert_eq!(line(&ran, "read")["state"], if code.is_some() { "not_tried" } else { "ok" });
        assert_eq!(own.get("help").is_some(), state != "ok");
    }
}
