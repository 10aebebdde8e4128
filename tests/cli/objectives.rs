//! Objectives of a real service: a budget that burns, the reaction that follows, and its end. And what a pause means for records that
//! others push.

use std::{
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use renkei::sandbox::FaultPlan;
use serde_json::Value;

use crate::{
    admin::Admin,
    harness::{Stage, fast},
    raw::{Answer, raw},
    serve::{edit, now},
};

const PIPELINE: &str = "version: 1\ndescription: Leads that others push\nSLO\nfrom: { ingress: { key: id, mode: sync } }\nto:\n  connection: crm\n  \
    operation: create_lead\n  changed: { operation: update_lead }\n  key: external_id\n  fields: { external_id: record.id, email: record.email }\n";

/// A service whose leads are pushed, and where.
struct Pushed {
    admin: Admin,
    door: SocketAddr,
}

impl Pushed {
    fn start(faults: FaultPlan, slo: &str) -> Self {
        let stage = Stage::leads(fast(1), faults);
        let door = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        std::fs::remove_file(stage.path().join("pipelines/demo-leads.yaml")).unwrap();
        stage.write("pipelines/leads.yaml", &PIPELINE.replace("SLO", slo));
        let serve = format!(
            "version: 1\nserve: {{ admin: {{ address: \"127.0.0.1:0\", token: \"${{ADMIN}}\" }}, ingress: {{ address: \"{door}\" }} }}\n"
        );
        edit(&stage, "renkei.yaml", "version: 1\n", &serve);
        Self { admin: Admin::start(stage), door }
    }

    /// Ends the service and begins it again over the same state.
    fn again(self) -> Self {
        let Self { admin: Admin { stage, serving, .. }, door } = self;
        let ended = serving.stop("TERM");
        assert_eq!(ended.code, Some(0), "{:#?}", ended.log);
        Self { admin: Admin::start(stage), door }
    }

    fn push(&self, id: &str, email: &str) -> Answer {
        push(self.door, id, email)
    }

    fn shown(&self) -> Value {
        self.admin.get("/api/v1/pipelines/leads")
    }

    /// Waits until the pipeline shows what the test waits for.
    fn until(&self, seen: impl Fn(&Value) -> bool) -> Value {
        let began = now();
        loop {
            let shown = self.shown();
            if seen(&shown) {
                return shown;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "never: {shown:#}\n{:#?}", self.admin.serving.log());
            self.admin.stage.breathe();
        }
    }

    fn leads(&self, id: &str) -> usize {
        self.admin.stage.world(|world| world.leads_of(id).count())
    }

    fn until_there(&self, id: &str) {
        let began = now();
        while self.leads(id) == 0 {
            assert!(began.elapsed() < Duration::from_secs(60), "{id} never came: {:#?}", self.admin.serving.log());
            self.admin.stage.breathe();
        }
    }

    fn metrics(&self) -> String {
        self.admin.send("GET", "/metrics", None).body
    }

    fn log_has(&self, message: &str, reaction: &str) -> bool {
        self.admin.serving.log().iter().any(|line| line["message"] == message && line["reaction"] == reaction)
    }
}

fn push(door: SocketAddr, id: &str, email: &str) -> Answer {
    let body = format!(r#"{{"id":"{id}","email":"{email}"}}"#);
    raw(
        door,
        &format!(
            "POST /in/leads HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

fn in_force<'v>(shown: &'v Value, act: &str) -> Option<&'v Value> {
    shown["slo"]["in_force"].as_array()?.iter().find(|it| it["do"] == act)
}

#[test]
fn a_paused_pipeline_accepts_what_is_pushed_and_delivers_it_after_it_was_resumed() {
    let pushed = Pushed::start(FaultPlan::none(), "");
    assert_eq!(pushed.push("a", "a@example.com").status, 201, "a caller of a healthy route hears the verdict");
    assert_eq!(pushed.admin.post("/api/v1/pipelines/leads/pause").status, 200);
    let began = now();
    let answer = pushed.push("b", "b@example.com");
    assert_eq!(answer.status, 202, "{answer:?}");
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "nobody waits for a verdict that cannot come: {:?}",
        began.elapsed()
    );
    // The delivery that was under way has ended, and is told and counted like a run.
    let began = now();
    while !pushed.metrics().contains("renkei_runs_total{pipeline=\"leads\",outcome=\"stopped\"} 1") {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", pushed.metrics());
        pushed.admin.stage.breathe();
    }
    let pushed = pushed.again();
    let answer = pushed.push("c", "c@example.com");
    assert_eq!((answer.status, pushed.shown()["state"].as_str()), (202, Some("paused")), "also after a restart");
    assert_eq!((pushed.leads("a"), pushed.leads("b"), pushed.leads("c")), (1, 0, 0));
    assert_eq!(pushed.admin.post("/api/v1/pipelines/leads/resume").status, 200);
    pushed.until_there("b");
    pushed.until_there("c");
    let began = now();
    while pushed.push("d", "d@example.com").status != 201 {
        assert!(began.elapsed() < Duration::from_secs(30), "callers wait for verdicts again");
    }
    assert_eq!([pushed.leads("a"), pushed.leads("b"), pushed.leads("c")], [1, 1, 1]);
}

#[test]
fn a_budget_that_burns_pauses_the_pipeline_says_why_and_a_person_ends_it() {
    let slo = "slo: { success: 95%, reactions: [{ when: success, do: pause }] }";
    let pushed = Pushed::start(FaultPlan::none(), slo);
    let well = pushed.push("a", "a@example.com");
    assert_eq!(well.status, 201, "{well:?}");
    for id in 0..30 {
        let refused = pushed.push(&format!("bad{id}"), "no address");
        assert!([422, 202].contains(&refused.status), "{refused:?}");
    }
    let shown = pushed.until(|shown| shown["paused_by"].is_object());
    let reaction = in_force(&shown, "pause").unwrap();
    assert_eq!((&reaction["objective"], reaction["until"].is_null()), (&"success".into(), true), "{shown:#}");
    let why = reaction["why"].as_str().unwrap();
    assert!(why.contains("the error budget of `success` burns") && why.contains("events were bad"), "{why}");
    let objective = &shown["slo"]["objectives"][0];
    assert!(objective["burn_rates"]["5m"].as_f64() > Some(14.4) && objective["target"] == 0.95, "{shown:#}");
    let log = pushed.admin.serving.log();
    let told = log.iter().find(|line| line["message"] == "a reaction begins").unwrap();
    assert_eq!(
        (&told["code"], &told["reaction"], &told["pipeline"]),
        (&"RK0977".into(), &"pause".into(), &"leads".into())
    );
    let metrics = pushed.metrics();
    for line in [
        "renkei_slo_reaction_in_force{pipeline=\"leads\",reaction=\"pause\"} 1",
        "renkei_slo_reactions_total{pipeline=\"leads\",reaction=\"pause\"} 1",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(
        metrics.contains("renkei_slo_burn_rate{pipeline=\"leads\",objective=\"success\",window=\"6h\"}"),
        "{metrics}"
    );
    assert_eq!(pushed.push("b", "b@example.com").status, 202);

    let pushed = pushed.again();
    let shown = pushed.shown();
    assert_eq!((&shown["state"], &shown["paused_by"]["objective"]), (&"paused".into(), &"success".into()), "{shown:#}");
    assert_eq!(pushed.leads("b"), 0);
    let audit = pushed.admin.stage.renkei(&["audit", "export"]);
    assert!(audit.stdout.contains(r#""via":"service","what":"pause","on":"leads""#), "{}", audit.transcript());
    assert_eq!(pushed.admin.post("/api/v1/pipelines/leads/resume").status, 200);
    pushed.until_there("b");
    let shown = pushed.shown();
    assert!(shown["paused_by"].is_null() && in_force(&shown, "pause").is_none(), "{shown:#}");
    assert_eq!(pushed.leads("a"), 1);
}

#[test]
fn callers_of_a_slow_sink_are_answered_at_once_until_it_is_well_again() {
    let slow = FaultPlan { latency: 1.0, latency_ms: 400, ..FaultPlan::none() };
    let slo = "slo: { p95: 30ms, reactions: [{ when: p95, do: async, hold: 10s }, { when: p95, do: slow_down, to: 50%, hold: 10s }] }";
    let pushed = Pushed::start(slow, slo);
    let door = pushed.door;
    let callers: Vec<_> = (0..10)
        .map(|caller| {
            thread::spawn(move || {
                for n in 0..4 {
                    assert!([201, 202].contains(&push(door, &format!("slow{caller}_{n}"), "a@example.com").status));
                }
            })
        })
        .collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    let shown = pushed.until(|shown| in_force(shown, "async").is_some());
    assert!(in_force(&shown, "slow_down").is_some_and(|it| it["to"] == 0.5), "{shown:#}");
    assert!(pushed.log_has("a reaction begins", "async") && pushed.log_has("a reaction begins", "slow_down"));
    let answer = pushed.push("at_once", "a@example.com");
    assert_eq!(answer.status, 202, "{answer:?}");

    pushed.admin.stage.world(|world| world.set_faults(FaultPlan::none()));
    pushed.until_there("at_once");
    let began = now();
    let mut count = 0;
    while in_force(&pushed.shown(), "async").is_some() {
        assert!(began.elapsed() < Duration::from_secs(100), "{:#}\n{:#?}", pushed.shown(), pushed.admin.serving.log());
        for _ in 0..20 {
            let answer = pushed.push(&format!("well{count}"), "a@example.com");
            assert!([201, 202].contains(&answer.status), "{answer:?}");
            count += 1;
        }
    }
    assert!(pushed.log_has("a reaction ends", "async"));
    let began = now();
    while pushed.push(&format!("waited{count}"), "a@example.com").status != 201 {
        assert!(began.elapsed() < Duration::from_secs(30), "callers wait for verdicts again");
        count += 1;
    }
    for id in ["slow0_0", "slow9_3", "at_once", "well0"] {
        assert_eq!(pushed.leads(id), 1, "{id}");
    }
}

#[test]
fn a_probe_tells_that_a_vendor_is_down_and_well_again_and_the_service_stays_ready() {
    let stage = Stage::leads(fast(1), FaultPlan::none());
    edit(&stage, "renkei.yaml", "connector: shop\n", "connector: shop\n    probe: { every: 10s, call: customers }\n");
    let admin = Admin::start(crate::admin::with_admin(stage));
    let until = |wanted: Option<bool>| {
        let began = now();
        loop {
            let shown = admin.get("/api/v1/connections");
            let all = shown["connections"].as_array().unwrap();
            let probe = &all.iter().find(|one| one["connection"] == "shop").unwrap()["probe"];
            if probe["up"].as_bool() == wanted {
                return probe.clone();
            }
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "never {wanted:?}: {shown:#}\n{:#?}",
                admin.serving.log()
            );
            admin.stage.breathe();
        }
    };
    let well = until(Some(true));
    assert!(well["code"].is_null() && well["at"].is_string() && well["took_ms"].is_u64(), "{well}");
    admin.stage.world(|world| world.set_faults(FaultPlan { error_before: 1.0, ..FaultPlan::none() }));
    let down = until(Some(false));
    assert!(down["code"].as_str().is_some_and(|code| code.starts_with("RK02")), "{down}");
    let metrics = admin.send("GET", "/metrics", None).body;
    assert!(metrics.contains("renkei_probe_up{connection=\"shop\"} 0\n"), "{metrics}");
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(admin.send("GET", path, None).status, 200, "{path}");
    }
    assert_eq!(admin.get("/healthz")["connections_down"], serde_json::json!(["shop"]));
    let log = admin.serving.log();
    let told = log.iter().find(|line| line["message"] == "a probe found the connection unwell").unwrap();
    assert_eq!((&told["code"], &told["connection"]), (&"RK0979".into(), &"shop".into()));
    admin.stage.world(|world| world.set_faults(FaultPlan::none()));
    until(Some(true));
    assert!(admin.serving.log().iter().any(|line| line["message"] == "a probe found the connection well again"));
}

#[test]
fn a_run_whose_first_records_are_refused_sends_no_more_until_it_is_mended_or_a_person_lets_it() {
    let stage = Stage::leads(fast(300), FaultPlan::none());
    let path = "pipelines/demo-leads.yaml";
    let good = std::fs::read_to_string(stage.path().join(path)).unwrap();
    let email = good.lines().find(|line| line.trim_start().starts_with("email:")).unwrap();
    let margin = &email[..email.len() - email.trim_start().len()];
    let guarded = good.replacen("version: 1\n", "version: 1\ncanary: { min: 10, success: 50% }\n", 1);
    stage.write(path, &guarded.replace(email, &format!("{margin}email: \"'nobody'\"")));
    for _ in 0..2 {
        let held = stage.renkei(&["run", "demo-leads"]);
        assert!(held.code != 0 && held.transcript().contains("RK0978"), "{}", held.transcript());
        assert!(held.transcript().contains("--skip-canary"), "it says what to type: {}", held.transcript());
    }
    let refused = stage.renkei(&["status", "--output", "json"]).json()[0]["dead_letters"].as_u64().unwrap();
    assert!((10..=20).contains(&refused), "{refused} were sent in two tries");
    let skipped = stage.renkei(&["run", "demo-leads", "--skip-canary"]);
    let said = skipped.transcript();
    assert!(!said.contains("RK0978") && said.contains("read 300"), "{said}");

    stage.write(path, &guarded);
    let replayed = stage.renkei(&["dead-letters", "replay", "--all"]);
    assert!([0, 1].contains(&replayed.code), "{}", replayed.transcript());
    let report = stage.run_until_nothing_is_lost();
    assert_eq!((report.lost, report.doubled), (0, 0), "{:?}", report.lost_ids);
}
