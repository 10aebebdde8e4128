//! `trace`: one record followed through runs, kills, refusals and pipelines, as a person reads it and as a program does.

use std::{collections::BTreeSet, fs};

use crate::{
    harness::{Ran, Stage, fast, slow},
    vendor::{Desk, Vendor, answer, people},
};
use renkei::sandbox::FaultPlan;
use serde_json::{Value, json};

const PIPELINE: &str = "pipelines/demo-leads.yaml";

fn trace(stage: &Stage, key: &str, more: &[&str]) -> Value {
    let ran = stage.renkei(&[&["trace", key, "--output", "json"], more].concat());
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    ran.json()
}

fn edit(stage: &Stage, from: &str, to: &str) {
    let text = fs::read_to_string(stage.path().join(PIPELINE)).unwrap();
    assert!(text.contains(from), "{PIPELINE} has no {from}");
    stage.write(PIPELINE, &text.replace(from, to));
}

/// The verdicts of the first pipeline, in their order.
fn verdicts(trace: &Value) -> Vec<&str> {
    let events = trace["pipelines"][0]["events"].as_array().unwrap();
    events.iter().map(|event| event["verdict"].as_str().unwrap()).collect()
}

/// A customer whose lead was created.
fn accepted(stage: &Stage) -> (String, String) {
    stage.world(|world| {
        let of = |lead: &renkei::sandbox::Lead| Some((lead.text("external_id")?.to_owned(), lead.id.clone()));
        world.leads().into_iter().find_map(of).unwrap()
    })
}

