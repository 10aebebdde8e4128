//! `renkei try --record` against the sandbox: what goes by becomes a case that plays, and holds no secret and nobody's data.

use std::fs;

use renkei::sandbox::{FaultPlan, WorldConfig};

use crate::harness::Stage;

fn stage() -> Stage {
    Stage::leads(WorldConfig { customers: 60, ..WorldConfig::default() }, FaultPlan::none())
}

/// Nothing that the sandbox made up, and nothing that signs in.
fn holds_nobody(text: &str) {
    for secret in ["demo-secret", "Bearer", "authorization", "access_token", "127.0.0.1"] {
        assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "{secret} is in {text}");
    }
    let addresses = text.match_indices('@').filter(|(at, _)| text[at + 1..].starts_with(|c: char| c.is_alphanumeric()));
    for (at, _) in addresses {
        let before: String = text[..at].chars().rev().take_while(|c| c.is_alphanumeric()).collect();
        assert!(before.ends_with("nosrep"), "an address stays: ..{}", &text[at.saturating_sub(20)..at + 10]);
    }
}

#[test]
fn reading_is_recorded_without_secrets_and_personal_values_and_plays() {
    let stage = stage();
    let ran = stage.renkei(&["try", "shop", "--record", "seen", "--connection", "shop", "--stream", "customers"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let text = fs::read_to_string(stage.path().join("connectors/shop/cases/seen.yaml")).unwrap();
    holds_nobody(&text);
    assert!(text.contains("person") && text.contains("Name ") && text.contains("pages: 2"), "{text}");
    let ran = stage.renkei(&["try", "shop", "seen", "--output", "text"]);
    assert!(ran.code == 0 && ran.stdout.contains("as said"), "{}", ran.transcript());
}

#[test]
fn writing_is_recorded_with_what_became_of_each_record() {
    let stage = stage();
    let records = concat!(
        r#"{"fields": {"external_id": "1", "email": "ada.lovelace@acme.test", "name": "Ada Lovelace", "phone": "+44 20 7946 0000"}}"#,
        "\n",
        r#"{"fields": {"external_id": "2", "email": "none", "name": "Bob"}}"#,
        "\n"
    );
    stage.write("records.jsonl", records);
    let args = ["try", "crm", "--record", "added", "--connection", "crm", "--operation", "create_lead"];
    let ran = stage.renkei(&[&args[..], &["--records", "records.jsonl"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let text = fs::read_to_string(stage.path().join("connectors/crm/cases/added.yaml")).unwrap();
    holds_nobody(&text);
    for gone in ["Ada", "Lovelace", "acme", "7946", "Bob"] {
        assert!(!text.contains(gone), "{gone} is in {text}");
    }
    for there in ["<key_1>", "<key_2>", "\"created\"", "\"rejected\"", "RK0401"] {
        assert!(text.contains(there), "{there} is not in {text}");
    }
    assert_eq!(stage.counters().created, 1, "playing it sent nothing");
}

#[test]
fn a_case_that_is_there_is_not_overwritten_and_nothing_is_sent_for_it() {
    let stage = stage();
    stage.write("connectors/shop/cases/seen.yaml", "mine");
    let ran = stage.renkei(&["try", "shop", "--record", "seen", "--connection", "shop", "--stream", "customers"]);
    assert!(ran.code == 2 && ran.stderr.contains("already"), "{}", ran.transcript());
    let ran = stage.renkei(&["try", "shop", "--record", "../x", "--connection", "shop", "--stream", "customers"]);
    assert_eq!(ran.code, 2, "{}", ran.transcript());
    assert_eq!(fs::read_to_string(stage.path().join("connectors/shop/cases/seen.yaml")).unwrap(), "mine");
}
