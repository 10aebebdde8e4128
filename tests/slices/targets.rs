//! Several targets of a stream in slices.

use renkei::engine::{Options, Stopper};

use super::rig::{Stage, World};

#[tokio::test]
async fn targets_read_slices_for_themselves_because_each_has_cursors_of_its_own() {
    let stage = Stage::new(World::of(4, 3, 0), "new_issues").await;
    let to = "to:\n  - { name: all, connection: files, file: lines }\n  - { name: first, connection: files, file: first, when: record.number == 0 }\n";
    let text = format!("version: 1\nfrom: {{ connection: api, stream: new_issues }}\n{to}");
    std::fs::write(stage.folder.path().join("pipelines/p.yaml"), text).unwrap();
    let (engine, stop) = (stage.engine(), Stopper::new().1);
    let run = |target: &'static str| engine.run(target, Options::default(), &stop);
    // The first one has come further when the second one begins, and asks for the same slices at the same place of its own.
    let (all, first) = (run("p.all").await.unwrap(), run("p.first").await.unwrap());
    assert_eq!((all.1, all.0.counts.created), (None, 12));
    assert_eq!((first.1, first.0.counts.created, first.0.counts.skipped), (None, 4, 8));
    let before = stage.asked("/issues");
    let (all, first) = tokio::join!(run("p.all"), run("p.first"));
    assert_eq!((all.unwrap().1, first.unwrap().1), (None, None));
    assert_eq!(stage.asked("/issues") - before, 8, "each asks for each of its slices");
}
