//! What the terms of a contract lead to.

use serde_json::{Value, json};

use super::rig::{SCHEMA, Stage, drift, order};

fn schema() -> String {
    format!("schema:{SCHEMA}")
}

/// Six orders, of which the fourth has another total, the fifth an unknown state and a new field.
fn orders() -> Vec<Value> {
    let mut all: Vec<Value> = (1..=6).map(order).collect();
    all[3]["total"] = json!("12.5");
    all[4]["state"] = json!("lost");
    all[4]["tax"] = json!({"rate": 8});
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_warn_every_record_goes_on_and_each_run_tells_what_differed() {
    let stage = Stage::new(orders(), &schema(), "", "").await;
    stage.world.lock().unwrap().orders[3]["total"] = json!(7.5);
    for expected in [vec![1, 2, 3, 4, 5, 6], vec![1, 2, 3, 4, 5, 6]] {
        let (ran, run) = stage.run();
        assert_eq!(ran.code, 0, "{}", ran.transcript());
        assert_eq!(stage.taken(), expected, "what did not change is not sent again");
        assert_eq!(
            drift(&run)[..3],
            ["read enum_value state 1", "read new_field tax 1", "read type_change total 1"],
            "{}",
            ran.transcript()
        );
        assert!(ran.stderr.contains("records differ from their contract"), "{}", ran.transcript());
    }
    let ran = stage.renkei(&["run", "--output", "text"]);
    for line in [
        "read type_change total: number, not integer; 1 record, such as 7.5",
        "read enum_value state: not one of the 2 values that are listed; 1 record, such as \"lost\"",
        "read new_field tax; 1 record, such as {..}",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.transcript());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_reject_a_record_that_does_not_fit_is_a_dead_letter_and_a_new_field_is_none() {
    let stage = Stage::new(orders(), &schema(), ", contract: reject", "").await;
    stage.world.lock().unwrap().orders[5]["more"] = json!(1);
    let (ran, run) = stage.run();
    assert_eq!(ran.code, 1, "{}", ran.transcript());
    assert_eq!(stage.taken(), [1, 2, 3, 6]);
    assert_eq!((run["counts"]["read"].as_u64(), run["counts"]["rejected"].as_u64()), (Some(6), Some(2)));
    let letters = stage.renkei(&["dead-letters", "list", "--output", "json"]);
    assert!(
        letters.stdout.contains("RK0980") && letters.stdout.contains("`total` is string and not integer"),
        "{}",
        letters.stdout
    );
    assert!(
        !letters.stdout.contains("12.5") && !letters.stdout.contains("lost"),
        "no value is quoted: {}",
        letters.stdout
    );
    // With the schema mended the letters go where they were to go, by the same contract.
    let mended =
        SCHEMA.replace("total: { type: integer }", "total: {}").replace("[open, closed]", "[open, closed, lost]");
    let connector = std::fs::read_to_string(stage.path().join("connectors/shop/connector.yaml")).unwrap();
    stage.write("connectors/shop/connector.yaml", &connector.replace(SCHEMA, &mended));
    let replayed = stage.renkei(&["dead-letters", "replay", "--pipeline", "p"]);
    assert_eq!(stage.taken(), [1, 2, 3, 4, 5, 6], "{}", replayed.transcript());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_freeze_nothing_of_the_page_leaves_and_the_next_run_meets_it_again() {
    let stage = Stage::new(orders(), &schema(), ", contract: freeze", "").await;
    for _ in 0..2 {
        let (ran, run) = stage.run();
        assert_eq!(ran.code, 3, "{}", ran.transcript());
        assert!(
            ran.stderr.contains("RK0981") && ran.stderr.contains("`total` is string and not integer"),
            "{}",
            ran.stderr
        );
        assert!(!ran.transcript().contains("\"rejected\": 1"), "{}", ran.transcript());
        assert_eq!(run["counts"]["rejected"], 0);
        assert!(stage.taken().iter().all(|id| *id < 3), "nothing of the page with the fourth: {:?}", stage.taken());
    }
    stage.world.lock().unwrap().orders = (1..=6).map(order).collect();
    let (ran, _) = stage.run();
    assert_eq!((ran.code, stage.taken()), (0, vec![1, 2, 3, 4, 5, 6]), "{}", ran.transcript());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_evolve_a_difference_is_told_once_and_again_after_a_reset() {
    let stage = Stage::new(orders(), &schema(), ", contract: evolve", "\n  contract: evolve").await;
    let (ran, run) = stage.run();
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert!(drift(&run).contains(&"read type_change total 1".to_owned()), "{run}");
    assert!(!ran.stderr.contains("differ from their contract"), "{}", ran.stderr);
    stage.world.lock().unwrap().orders.push(json!({"id": 7, "total": "8", "tax": 1}));
    let (_, run) = stage.run();
    assert_eq!(drift(&run), ["read new_field tax 1"], "another type than before is new: {run}");
    assert_eq!(drift(&stage.run().1), [""; 0]);
    assert_eq!(stage.renkei(&["state", "reset", "p"]).code, 0);
    assert!(!drift(&stage.run().1).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_the_operation_never_leaves() {
    let mut all: Vec<Value> = (1..=4).map(order).collect();
    all[1]["total"] = json!(5_000);
    all[2].as_object_mut().unwrap().remove("total");
    let stage = Stage::new(all, "", "", "\n  contract: reject\n").await;
    let (ran, run) = stage.run();
    assert_eq!((ran.code, stage.taken()), (1, vec![1, 4]), "{}", ran.transcript());
    assert_eq!(drift(&run), ["sent broken_rule sum 1", "sent missing_field sum 1"]);
    stage.pipeline("", "\n  contract: freeze\n");
    stage.world.lock().unwrap().orders[0]["email"] = json!("new@example.com");
    let (ran, _) = stage.run();
    assert_eq!((ran.code, stage.taken()), (3, vec![1, 4]), "{}", ran.transcript());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_and_no_secret_is_told_of_a_difference() {
    let secret = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";
    let mut all: Vec<Value> = (1..=3).map(order).collect();
    all[0]["email"] = json!(90_123_456);
    all[0]["customer"] = json!({"phone": 9_012_345_678_u64, "name": "Hanako Yamada"});
    all[1]["total"] = json!(secret);
    all[1]["password"] = json!("hunter2");
    all[1]["taro@example.com"] = json!({"note": "Taro"});
    all[2]["state"] = json!("Taro Yamada");
    let personal = "personal: { email: hash, customer.phone: mask }";
    let stage = Stage::new(all, &format!("{personal}\n    schema:{SCHEMA}"), ", contract: reject", "").await;
    let workspace = std::fs::read_to_string(stage.path().join("renkei.yaml")).unwrap();
    stage.write("renkei.yaml", &format!("{workspace}personal: {{ hash_key: \"{}\" }}\n", "${HASH_KEY}"));
    let mut command = super::harness::program(stage.path());
    command.env("HASH_KEY", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
    let ran = super::harness::Ran::of(command.args(["run", "--output", "json"]).output().unwrap());
    let run = ran.json()["runs"][0].clone();
    let told = drift(&run);
    // A protected value is ours: that it is a text now is no drift, and no reason to refuse it.
    assert!(!told.iter().any(|row| row.contains(" email") || row.contains("phone")), "{told:?}");
    assert_eq!(stage.taken(), [1], "{}", ran.transcript());
    assert!(told.contains(&"read new_field *** 1".to_owned()), "{told:?}");
    assert!(told.contains(&"read new_field customer.name 1".to_owned()), "{told:?}");
    let text = stage.renkei(&["runs", "show", run["id"].as_str().unwrap(), "--output", "text"]);
    let all = format!("{}{}", ran.transcript(), text.transcript());
    for gone in [secret, "hunter2", "Hanako", "Taro", "taro@", "90123456", "9012345678", "ada@"] {
        assert!(!all.contains(gone), "{gone} is told: {all}");
    }
    assert!(text.stdout.contains("type_change total"), "{}", text.transcript());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_of_differences_is_bounded() {
    let wide = |id: u64| {
        let mut order = order(id);
        (0..90).for_each(|n| order[format!("f{id}x{}", letters(n))] = json!(n));
        order
    };
    let stage = Stage::new((1..=3).map(wide).collect(), &schema(), "", "").await;
    let (ran, run) = stage.run();
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert_eq!((drift(&run).len(), run["drift"]["left_out"].as_u64()), (100, Some(170)));
    let shown = stage.renkei(&["run", "--output", "text"]).stdout;
    assert!(
        shown.contains("and 92 other differences: renkei runs show") && shown.contains("170 differences"),
        "{shown}"
    );
}

/// A number as letters.
fn letters(number: u64) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}
