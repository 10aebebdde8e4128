//! A vendor that says back everything it got, in every form, in whatever way an answer can fail.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::planted::OPEN;

/// What becomes of a request to sign in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignIn {
    Works,
    Refuses,
    Fails,
    Html,
}

/// What becomes of the other requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Api {
    /// Reads go well, and a write is accepted with errors inside.
    Complains,
    /// Reads go well, and a write is refused.
    RefusesWrites,
    Works,
    Refuses,
    Unauthorized,
    Forbids,
    Fails,
    Throttles,
    /// A page for people.
    Html,
    /// It leads elsewhere.
    Redirects,
    /// The answer ends early.
    CutShort,
}

impl Api {
    pub const ALL: [Api; 11] = [
        Api::Works,
        Api::Complains,
        Api::RefusesWrites,
        Api::Refuses,
        Api::Unauthorized,
        Api::Forbids,
        Api::Fails,
        Api::Throttles,
        Api::Html,
        Api::Redirects,
        Api::CutShort,
    ];
}

pub struct Echo {
    pub url: String,
    behaves: Arc<Mutex<(SignIn, Api)>>,
}

impl Echo {
    /// Serves until the process ends.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let behaves = Arc::new(Mutex::new((SignIn::Works, Api::Works)));
        let (shared, asked) = (behaves.clone(), AtomicUsize::new(0));
        thread::spawn(move || {
            for socket in listener.incoming() {
                let socket = socket.unwrap();
                let behaves = *shared.lock().unwrap();
                // One after another: nobody here is in a hurry.
                serve(&socket, behaves, asked.fetch_add(1, Relaxed));
            }
        });
        Self { url, behaves }
    }

    pub fn behave(&self, sign_in: SignIn, api: Api) {
        *self.behaves.lock().unwrap() = (sign_in, api);
    }
}

/// One request as it came.
struct Got {
    line: String,
    headers: Vec<(String, String)>,
    body: String,
}

fn read(socket: &TcpStream) -> Option<Got> {
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    let mut next = |line: &mut String| -> Option<usize> {
        line.clear();
        reader.read_line(line).ok().filter(|bytes| *bytes > 0)
    };
    next(&mut line)?;
    let first = line.trim_end().to_owned();
    let mut headers = Vec::new();
    while next(&mut line).is_some() && !line.trim().is_empty() {
        let (name, value) = line.trim_end().split_once(':')?;
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, text)| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Got { line: first, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// A part of the request, in one of the forms in which servers say things back. What is shown of it is short, so each part and
/// form comes first once.
fn said(got: &Got, number: usize) -> String {
    let headers: Vec<String> = got.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let signed = signed(got);
    // What stood behind `Basic`, decoded, as some frameworks log it.
    let basic = signed.iter().find_map(|value| STANDARD.decode(value.strip_prefix("Basic ")?).ok());
    let basic = basic.map(|pair| String::from_utf8_lossy(&pair).into_owned()).unwrap_or_default();
    let parts = [signed.join(" "), got.body.clone(), got.line.clone(), basic, headers.join("\n")];
    let part = parts.iter().cycle().skip(number).find(|part| !part.is_empty()).unwrap();
    let hex: String = part.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = url::form_urlencoded::byte_serialize(part.as_bytes()).collect();
    let form = [part.clone(), STANDARD.encode(part), percent, hex][number / parts.len() % 4].clone();
    format!("{OPEN} {form} and {}", parts.join(" "))
}

/// The headers that somebody may have signed the request with.
fn signed(got: &Got) -> Vec<&str> {
    let usual = ["host", "accept", "user-agent", "accept-encoding", "content-type", "content-length"];
    let signed = got.headers.iter().filter(|(name, _)| !usual.contains(&name.as_str()));
    signed.map(|(_, value)| value.as_str()).collect()
}

fn serve(mut socket: &TcpStream, (sign_in, api): (SignIn, Api), number: usize) {
    let Some(got) = read(socket) else { return };
    let said = said(&got, number);
    let echo = serde_json::json!({ "done": false, "message": said, "error": said, "error_description": said, "errors": [{ "message": said }] });
    let (path, echo) = (got.line.split(' ').nth(1).unwrap_or_default(), echo.to_string());
    // Pages are shown from their beginning.
    let html = format!("<html>{} {said}</html>", signed(&got).join(" "));
    let signs_in = path.starts_with("/oauth/token") || path.starts_with("/session/login");
    // Each time they changed.
    let page = format!(r#"{{"data":[{{"id":1,"name":"a{number}"}},{{"id":2,"name":"b{number}"}}]}}"#);
    let writes = got.line.starts_with("POST");
    let (status, body) = match (signs_in, sign_in, api) {
        (true, SignIn::Works, _) => ("200 OK", granted(&said, number)),
        (true, SignIn::Refuses, _) => ("401 Unauthorized", echo),
        (true, SignIn::Fails, _) => ("500 Oops", echo),
        (true, SignIn::Html, _) | (_, _, Api::Html) => ("200 OK", html),
        (_, _, Api::Complains) if writes => ("200 OK", echo),
        (_, _, Api::RefusesWrites) if writes => ("422 Unprocessable Entity", echo),
        (_, _, Api::Complains | Api::RefusesWrites) => ("200 OK", page),
        (_, _, Api::Works) => ("200 OK", if writes { r#"{"done":true,"errors":[]}"#.to_owned() } else { page }),
        (_, _, Api::Refuses) => ("400 Bad Request", echo),
        (_, _, Api::Unauthorized) => ("401 Unauthorized", echo),
        (_, _, Api::Forbids) => ("403 Forbidden", echo),
        (_, _, Api::Fails | Api::CutShort) => ("500 Oops", echo),
        (_, _, Api::Throttles) => ("429 Too Many Requests", echo),
        (_, _, Api::Redirects) => ("302 Found", echo),
    };
    let elsewhere: String = url::form_urlencoded::byte_serialize(said.as_bytes()).collect();
    let location = match api {
        Api::Redirects if !signs_in => format!("location: http://elsewhere.test/{elsewhere}?x={elsewhere}\r\n"),
        _ => String::new(),
    };
    let more = if api == Api::CutShort && !signs_in { 100 } else { 0 };
    let head = format!(
        "HTTP/1.1 {status}\r\n{location}content-type: application/json\r\nset-cookie: sid=planted-cookie~5+k; Path=/\r\n\
         ratelimit: \"a\";r=5;t=1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len() + more
    );
    let body = if got.line.starts_with("HEAD") { "" } else { &body };
    // A client that has seen enough hangs up.
    let _ = socket.write_all(format!("{head}{body}").as_bytes());
}

/// Tokens, and a server's own words in each field where they may stand.
fn granted(said: &str, number: usize) -> String {
    serde_json::json!({
        "access_token": format!("planted-access/{}+a=x", 1 + number % 2),
        "refresh_token": "planted-refresh/9+r=x",
        "expires_in": 600,
        "scope": format!("a {said}"),
        "message": said,
    })
    .to_string()
}