/// What a trace says without times, ids of runs and names of writes, which are never the same twice.
fn timeless(ran: &Ran) -> String {
    let is_time = |word: &str| word.len() >= 8 && word.starts_with(|c: char| c.is_ascii_digit()) && word.contains(':');
    let is_date = |word: &str| word.len() >= 10 && word[4..].starts_with('-') && word[7..].starts_with('-');
    let is_id = |word: &str| word.len() >= 32 && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let words = |line: &str| {
        let of = |word: &str| {
            let (bare, end) = word.strip_suffix([',', ':']).map_or((word, ""), |bare| (bare, &word[word.len() - 1..]));
            match () {
                () if bare.is_ascii() && is_id(bare) => format!("ID{end}"),
                () if bare.is_ascii() && bare.len() > 10 && is_date(bare) => format!("TIME{end}"),
                () if bare.is_ascii() && bare.len() == 10 && is_date(bare) => "DATE".to_owned(),
                () if bare.is_ascii() && is_time(bare) => format!("TIME{end}"),
                () => word.to_owned(),
            }
        };
        let mut line = line.split(' ').map(of).collect::<Vec<_>>().join(" ");
        if let Some((before, after)) = line.split_once(" after ")
            && let Some((_, rest)) = after.split_once(" ms")
        {
            line = format!("{before} after N ms{rest}");
        }
        line
    };
    ran.transcript().lines().map(words).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_record_is_followed_through_every_run_with_what_was_sent_under_which_key_and_how_it_was_answered() {
    let stage = Stage::leads(fast(60), FaultPlan::none());
    stage.renkei(&["run"]);
    let (key, lead) = accepted(&stage);
    for _ in 0..2 {
        stage.renkei(&["run", "--full-refresh", "customers"]);
    }
    edit(&stage, "company: record.company", "company: record.company ~ \"x\"");
    stage.renkei(&["run", "--full-refresh", "customers"]);
    edit(&stage, "record.consent and", "record.consent and record.tier == \"none\" and");
    stage.renkei(&["run", "--full-refresh", "customers"]);

    let shown = trace(&stage, &key, &[]);
    assert_eq!(verdicts(&shown), ["created", "unchanged", "unchanged", "updated", "skipped"]);
    let events = shown["pipelines"][0]["events"].as_array().unwrap();
    let (created, updated) = (&events[0], &events[3]);
    assert_eq!((&created["sink_id"], &updated["sink_id"]), (&json!(lead), &json!(lead)));
    let sent = &created["sent"][0];
    assert_eq!(
        (&sent["operation"], &sent["status"], &sent["attempts"]),
        (&json!("create_lead"), &json!(201), &json!(1))
    );
    assert_eq!(
        (&sent["key"], &updated["sent"][0]["key"]),
        (&created["name"], &Value::Null),
        "an upsert carries no key"
    );
    assert_eq!((&updated["sent"][0]["operation"], &updated["generation"]), (&json!("update_lead"), &json!(1)));
    assert_eq!(created["fields"]["email"], "***");
    let times =
        [&created["read_at"], &created["staged_at"], &sent["at"], &created["at"]].map(|at| at.as_str().unwrap());
    assert!(times.is_sorted(), "{times:?}");
    let runs = stage.renkei(&["runs", "--output", "json"]).json();
    let ids: BTreeSet<&str> = runs.as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!(events.iter().map(|event| event["run"].as_str().unwrap()).collect::<BTreeSet<_>>(), ids);

    let masked = stage.renkei(&["trace", &key]);
    let text = timeless(&masked).replace(&key, "KEY").replace(&lead, "LEAD");
    let text = text.split("fields   ").enumerate().map(|(at, part)| match (at, part.split_once('\n')) {
        (1.., Some((_, rest))) => format!("fields   FIELDS\n{rest}"),
        _ => part.to_owned(),
    });
    insta::assert_snapshot!(text.collect::<String>(), @r#"
    exit 0
    --- stdout
    KEY in demo-leads (stream customers, to crm/create_lead)
    DATE TIME  created as LEAD
        run      ID
        times    read TIME, staged TIME, settled TIME
        state    version TIME, the sink had accepted none before, named ID
        fields   FIELDS
        sent     TIME by create_lead: 201 after N ms, under the key ID
    DATE TIME  unchanged, for the 2nd time in a row since DATE TIME: the sink was sent this content before
        run      ID
    DATE TIME  updated as LEAD
        run      ID
        times    read TIME, staged TIME, settled TIME
        state    version TIME, the sink had accepted one before, named ID
        fields   FIELDS
        sent     TIME by update_lead: 200 after N ms
    DATE TIME  skipped: step 1 (filter): record.consent and record.tier == "none" and record.email is not none
        run      ID
    now
        link     LEAD, 2 states accepted, as sent
    history since DATE TIME UTC
    next    once the filter in the pipeline's file lets it through: renkei run demo-leads --full-refresh customers
    --- stderr
    "#);
}

#[test]
fn nothing_about_a_person_is_shown_or_stands_in_the_store() {
    let stage = Stage::leads(fast(200), FaultPlan::none());
    stage.renkei(&["run"]);
    let letters = stage.renkei(&["dead-letters", "list", "--output", "json"]).json();
    let refused = letters.as_array().unwrap().iter().map(|letter| letter["key"].as_str().unwrap().to_owned());
    let keys = stage.world(|world| world.customers().take(15).map(|customer| customer.id.clone()).collect::<Vec<_>>());
    let mut shown = String::new();
    for key in keys.into_iter().chain(refused.take(2)) {
        let key = key.as_str();
        shown.push_str(&stage.renkei(&["trace", key]).stdout);
        shown.push_str(&stage.renkei(&["trace", key, "--output", "json"]).stdout);
    }
    let stored = fs::read(stage.path().join("state/redb/db")).unwrap();
    let in_store = |part: &str| stored.windows(part.len()).any(|window| window == part.as_bytes());
    stage.world(|world| {
        for customer in world.customers() {
            for part in [Some(&customer.name), customer.email.as_ref(), Some(&customer.phone)].into_iter().flatten() {
                assert!(part.len() <= 3 || !shown.contains(part.as_str()), "{part} is shown");
                assert!(part.len() <= 5 || !in_store(part), "{part} is stored in clear");
            }
        }
    });
    assert!(shown.contains("skipped") && shown.contains("rejected") && shown.contains("created"), "{shown}");
}

#[test]
fn a_refused_record_is_told_with_its_letter_and_a_replayed_one_with_where_it_came_from() {
    let stage = Stage::leads(fast(200), FaultPlan::none());
    stage.renkei(&["run"]);
    let letter = stage.renkei(&["dead-letters", "list", "--output", "json"]).json()[0].clone();
    let (id, key) = (letter["id"].as_str().unwrap(), letter["key"].as_str().unwrap());
    let shown = trace(&stage, key, &[]);
    let told = &shown["pipelines"][0];
    assert_eq!(
        (&told["dead_letters"][0]["id"], &told["next"]),
        (&letter["id"], &json!(format!("renkei dead-letters show {id}")))
    );
    assert_eq!(
        (&told["events"][0]["reason"]["code"], &told["events"][0]["sent"][0]["status"]),
        (&json!("RK0401"), &json!(422))
    );
    let text = stage.renkei(&["trace", key]).stdout;
    assert!(
        text.contains("rejected: RK0401 must contain @")
            && text.contains(&format!("letter   {id}, rejected, met once")),
        "{text}"
    );

    stage.renkei(&["dead-letters", "edit", id, "--set", "email=\"mended@example.com\""]);
    stage.renkei(&["dead-letters", "replay", id]);
    let shown = trace(&stage, key, &[]);
    assert_eq!(verdicts(&shown), ["rejected", "created"]);
    let told = &shown["pipelines"][0];
    assert_eq!((&told["events"][1]["letter"], &told["dead_letters"]), (&json!(id), &json!([])));
    assert!(stage.renkei(&["trace", key]).stdout.contains(&format!("from     dead letter {id}, replayed")));
}

#[test]
fn a_record_that_a_kill_left_staged_says_so_and_later_which_runs_read_and_settled_it() {
    let stage = Stage::leads(fast(300), slow());
    let mut child = stage.start(&["run", "demo-leads"]);
    stage.until(&mut child, |counters| counters.created > 5);
    child.kill().unwrap();
    child.wait().unwrap();
    stage.world(|world| world.set_faults(FaultPlan::none()));
    let (key, _) = accepted(&stage);
    let shown = trace(&stage, &key, &[]);
    let told = &shown["pipelines"][0];
    let first = stage.renkei(&["runs", "--output", "json"]).json()[0]["id"].clone();
    assert_eq!((&told["events"], &told["staged"][0]["read_by"]), (&json!([]), &first), "{shown}");
    assert_eq!((&told["staged"][0]["maybe_sent"], &told["next"]), (&json!(true), &json!("renkei run demo-leads")));
    let text = stage.renkei(&["trace", &key]).stdout;
    assert!(text.contains("not sent, or sent and not answered: {\"external_id\"") && !text.contains('@'), "{text}");

    stage.renkei(&["run"]);
    let shown = trace(&stage, &key, &[]);
    let event = &shown["pipelines"][0]["events"][0];
    let second = &stage.renkei(&["runs", "--output", "json"]).json()[0]["id"];
    assert_eq!((&event["verdict"], &event["read_by"], &event["run"]), (&json!("created"), &first, second));
    assert_eq!(shown["pipelines"][0]["staged"], json!([]));
    assert!(stage.renkei(&["trace", &key]).stdout.contains("which left it staged; it may have sent it"));
}

#[test]
fn an_unknown_key_says_what_is_known_and_since_when() {
    let stage = Stage::leads(fast(30), FaultPlan::none());
    let never = stage.renkei(&["trace", "cus_1"]);
    assert!(
        never.code == 2 && never.stderr.contains("nothing is remembered yet: renkei run"),
        "{}",
        never.transcript()
    );
    assert!(!stage.path().join("state/format").exists(), "looking makes no store");
    stage.renkei(&["run"]);
    let stranger = stage.renkei(&["trace", "cus_1", "--log-format", "text"]);
    insta::assert_snapshot!(timeless(&stranger), @r"
    exit 2
    --- stdout
    --- stderr
    error: no pipeline knows a record `cus_1`
      = help: demo-leads remembers 30 verdicts, since DATE TIME UTC; history: in renkei.yaml
              says how long. The key is the one of the record in its source, as dead letters show it,
              and a list of them where it has several fields
    ");
    let json = stage.renkei(&["trace", "cus_1", "--output", "json"]);
    assert!(json.code == 2 && json.stderr.contains("no pipeline knows a record `cus_1`"), "{}", json.transcript());
    let typo = stage.renkei(&["trace", "cus_1", "--pipeline", "demo-lead"]);
    assert!(typo.code == 2 && typo.stderr.contains("did you mean `demo-leads`?"), "{}", typo.transcript());
}

#[test]
fn every_pipeline_that_knows_the_key_is_told_also_one_that_is_gone_and_one_can_be_picked() {
    let stage = Stage::leads(fast(30), FaultPlan::none());
    stage.write(
        "pipelines/copy.yaml",
        "version: 1\nfrom: { connection: shop, stream: customers }\nto: { connection: files, file: customers }\n",
    );
    stage.renkei(&["run"]);
    let (key, _) = accepted(&stage);
    let names = |shown: &Value| {
        let all = shown["pipelines"].as_array().unwrap().iter();
        all.map(|one| (one["pipeline"].as_str().unwrap().to_owned(), one["to"].clone())).collect::<Vec<_>>()
    };
    let both = trace(&stage, &key, &[]);
    let copy = ("copy".to_owned(), json!("files/customers"));
    assert_eq!(names(&both), [copy, ("demo-leads".to_owned(), json!("crm/create_lead"))]);
    // A file holds the record itself, and the history that it does.
    assert_eq!(
        (verdicts(&both), &both["pipelines"][0]["events"][0]["why"]),
        (vec!["created"], &json!("the sink took it"))
    );
    assert_eq!(names(&trace(&stage, &key, &["--pipeline", "demo-leads"])).len(), 1);
    fs::remove_file(stage.path().join("pipelines/copy.yaml")).unwrap();
    let gone = trace(&stage, &key, &["--pipeline", "copy"]);
    assert_eq!(names(&gone), [("copy".to_owned(), Value::Null)]);
    assert!(stage.renkei(&["trace", &key]).stdout.contains("no longer in pipelines/"));
}

#[test]
fn a_limit_shows_the_newest_and_a_history_that_is_switched_off_leaves_what_else_is_known() {
    let stage = Stage::leads(fast(30), FaultPlan::none());
    stage.renkei(&["run"]);
    let (key, lead) = accepted(&stage);
    stage.renkei(&["run", "--full-refresh", "customers"]);
    let shown = trace(&stage, &key, &["--limit", "1"]);
    assert_eq!((verdicts(&shown), &shown["pipelines"][0]["earlier"]), (vec!["unchanged"], &json!(1)));
    assert!(stage.renkei(&["trace", &key, "--limit", "1"]).stdout.contains("1 earlier ones: --limit 2"));

    let path = "renkei.yaml";
    let text = fs::read_to_string(stage.path().join(path)).unwrap();
    stage.write(path, &format!("{text}history: {{ max: 0 }}\n"));
    stage.renkei(&["run", "--full-refresh", "customers"]);
    let shown = trace(&stage, &key, &[]);
    let told = &shown["pipelines"][0];
    assert_eq!((&told["events"], &told["link"]["sink_id"]), (&json!([]), &json!(lead)));
    assert!(stage.renkei(&["trace", &key]).stdout.contains("history none is kept of this pipeline"));
}

#[test]
fn records_of_one_request_say_how_many_they_were_and_retries_are_counted() {
    let mut asked = 0;
    let vendor = Vendor::new(move |request| match request.line.as_str() {
        line if line.starts_with("GET") => answer("200 OK", &people(0..3)),
        _ => {
            asked += 1;
            match asked {
                1 => answer("500 Internal Server Error", "{}"),
                _ => answer("200 OK", r#"{"done":[{"id":0},{"id":1},{"id":2}]}"#),
            }
        }
    });
    let desk = Desk::new(&vendor, "people", "{ connection: vendor, operation: put_people, key: id }");
    let ran = desk.renkei(&["run", "--log-level", "off"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let shown = desk.renkei(&["trace", "1", "--output", "json"]).json();
    let sent = &shown["pipelines"][0]["events"][0]["sent"];
    assert_eq!(
        (&sent[0]["attempts"], &sent[0]["records"], &sent[0]["status"]),
        (&json!(2), &json!(3), &json!(200)),
        "{sent}"
    );
    let text = desk.renkei(&["trace", "1"]).stdout;
    assert!(text.contains("by put_people: 200 after") && text.contains("ms, 2 attempts, with 2 others"), "{text}");
}
