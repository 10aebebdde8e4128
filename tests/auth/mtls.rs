//! Client certificates over real sockets: what a server accepts, each way in which it does not, and certificates that are
//! replaced while calls go on. The servers are rustls, and nginx where it is installed.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use http::Method;
use renkei::{
    auth::{self, Account, Ground},
    config::plan::Api,
    http::Call,
    model::{Code, Disposition, Fault, SystemClock},
    store::Memory,
};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::{
    openssl::{Desk, replace},
    secrets::Log,
    wire::{PausedClock, customers, ground},
    yaml,
};

/// A server that wants a certificate of the authority `ca`, and what it saw.
struct Server {
    port: u16,
    /// The certificate of each connection that was let in.
    let_in: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Requests that reached the application.
    requests: Arc<AtomicUsize>,
    attempts: Arc<AtomicUsize>,
}

impl Server {
    fn start(desk: &Desk, certificate: &str, versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(desk.path("ca.pem")).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let chain = vec![CertificateDer::from_pem_file(desk.path(&format!("{certificate}.pem"))).unwrap()];
        let key = PrivateKeyDer::from_pem_file(desk.path(&format!("{certificate}.key"))).unwrap();
        let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let config = Arc::new(config.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            let_in: Arc::default(),
            requests: Arc::default(),
            attempts: Arc::default(),
        };
        let (let_in, requests, attempts) = (server.let_in.clone(), server.requests.clone(), server.attempts.clone());
        // The threads end with the process.
        thread::spawn(move || {
            for socket in listener.incoming() {
                attempts.fetch_add(1, Relaxed);
                let (config, let_in, requests) = (config.clone(), let_in.clone(), requests.clone());
                thread::spawn(move || {
                    let tls = StreamOwned::new(ServerConnection::new(config).unwrap(), socket.unwrap());
                    serve(tls, &let_in, &requests);
                });
            }
        });
        server
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }
}

type Tls = StreamOwned<ServerConnection, std::net::TcpStream>;

