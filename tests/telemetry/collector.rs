//! A collector on a real socket. What it gets is read by the types that OpenTelemetry publishes, so a wrong field number is found.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    logs::v1::LogRecord,
    trace::v1::Span,
};
use prost::Message;

/// One request as it came.
#[derive(Clone)]
pub struct Got {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// How it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answers {
    Takes,
    Status(u16),
    /// It asks for patience, for so many seconds.
    Later(u16, u64),
    /// It takes all but one.
    AllButOne,
    /// It reads and says nothing, until the other side hangs up.
    Hangs,
}

pub struct Collector {
    pub url: String,
    got: Arc<Mutex<Vec<Got>>>,
    answers: Arc<Mutex<Answers>>,
}

impl Collector {
    /// Serves until the process ends.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (got, answers) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Answers::Takes)));
        let shared = (got.clone(), answers.clone());
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (got, answers) = shared.clone();
                thread::spawn(move || while serve(&socket, &got, &answers).is_some() {});
            }
        });
        Self { url, got, answers }
    }

    pub fn answer(&self, answers: Answers) {
        *self.answers.lock().unwrap() = answers;
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    pub fn spans(&self) -> Vec<Span> {
        let traces = self.got().into_iter().filter(|got| got.path == "/v1/traces");
        let requests = traces.map(|got| ExportTraceServiceRequest::decode(got.body.as_slice()).unwrap());
        let scopes = requests.flat_map(|request| request.resource_spans).flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The attributes of whoever sends, as the first request has them.
    pub fn resource(&self) -> BTreeMap<String, String> {
        let first = self.got().into_iter().find(|got| got.path == "/v1/traces").unwrap();
        let request = ExportTraceServiceRequest::decode(first.body.as_slice()).unwrap();
        attributes(&request.resource_spans[0].resource.as_ref().unwrap().attributes)
    }

    pub fn lines(&self) -> Vec<LogRecord> {
        let logs = self.got().into_iter().filter(|got| got.path == "/v1/logs");
        let requests = logs.map(|got| ExportLogsServiceRequest::decode(got.body.as_slice()).unwrap());
        let scopes = requests.flat_map(|request| request.resource_logs).flat_map(|resource| resource.scope_logs);
        scopes.flat_map(|scope| scope.log_records).collect()
    }
}

/// Attributes as texts.
pub fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &KeyValue| match value.value.as_ref().and_then(|any| any.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(is)) => is.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    };
    all.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn serve(mut socket: &TcpStream, got: &Mutex<Vec<Got>>, answers: &Mutex<Answers>) -> Option<()> {
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let answers = *answers.lock().unwrap();
    got.lock().unwrap().push(Got { path, headers, body });
    let (status, more, body): (u16, String, &[u8]) = match answers {
        Answers::Takes => (200, String::new(), b""),
        Answers::Status(status) => (status, String::new(), b""),
        Answers::Later(status, seconds) => (status, format!("retry-after: {seconds}\r\n"), b""),
        // The message's field 1 holds a message whose fields are 1, the number, and 2, why.
        Answers::AllButOne => (200, String::new(), b"\x0a\x0b\x08\x01\x12\x07too old"),
        Answers::Hangs => {
            // Ends when the other side hangs up.
            let _ = socket.read(&mut [0]);
            return None;
        }
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} .\r\ncontent-type: application/x-protobuf\r\n{more}content-length: {length}\r\n\r\n"
    );
    socket.write_all(&[head.as_bytes(), body].concat()).ok()
}
