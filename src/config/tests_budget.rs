//! Budgets and breakers: what becomes of each rule, what is shared, and limits that can let nothing through.

use std::time::Duration;

use super::{
    plan::{Api, Breaker, Bucket, Budget, Connection, LeftHeader},
    tests_load::{Workspace, expect},
    *,
};
use crate::model::Code;

const SECOND: Duration = Duration::from_secs(1);

fn connector(budget: &str) -> String {
    format!(
        "version: 1\nbase_url: https://api.example.com\nbudget:\n{budget}streams:\n  people: {{ get: /people, key: id }}\n  search: {{ get: /search, key: id }}\n"
    )
}

fn workspace(connector: &str, connections: &str) -> Workspace {
    Workspace::new(&[
        ("connectors/crm/connector.yaml", connector),
        ("renkei.yaml", &format!("version: 1\nconnections:\n{connections}")),
    ])
}

fn plan_of(workspace: &Workspace) -> Plan {
    let checked = workspace.check(&[]);
    checked.plan.unwrap_or_else(|| panic!("{}", checked.report))
}

fn api<'p>(plan: &'p Plan, name: &str) -> &'p Api {
    let Connection::Api(api) = &plan.connections[name] else { panic!("{name} is an API") };
    api
}

#[test]
fn every_kind_of_limit_is_understood_and_the_connections_hold_besides() {
    let connector = connector(
        "  - bucket: { requests: 190, per: 10s }
  - window: { requests: 600, per: 1m, remaining_header: X-Left, reset_header: X-Reset }
  - daily: { requests: 650000, remaining_header: X-Daily-Left, reserve: 5% }
  - daily: { requests: 5000, used_header: Sforce-Limit-Info }
  - points: { max: 2000, per_second: 100, cost: 50, available: extensions.cost.throttleStatus.currentlyAvailable }
  - tier: { calls: [search], requests: 4, per: 1s, concurrency: 2 }
  - concurrency: 6
",
    );
    let connection = "  crm:\n    connector: crm\n    budget: [{ bucket: { requests: 5, per: 1s } }, { concurrency: 9 }, { reserve: 20% }, { wait_max: 1m }]\n";
    let plan = plan_of(&workspace(&connector, connection));
    let budget = &api(&plan, "crm").budget;
    let bucket = |requests, seconds| Bucket { requests, per: seconds * SECOND, burst: 1 };
    assert_eq!(budget.buckets, [bucket(190, 10), bucket(5, 1)]);
    let window = &budget.windows[0];
    assert_eq!((window.requests, window.per), (600, 60 * SECOND));
    assert_eq!(window.left, Some(LeftHeader::Remaining("x-left".parse().unwrap())));
    assert_eq!(window.reset.as_ref().unwrap(), "x-reset");
    assert_eq!(budget.daily.iter().map(|daily| daily.reserve).collect::<Vec<_>>(), [0.2, 0.2]);
    assert_eq!(budget.daily[1].left, Some(LeftHeader::Used("sforce-limit-info".parse().unwrap())));
    assert_eq!((budget.points[0].max, budget.points[0].per_second, budget.points[0].cost), (2000, 100, 50));
    let tier = &budget.tiers[0];
    assert_eq!((tier.connector.as_str(), &tier.bucket, tier.concurrency), ("crm", &Some(bucket(4, 1)), Some(2)));
    assert!(tier.calls.contains("search") && tier.calls.len() == 1);
    assert_eq!((budget.concurrency, budget.wait_max), (6, 60 * SECOND));
}

#[test]
fn nothing_declared_is_eight_at_once_and_a_quarter_of_an_hour() {
    let plan = plan_of(&workspace(&connector("  - concurrency: 8\n"), "  crm: { connector: crm }\n"));
    assert_eq!(api(&plan, "crm").budget, Budget::default());
    assert_eq!(api(&plan, "crm").breaker, Breaker::default());
}

#[test]
fn connections_of_one_account_share_every_limit_of_all_of_them() {
    let connector = connector("  - bucket: { requests: 100, per: 10s }\n  - concurrency: 8\n");
    let connections = "  one: { connector: crm, budget: [{ account: shop }, { concurrency: 3 }] }
  two: { connector: crm, budget: [{ account: shop }, { daily: { requests: 9 } }, { wait_max: 1s }] }
  other: { connector: crm }
";
    let plan = plan_of(&workspace(&connector, connections));
    let (one, two, other) = (api(&plan, "one"), api(&plan, "two"), api(&plan, "other"));
    assert_eq!(one.budget, Budget { wait_max: 900 * SECOND, ..two.budget.clone() });
    assert_eq!((one.budget.buckets.len(), one.budget.daily.len(), one.budget.concurrency), (1, 1, 3));
    assert_eq!((other.budget.daily.len(), other.budget.concurrency), (0, 8));
}

#[test]
fn the_breaker_is_replaced_key_by_key() {
    let connector = connector("  - concurrency: 8\n") + "breaker: { failures: 80%, of: 50 }\n";
    let plan = plan_of(&workspace(&connector, "  crm: { connector: crm, breaker: { of: 10, pause: 1m } }\n"));
    let expected = Breaker { failures: 0.8, of: 10, pause: 60 * SECOND, ..Breaker::default() };
    assert_eq!(api(&plan, "crm").breaker, expected);
}

#[test]
fn limits_that_contradict_each_other_are_found_at_their_place() {
    let connector = connector(
        "  - window: { requests: 5, per: 1s, reset_header: X-Reset }
  - daily: { requests: 5, remaining_header: X-A, used_header: X-B }
  - daily: { requests: 5, reserve: 100% }
  - points: { max: 10, per_second: 1, cost: 11 }
  - tier: { calls: [serch], requests: 1, per: 1s }
  - tier: { calls: [search] }
  - tier: { calls: [search], requests: 1 }
  - account: shop
",
    ) + "breaker: { failures: 0% }\n";
    let file = "connectors/crm/connector.yaml";
    expect(
        &workspace(&connector, "  crm: { connector: crm }\n").report(),
        &[
            (Code::LimitConflict, file, 4, 51, "nothing says how many"),
            (Code::LimitConflict, file, 5, 63, "keep one of"),
            (Code::LimitConflict, file, 6, 36, "less than 100%"),
            (Code::LimitConflict, file, 7, 45, "no call could ever be sent"),
            (Code::UnknownName, file, 8, 21, "did you mean `search`?"),
            (Code::MissingKey, file, 9, 11, "or `concurrency`"),
            (Code::MissingKey, file, 10, 11, "`per` is missing"),
            (Code::Conflict, file, 11, 14, "say it in the connection"),
            (Code::LimitConflict, file, 15, 22, "lets nothing through"),
        ],
    );
}

#[test]
fn a_reserve_needs_a_quota_and_a_pace_a_call_that_waits_for_it() {
    let slow = connector("  - bucket: { requests: 1, per: 1h }\n");
    let report = workspace(&slow, "  crm: { connector: crm, budget: [{ reserve: 10% }] }\n").report();
    expect(
        &report,
        &[
            (Code::LimitConflict, "connectors/crm/connector.yaml", 4, 13, "no call waits that long"),
            (Code::LimitConflict, "renkei.yaml", 3, 46, "none is declared"),
        ],
    );
    assert_eq!(report.diagnostics[0].severity, Severity::Warning);
}
