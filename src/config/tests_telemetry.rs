//! `telemetry:` and the variables that fill what it leaves out.

use secrecy::ExposeSecret;

use super::{MapEnvironment, Report, check, load, plan::OtlpPlan};
use crate::telemetry::otlp::Sampler;

fn report(yaml: &str, variables: &[(&str, &str)]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("renkei.yaml"), format!("version: 1\n{yaml}")).unwrap();
    check(folder.path(), &MapEnvironment::new(variables), false).report
}

fn telemetry(yaml: &str, variables: &[(&str, &str)]) -> (Option<OtlpPlan>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("renkei.yaml"), format!("version: 1\n{yaml}")).unwrap();
    let plan = load(folder.path(), &MapEnvironment::new(variables)).unwrap_or_else(|report| panic!("{report:?}"));
    (plan.telemetry.otlp, plan.telemetry.unusable)
}

fn urls(plan: &OtlpPlan) -> [Option<String>; 2] {
    [&plan.traces, &plan.logs].map(|to| to.as_ref().map(|to| to.url.to_string()))
}

#[test]
fn it_is_off_unless_the_file_or_the_environment_says_where_to() {
    assert!(telemetry("", &[]).0.is_none());
    assert!(telemetry("telemetry: {}\n", &[]).0.is_none());
    let (plan, unusable) = telemetry("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/base/")]);
    let expected = ["http://c:4318/base/v1/traces", "http://c:4318/base/v1/logs"].map(|url| Some(url.to_owned()));
    assert_eq!((urls(&plan.unwrap()), unusable), (expected, Vec::new()));
    let own = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c/as-it-is?a=b"), ("OTEL_LOGS_EXPORTER", "none")];
    let plan = telemetry("", &own).0.unwrap();
    assert_eq!(urls(&plan), [Some("https://c/as-it-is?a=b".to_owned()), None]);
    let shown = format!("{plan:?}");
    assert!(shown.contains("https://c/as-it-is with") && !shown.contains("a=b"), "{shown}");
}

#[test]
fn the_file_wins_key_by_key() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-env=a%20b, x-plus=1+1"),
        ("OTEL_SERVICE_NAME", "env"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("TOKEN", "t0ken"),
    ];
    let plan = telemetry("", &variables).0.unwrap();
    let headers: Vec<_> = plan.traces.as_ref().unwrap().headers.iter().collect();
    let shown: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    assert_eq!(shown, [("x-env", "a b"), ("x-plus", "1+1")]);
    assert_eq!((plan.service.as_str(), plan.sampler), ("env", Sampler::Share { share: 0.25, follow: true }));
    let yaml = "telemetry: { otlp: { endpoint: \"http://file:1\", headers: { X-File: \"${TOKEN}\" }, service: file, sample: 50%, logs: false } }\n";
    let plan = telemetry(yaml, &variables).0.unwrap();
    assert_eq!(urls(&plan), [Some("http://file:1/v1/traces".to_owned()), None]);
    let headers = &plan.traces.as_ref().unwrap().headers;
    assert_eq!((headers.len(), headers[0].0.as_str(), headers[0].1.expose_secret()), (1, "x-file", "t0ken"));
    assert_eq!((plan.service.as_str(), plan.sampler), ("file", Sampler::Share { share: 0.5, follow: true }));
    assert_eq!(plan.spans_max, 2_000);
}

#[test]
fn a_variable_that_is_no_good_is_named_without_its_value_and_left_out() {
    let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c");
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "secret value"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@c"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret name=1"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x=secret%0a"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=secret"),
        ("OTEL_TRACES_SAMPLER", "secret"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "secret"),
    ] {
        let (_, unusable) = telemetry("", &[base, (name, value)]);
        assert_eq!(unusable.len(), 1, "{name}={value}: {unusable:?}");
        assert!(unusable[0].starts_with(name) && !unusable[0].contains("secret"), "{unusable:?}");
    }
    let (plan, unusable) =
        telemetry("", &[base, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "7")]);
    assert_eq!((plan.unwrap().sampler, unusable.len()), (Sampler::Share { share: 1.0, follow: false }, 1));
}

#[test]
fn a_mistake_in_the_file_is_an_error_like_any_other() {
    for (yaml, code) in [
        ("telemetry: { otlp: {} }\n", "RK0106"),
        ("telemetry: { otlp: { endpoint: c } }\n", "RK0116"),
        ("telemetry: { otlp: { endpoint: \"http://c\", headers: { x: plain } } }\n", "RK0"),
        ("telemetry: { otlp: { endpoint: \"http://c\", spans_max: 0 } }\n", "RK0"),
        ("telemetry: { otlp: { endpoint: \"http://c\", sample: 2 } }\n", "RK0"),
        ("telemetry: { otlp: { endpoint: \"http://c\", timeout: 1s } }\n", "RK0"),
    ] {
        let report = report(yaml, &[]);
        let text = report.render(false);
        assert!(report.errors() == 1 && text.contains(code), "{yaml}: {text}");
    }
}
