//! What the page says as bytes: text that stays text, headers, and who may send what.

use std::fs;

use serde_json::json;

use crate::{
    harness::{Stage, fast, program},
    rig::{Served, TOKEN, open, yearly},
    vendor::Vendor,
};
use renkei::sandbox::FaultPlan;

const PLANTED: &str = "<script>alert('planted')</script><img src=x onerror=alert(1)>\"'&";

/// What the vendor says when it refuses. Words of the record itself would not be repeated.
const REFUSED: &str = "<script>alert('refused')</script><img src=x onerror=alert(2)>";

/// A workspace whose vendor puts a script into everything that it may say: names of records, fields, refusals.
fn planted() -> (tempfile::TempDir, Vendor) {
    let vendor = Vendor::new(|asked| {
        let answer = |status: &str, body: String| {
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
                .into_bytes()
        };
        match asked.line.split([' ', '?']).take(2).collect::<Vec<_>>()[..] {
            ["GET", "/people"] => {
                answer("200 OK", json!({ "data": [{ "id": PLANTED, "name": PLANTED, PLANTED: PLANTED }] }).to_string())
            }
            ["GET", _] => answer("400 Bad Request", json!({ "error": REFUSED, "message": REFUSED }).to_string()),
            _ => answer(
                "422 Unprocessable Entity",
                json!({ "errors": [{ "message": REFUSED }], "message": REFUSED }).to_string(),
            ),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let workspace = "version: 1\nserve: { admin: { address: \"127.0.0.1:0\" } }\nconnections:\n  vendor: { connector: vendor, base_url: \"URL\" }\n";
    write("renkei.yaml", &workspace.replace("URL", &vendor.url));
    write(
        "connectors/vendor/connector.yaml",
        "version: 1\nretry: { attempts: 1 }\nanswers:\n  - when: { status: 422 }\n    is: reject\nstreams:\n  people: { get: /people, records: data, \
         key: id, schema: { properties: { id: { type: integer } } } }\n  broken: { get: /broken, records: data, key: id }\noperations:\n  put:\n    put: /people/1\n    makes: upsert\n    repeat: { \
         upsert: { unique: id } }\n",
    );
    for stream in ["people", "broken"] {
        let text = format!(
            "version: 1\ndescription: {}\nslo: {{ success: 99% }}\nfrom: {{ connection: vendor, stream: {stream} }}\nto: {{ connection: vendor, operation: put }}\n",
            json!(PLANTED)
        );
        write(&format!("pipelines/{stream}.yaml"), &text);
    }
    (folder, vendor)
}

/// Whether a page holds the planted text, and never as anything but text.
fn is_text(page: &str) -> bool {
    let tags = page.matches("<script").count() == 1 && !page.contains("<img") && !page.contains("onerror=alert(1)>\"");
    assert!(tags, "{page}");
    page.contains("&lt;script&gt;alert(")
}

#[test]
fn a_script_in_a_record_an_error_or_a_description_is_text() {
    let (folder, _vendor) = planted();
    let served = Served::start(&mut program(folder.path()));
    let shown = served.run("people");
    let failed = served.run("broken");
    let (run, broken) = (shown["runs"][0]["id"].as_str().unwrap(), failed["runs"][0]["id"].as_str().unwrap());
    let told = shown["runs"][0]["latency"].as_object().unwrap();
    assert_eq!(
        told.values().map(|records| records.as_u64().unwrap()).sum::<u64>(),
        1,
        "how long its one record took: {told:?}"
    );
    let letter = served.json("/api/v1/dead-letters?pipeline=people")["dead_letters"][0].clone();
    assert_eq!(letter["key"], PLANTED, "{shown}");
    let letter = format!("/dead-letters/{}", letter["id"].as_str().unwrap());
    for path in ["/pipelines/people", "/pipelines/broken", &letter] {
        let page = served.get(path);
        assert!(page.status == 200 && is_text(&page.body), "{path}: {page:?}");
    }
    let people = served.get("/pipelines/people").body;
    assert!(people.contains("Objectives") && people.contains("0.0 %"), "its one record went wrong: {people}");
    let page = served.get(&format!("/runs/{run}")).body;
    assert!(
        page.contains("What differed from a contract") && page.contains("type change: string, not integer"),
        "{page}"
    );
    assert!(page.contains("new field"), "{page}");
    // What the vendor said, in the letter and in the run that failed by it.
    for path in [&letter, &format!("/runs/{run}"), &format!("/runs/{broken}")] {
        let page = served.get(path).body;
        is_text(&page);
        assert!(page.contains("&lt;script&gt;alert('refused')"), "{path}: {page}");
    }
    for path in [
        "/?name=%3Cscript%3Ealert(1)%3C/script%3E",
        "/?said=%3Cscript%3E",
        "/pipelines/%3Cscript%3Ealert(",
        "/runs/%22%3E%3Cscript%3E",
    ] {
        is_text(&served.get(path).body);
    }
    // And text that comes back from a form that was refused.
    let typed = served.form(&format!("{letter}/edit"), "record=%3C/textarea%3E%3Cscript%3Ealert(1)%3C/script%3E");
    assert!(typed.status == 400 && is_text(&typed.body), "{typed:?}");
    assert!(typed.body.contains("&lt;/textarea&gt;"), "what was typed is still there: {typed:?}");
}

#[test]
fn pages_carry_a_policy_that_runs_nothing_of_theirs_and_are_nobodys_to_keep() {
    let stage = Stage::leads(fast(5), FaultPlan::none());
    open(&stage, None);
    let served = Served::of(&stage);
    let page = served.get("/");
    let policy = page.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!((page.header("x-frame-options"), page.header("referrer-policy")), (Some("DENY"), Some("same-origin")));
    assert!(
        !page.body.contains(" style=") && !page.body.contains(" onclick=") && !page.body.contains("://"),
        "{}",
        page.body
    );
    let linked = page.body.split('"').filter(|part| part.contains("?v="));
    for path in linked {
        let file = served.get(path);
        assert!(file.status == 200 && file.header("cache-control").unwrap().contains("immutable"), "{path}");
    }
    let nowhere = served.get("/nowhere");
    assert!(
        nowhere.status == 404 && nowhere.body.starts_with("<!DOCTYPE html>") && nowhere.body.contains("RK0933"),
        "{nowhere:?}"
    );
    let program = served.send("GET", "/nowhere", "", "");
    assert!(program.header("content-type") == Some("application/problem+json"), "{program:?}");
}

#[test]
fn forms_of_other_sites_are_refused_and_so_is_one_that_does_not_say_where_it_stands() {
    let stage = Stage::leads(fast(5), FaultPlan::none());
    open(&stage, None);
    yearly(&stage);
    let served = Served::of(&stage);
    let (at, kind) = (served.address, "content-type: application/x-www-form-urlencoded\r\n");
    let sent = |path: &str, headers: &str| served.send("POST", path, &format!("{kind}{headers}"), "a=b").status;
    let foreign = [
        String::new(),
        "sec-fetch-site: cross-site\r\n".to_owned(),
        format!("sec-fetch-site: same-site\r\norigin: http://{at}\r\n"),
        "origin: null\r\n".to_owned(),
        "origin: http://evil.example\r\n".to_owned(),
        format!("origin: https://{at}\r\n"),
        format!("origin: http://127.0.0.1:1\r\nsec-fetch-site: same-site\r\nreferer: http://{at}/\r\n"),
    ];
    for headers in &foreign {
        for path in [
            "/pipelines/demo-leads/pause",
            "/pipelines/demo-leads/trigger",
            "/dead-letters/x/edit",
            "/sign-in",
            "/sign-out",
        ] {
            assert_eq!(sent(path, headers), 403, "{path} {headers}");
        }
    }
    let shown = served.json("/api/v1/pipelines/demo-leads");
    assert_eq!((&shown["state"], shown["runs"].as_array().unwrap().len()), (&json!("idle"), 0), "nothing was changed");
    let json = served.send(
        "POST",
        "/pipelines/demo-leads/pause",
        &format!("origin: http://{at}\r\ncontent-type: application/json\r\n"),
        "{}",
    );
    assert_eq!(json.status, 415);
    let own = served.form("/pipelines/demo-leads/pause", "");
    assert_eq!((own.status, own.header("location")), (303, Some("/pipelines/demo-leads?said=pause")), "{own:?}");
    assert_eq!(served.json("/api/v1/pipelines/demo-leads")["state"], "paused");
    let again = served.form("/pipelines/demo-leads/trigger", "");
    assert!(again.status == 409 && again.body.contains("RK0934") && again.body.contains("Not done."), "{again:?}");
}

#[test]
fn where_there_is_a_token_people_sign_in_and_the_cookie_is_good_for_the_page_only() {
    let stage = Stage::leads(fast(5), FaultPlan::none());
    open(&stage, Some(TOKEN));
    yearly(&stage);
    let served = Served::of(&stage);
    for path in ["/", "/pipelines/demo-leads", "/nowhere"] {
        let page = served.get(path);
        assert!(
            page.status == 401 && page.body.contains("action=\"/sign-in\"") && !page.body.contains("idle"),
            "{path}: {page:?}"
        );
    }
    let wrong = served.form("/sign-in", "token=guessed&next=/pipelines/demo-leads");
    assert!(
        wrong.status == 401 && wrong.header("set-cookie").is_none() && !wrong.body.contains("guessed"),
        "{wrong:?}"
    );
    let right = served.form("/sign-in", &format!("token={TOKEN}&next=//evil.example"));
    assert_eq!((right.status, right.header("location")), (303, Some("/")), "it leads nowhere else: {right:?}");
    let set = right.header("set-cookie").unwrap();
    assert!(set.contains("; HttpOnly; SameSite=Strict") && set.contains("; Path=/;") && !set.contains(TOKEN), "{set}");
    let cookie = format!("cookie: {}\r\n", set.split(';').next().unwrap());
    let own = format!("{cookie}origin: http://{}\r\n", served.address);
    assert_eq!(served.send("GET", "/pipelines/demo-leads", &cookie, "").status, 200);
    assert_eq!(served.send("GET", "/api/v1/pipelines", &cookie, "").status, 200);
    // What a browser sends by itself changes nothing over the API, and a form only from this very page.
    let pause = |path: &str, headers: &str| served.send("POST", path, headers, "").status;
    assert_eq!(pause("/api/v1/pipelines/demo-leads/pause", &own), 401);
    assert_eq!(pause("/pipelines/demo-leads/pause", &cookie), 403);
    assert_eq!(pause("/pipelines/demo-leads/pause", &own), 303);
    assert_eq!(pause("/pipelines/demo-leads/pause", &format!("origin: http://{}\r\n", served.address)), 401);
    let out = served.form("/sign-out", "");
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"), "{out:?}");
    let audit = stage.path().join("state/audit");
    let lines: String =
        fs::read_dir(audit).unwrap().filter_map(|file| fs::read_to_string(file.unwrap().path()).ok()).collect();
    assert!(lines.contains("\"sign_in\"") && !lines.contains(TOKEN), "{lines}");
}
