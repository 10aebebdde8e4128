//! URLs, certificates and passwords.

use std::process::Command;

use renkei::{
    database::mysql::{Access, Session},
    model::{Code, Fault},
    sink::look_at_server,
};

use super::{Server, ca};
use crate::rig::write;

/// The cipher of a session: nothing where there is none.
async fn cipher(url: &str, ca: Option<&std::path::Path>) -> Result<Option<String>, Fault> {
    look_at_server(&url.to_owned().into(), ca).await.map(|server| server.tls)
}

#[tokio::test]
async fn each_ssl_mode_checks_what_mysql_says_it_checks() {
    let Some(db) = Server::new("tls").await else { return };
    let (ca, by_name) = (ca(), db.url.replace("127.0.0.1", "localhost"));
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.pem");
    std::fs::write(&other, OTHER_CA).unwrap();
    // The certificate is for the name `localhost`, and not for the address.
    let modes = [
        ("DISABLED", None, Ok(false), Ok(false)),
        ("PREFERRED", None, Ok(true), Ok(true)),
        ("REQUIRED", None, Ok(true), Ok(true)),
        ("VERIFY_CA", Some(&ca), Ok(true), Ok(true)),
        ("verify_ca", Some(&other), Err(Code::Tls), Err(Code::Tls)),
        ("VERIFY_IDENTITY", Some(&ca), Err(Code::Tls), Ok(true)),
        ("verify_identity", Some(&other), Err(Code::Tls), Err(Code::Tls)),
        ("VERIFY_CA", None, Err(Code::Tls), Err(Code::Tls)),
    ];
    for (mode, ca, by_address, named) in modes {
        for (url, wanted) in [(&db.url, by_address), (&by_name, named)] {
            let found = cipher(&format!("{url}?ssl-mode={mode}"), ca.map(|ca| ca.as_path())).await;
            let found = found.map(|cipher| cipher.is_some()).map_err(|fault| fault.code);
            assert_eq!(found, wanted, "{mode} {}", url == &by_name);
        }
    }
    assert_eq!(cipher(&db.url, None).await.map(|cipher| cipher.is_some()), Ok(true), "the default is PREFERRED");
}

/// A server that greets without an offer of TLS.
#[tokio::test]
async fn without_tls_at_the_server_only_preferred_goes_on_in_the_clear() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = tokio::spawn(async move {
        let mut asked = Vec::new();
        for _ in 0..3 {
            let (mut socket, _) = listener.accept().await.unwrap();
            // Protocol 10, a version, and capabilities without CLIENT_SSL (0x0800).
            let mut greeting = b"\x0a8.4.0\x00\x01\x00\x00\x0012345678\x00\xff\xf7\x2d\x02\0\xff\xc1\x15".to_vec();
            greeting.extend([0; 10]);
            greeting.extend(b"123456789012\0mysql_native_password\0");
            let length = (greeting.len() as u32).to_le_bytes();
            socket.write_all(&[&length[..3], &[0], &greeting].concat()).await.unwrap();
            let mut answer = vec![0; 4096];
            let read = socket.read(&mut answer).await.unwrap_or(0);
            asked.push(answer[..read].windows(5).any(|part| part == b"\0ann\0"));
        }
        asked
    });
    let url = format!("mysql://ann:hunter2@127.0.0.1:{port}/x");
    let required = cipher(&format!("{url}?ssl-mode=REQUIRED"), None).await.unwrap_err();
    assert_eq!(required.code, Code::Tls);
    assert!(required.message.contains("offers no TLS"), "{}", required.message);
    let preferred = cipher(&url, None).await.unwrap_err();
    assert_eq!(preferred.code, Code::Unreachable, "{preferred:?}");
    // REQUIRED did not sign in, the first try of PREFERRED neither, and the second one did.
    assert_eq!(served.await.unwrap(), [false, false, true]);
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why_without_the_password() {
    let Some(db) = Server::new("signin").await else { return };
    let secret = "hunter2-and-more";
    let wrong = db.url.replace("renkei-test", secret);
    let fault = Session::open(&wrong.clone().into(), None, Access::Read).await.unwrap_err();
    assert_eq!((fault.code, fault.exit_code()), (Code::Unauthorized, 4));
    let missing = format!("{}_nope", db.url);
    let fault = Session::open(&missing.into(), None, Access::Read).await.unwrap_err();
    assert!(fault.help.contains("Create the database"), "{fault:?}");
    let closed = "mysql://me:hunter2-and-more@127.0.0.1:1/x".to_owned();
    let fault = Session::open(&closed.into(), None, Access::Read).await.unwrap_err();
    assert_eq!((fault.code, fault.exit_code()), (Code::Unreachable, 5), "{fault:?}");

    let folder = tempfile::tempdir().unwrap();
    let connection = "version: 1\nconnections:\n  db: { mysql: { url: \"${PGURL}\" } }\n";
    write(folder.path(), "renkei.yaml", connection);
    write(
        folder.path(),
        "pipelines/p.yaml",
        "version: 1\nfrom: { connection: db, table: t, key: id }\nto: { connection: db, table: copy, key: id }\n",
    );
    let ran = |arguments: &[&str], url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_renkei"));
        let ran = command.args(arguments).current_dir(folder.path()).env("PGURL", url).output().unwrap();
        let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        // Without the ends of lines, which depend on the width.
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!said.contains(secret) && !said.contains("renkei-test"), "{said}");
        (ran.status.code(), said)
    };
    let (code, said) = ran(&["run", "p"], &wrong);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("Access denied"), "{said}");
    let (code, said) = ran(&["doctor", "db"], &wrong);
    assert_eq!(code, Some(4), "{said}");
    let (code, said) = ran(&["doctor", "db"], &db.url);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("renkei_checkpoints is made by the first run that writes"), "{said}");
    let (code, said) = ran(&["connectors"], &db.url);
    assert!(code == Some(0) && said.contains("mysql (built in)"), "{said}");
}

/// A certificate that signed nothing here, good until 2126.
const OTHER_CA: &str = "\
    -----BEGIN CERTIFICATE-----\n\
    MIIBgjCCASegAwIBAgIUNN0M7qOv1d9YtJ6Lj+6E6HnC9pYwCgYIKoZIzj0EAwIw\n\
    FTETMBEGA1UEAwwKYW5vdGhlciBjYTAgFw0yNjExMzAxMTQ3NTNaGA8yMTI2MTEw\n\
    NjExNDc1M1owFTETMBEGA1UEAwwKYW5vdGhlciBjYTBZMBMGByqGSM49AgEGCCqG\n\
    SM49AwEHA0IABE4I/OixcOd4yuMnK0PkodlJ6ZxHZQ8VNtmTGfosqfvgZ6uHOkuX\n\
    ZaU7sofbArcK2vYsmFrSScLpUc7f4FnDQRyjUzBRMB0GA1UdDgQWBBTt9SAx+YkE\n\
    SNxII3ie0SuRIpEcHzAfBgNVHSMEGDAWgBTt9SAx+YkESNxII3ie0SuRIpEcHzAP\n\
    BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQCoYfgEilx0Nou1X3Ni\n\
    L+huiNDH9VJNTQqhlBjrzuGGFwIhAIxYrdcwTP4pvq3R/4/SiK28F18w/lSGW3Av\n\
    NmUObLYl\n\
    -----END CERTIFICATE-----\n";
