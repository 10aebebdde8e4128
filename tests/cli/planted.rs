//! Planted secrets, one of each kind, in the real program: servers that say back all they got, in every form, and each way in
//! which an answer can fail; then everything that any command shows, logs or leaves on disk is searched. A text that is planted
//! beside them and is no secret has to be found, so that the search is known to look where words go.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    collector::Collector,
    echo::{Api, Echo, SignIn},
    harness::{Ran, program},
    openssl::Desk as Keys,
    planted_forms::forms,
    signals::signal,
};

/// What the server says besides, and nobody has to hide.
pub const OPEN: &str = "unmasked/9+word=n";

/// A way to sign in: the YAML of `auth` and of what stands beside it, and the variables with their secrets.
struct Kind {
    auth: String,
    variables: Vec<(&'static str, String)>,
    /// Texts that no output may hold: the variables' own, and what the server gave.
    secrets: Vec<String>,
}

fn kind(auth: &str, secrets: &[&'static str]) -> Kind {
    let names = ["S0", "S1", "S2"];
    let variables: Vec<_> = names.into_iter().zip(secrets.iter().map(|secret| (*secret).to_owned())).collect();
    let granted = ["planted-access/1+a=x", "planted-access/2+a=x", "planted-refresh/9+r=x", "planted-cookie~5+k"];
    let secrets = secrets.iter().chain(&granted).map(|secret| (*secret).to_owned()).collect();
    Kind { auth: auth.to_owned(), variables, secrets }
}

struct Desk {
    folder: TempDir,
    kind: Kind,
    echo: Echo,
    collector: Collector,
    /// Everything that was shown, by command.
    shown: Vec<(String, String)>,
}

/// What the collector wants to see.
const COLLECTOR: &str = "planted-collector/0+o=x";

const PIPELINE: &str =
    "version: 1\nfrom: { connection: vendor, stream: people }\nto: { connection: vendor, operation: put_person }\n";

const CONNECTOR: &str = r#"version: 1
retry: { attempts: 2, base: 1ms, cap: 2ms }
budget:
  - wait_max: 2s
streams:
  people:
    get: /people
    records: data
    key: id
operations:
  put_person:
    post: /put
    makes: upsert
    body: { json: "{{ record }}" }
    repeat: { upsert: { unique: id } }
    answer: { whole: { ok: done, errors: errors } }
"#;

impl Desk {
    fn new(kind: Kind) -> Self {
        let (folder, echo) = (tempfile::tempdir().unwrap(), Echo::start());
        let collector = Collector::start();
        let desk = Self { folder, kind, echo, collector, shown: Vec::new() };
        let (url, auth) = (&desk.echo.url, &desk.kind.auth);
        let vendor = format!("  vendor:\n    connector: vendor\n    base_url: {url}\n{auth}");
        let headers = "headers: { X-Collector: \"${COLLECTOR}\" }";
        let otlp = format!("telemetry: {{ otlp: {{ endpoint: \"{}\", {headers} }} }}\n", desk.collector.url);
        desk.write("renkei.yaml", &format!("version: 1\n{otlp}connections:\n{vendor}"));
        desk.write("connectors/vendor/connector.yaml", CONNECTOR);
        desk.write("pipelines/people.yaml", PIPELINE);
        desk
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = program(self.path());
        command.args(args).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full").env("COLLECTOR", COLLECTOR);
        for (name, secret) in &self.kind.variables {
            command.env(name, secret);
        }
        command
    }

    fn type_in(&mut self, args: &[&str]) -> Ran {
        let ran = Ran::of(self.command(args).output().unwrap());
        self.shown.push((args.join(" "), ran.transcript()));
        ran
    }

    /// Everything that a person or a program may ask for.
    fn look(&mut self) {
        for args in [
            &["status"][..],
            &["state", "show"],
            &["runs"],
            &["limits"],
            &["limits", "--output", "json"],
            &["auth", "status"],
            &["auth", "status", "--output", "json"],
            &["dead-letters", "list"],
            &["dead-letters", "list", "--output", "json"],
            &["links", "show", "people"],
            &["trace", "1"],
            &["trace", "2", "--output", "json"],
            &["validate", "--output", "json"],
            &["connectors"],
        ] {
            self.type_in(args);
        }
        let ids = |ran: &Ran| -> Vec<String> {
            ran.json().as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
        };
        for id in ids(&self.type_in(&["runs", "--limit", "40", "--output", "json"])) {
            self.type_in(&["runs", "show", &id]);
        }
        for id in ids(&self.type_in(&["dead-letters", "list", "--output", "json"])) {
            self.type_in(&["dead-letters", "show", &id]);
        }
    }

    /// One way for servers to behave: a run, what a plan would do, and what the doctor says.
    fn meet(&mut self, sign_in: SignIn, api: Api) {
        self.echo.behave(sign_in, api);
        let format = if (api as usize).is_multiple_of(2) { "json" } else { "text" };
        self.type_in(&["run", "--log-level", "trace", "--log-format", format]);
        self.type_in(&["plan", "people", "--out", &format!("plan-{}", self.shown.len()), "--log-level", "trace"]);
        self.type_in(&["doctor", "--log-level", "trace"]);
        self.type_in(&["auth", "refresh", "--log-level", "trace", "--output", "json"]);
    }

    /// The service, until its first run is over.
    fn serve(&mut self) {
        self.write("pipelines/people.yaml", &format!("{PIPELINE}schedule: {{ every: 1s }}\n"));
        let mut command = self.command(&["serve", "--log-level", "trace", "--log-format", "json"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut shown, mut is_asked) = (String::new(), false);
        for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok) {
            if line.contains("renkei_canonical") && !std::mem::replace(&mut is_asked, true) {
                signal(&child, "TERM");
            }
            shown.push_str(&line);
            shown.push('\n');
        }
        assert!(child.wait().unwrap().success() && is_asked, "{shown}");
        self.shown.push(("serve".to_owned(), shown));
        self.write("pipelines/people.yaml", PIPELINE);
    }

    /// All files below the folder but those that were written by hand.
    fn files(&self) -> Vec<(String, String)> {
        let mut folders = vec![self.path().to_owned()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.path()).unwrap().display().to_string();
                match path.is_dir() {
                    true => folders.push(path),
                    false if name.starts_with("keys/") => {}
                    false => files.push((name, String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned())),
                }
            }
        }
        files
    }

