//! Children by their parents, values, and combinations.

use renkei::{
    engine::{Options, Stopper},
    model::{Clock, Code},
};
use serde_json::Value;

use super::rig::{Stage, World, hour};

fn name(line: &Value) -> String {
    format!("{}/{}", line["repo"].as_str().unwrap(), line["number"])
}

fn all(repos: usize, issues: usize) -> Vec<String> {
    let mut all: Vec<String> =
        (0..repos).flat_map(|repo| (0..issues).map(move |number| format!("r{repo:03}/{number}"))).collect();
    all.sort();
    all
}

#[tokio::test]
async fn every_child_of_every_parent_is_read_with_the_fields_of_its_parent() {
    let stage = Stage::new(World::of(8, 5, 0), "issues").await;
    let (run, fault) = stage.run().await;
    assert_eq!(fault, None);
    assert_eq!(run.counts.created, 40);
    assert_eq!(stage.sorted(name), all(8, 5));
    assert!(stage.lines().iter().all(|line| line["owner"] == "o"), "a nested field of the parent");
    assert_eq!(stage.asked("/repos"), 3, "a page of parents is read once");
}

#[tokio::test]
async fn a_grandchild_is_read_by_its_parent_which_is_read_by_its_own() {
    let stage = Stage::new(World::of(4, 3, 3), "comments").await;
    assert_eq!(stage.run().await.1, None);
    let id = |line: &Value| line["id"].as_str().unwrap().to_owned();
    let mut expected: Vec<String> = all(4, 3).iter().flat_map(|of| (0..3).map(move |n| format!("{of}/{n}"))).collect();
    expected.sort();
    assert_eq!(stage.sorted(id), expected);
}

#[tokio::test]
async fn listed_values_are_combined() {
    let stage = Stage::new(World::of(3, 4, 0), "states").await;
    assert_eq!(stage.run().await.1, None);
    assert_eq!(stage.sorted(name), all(2, 4), "the two repositories of the settings, both states");
    let asked = stage.server.asked();
    let open = asked.iter().filter(|asked| asked.parameter("state") == Some("open")).count();
    assert_eq!((asked.len(), open), (4, 2));
}

#[tokio::test]
async fn a_parent_that_is_gone_when_its_children_are_read_is_passed_over() {
    let mut world = World::of(6, 2, 0);
    world.issues.remove("r002");
    let stage = Stage::new(world, "issues").await;
    let (run, fault) = stage.run().await;
    assert_eq!(fault, None);
    assert_eq!(run.counts.created, 10);
}

#[tokio::test]
async fn that_all_parents_are_gone_is_an_error_and_the_next_run_begins_anew() {
    let mut world = World::of(3, 2, 0);
    let issues = std::mem::take(&mut world.issues);
    let stage = Stage::new(world, "issues").await;
    let fault = stage.run().await.1.unwrap();
    assert_eq!(fault.code, Code::NoSliceFound, "{fault:?}");
    stage.world.lock().unwrap().issues = issues;
    assert_eq!(stage.run().await.1, None);
    assert_eq!(stage.sorted(name), all(3, 2));
}

#[tokio::test]
async fn the_only_parent_may_go_while_its_children_are_read_and_the_pass_ends_without_it() {
    let stage = Stage::new(World::of(1, 4, 0), "new_issues").await;
    let two = Options { limit: Some(2), ..Options::default() };
    let (run, fault) = stage.run_until(&Stopper::new().1, two).await;
    assert_eq!((fault, run.counts.created), (None, 2));
    *stage.world.lock().unwrap() = World::default();
    assert_eq!(stage.run().await.1, None);
    *stage.world.lock().unwrap() = World::of(2, 4, 0);
    assert_eq!(stage.run().await.1, None);
    assert_eq!(stage.sorted(name), all(2, 4), "one that comes later is read, and one that comes back");
}

#[tokio::test]
async fn a_slice_that_fails_does_not_hold_up_the_others_and_goes_on_in_the_next_run() {
    let world = World::of(9, 5, 0);
    let stage = Stage::new(world, "new_issues").await;
    stage.world.lock().unwrap().broken.insert("/repos/r001/issues".into(), 403);
    let fault = stage.run().await.1.unwrap();
    assert!(fault.place.iter().any(|place| place.contains("r001")), "{fault:?}");
    let others: Vec<String> = all(9, 5).into_iter().filter(|name| !name.starts_with("r001")).collect();
    assert_eq!(stage.sorted(name), others);
    stage.world.lock().unwrap().broken.clear();
    let before = stage.server.asked().len();
    assert_eq!(stage.run().await.1, None);
    assert_eq!(stage.sorted(name), all(9, 5));
    let since = stage.server.asked().split_off(before);
    assert!(since.iter().all(|asked| !asked.path.contains("r000")), "what ended is not read again: {since:?}");
}

