//! Documents that cannot be used: one sentence each, with the file and the place, and nothing written.

use std::fs;

use tempfile::TempDir;

use crate::proposing::renkei;

fn refused(name: &str, text: &str) -> String {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(name), text).unwrap();
    let ran = renkei(folder.path(), &["connectors", "new", "vendor", "--openapi", name]);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("RK0142") && ran.stderr.contains(name), "{}", ran.stderr);
    assert!(!folder.path().join("connectors").exists());
    ran.stderr
}

fn with_schema(schema: &str) -> String {
    format!(
        r##"{{"openapi":"3.1.0","paths":{{"/a":{{"get":{{"responses":{{"200":{{"content":{{"application/json":{{"schema":
        {{"type":"array","items":{{"$ref":"#/components/schemas/a"}}}}}}}}}}}}}}}}}},"components":{{"schemas":{{"a":{schema}}}}}}}"##
    )
}

#[test]
fn a_reference_that_leads_nowhere_is_named_with_its_place() {
    let told = refused("bad.json", &with_schema(r##"{"properties":{"b":{"$ref":"#/components/schemas/missing"}}}"##));
    assert!(told.contains("/components/schemas/a/properties/b") && told.contains("missing"), "{told}");
}

#[test]
fn a_reference_that_leads_out_of_the_document_is_refused() {
    let told = refused("bad.json", &with_schema(r#"{"$ref":"other.json#/a"}"#));
    assert!(told.contains("out of the document") && told.contains("/components/schemas/a"), "{told}");
}

#[test]
fn references_in_a_circle_are_refused_and_schemas_that_contain_themselves_are_not() {
    let told = refused("bad.json", &with_schema(r##"{"$ref":"#/components/schemas/a"}"##));
    assert!(told.contains("circle"), "{told}");
    let folder = TempDir::new().unwrap();
    let normal = with_schema(
        r##"{"allOf":[{"$ref":"#/components/schemas/a"},{"properties":{"id":{"type":"string"},"parent":{"$ref":"#/components/schemas/a"}}}]}"##,
    );
    fs::write(folder.path().join("good.json"), normal).unwrap();
    let ran = renkei(folder.path(), &["connectors", "new", "vendor", "--openapi", "good.json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn what_is_no_document_is_refused() {
    assert!(refused("bad.json", "{\"a\": 1").contains("line 1"));
    assert!(refused("bad.json", "{\"a\": 1}").contains("no OpenAPI document"));
    assert!(refused("bad.yaml", "a: [1").contains("line"));
    assert!(refused("bad.json", r#"{"openapi":"4.0.0","paths":{}}"#).contains("4.0.0"));
    assert!(refused("bad.json", r#"{"swagger":"2.0"}"#).contains("no `paths`"));
    assert!(refused("bad.json", r#"{"swagger":"2.0","paths":{"/a":{"get":{}}}}"#).contains("nothing in it"));
}

#[test]
fn what_is_too_deep_or_expands_without_end_is_refused() {
    let deep = format!(r#"{{"openapi":"3.0.0","paths":{{}},"x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    assert!(refused("bad.json", &deep).contains("127"));
    let mut bomb = "openapi: 3.0.0\npaths: {}\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")));
    }
    assert!(refused("bad.yaml", &bomb).contains("more than 2000000 values"));
}