    /// Nothing secret is anywhere; what is no secret is where words go.
    fn search(self, open_in: &[&str]) {
        let collected = self.collector.got().into_iter();
        let collected =
            collected.map(|got| (format!("otlp {}", got.path), String::from_utf8_lossy(&got.body).into_owned()));
        let all: Vec<(String, String)> = self.shown.iter().cloned().chain(self.files()).chain(collected).collect();
        assert!(all.iter().any(|(place, _)| place.starts_with("state/")), "no state was searched");
        for secret in self.kind.secrets.iter().map(String::as_str).chain([COLLECTOR]) {
            for form in forms(secret) {
                for (place, text) in &all {
                    if let Some(at) = text.find(&form) {
                        let around = &text[text.floor_char_boundary(at.saturating_sub(300))..at + form.len()];
                        panic!("{place} shows {secret} as {form}: {around}");
                    }
                }
            }
        }
        let open = forms(OPEN);
        for place in open_in {
            let texts: Vec<&str> =
                all.iter().filter(|(name, _)| name.starts_with(place)).map(|(_, text)| text.as_str()).collect();
            let is_found = texts.iter().any(|text| open.iter().any(|form| text.contains(form)));
            assert!(is_found, "{place} is searched in vain: {}", texts.concat());
        }
    }
}

/// Where a server's words are shown, so that the search must find those that are no secret.
const WORDS: [&str; 7] =
    ["run", "doctor", "runs show", "dead-letters show", "dead-letters list", "serve", "otlp /v1/logs"];

fn sweep(kind: Kind) {
    let mut desk = Desk::new(kind);
    for api in Api::ALL {
        desk.meet(SignIn::Works, api);
    }
    for sign_in in [SignIn::Works, SignIn::Html, SignIn::Refuses, SignIn::Fails] {
        desk.meet(sign_in, Api::Unauthorized);
    }
    desk.echo.behave(SignIn::Works, Api::Refuses);
    desk.serve();
    desk.look();
    desk.type_in(&["auth", "logout", "vendor"]);
    assert!(desk.collector.spans().len() > 20 && desk.collector.lines().len() > 20, "too little was collected");
    desk.search(&WORDS);
}

#[test]
fn a_bearer_token_and_a_password_are_nowhere() {
    sweep(kind("    auth: { bearer: { token: \"${S0}\" } }\n", &["planted-token/0+t=x"]));
    sweep(kind("    auth: { basic: { user: somebody, password: \"${S0}\" } }\n", &["planted-password/0+p=x"]));
}