#[tokio::test]
async fn each_slice_has_a_cursor_of_its_own_so_a_parent_that_comes_later_is_read_whole() {
    let mut world = World::of(3, 2, 0);
    let late = world.repos.remove(1);
    let stage = Stage::new(world, "new_issues").await;
    assert_eq!(stage.run().await.1, None);
    assert_eq!(stage.lines().len(), 4);
    stage.world.lock().unwrap().repos.push(late);
    stage.world.lock().unwrap().issue("r000", 7, 24 * 365 * 3);
    let before = stage.server.asked().len();
    assert_eq!(stage.run().await.1, None);
    let expected: Vec<String> = all(3, 2);
    assert_eq!(stage.sorted(name), expected, "what is newer than now waits");
    let since = stage.server.asked().split_off(before);
    let of = |repo: &str| {
        since.iter().find(|asked| asked.path.contains(repo)).unwrap().parameter("since").map(str::to_owned)
    };
    assert!(of("r000").is_some(), "from its own cursor");
    assert_eq!(of("r001"), None, "from the beginning");
}

#[tokio::test]
async fn only_parents_that_changed_are_visited_where_that_is_declared() {
    let stage = Stage::new(World::of(5, 2, 0), "touched_issues").await;
    assert_eq!(stage.run().await.1, None);
    assert_eq!(stage.sorted(name), all(5, 2));
    // By the server's clock: after the cursor of the parents, and settled.
    let now = (renkei::model::SystemClock.now() - chrono::TimeDelta::seconds(1))
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    stage.world.lock().unwrap().repos[3]["updated_at"] = now.into();
    let before = stage.server.asked().len();
    assert_eq!(stage.run().await.1, None);
    let since = stage.server.asked().split_off(before);
    assert!(since.iter().all(|asked| !asked.path.ends_with("/issues")), "nothing that settled has changed: {since:?}");
}

#[tokio::test]
async fn a_parent_that_changes_while_its_page_is_read_hides_no_other_and_is_visited_by_the_next_pass() {
    let one = |connector: String| {
        connector.replace("changed_only: true } } }", "changed_only: true } } }\n      concurrency: 1")
    };
    let world = World { date: Some("Thu, 05 Mar 2026 00:00:00 GMT"), ..World::of(3, 1, 0) };
    let stage = Stage::with(world, "touched_issues", one).await;
    let first = Options { limit: Some(1), ..Options::default() };
    assert_eq!(stage.run_until(&Stopper::new().1, first).await.1, None);
    assert_eq!(stage.sorted(name), ["r000/0"]);
    {
        let mut world = stage.world.lock().unwrap();
        world.date = Some("Fri, 06 Mar 2026 00:00:00 GMT");
        world.issue("r000", 9, 4 * 24 + 12);
        // The vendor lists what changed last at the end.
        let mut touched = world.repos.remove(0);
        touched["updated_at"] = hour(4 * 24 + 12).into();
        world.repos.push(touched);
    }
    assert_eq!(stage.run().await.1, None);
    assert_eq!(stage.sorted(name), ["r000/0", "r001/0", "r002/0"], "the pass ends where it was to end when it began");
    stage.world.lock().unwrap().date = Some("Sat, 07 Mar 2026 00:00:00 GMT");
    assert_eq!(stage.run().await.1, None);
    assert_eq!(stage.sorted(name), ["r000/0", "r000/9", "r001/0", "r002/0"]);
}

#[tokio::test]
async fn a_run_with_a_limit_goes_on_where_it_was_cut() {
    let stage = Stage::new(World::of(7, 5, 0), "issues").await;
    for _ in 0..40 {
        let options = Options { limit: Some(3), ..Options::default() };
        let (run, fault) = stage.run_until(&Stopper::new().1, options).await;
        assert_eq!(fault, None);
        assert!(run.counts.created <= 3, "{:?}", run.counts);
        if stage.lines().len() == 35 {
            break;
        }
    }
    assert_eq!(stage.sorted(name), all(7, 5));
}

#[tokio::test]
async fn more_slices_than_allowed_and_a_parent_without_its_fields_are_errors() {
    let few = |connector: String| connector.replace("      concurrency: 4", "      concurrency: 4\n      max: 5");
    let stage = Stage::with(World::of(8, 1, 0), "issues", few).await;
    let fault = stage.run().await.1.unwrap();
    assert_eq!(fault.code, Code::NoSlice);
    let other = |connector: String| connector.replace("[name, owner.login]", "[name, owner.email]");
    let stage = Stage::with(World::of(2, 1, 0), "issues", other).await;
    let fault = stage.run().await.1.unwrap();
    assert!(fault.code == Code::NoSlice && fault.message.contains("owner.email"), "{fault:?}");
}

#[tokio::test]
async fn a_listed_value_that_the_server_does_not_know_is_an_error_and_no_parent_that_is_gone() {
    let mut world = World::of(2, 4, 0);
    world.issues.remove("r001");
    let stage = Stage::new(world, "states").await;
    let fault = stage.run().await.1.unwrap();
    assert!(fault.code == Code::NotFound && fault.place.iter().any(|place| place.contains("r001")), "{fault:?}");
    assert_eq!(stage.sorted(name), all(1, 4), "the other value is read");
}