/// Answers the requests of one connection until it ends.
fn serve(tls: Tls, let_in: &Mutex<Vec<Vec<u8>>>, requests: &AtomicUsize) {
    let mut reader = BufReader::new(tls);
    for number in 0.. {
        let mut length = 0;
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(read) if read > 0 => {}
                // A client that is not let in ends here.
                _ => return,
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        std::io::copy(&mut std::io::Read::take(&mut reader, length), &mut std::io::sink()).unwrap();
        requests.fetch_add(1, Relaxed);
        let tls = reader.get_mut();
        if number == 0 {
            let certificate = tls.conn.peer_certificates().unwrap()[0].to_vec();
            let_in.lock().unwrap().push(certificate);
        }
        let body = r#"{"access_token":"abc","token_type":"bearer","data":[]}"#;
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        if tls.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

/// Authorities and certificates: `server` for us, `me` for the client, and bad ones of each.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.authority("ca");
    desk.authority("other-ca");
    desk.certificate("server", "ca", "subjectAltName=IP:127.0.0.1,DNS:localhost", 30);
    desk.certificate("server-over", "ca", "subjectAltName=IP:127.0.0.1", -1);
    desk.certificate("server-name", "ca", "subjectAltName=DNS:elsewhere.test", 30);
    desk.certificate("me", "ca", "", 30);
    desk.certificate("me-over", "ca", "", -1);
    desk.certificate("me-unknown", "other-ca", "", 30);
    desk.openssl("pkcs8 -topk8 -in me.key -out me-sealed.key -passout pass:hush");
    desk.openssl("pkcs12 -export -inkey me.key -in me.pem -certfile ca.pem -out me.p12 -passout pass:hush");
    desk
}

/// A connection that trusts `ca`, with these lines of YAML.
fn connection(desk: &Desk, url: &str, lines: &str) -> Arc<Api> {
    let lines = format!("base_url: {url}\nca: ca.pem\n{lines}");
    yaml::load(desk.0.path(), "", &lines, &[("HUSH", "hush"), ("WRONG", "guess")])
}

fn system() -> Ground {
    Ground { clock: Arc::new(SystemClock), ..ground(Memory::new(), PausedClock::new(Default::default()), 7) }
}

/// A write that must not be sent twice.
async fn write(api: &Api) -> Result<(), Fault> {
    let url = api.base_url.as_str().trim_end_matches('/');
    let create = Call { method: Method::POST, body: "{}".into(), repeatable: false, ..customers(url) };
    auth::client(api, &system()).unwrap().execute(&create).await?.accepted().map(drop)
}

const VERSIONS: [&[&rustls::SupportedProtocolVersion]; 2] = [&[&rustls::version::TLS13], &[&rustls::version::TLS12]];

#[tokio::test]
async fn good_certificates_are_shown_in_each_form_that_files_have() {
    let desk = desk();
    fs::write(desk.path("both.pem"), desk.text("me.pem") + &desk.text("me.key")).unwrap();
    for versions in VERSIONS {
        let server = Server::start(&desk, "server", versions);
        for lines in [
            "client_certificate: { pem: { certificate: me.pem, key: me.key } }",
            "client_certificate: { pem: { certificate: both.pem } }",
            "client_certificate: { pem: { certificate: me.pem, key: me-sealed.key, password: \"${HUSH}\" } }",
            "client_certificate: { pkcs12: { file: me.p12, password: \"${HUSH}\" } }",
        ] {
            for host in ["127.0.0.1", "localhost"] {
                let api = connection(&desk, &server.url(host), lines);
                write(&api).await.unwrap_or_else(|fault| panic!("{lines}: {fault}"));
            }
        }
        let own = CertificateDer::from_pem_file(desk.path("me.pem")).unwrap();
        assert!(server.let_in.lock().unwrap().iter().all(|certificate| *certificate == *own));
    }
}

#[tokio::test]
async fn a_server_that_does_not_accept_the_certificate_is_asked_once_and_nothing_is_written() {
    let desk = desk();
    for versions in VERSIONS {
        for (lines, words) in [
            ("client_certificate: { pem: { certificate: me-unknown.pem, key: me-unknown.key } }", "UnknownCA"),
            ("client_certificate: { pem: { certificate: me-over.pem, key: me-over.key } }", "CertificateExpired"),
            ("", "CertificateRequired"),
        ] {
            let server = Server::start(&desk, "server", versions);
            let fault = write(&connection(&desk, &server.url("127.0.0.1"), lines)).await.unwrap_err();
            assert_eq!((fault.code, fault.disposition), (Code::ClientRefused, Disposition::Halt), "{lines}: {fault:?}");
            assert_eq!(fault.exit_code(), 4);
            assert!(fault.message.contains(words) && fault.help.contains("auth status"), "{fault:?}");
            assert_eq!((server.attempts.load(Relaxed), server.requests.load(Relaxed)), (1, 0), "{lines}");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named_and_nothing_is_sent() {
    let desk = desk();
    desk.certificate("stranger", "ca", "", 30);
    fs::write(desk.path("broken.pem"), &desk.text("me.pem")[..200]).unwrap();
    let server = Server::start(&desk, "server", rustls::ALL_VERSIONS);
    for (lines, words) in [
        ("pem: { certificate: absent.pem, key: me.key }", "absent.pem cannot be used: No such file"),
        ("pem: { certificate: me.pem }", "no private key"),
        ("pem: { certificate: me.key }", "no certificate"),
        ("pem: { certificate: broken.pem, key: me.key }", "broken.pem"),
        ("pem: { certificate: me.pem, key: stranger.key }", "does not belong"),
        ("pem: { certificate: me.pem, key: me-sealed.key }", "sealed with a password"),
        ("pem: { certificate: me.pem, key: me-sealed.key, password: \"${WRONG}\" }", "me-sealed.key"),
        ("pkcs12: { file: me.p12, password: \"${WRONG}\" }", "the password does not open it"),
        ("pkcs12: { file: me.pem, password: \"${HUSH}\" }", "no PKCS#12 file"),
    ] {
        let api = connection(&desk, &server.url("127.0.0.1"), &format!("client_certificate: {{ {lines} }}"));
        let fault = write(&api).await.unwrap_err();
        assert_eq!((fault.code, fault.exit_code()), (Code::ClientCertificate, 4), "{lines}: {fault:?}");
        assert!(fault.message.contains(words), "{lines}: {}", fault.message);
        let status = Account::new(&api, &system()).unwrap().status().await.unwrap();
        assert!(status.certificate.unwrap().trouble.unwrap().contains("cannot be used"));
    }
    assert_eq!(server.attempts.load(Relaxed), 0);
}

#[tokio::test]
async fn a_server_whose_own_certificate_is_bad_is_refused_once_and_nothing_is_written() {
    let desk = desk();
    let good = "client_certificate: { pem: { certificate: me.pem, key: me.key } }";
    for (certificate, ca, words) in [
        ("server-over", "ca.pem", "expired"),
        ("server-name", "ca.pem", "not valid for name"),
        ("server", "other-ca.pem", "UnknownIssuer"),
    ] {
        // The token endpoint is asked first where there is one, and no more often.
        for auth in [
            "",
            "\nauth: { oauth2: { grant: { client_credentials: {} }, token_url: /token, client_id: me, client_auth: { tls_client_auth: {} } } }",
        ] {
            let server = Server::start(&desk, certificate, rustls::ALL_VERSIONS);
            let lines = format!("base_url: {}\nca: {ca}\n{good}{auth}", server.url("127.0.0.1"));
            let fault = write(&yaml::load(desk.0.path(), "", &lines, &[])).await.unwrap_err();
            assert_eq!((fault.code, fault.disposition), (Code::Tls, Disposition::Halt), "{certificate}: {fault:?}");
            assert!(fault.message.contains(words), "{}", fault.message);
            assert_eq!((server.attempts.load(Relaxed), server.requests.load(Relaxed)), (1, 0), "{certificate}");
        }
    }
}

/// How many certificates the server saw, in the order in which they came first.
fn seen(server: &Server) -> Vec<Vec<u8>> {
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for certificate in &*server.let_in.lock().unwrap() {
        if !seen.contains(certificate) {
            seen.push(certificate.clone());
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_replaced_is_picked_up_without_a_restart_and_without_a_failed_call() {
    let desk = desk();
    desk.certificate("next", "ca", "", 30);
    desk.certificate("last", "ca", "", 30);
    for name in ["pem", "key"] {
        fs::copy(desk.path(&format!("me.{name}")), desk.path(&format!("live.{name}"))).unwrap();
    }
    let server = Server::start(&desk, "server", rustls::ALL_VERSIONS);
    let lines = "client_certificate: { pem: { certificate: live.pem, key: live.key } }";
    let api = connection(&desk, &server.url("127.0.0.1"), lines);
    let client = auth::client(&api, &system()).unwrap();
    let url = server.url("127.0.0.1");
    let (done, until_done) = tokio::sync::watch::channel(false);
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (client, url, done) = (client.clone(), url.clone(), until_done.clone());
            tokio::spawn(async move {
                let mut calls = 0;
                while !*done.borrow() {
                    let answer = client.execute(&customers(&url)).await.unwrap().accepted().unwrap();
                    assert_eq!(answer.attempts, 1);
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    // Waits until so many more requests were answered, or it is so.
    let until = async |requests: usize, or: &dyn Fn() -> bool| {
        let end = server.requests.load(Relaxed) + requests;
        while server.requests.load(Relaxed) < end && !or() {
            assert!(callers.iter().all(|caller| !caller.is_finished()), "a call failed");
            tokio::task::yield_now().await;
        }
    };
    for (round, name) in ["next", "last"].into_iter().enumerate() {
        until(50, &|| false).await;
        assert_eq!(seen(&server).len(), round + 1);
        replace(&desk.path(&format!("{name}.pem")), &desk.path("live.pem"));
        // Half a replacement: the new certificate does not go with the old key, and calls go on with the old pair.
        until(50, &|| false).await;
        assert_eq!(seen(&server).len(), round + 1);
        replace(&desk.path(&format!("{name}.key")), &desk.path("live.key"));
        until(5_000, &|| seen(&server).len() > round + 1).await;
        assert_eq!(seen(&server).len(), round + 2, "the new certificate was not picked up");
    }
    done.send(true).unwrap();
    let mut calls = 0;
    for caller in callers {
        calls += caller.await.unwrap();
    }
    let der = |name: &str| CertificateDer::from_pem_file(desk.path(name)).unwrap().to_vec();
    assert_eq!(seen(&server), [der("me.pem"), der("next.pem"), der("last.pem")]);
    println!("{calls} calls over two replacements, none of which failed");
}

#[tokio::test]
async fn the_end_of_a_certificate_is_seen_ahead() {
    let desk = desk();
    let server = Server::start(&desk, "server", rustls::ALL_VERSIONS);
    for (lines, days, warning) in [
        ("{ pem: { certificate: me.pem, key: me.key }, warn_before: 7d }", 29..=30, false),
        ("{ pem: { certificate: me.pem, key: me.key }, warn_before: 31d }", 29..=30, true),
        ("{ pem: { certificate: me-over.pem, key: me-over.key } }", -4000..=-1000, true),
    ] {
        let api = connection(&desk, &server.url("127.0.0.1"), &format!("client_certificate: {lines}"));
        let status = Account::new(&api, &system()).unwrap().status().await.unwrap();
        let certificate = status.certificate.unwrap();
        assert!(days.contains(&certificate.days_left.unwrap()), "{certificate:?}");
        assert_eq!((certificate.warning, certificate.trouble), (warning, None));
        assert!(certificate.subject.unwrap().starts_with("CN=me"));
        // A run says it as well, once.
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN);
        let logging = tracing::subscriber::set_default(subscriber.with_writer(move || writer.clone()).finish());
        let client = auth::client(&api, &system()).unwrap();
        for _ in 0..2 {
            drop(client.execute(&customers(&server.url("127.0.0.1"))).await);
        }
        drop(logging);
        let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(logged.matches("the client certificate of `CN=me").count(), usize::from(warning), "{logged}");
    }
}

/// RFC 8705: the certificate is the client's proof at the token endpoint, and goes to the API as well.
#[tokio::test]
async fn a_certificate_signs_a_client_in_at_the_token_endpoint() {
    let desk = desk();
    let server = Server::start(&desk, "server", rustls::ALL_VERSIONS);
    let lines = "auth: { oauth2: { grant: { client_credentials: {} }, token_url: /token, client_id: me, client_auth: \
                 { tls_client_auth: {} } } }\nclient_certificate: { pem: { certificate: me.pem, key: me.key } }";
    write(&connection(&desk, &server.url("127.0.0.1"), lines)).await.unwrap();
    assert_eq!(server.requests.load(Relaxed), 2, "the token and the call");
}

/// nginx lets everybody shake hands and then answers with a page of its own.
#[tokio::test]
async fn nginx_that_does_not_accept_the_certificate_is_understood() {
    let Some(program) = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"].into_iter().find(|path| Path::new(path).exists())
    else {
        println!("SKIPPED: nginx is not installed; use scripts/test");
        return;
    };
    let desk = desk();
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let folder = desk.0.path().display();
    let config = format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n\
         http {{ access_log {folder}/access.log; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; \
         fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
         server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key; \
         ssl_client_certificate {folder}/ca.pem; ssl_verify_client on; return 200 '{{}}'; }} }}\n"
    );
    fs::write(desk.path("nginx.conf"), config).unwrap();
    let mut nginx = std::process::Command::new(program)
        .args(["-p", &folder.to_string(), "-c", &desk.path("nginx.conf").display().to_string()])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(nginx.try_wait().unwrap().is_none(), "nginx did not start: {}", desk.text("error.log"));
        tokio::task::yield_now().await;
    }
    let url = format!("https://127.0.0.1:{port}");
    let mut ended = Vec::new();
    for lines in [
        "client_certificate: { pem: { certificate: me.pem, key: me.key } }",
        "client_certificate: { pem: { certificate: me-unknown.pem, key: me-unknown.key } }",
        "client_certificate: { pem: { certificate: me-over.pem, key: me-over.key } }",
        "",
    ] {
        ended.push(write(&connection(&desk, &url, lines)).await);
    }
    // It writes its log before it goes.
    std::process::Command::new("kill").args(["-QUIT", &nginx.id().to_string()]).status().unwrap();
    nginx.wait().unwrap();
    let mut ended = ended.into_iter();
    ended.next().unwrap().unwrap();
    for (fault, words) in ended.zip(["it is not accepted", "it is not accepted", "it wants one"]) {
        let fault = fault.unwrap_err();
        assert_eq!((fault.code, fault.disposition), (Code::ClientRefused, Disposition::Halt), "{fault:?}");
        assert!(fault.message.ends_with(words), "{}", fault.message);
    }
    assert_eq!(desk.text("access.log").lines().count(), 4, "each was asked once");
}