#[test]
fn a_key_in_a_header_or_in_the_query_is_nowhere() {
    sweep(kind("    auth: { api_key: { header: X-Hapi, value: \"${S0}\" } }\n", &["planted-header/0+h=x"]));
    sweep(kind("    auth: { api_key: { query: hapi, value: \"${S0}\" } }\n", &["planted-query/0+q=x&y"]));
}

fn oauth2(rest: &str) -> String {
    format!("    auth: {{ oauth2: {{ token_url: /oauth/token, client_id: me, {rest} }} }}\n")
}

#[test]
fn a_client_secret_and_access_and_refresh_tokens_are_nowhere() {
    let client = oauth2("grant: { client_credentials: {} }, client_secret: \"${S0}\"");
    sweep(kind(&client, &["planted-client/0+c=x"]));
    let refresh = oauth2(
        "grant: { refresh_token: { token: \"${S1}\" } }, client_secret: \"${S0}\", secret_in: body, scopes: [a, b]",
    );
    sweep(kind(&refresh, &["planted-client/0+c=x", "planted-refresh/0+r=x"]));
}

#[test]
fn a_private_key_and_its_password_are_nowhere() {
    let keys = Keys::new();
    keys.key("me", "ec");
    keys.openssl("pkcs8 -topk8 -in me.key -out sealed.key -passout pass:planted-pass/0+w=x");
    let auth = oauth2(
        "grant: { client_credentials: {} }, client_auth: { private_key_jwt: { private_key: \"${KEY}\", password: \"${S0}\" } }",
    );
    let mut kind = kind(&auth, &["planted-pass/0+w=x"]);
    kind.variables.push(("KEY", keys.text("sealed.key")));
    // The lines of both files, which are base64 as they stand.
    for name in ["me.key", "sealed.key"] {
        let lines = keys.text(name);
        kind.secrets
            .extend(lines.lines().filter(|line| !line.starts_with("-----") && line.len() > 30).map(str::to_owned));
    }
    // How a signed assertion begins.
    kind.secrets.push("eyJhbGciOi".to_owned());
    sweep(kind);
}

#[test]
fn the_cookie_of_a_session_and_what_opened_it_are_nowhere() {
    let auth = "    auth: { session: { login: { post: /session/login, body: { json: { user: me, pass: \"{{ secrets.p }}\" } } }, \
                token: { cookie: sid }, send: { Cookie: \"sid={{ token }}\" }, secrets: { p: \"${S0}\" } } }\n";
    sweep(kind(auth, &["planted-login/0+l=x"]));
}

#[test]
fn the_key_of_a_signature_is_nowhere() {
    let auth = "    auth: { hmac: { secret: \"${S0}\", string: \"{{ method }}{{ path }}{{ secrets.id }}\", headers: { X-Sig: \
                \"{{ secrets.id }}.{{ signature }}\" }, secrets: { id: \"${S1}\" } } }\n";
    sweep(kind(auth, &["planted-hmac/0+m=x", "planted-hmac-id/0+i=x"]));
}

/// Nothing listens there, and the key's file is read all the same.
#[test]
fn the_key_of_a_client_certificate_and_its_password_are_nowhere() {
    let keys = Keys::new();
    keys.authority("ca");
    keys.certificate("me", "ca", "", 30);
    keys.openssl("pkcs8 -topk8 -in me.key -out sealed.key -passout pass:planted-pass/0+w=x");
    let file = |name: &str| keys.path(name).display().to_string();
    for (name, password) in
        [("me.key", ""), ("sealed.key", ", password: \"${S0}\""), ("sealed.key", ", password: \"${S1}\"")]
    {
        let files = format!("{{ certificate: {}, key: {}{password} }}", file("me.pem"), file(name));
        let mut kind = kind(
            &format!("    client_certificate: {{ pem: {files} }}\n"),
            &["planted-pass/0+w=x", "planted-wrong/0+w=x"],
        );
        let lines = keys.text(name) + &keys.text("me.key");
        kind.secrets
            .extend(lines.lines().filter(|line| !line.starts_with("-----") && line.len() > 30).map(str::to_owned));
        let mut desk = Desk::new(kind);
        let url = desk.echo.url.clone();
        let text = fs::read_to_string(desk.path().join("renkei.yaml")).unwrap();
        desk.write("renkei.yaml", &text.replace(&url, &url.replace("http://", "https://")));
        for args in [&["run", "--log-level", "trace"][..], &["doctor", "--log-level", "trace"], &["auth", "status"]] {
            desk.type_in(args);
        }
        desk.look();
        desk.search(&[]);
    }
}

