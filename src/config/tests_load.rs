//! The repository's own workspace, and workspaces with every kind of mistake.

use std::path::Path;

use super::*;

#[test]
fn the_workspace_of_this_repository_is_a_plan() {
    let checked = check(Path::new(env!("CARGO_MANIFEST_DIR")), &MapEnvironment::default(), false);
    assert!(checked.report.is_empty(), "{}", checked.report);
    let plan = checked.plan.unwrap();
    assert!(plan.pipelines.contains_key("demo-leads"));
    assert_eq!(plan.connections.len(), 3);
}
