//! The page in headless Chromium: `browser.mjs` clicks and looks, and here is what has to have come of it. Screenshots are left in
//! `page-screenshots` of the target folder.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use renkei::sandbox::FaultPlan;
use serde_json::{Value, json};

use crate::{
    harness::{Stage, fast},
    rig::{Served, TOKEN, open, yearly},
};

/// HTML, CSS and script of one page.
const BYTES_MAX: u64 = 150_000;

/// Says what is missing; under CI that is a failure.
fn skip(what: &str) {
    assert!(env::var_os("CI").is_none(), "{what}");
    std::io::stderr().write_all(format!("SKIPPED: {what}\n").as_bytes()).unwrap();
}

fn target() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(target)
}

/// The tools of the test; nothing where they are not installed.
fn tools() -> Option<(PathBuf, PathBuf)> {
    let modules = env::var_os("RENKEI_TEST_NODE").map_or_else(|| target().join("test-tools/node"), PathBuf::from);
    let folders = env::var_os("PATH").unwrap_or_default();
    let browser = env::split_paths(&folders).map(|folder| folder.join("chromium")).find(|file| file.exists());
    let found = browser.filter(|_| modules.join("node_modules/playwright-core").exists());
    if found.is_none() {
        skip("chromium, node and its packages are not installed; use scripts/test --test page");
    }
    Some((modules, found?))
}

/// Lets the browser do what `scene` says, and gives back what it saw. Nothing where there is no browser.
fn play(scene: &str, served: &Served, details: Value) -> Option<Value> {
    let (modules, chromium) = tools()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page/browser.mjs");
    let asked = json!({
        "scene": scene,
        "url": format!("http://{}", served.address),
        "modules": modules,
        "chromium": chromium,
        "screenshots": target().join("page-screenshots"),
        "details": details,
    });
    let played = Command::new("node").arg(script).arg(asked.to_string()).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&played.stdout), String::from_utf8_lossy(&played.stderr));
    assert!(played.status.success(), "{scene}: {said}\n{errors}");
    Some(
        said.lines()
            .last()
            .and_then(|line| serde_json::from_str(line).ok())
            .unwrap_or_else(|| panic!("{said}{errors}")),
    )
}

/// A service whose pipeline has run, and whose sink has refused some of its records.
fn lived(more: usize) -> (Stage, Served) {
    let stage = Stage::leads(fast(300), FaultPlan::none());
    open(&stage, None);
    yearly(&stage);
    let text = std::fs::read_to_string(stage.path().join("pipelines/demo-leads.yaml")).unwrap();
    for number in 0..more {
        stage
            .write(&format!("pipelines/leads-of-region-{number:02}.yaml"), &text.replace("upsert_lead", "create_lead"));
    }
    let served = Served::of(&stage);
    served.run("demo-leads");
    (stage, served)
}

fn letters(served: &Served) -> Vec<Value> {
    served.json("/api/v1/dead-letters?pipeline=demo-leads")["dead_letters"].as_array().unwrap().clone()
}

#[test]
fn every_page_is_small_accessible_and_quiet_at_each_width_and_in_light_and_dark() {
    let (_stage, served) = lived(49);
    (0..3).for_each(|_| drop(served.run("demo-leads")));
    let run = served.json("/api/v1/runs?pipeline=demo-leads")["runs"].as_array().unwrap().last().unwrap()["id"].clone();
    let letter = letters(&served)[0]["id"].clone();
    let pages = json!({
        "overview": "/",
        "pipeline": "/pipelines/demo-leads",
        "never-ran": "/pipelines/leads-of-region-07",
        "run": format!("/runs/{}", run.as_str().unwrap()),
        "letter": format!("/dead-letters/{}", letter.as_str().unwrap()),
        "nothing-found": "/?name=nobody",
        "refusal": "/pipelines/nobody",
    });
    let Some(seen) = play("look", &served, json!({ "pages": pages })) else { return };
    for (name, page) in seen.as_object().unwrap() {
        let bytes = page["bytes"].as_u64().unwrap();
        assert!(bytes > 1_000 && bytes <= BYTES_MAX, "{name}: {bytes}");
        std::io::stderr()
            .write_all(format!("{name}: {bytes} bytes, first paint after {} ms\n", page["paint_ms"]).as_bytes())
            .unwrap();
    }
}

/// Pauses, resumes, runs, mends a dead letter and sends it again, by clicks.
fn clicked_through(scripts: bool) {
    let (stage, served) = lived(0);
    let (open, before) = (letters(&served), stage.report().leads);
    let letter = open[0]["id"].as_str().unwrap();
    let details =
        json!({ "scripts": scripts, "letter": letter, "email": "mended.by.hand@example.com", "letters": open.len() });
    if play("click", &served, details).is_none() {
        return;
    }
    let left = letters(&served);
    assert!(left.len() == open.len() - 1 && left.iter().all(|one| one["id"] != letter), "{left:?}");
    assert_eq!((stage.report().leads, stage.report().doubled), (before + 1, 0));
    assert_eq!(served.json("/api/v1/pipelines/demo-leads")["state"], "idle");
}

#[test]
fn a_person_pauses_resumes_runs_and_sends_a_mended_dead_letter_again_and_sees_it_live() {
    clicked_through(true);
}

#[test]
fn without_scripts_the_same_buttons_do_the_same() {
    clicked_through(false);
}

#[test]
fn what_others_do_shows_without_a_reload() {
    let (_stage, served) = lived(0);
    play("live", &served, json!({}));
}

#[test]
fn a_line_that_breaks_is_told_and_what_happened_meanwhile_shows_when_it_is_back() {
    let (_stage, served) = lived(0);
    play("broken", &served, json!({}));
}

#[test]
fn keys_alone_lead_everywhere() {
    let (_stage, served) = lived(0);
    play("keys", &served, json!({}));
}

#[test]
fn a_person_signs_in_with_the_token_stays_signed_in_and_scripts_never_see_the_cookie() {
    let stage = Stage::leads(fast(5), FaultPlan::none());
    open(&stage, Some(TOKEN));
    yearly(&stage);
    play("sign-in", &Served::of(&stage), json!({ "token": TOKEN }));
}

#[test]
fn a_page_of_another_origin_can_neither_press_the_buttons_nor_show_the_page() {
    let stage = Stage::leads(fast(5), FaultPlan::none());
    open(&stage, None);
    yearly(&stage);
    let served = Served::of(&stage);
    play("foreign", &served, json!({}));
    let shown = served.json("/api/v1/pipelines/demo-leads");
    assert_eq!((&shown["state"], &shown["runs"]), (&json!("idle"), &json!([])), "nothing was asked for: {shown}");
}