#[test]
fn a_password_in_a_url_is_nowhere() {
    let mut kind = kind("", &["planted-url-0-u"]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, ends) in [
        (format!("postgres://me:planted-url-0-u@{free}/crm"), 5),
        (format!("postgres://me:planted-url-0-u@{free}/crm?sslmode=planted-url-0-u"), 3),
        ("postgres://me:planted-url-0-u@no port/crm".to_owned(), 3),
        ("planted-url-0-u".to_owned(), 3),
    ] {
        kind.variables = vec![("BASE", url)];
        let mut desk =
            Desk::new(Kind { auth: String::new(), variables: kind.variables.clone(), secrets: kind.secrets.clone() });
        let text = fs::read_to_string(desk.path().join("renkei.yaml")).unwrap();
        desk.write("renkei.yaml", &format!("{text}  base: {{ postgres: {{ url: \"${{BASE}}\" }} }}\n"));
        let to = "version: 1\nfrom: { connection: vendor, stream: people }\nto: { connection: base, table: people, key: id }\n";
        desk.write("pipelines/people.yaml", to);
        for args in
            [&["run", "--log-level", "trace"][..], &["plan", "people"], &["doctor", "base", "--log-level", "trace"]]
        {
            let ran = desk.type_in(args);
            assert!(args[0] == "plan" || ran.code == ends, "{}", ran.transcript());
        }
        if ends == 5 {
            desk.look();
        }
        match ends {
            5 => desk.search(&[]),
            _ => assert!(!desk.shown.iter().any(|(_, text)| text.contains("planted")), "{:?}", desk.shown),
        }
    }
    for url in [
        "https://me:planted-url-0-u@api.test",
        "https://planted-url-0-u@api.test/",
        "https://api.test?key=planted-url-0-u",
    ] {
        let kind =
            Kind { auth: String::new(), variables: vec![("BASE", url.to_owned())], secrets: kind.secrets.clone() };
        let mut desk = Desk::new(kind);
        let text = fs::read_to_string(desk.path().join("renkei.yaml")).unwrap();
        desk.write("renkei.yaml", &text.replace(&desk.echo.url, "\"${BASE}\""));
        for args in [&["validate"][..], &["run"], &["doctor"], &["validate", "--output", "json"]] {
            let ran = desk.type_in(args);
            assert_eq!(ran.code, 3, "{}", ran.transcript());
        }
        let shown: String = desk.shown.iter().map(|(_, text)| text.as_str()).collect();
        assert!(!shown.contains("planted") && shown.contains("RK0116"), "{shown}");
    }
}

/// The plan in memory, as a debugger or a careless log line would dump it.
#[test]
fn a_dump_of_the_plan_holds_no_secret_and_holds_the_rest() {
    struct Variables;
    impl renkei::config::Environment for Variables {
        fn variable(&self, name: &str) -> Option<secrecy::SecretString> {
            Some(match name {
                // What is no secret may well be in it.
                name if name.starts_with("OTEL_") => return None,
                "BASE" => "postgres://me:planted-base@host/base".into(),
                name => format!("planted-{name}/0+d=x").into(),
            })
        }

        fn file(&self, _: &Path) -> Result<secrecy::SecretString, String> {
            Err("there is none".to_owned())
        }
    }
    let desk =
        Desk::new(kind(&oauth2("grant: { refresh_token: { token: \"${S1}\" } }, client_secret: \"${S0}\""), &[]));
    let text = fs::read_to_string(desk.path().join("renkei.yaml")).unwrap();
    let others = "  a: { connector: vendor, base_url: https://a.test, auth: { bearer: { token: \"${S2}\" } } }\n  b: { connector: vendor, base_url: \
                  https://b.test, auth: { api_key: { query: k, value: \"${S3}\" } } }\n  c: { postgres: { url: \"${BASE}\" } }\n";
    desk.write("renkei.yaml", &format!("{text}{others}"));
    let plan = renkei::config::load_connections(desk.path(), &Variables, &["vendor", "a", "b", "c"]).unwrap();
    let dump = format!("{plan:?}{plan:#?}");
    assert!(dump.contains("a.test") && dump.contains("client_id"), "{dump}");
    assert!(!dump.contains("planted"), "{dump}");
}
