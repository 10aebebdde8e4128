//! Files with keys in all the forms that tools make, read as openssl wrote them.

use std::fs;

use renkei::http::keys::{self, KeyError};
use secrecy::SecretString;

use crate::openssl::Desk;

fn pass() -> SecretString {
    "pass word".into()
}

#[test]
fn private_keys_are_read_plain_and_sealed_in_every_form_that_openssl_makes() {
    let desk = Desk::new();
    desk.key("rsa", "rsa");
    desk.key("ec", "ec");
    fs::write(desk.path("pass"), "pass word").unwrap();
    desk.openssl("rsa -in rsa.key -traditional -out rsa.pkcs1");
    desk.openssl("ec -in ec.key -out ec.sec1");
    for name in ["rsa.key", "ec.key", "rsa.pkcs1", "ec.sec1"] {
        keys::private_key(desk.text(name).as_bytes(), None).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let plain = keys::private_key(desk.text("rsa.key").as_bytes(), None).unwrap();
    for how in [
        "-v2 aes-256-cbc",
        "-v2 aes-128-cbc -v2prf hmacWithSHA1",
        "-v2 aes-192-cbc -v2prf hmacWithSHA512",
        "-v2 des3",
        "-v1 PBE-SHA1-3DES",
        "-v1 PBE-SHA1-RC2-128 -provider legacy -provider default",
        "-v1 PBE-SHA1-RC2-40 -provider legacy -provider default",
    ] {
        desk.openssl(&format!("pkcs8 -topk8 -in rsa.key -out sealed.key -passout file:pass {how}"));
        let text = desk.text("sealed.key");
        let opened = keys::private_key(text.as_bytes(), Some(&pass())).unwrap_or_else(|error| panic!("{how}: {error}"));
        assert_eq!(opened.secret_der(), plain.secret_der(), "{how}");
        assert_eq!(keys::private_key(text.as_bytes(), None).unwrap_err(), KeyError::NoPassword, "{how}");
        // A wrong password shows as bad padding; once in some hundred times as a key that makes no sense.
        let wrong = keys::private_key(text.as_bytes(), Some(&"guess".into()));
        assert!(wrong.is_err() || wrong.unwrap().secret_der() != plain.secret_der(), "{how}");
    }
}

#[test]
fn pkcs12_is_read_in_today_s_and_in_the_old_form_with_its_chain_in_order() {
    let desk = Desk::new();
    desk.authority("ca");
    desk.certificate("me", "ca", "", 10);
    fs::write(desk.path("pass"), "pass word").unwrap();
    let plain = keys::private_key(desk.text("me.key").as_bytes(), None).unwrap();
    let own = keys::certificates(desk.text("me.pem").as_bytes()).unwrap();
    for how in
        ["", "-legacy", "-keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1", "-macalg sha512 -iter 10000"]
    {
        desk.openssl(&format!(
            "pkcs12 -export -inkey me.key -in me.pem -certfile ca.pem -out me.p12 -passout file:pass {how}"
        ));
        let file = fs::read(desk.path("me.p12")).unwrap();
        let read = keys::pkcs12(&file, Some(&pass())).unwrap_or_else(|error| panic!("{how}: {error}"));
        assert_eq!(read.key.secret_der(), plain.secret_der(), "{how}");
        assert_eq!((&read.chain[0], read.chain.len()), (&own[0], 2), "{how}");
        assert_eq!(keys::pkcs12(&file, Some(&"guess".into())).err(), Some(KeyError::WrongPassword), "{how}");
        assert_eq!(keys::pkcs12(&file, None).err(), Some(KeyError::NoPassword), "{how}");
    }
    desk.openssl("pkcs12 -export -nokeys -in me.pem -out no-key.p12 -passout file:pass");
    let file = fs::read(desk.path("no-key.p12")).unwrap();
    assert_eq!(keys::pkcs12(&file, Some(&pass())).err(), Some(KeyError::Missing("private key")));
}

#[test]
fn damaged_files_are_told_from_wrong_passwords_and_never_panic() {
    let desk = Desk::new();
    desk.authority("ca");
    fs::write(desk.path("pass"), "pass word").unwrap();
    desk.openssl("pkcs12 -export -inkey ca.key -in ca.pem -out me.p12 -passout file:pass");
    desk.openssl("pkcs8 -topk8 -in ca.key -out sealed.key -passout file:pass");
    let (file, sealed) = (fs::read(desk.path("me.p12")).unwrap(), desk.text("sealed.key"));
    for at in 0..file.len() {
        let mut broken = file.clone();
        broken[at] ^= 0x55;
        // Some bytes are those of names that nobody reads.
        drop(keys::pkcs12(&broken, Some(&pass())));
        assert!(keys::pkcs12(&file[..at], Some(&pass())).is_err(), "cut at {at}");
    }
    for at in 0..sealed.len() {
        let mut broken = sealed.clone().into_bytes();
        broken[at] = b'A';
        drop(keys::private_key(&broken, Some(&pass())));
        drop(keys::private_key(&sealed.as_bytes()[..at], Some(&pass())));
    }
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let KeyError::Unsupported(why) = keys::private_key(old.as_bytes(), Some(&pass())).unwrap_err() else { panic!() };
    assert!(why.contains("old PEM"), "{why}");
    assert_eq!(keys::private_key(b"hello", None).unwrap_err(), KeyError::Missing("private key in PEM"));
    assert_eq!(keys::certificates(b"hello").unwrap_err(), KeyError::Missing("certificate in PEM"));
}

#[test]
fn a_certificate_tells_whose_it_is_and_how_long_it_holds() {
    let desk = Desk::new();
    desk.authority("ca");
    desk.certificate("over", "ca", "", -1);
    let own = keys::certificates(desk.text("over.pem").as_bytes()).unwrap();
    let dates = keys::dates(&own[0]).unwrap();
    assert_eq!(dates.subject, "CN=over");
    assert_eq!(dates.not_after.to_rfc3339(), "2021-01-01T00:00:00+00:00");
    assert!(keys::dates(b"no certificate").is_err());
}
