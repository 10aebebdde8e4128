//! Trace context in and out of a real service: a request that is pushed, the delivery that it leads to, and what the vendor sees.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    collector::{Answers, Collector, attributes, hex},
    harness::program,
};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

const CONNECTOR: &str = "version: 1\noperations:\n  put:\n    post: /put/{{ record.id }}\n    makes: upsert\n    body: { json: \"{{ record \
    }}\" }\n    repeat: { upsert: { unique: id } }\n";

/// A workspace whose records are pushed and go to a vendor, and a service that runs it.
struct Desk {
    folder: TempDir,
    vendor: Collector,
    collector: Collector,
    address: SocketAddr,
}

struct Serving {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    reader: thread::JoinHandle<()>,
}

impl Desk {
    fn new(mode: &str, connection: &str) -> Self {
        let (folder, vendor, collector) = (tempfile::tempdir().unwrap(), Collector::start(), Collector::start());
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let desk = Self { folder, vendor, collector, address };
        let workspace = format!(
            "version: 1\nserve: {{ ingress: {{ address: \"{address}\" }} }}\ntelemetry: {{ otlp: {{ endpoint: \"{}\" }} }}\nconnections:\n  \
             vendor:\n    connector: vendor\n    base_url: {}/v2\n{connection}",
            desk.collector.url, desk.vendor.url
        );
        desk.write("renkei.yaml", &workspace);
        desk.write("connectors/vendor/connector.yaml", CONNECTOR);
        let pipeline = format!(
            "version: 1\nfrom: {{ ingress: {{ key: id, mode: {mode} }} }}\nto: {{ connection: vendor, operation: put }}\n"
        );
        desk.write("pipelines/people.yaml", &pipeline);
        desk
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn serve(&self) -> Serving {
        let mut command = program(self.folder.path());
        command.args(["serve", "--log-format", "json", "--log-level", "debug"]).env("KEY", "key-of-signatures");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        for line in lines.by_ref().map_while(Result::ok) {
            let is_serving = line.contains("\"serving\"");
            log.lock().unwrap().push(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            if is_serving {
                let shared = log.clone();
                let reader = thread::spawn(move || {
                    lines
                        .map_while(Result::ok)
                        .for_each(|line| shared.lock().unwrap().push(serde_json::from_str(&line).unwrap()));
                });
                return Serving { child, log, reader };
            }
        }
        let status = child.wait().unwrap();
        panic!("it never served and ended with {status}: {:#?}", log.lock().unwrap());
    }

    /// One request with headers of its own.
    fn push(&self, id: &str, headers: &str) -> u16 {
        let mut line = TcpStream::connect(self.address).unwrap();
        let body = format!(r#"{{"id":"{id}","email":"ada@example.com"}}"#);
        let head = format!(
            "POST /in/people HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        line.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
        let mut answer = String::new();
        line.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Desk {
    fn until_the_vendor_is_asked(&self, times: usize) {
        while self.vendor.got().len() < times {
            thread::park_timeout(Duration::from_millis(2));
        }
    }
}

impl Serving {
    /// Asks it to stop, and returns its log when it has.
    fn stop(mut self) -> Vec<Value> {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.child.id())).status().unwrap();
        assert!(sent.success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.reader.join().unwrap();
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

fn of_kind(spans: &[Span], kind: SpanKind) -> Vec<&Span> {
    spans.iter().filter(|span| span.kind == kind as i32).collect()
}

#[test]
fn a_request_continues_its_callers_trace_and_the_delivery_it_leads_to_links_to_it() {
    for (mode, status) in [("sync", 200), ("async", 202)] {
        let desk = Desk::new(mode, "");
        let service = desk.serve();
        assert_eq!(desk.push("ada", &format!("traceparent: {PARENT}\r\ntracestate: other=1\r\n")), status);
        desk.until_the_vendor_is_asked(1);
        let log = service.stop();
        let spans = desk.collector.spans();
        let [server] = of_kind(&spans, SpanKind::Server)[..] else { panic!("{spans:#?}") };
        assert_eq!(server.name, "POST /in/{pipeline}");
        assert_eq!(
            (hex(&server.trace_id), hex(&server.parent_span_id)),
            (PARENT[3..35].to_owned(), PARENT[36..52].to_owned())
        );
        assert_eq!(server.trace_state, "other=1");
        let told = attributes(&server.attributes);
        let expected = [
            ("http.request.method", "POST"),
            ("http.route", "/in/{pipeline}"),
            ("url.scheme", "http"),
            ("renkei.pipeline", "people"),
        ];
        expected.iter().for_each(|(name, value)| assert_eq!(told[*name], *value));
        assert_eq!(told["http.response.status_code"], status.to_string());
        let deliver = spans.iter().find(|span| span.name == "deliver vendor/put").unwrap();
        let links: Vec<_> = deliver.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect();
        assert_eq!(links, [(hex(&server.trace_id), hex(&server.span_id))], "{mode}");
        assert_ne!(deliver.trace_id, server.trace_id, "a run has a trace of its own");
        let [client] = of_kind(&spans, SpanKind::Client)[..] else { panic!("{spans:#?}") };
        assert_eq!((&client.parent_span_id, &client.name[..]), (&deliver.span_id, "POST /v2/put/{{ record.id }}"));
        assert!(desk.vendor.got().iter().all(|got| !got.headers.contains_key("traceparent")), "nobody asked for it");
        let canonical = log.iter().find(|line| line["target"] == "renkei_canonical").unwrap();
        assert_eq!(
            (&canonical["job"], &canonical["trace_id"]),
            (&"pushed".into(), &Value::from(hex(&deliver.trace_id)))
        );
        let sent: Vec<u8> = desk.collector.got().into_iter().flat_map(|got| got.body).collect();
        assert!(!String::from_utf8_lossy(&sent).contains("ada"), "a record was sent");
    }
}

#[test]
fn a_delivery_after_a_restart_still_links_to_the_request_that_another_process_answered() {
    let desk = Desk::new("async", "    retry: { attempts: 1 }\n");
    desk.vendor.answer(Answers::Status(503));
    let service = desk.serve();
    assert_eq!(desk.push("ada", ""), 202);
    desk.until_the_vendor_is_asked(1);
    service.stop();
    let first = desk.collector.spans();
    let server = of_kind(&first, SpanKind::Server)[0].clone();
    let asked = desk.vendor.got().len();
    desk.vendor.answer(Answers::Takes);
    let service = desk.serve();
    desk.until_the_vendor_is_asked(asked + 1);
    let log = service.stop();
    let spans = desk.collector.spans();
    let names: Vec<&str> = spans[first.len()..].iter().map(|span| span.name.as_str()).collect();
    let delivered = spans[first.len()..].iter().find(|span| span.name == "deliver vendor/put");
    let delivered = delivered.unwrap_or_else(|| panic!("{names:?} {log:#?}"));
    assert!(!first.iter().any(|span| span.trace_id == delivered.trace_id));
    assert_eq!((&delivered.links[0].trace_id, &delivered.links[0].span_id), (&server.trace_id, &server.span_id));
}

#[test]
fn the_service_counts_what_the_collector_took_and_did_not_take() {
    let desk = Desk::new("sync", "");
    let workspace = std::fs::read_to_string(desk.folder.path().join("renkei.yaml")).unwrap();
    desk.write("renkei.yaml", &workspace.replace("serve: {", "serve: { admin: { address: \"127.0.0.1:0\" },"));
    desk.collector.answer(Answers::Status(400));
    let service = desk.serve();
    let said = service.log.lock().unwrap().clone();
    let admin = said.iter().find(|line| line["message"] == "the admin API listens").unwrap()["address"].clone();
    let metrics = || {
        let address = admin.as_str().unwrap().trim_start_matches("http://");
        let mut line = TcpStream::connect(address).unwrap();
        let head = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        line.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        line.read_to_string(&mut answer).unwrap();
        let of = |name: &str| -> u64 {
            answer.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
        };
        [of("renkei_otlp_sent_total{signal=\"logs\"}"), of("renkei_otlp_dropped_total{signal=\"logs\"}")]
    };
    let until = |is_it: &dyn Fn([u64; 2]) -> bool| {
        while !is_it(metrics()) {
            thread::park_timeout(Duration::from_millis(5));
        }
    };
    until(&|[_, dropped]| dropped > 0);
    desk.collector.answer(Answers::Takes);
    assert_eq!(desk.push("ada", ""), 200);
    until(&|[sent, _]| sent > 0);
    let log = service.stop();
    let told =
        |text: &str| log.iter().filter(|line| line["message"].as_str().is_some_and(|it| it.contains(text))).count();
    assert_eq!((told("does not take logs"), told("takes logs again")), (1, 1));
}

#[test]
fn a_bad_traceparent_is_as_if_it_were_not_there_and_one_that_is_not_sampled_is_obeyed() {
    let desk = Desk::new("sync", "");
    let service = desk.serve();
    let twice = format!("traceparent: {PARENT}\r\ntraceparent: {PARENT}\r\n");
    let bad = [
        "traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01\r\n",
        "traceparent: 00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01\r\n",
        "traceparent: x\r\n",
        &twice,
        "tracestate: other=1\r\n",
    ];
    for (number, headers) in bad.iter().enumerate() {
        assert_eq!(desk.push(&number.to_string(), headers), 200, "{headers}");
    }
    assert_eq!(desk.push("last", &format!("traceparent: {}\r\n", PARENT.replace("-01", "-00"))), 200);
    service.stop();
    let spans = desk.collector.spans();
    let servers = of_kind(&spans, SpanKind::Server);
    assert_eq!(servers.len(), bad.len(), "the caller of the last one does not record it");
    assert!(servers.iter().all(|span| span.parent_span_id.is_empty() && span.trace_state.is_empty()));
    let traces: BTreeSet<String> = servers.iter().map(|span| hex(&span.trace_id)).collect();
    assert_eq!(traces.len(), bad.len());
    assert!(!traces.contains(&PARENT[3..35]));
}

#[test]
fn a_vendor_is_told_of_the_trace_where_that_is_asked_for_and_signatures_do_not_change() {
    let auth = "    auth: { hmac: { secret: \"${KEY}\", string: \"{{ method }}{{ path }}\", headers: { X-Sig: \"{{ signature }}\" } } }\n";
    let mut signatures = BTreeSet::new();
    for asked in ["", "    trace_context: true\n"] {
        let desk = Desk::new("sync", &format!("{auth}{asked}"));
        desk.vendor.answer(Answers::Takes);
        let service = desk.serve();
        assert_eq!(desk.push("ada", &format!("traceparent: {PARENT}\r\n")), 200);
        service.stop();
        let got = desk.vendor.got();
        let [got] = got.as_slice() else { panic!("{}", got.len()) };
        signatures.insert(got.headers["x-sig"].clone());
        let spans = desk.collector.spans();
        let [client] = of_kind(&spans, SpanKind::Client)[..] else { panic!("{spans:#?}") };
        let told = format!("00-{}-{}-01", hex(&client.trace_id), hex(&client.span_id));
        assert_eq!(got.headers.get("traceparent"), (!asked.is_empty()).then_some(&told));
    }
    assert_eq!(signatures.len(), 1, "{signatures:?}");
}
