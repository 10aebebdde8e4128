//! Records that are pushed, in whole workspaces: what is filled in, and what is refused with which code and help.

use std::time::Duration;

use super::{
    plan::{Callers, Mode, SignedPart},
    tests_load::Workspace,
    *,
};
use crate::model::Code;

const FILE: &str = "pipelines/a.yaml";

fn pipeline(ingress: &str) -> String {
    format!("version: 1\nfrom: {{ ingress: {ingress} }}\nto: {{ connection: files, file: a }}\n")
}

/// That exactly this is wrong, and that it is said what to do.
fn refuses(report: &Report, code: Code, help: &str) {
    let [one] = report.diagnostics.as_slice() else { panic!("one mistake: {report}") };
    assert_eq!(one.code, code, "{report}");
    let said = format!("{} {}", one.message, one.help.clone().unwrap_or_default());
    assert!(said.contains(help), "`{said}` does not say `{help}`");
}

fn checked(ingress: &str) -> Checked {
    Workspace::with(FILE, &pipeline(ingress)).check(&[("SECRET", "c2VjcmV0c2VjcmV0")])
}

#[test]
fn a_route_needs_a_key_and_the_rest_has_defaults() {
    let checked = checked("{ key: id }");
    assert!(checked.report.is_empty(), "{}", checked.report);
    let plan = checked.plan.unwrap();
    assert_eq!(plan.serve.ingress.address.to_string(), "127.0.0.1:8686");
    let from = &plan.pipelines["a"].from;
    let ingress = from.ingress.as_ref().unwrap();
    assert!(from.api.is_none() && matches!(ingress.callers, Callers::Anybody) && ingress.rate.is_none());
    assert_eq!(
        (ingress.mode, ingress.deadline, ingress.body_bytes_max),
        (Mode::Async, Duration::from_secs(3), 1 << 20)
    );
    assert_eq!((ingress.idempotency.keep, ingress.idempotency.required), (Duration::from_secs(86_400), false));
}

#[test]
fn a_vendors_signature_is_declared_and_holds_the_body_and_a_signed_time() {
    let stripe = "{ key: id, auth: { hmac: { header: Stripe-Signature, element: v1, timestamp: { element: t }, signed: \
                  \"{timestamp}.{body}\", secret: \"${SECRET}\" } } }";
    let checked_stripe = checked(stripe);
    assert!(checked_stripe.report.is_empty(), "{}", checked_stripe.report);
    let plan = checked_stripe.plan.unwrap();
    let Callers::Signed(signed) = &plan.pipelines["a"].from.ingress.as_ref().unwrap().callers else { panic!("signed") };
    assert_eq!(signed.signed, [SignedPart::Timestamp, SignedPart::Text(".".to_owned()), SignedPart::Body]);
    let hmac =
        |more: &str| format!("{{ key: id, auth: {{ hmac: {{ header: X-Sig, secret: \"${{SECRET}}\"{more} }} }} }}");
    for (more, code) in [
        (", signed: \"{timestamp}\", timestamp: { header: X-T }", Code::SignedText),
        (", signed: \"{id}.{body}\"", Code::SignedText),
        (", signed: \"{timestamp}.{body}\"", Code::MissingKey),
        (", timestamp: { header: X-T }", Code::Conflict),
        (", secret_encoding: hex", Code::SecretForm),
    ] {
        let report = checked(&hmac(more)).report;
        assert_eq!(report.diagnostics[0].code, code, "{more}: {report}");
    }
}

#[test]
fn what_cannot_work_is_said_before_anything_runs() {
    refuses(&Workspace::with(FILE, &pipeline("{}")).report(), Code::MissingKey, "key: id");
    let short = "{ key: id, auth: { bearer: { token: \"${SECRET}\" } } }";
    let report = Workspace::with(FILE, &pipeline(short)).check(&[("SECRET", "short")]).report;
    assert_eq!(report.diagnostics[0].code, Code::OutOfRange, "{report}");
    refuses(&Workspace::with(FILE, &pipeline("{ key: id, schema: none.json }")).report(), Code::SchemaFile, "create");
    let scheduled = pipeline("{ key: id }").replace("version: 1\n", "version: 1\nschedule: { every: 1h }\n");
    refuses(&Workspace::with(FILE, &scheduled).report(), Code::Conflict, "remove `schedule`");
    let both = "version: 1\nfrom: { connection: crm, stream: people, ingress: { key: id } }\nto: { connection: crm, operation: put_person }\n";
    refuses(&Workspace::with(FILE, both).report(), Code::Conflict, "remove `key`");
    let file = both
        .replace("{ key: id }", "{}")
        .replace("connection: crm, operation: put_person", "connection: files, file: a");
    refuses(&Workspace::with(FILE, &file).report(), Code::Conflict, "an operation");
}

#[test]
fn an_address_that_others_reach_wants_to_know_who_calls() {
    let workspace = |address: &str, ingress: &str| {
        let renkei = format!(
            "version: 1\nserve: {{ ingress: {{ address: \"{address}\" }} }}\nconnections:\n  files: {{ jsonl: {{ path: out }} }}\n"
        );
        Workspace::new(&[("renkei.yaml", &renkei), (FILE, &pipeline(ingress))])
    };
    refuses(&workspace("0.0.0.0:80", "{ key: id }").report(), Code::OpenToAnybody, "auth");
    let known = "{ key: id, auth: { bearer: { token: \"${SECRET}\" } } }";
    let checked = workspace("0.0.0.0:80", known).check(&[("SECRET", "long enough")]);
    assert!(checked.report.is_empty(), "{}", checked.report);
    assert!(workspace("[::1]:80", "{ key: id }").report().is_empty());
    for bad in ["localhost:80", "80", "127.0.0.1", "http://127.0.0.1:80"] {
        refuses(&workspace(bad, "{ key: id }").report(), Code::ListenAddress, "127.0.0.1:8686");
    }
}

#[test]
fn a_schema_is_compiled_when_the_files_are_read() {
    for (schema, why) in [("{", "no JSON"), (r#"{"type":"thing"}"#, "cannot be used")] {
        let workspace = Workspace::with(FILE, &pipeline("{ key: id, schema: a.json }"));
        std::fs::write(workspace.0.path().join("a.json"), schema).unwrap();
        let report = workspace.report();
        assert_eq!(report.diagnostics[0].code, Code::SchemaFile, "{report}");
        assert!(report.diagnostics[0].message.contains(why), "{report}");
    }
}
