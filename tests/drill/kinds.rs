//! Every way to read, to write and to sign in that a connector can declare: replicas play it, and nothing is lost or doubled.

use super::rig::{drill, is_good, scenario, workspace};

/// The scenarios in which the way matters most.
const HARD: [&str; 6] = ["--scenario", "lost-answers", "--scenario", "crash", "--scenario", "calm"];

fn all_are_good(pipelines: &[&str], scenarios: &[&str]) {
    let folder = workspace();
    for pipeline in pipelines {
        let ran = drill(folder.path(), pipeline, scenarios);
        is_good(folder.path(), pipeline, &ran);
        let gaps = ran.json()["cannot_play"].to_string();
        assert!(!gaps.contains("is declared") && !gaps.contains("not found"), "{pipeline}: {gaps}");
    }
}

#[test]
fn every_way_to_page_is_played() {
    all_are_good(
        &["read-whole", "read-last", "read-next", "read-link", "read-page", "read-pages", "read-offset"],
        &HARD,
    );
}

#[test]
fn every_way_to_tell_what_changed_is_played() {
    all_are_good(&["read-events", "read-changes", "read-bare", "read-graph"], &HARD);
}

#[test]
fn every_way_to_write_and_to_repeat_is_played() {
    all_are_good(&["write-put", "write-call", "write-listed", "write-job", "write-keyed", "write-formed"], &HARD);
    all_are_good(&["write-echoed", "write-positional", "write-looked", "write-locked"], &HARD);
}

#[test]
fn personal_fields_are_protected_and_what_arrives_is_recognised_all_the_same() {
    all_are_good(&["personal"], &HARD);
}

#[test]
fn every_way_to_sign_in_gets_over_revoked_credentials() {
    let revoked = ["--scenario", "revoked"];
    all_are_good(&["auth-bearer", "auth-basic", "auth-header", "auth-query", "auth-hmac", "auth-refresh"], &revoked);
    all_are_good(&["auth-consent", "auth-device", "auth-service", "auth-session", "auth-cookie"], &revoked);
}

#[test]
fn credentials_that_can_be_renewed_are_renewed_and_others_wait_for_a_person() {
    let folder = workspace();
    for (pipeline, word) in [("auth-refresh", "new sign-in"), ("auth-cookie", "new sign-in"), ("auth-bearer", "RK0601")]
    {
        let played = scenario(&drill(folder.path(), pipeline, &["--scenario", "revoked"]), "revoked");
        assert!(played["reactions"].to_string().contains(word), "{pipeline}: {played}");
    }
}
