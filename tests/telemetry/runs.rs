//! What a run of the real program sends to a collector, and what it sends where the collector is no good.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use renkei::sandbox::FaultPlan;
use serde_json::Value;

use crate::{
    collector::{Answers, Collector, attributes, hex},
    harness::{Ran, Stage, fast},
};

/// A stage that sends what it does to a collector.
fn stage(collector: &Collector, customers: usize, faults: FaultPlan, more: &str) -> Stage {
    let stage = Stage::leads(fast(customers), faults);
    let otlp = format!("telemetry: {{ otlp: {{ endpoint: \"{}\"{more} }} }}\n", collector.url);
    let workspace = std::fs::read_to_string(stage.path().join("renkei.yaml")).unwrap();
    stage.write("renkei.yaml", &format!("{workspace}{otlp}"));
    stage
}

fn run(stage: &Stage, args: &[&str]) -> Ran {
    stage.renkei(&[&["run", "--log-format", "json"], args].concat())
}

fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.name.starts_with(name)).collect()
}

#[test]
fn a_run_is_one_trace_with_its_pages_batches_and_requests_and_its_lines_name_it() {
    let collector = Collector::start();
    let stage = stage(&collector, 120, FaultPlan::none(), "");
    let ran = run(&stage, &["--log-level", "debug"]);
    assert!(ran.code <= 1, "{}", ran.transcript());
    let spans = collector.spans();
    let [root] = named(&spans, "run demo-leads")[..] else { panic!("{spans:#?}") };
    assert!(root.parent_span_id.is_empty() && root.kind == SpanKind::Internal as i32);
    assert!(spans.iter().all(|span| span.trace_id == root.trace_id && span.flags & 1 == 1));
    let ids: BTreeSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    assert_eq!(ids.len(), spans.len());
    assert!(spans.iter().all(|span| span.span_id == root.span_id || ids.contains(&span.parent_span_id)));
    assert!(spans.iter().all(|span| root.start_time_unix_nano <= span.start_time_unix_nano
        && span.start_time_unix_nano <= span.end_time_unix_nano
        && span.end_time_unix_nano <= root.end_time_unix_nano));
    let canonical = ran.events().into_iter().find(|line| line["target"] == "renkei_canonical").unwrap();
    let told = attributes(&root.attributes);
    for (attribute, name) in [("renkei.run", "run"), ("renkei.pipeline", "pipeline"), ("renkei.outcome", "")] {
        let expected = if name.is_empty() { "done" } else { canonical[name].as_str().unwrap() };
        assert_eq!(told[attribute], expected);
    }
    for name in ["read", "written", "refused", "requests"] {
        assert_eq!(told[&format!("renkei.{name}")], canonical[name].to_string(), "{name}");
    }
    assert!(!named(&spans, "read customers").is_empty() && !named(&spans, "deliver crm/create_lead").is_empty());
    let deliveries: BTreeSet<_> = named(&spans, "deliver").iter().map(|span| span.span_id.clone()).collect();
    let posts = named(&spans, "POST ");
    assert!(posts.iter().any(|span| deliveries.contains(&span.parent_span_id)));
    let lines: Vec<Value> = ran.events().into_iter().filter(|line| line["message"] == "attempt").collect();
    let attempts: BTreeSet<String> =
        spans.iter().filter(|span| span.kind == SpanKind::Client as i32).map(|span| hex(&span.span_id)).collect();
    let of_lines: BTreeSet<String> = lines.iter().map(|line| line["span_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(of_lines, attempts, "each attempt's line names its span");
    assert!(lines.iter().all(|line| line["trace_id"] == hex(&root.trace_id)));
    assert_eq!(canonical["trace_id"], hex(&root.trace_id));
    assert_eq!(canonical["span_id"], hex(&root.span_id));
}

#[test]
fn an_attempt_follows_the_conventions_for_http_clients_and_holds_nothing_of_a_record() {
    let collector = Collector::start();
    let faults = FaultPlan { error_before: 0.2, ..FaultPlan::none() };
    let stage = stage(&collector, 60, faults, "");
    let ran = run(&stage, &[]);
    let spans = collector.spans();
    let attempts: Vec<&Span> = spans.iter().filter(|span| span.kind == SpanKind::Client as i32).collect();
    let all: Vec<BTreeMap<String, String>> = attempts.iter().map(|span| attributes(&span.attributes)).collect();
    for (span, told) in attempts.iter().zip(&all) {
        let template = &told["url.template"];
        assert_eq!(span.name, format!("{} {template}", told["http.request.method"]));
        assert_eq!(told["server.address"], "127.0.0.1");
        assert_eq!(told["url.full"], format!("http://127.0.0.1:{}{template}", told["server.port"]));
        let status: u16 = told["http.response.status_code"].parse().unwrap();
        assert_eq!(told.get("error.type").cloned(), (status >= 400).then(|| status.to_string()));
        assert_eq!(span.status.as_ref().map(|status| status.code), (status >= 400).then_some(2));
        assert!(["shop", "crm"].contains(&told["renkei.connection"].as_str()) || told["renkei.call"] == "token");
    }
    let again = all.iter().filter(|told| told.contains_key("http.request.resend_count"));
    assert!(again.clone().any(|told| told["http.request.resend_count"] == "1"), "{}", ran.transcript());
    assert!(all.iter().any(|told| told["http.response.status_code"].starts_with('5')));
    let sent: Vec<u8> = collector.got().into_iter().flat_map(|got| got.body).collect();
    let sent = String::from_utf8_lossy(&sent);
    assert!(!sent.contains("@example"), "an address of a customer was sent");
}

#[test]
fn lines_are_sent_with_severity_ids_and_the_names_of_the_run() {
    let collector = Collector::start();
    let stage = stage(&collector, 60, FaultPlan { error_before: 0.2, ..FaultPlan::none() }, "");
    let ran = run(&stage, &[]);
    let (lines, spans) = (collector.lines(), collector.spans());
    let written: Vec<Value> = ran.events().into_iter().filter(|line| line.get("level").is_some()).collect();
    assert_eq!(lines.len(), written.len(), "{}", ran.transcript());
    for (line, written) in lines.iter().zip(&written) {
        let told = attributes(&line.attributes);
        assert_eq!(line.severity_text, written["level"].as_str().unwrap());
        assert_eq!(line.severity_number, if line.severity_text == "WARN" { 13 } else { 9 });
        let body = attributes(&[opentelemetry_proto::tonic::common::v1::KeyValue {
            key: "body".into(),
            value: line.body.clone(),
            ..Default::default()
        }]);
        assert_eq!(body["body"], written["message"].as_str().unwrap());
        assert_eq!(
            (&told["renkei.run"], &told["renkei.pipeline"][..]),
            (&written["run"].as_str().unwrap().to_owned(), "demo-leads")
        );
        assert_eq!(hex(&line.trace_id), written["trace_id"].as_str().unwrap());
        assert_eq!(hex(&line.span_id), written["span_id"].as_str().unwrap());
        assert!(spans.iter().any(|span| span.span_id == line.span_id), "a span that is not there");
        assert!(line.time_unix_nano > 0 && line.time_unix_nano == line.observed_time_unix_nano);
    }
    let canonical =
        lines.iter().map(|line| attributes(&line.attributes)).find(|told| told["renkei.target"] == "renkei_canonical");
    assert!(canonical.unwrap().contains_key("renkei.retries_by"), "{}", ran.transcript());
}

#[test]
fn headers_service_and_resource_come_from_the_file_and_what_it_leaves_out_from_the_environment() {
    let collector = Collector::start();
    let stage =
        stage(&collector, 5, FaultPlan::none(), ", headers: { Authorization: \"${COLLECTOR}\" }, service: mine");
    let mut command = stage.command(&["run"]);
    command.env("COLLECTOR", "Bearer secret-of-ours").env("OTEL_SERVICE_NAME", "theirs");
    command
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-other=1")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=a%20b,x=1");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let ran = Ran::of(command.output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let got = collector.got();
    assert!(got.iter().all(|got| got.headers["authorization"] == "Bearer secret-of-ours"));
    assert!(got.iter().all(|got| got.headers["content-type"] == "application/x-protobuf"));
    assert!(got.iter().all(|got| !got.headers.contains_key("x-other")), "the file says which headers there are");
    let resource = collector.resource();
    assert_eq!((&resource["service.name"][..], &resource["deployment.environment.name"][..]), ("mine", "a b"));
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert!(!ran.transcript().contains("secret-of-ours"));
}

#[test]
fn the_environment_alone_turns_it_on_and_a_variable_that_is_no_good_is_named_and_left_out() {
    let collector = Collector::start();
    let stage = Stage::leads(fast(5), FaultPlan::none());
    let with = |variables: &[(&str, &str)]| {
        let mut command = stage.command(&["run", "--log-format", "json"]);
        Ran::of(command.envs(variables.iter().copied()).output().unwrap())
    };
    let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str());
    let off: [&[(&str, &str)]; 4] = [
        &[],
        &[base, ("OTEL_SDK_DISABLED", "true")],
        &[base, ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "none")],
        &[base, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
    ];
    for variables in off {
        let ran = with(variables);
        assert_eq!((ran.code, collector.got().len()), (0, 0), "{variables:?}: {}", ran.transcript());
        assert_eq!(
            ran.stderr.contains("RK0966"),
            variables.len() == 2 && variables[1].1 == "grpc",
            "{}",
            ran.transcript()
        );
    }
    with(&[base, ("OTEL_TRACES_SAMPLER", "always_off"), ("OTEL_LOGS_EXPORTER", "none")]);
    assert!(collector.got().is_empty());
    let ran = with(&[base, ("OTEL_TRACES_SAMPLER", "hidden-value"), ("OTEL_EXPORTER_OTLP_HEADERS", "hidden-value")]);
    let told: Vec<Value> = ran.events().into_iter().filter(|line| line["code"] == "RK0966").collect();
    assert_eq!((ran.code, told.len()), (0, 2), "{}", ran.transcript());
    assert!(!ran.transcript().contains("hidden-value") && !collector.spans().is_empty());
    assert_eq!(collector.resource()["service.name"], "renkei");
}

#[test]
fn a_trace_is_bounded_and_says_how_much_of_it_was_left_out() {
    let collector = Collector::start();
    let stage = stage(&collector, 100, FaultPlan::none(), ", spans_max: 10");
    assert!(run(&stage, &[]).code <= 1);
    let spans = collector.spans();
    assert_eq!(spans.len(), 10);
    let root = attributes(&named(&spans, "run ")[0].attributes);
    let left_out: u64 = root["renkei.spans_left_out"].parse().unwrap();
    assert!(left_out > 20, "{root:?}");
}

#[test]
fn whatever_the_collector_does_the_run_is_done_and_one_line_says_so() {
    let collector = Collector::start();
    let stage = stage(&collector, 60, FaultPlan::none(), "");
    for answers in [Answers::Status(400), Answers::Status(503), Answers::Hangs] {
        collector.answer(answers);
        let ran = run(&stage, &["--full-refresh", "customers"]);
        assert!(ran.code <= 1, "{answers:?}: {}", ran.transcript());
        let told: Vec<Value> = ran.events().into_iter().filter(|line| line["code"] == "RK0965").collect();
        let of = |signal: &str| told.iter().filter(|line| line["signal"] == signal).count();
        assert!(of("traces") <= 1 && of("logs") <= 1, "{answers:?}: {}", ran.transcript());
        let last = told.last().unwrap();
        assert!(last["spans"].as_u64().unwrap() > 5 && last["lines"].as_u64().unwrap() > 0, "{last}");
    }
}

#[test]
fn a_collector_that_asks_for_more_patience_than_there_is_is_not_asked_again() {
    let collector = Collector::start();
    let stage = stage(&collector, 20, FaultPlan::none(), "");
    collector.answer(Answers::Later(503, 60));
    let ran = run(&stage, &[]);
    assert!(ran.code <= 1, "{}", ran.transcript());
    let paths: Vec<String> = collector.got().into_iter().map(|got| got.path).collect();
    let asked = |path: &str| paths.iter().filter(|asked| *asked == path).count();
    assert_eq!((asked("/v1/traces"), asked("/v1/logs")), (1, 1), "{}", ran.transcript());
}

#[test]
fn what_a_collector_says_that_it_did_not_take_is_counted_and_told_with_its_words() {
    let collector = Collector::start();
    let stage = stage(&collector, 20, FaultPlan::none(), ", logs: false");
    collector.answer(Answers::AllButOne);
    let ran = run(&stage, &[]);
    let told: Vec<Value> = ran.events().into_iter().filter(|line| line["code"] == "RK0965").collect();
    let [partly, last] = told.as_slice() else { panic!("{}", ran.transcript()) };
    assert_eq!((&partly["signal"], &partly["why"]), (&"traces".into(), &"too old".into()));
    assert_eq!((&last["spans"], &last["lines"]), (&1.into(), &0.into()));
}

#[test]
fn a_collector_that_is_not_there_costs_nothing_but_a_line() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut collector = Collector::start();
    collector.url = format!("http://{gone}");
    let stage = stage(&collector, 20, FaultPlan::none(), "");
    let ran = run(&stage, &[]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert!(ran.stderr.contains("RK0965") && ran.stderr.contains("not all telemetry"), "{}", ran.transcript());
}
