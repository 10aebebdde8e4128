//! MySQL and MariaDB in whole workspaces: what is refused where.

use super::tests_load::{Workspace, expect};
use crate::model::Code;

const FILE: &str = "renkei.yaml";

fn workspace(mysql: &str) -> String {
    format!("version: 1\nconnections:\n  db: {{ mysql: {mysql} }}\n  files: {{ jsonl: {{ path: out }} }}\n")
}

#[test]
fn a_url_names_a_host_and_one_database() {
    let report = |url: &str| Workspace::new(&[(FILE, &workspace(&format!("{{ url: \"{url}\" }}")))]).report();
    for url in ["mysql://me@localhost/x", "mysql://me@[::1]:3307/x?ssl-mode=REQUIRED", "${MYSQL_URL}"] {
        expect(
            &Workspace::new(&[(FILE, &workspace(&format!("{{ url: \"{url}\" }}")))])
                .check(&[("MYSQL_URL", "mysql://me@db/x")])
                .report,
            &[],
        );
    }
    for url in
        ["postgres://me@localhost/x", "mariadb://me@localhost/x", "mysql://me@localhost", "mysql://me@localhost/x/y"]
    {
        expect(&report(url), &[(Code::BadPath, FILE, 3, 23, "also for MariaDB")]);
    }
}

#[test]
fn mistakes_are_told_once_with_what_to_write() {
    let report = |mysql: &str| Workspace::new(&[(FILE, &workspace(mysql))]).report();
    expect(
        &report("{ url: \"mysql://me@db/x\", sa: a.pem }"),
        &[(Code::UnknownKey, FILE, 3, 42, "did you mean `ca`?")],
    );
    expect(&report("{ url: \"mysql://me@db/x\" }, ca: a.pem"), &[(Code::Conflict, FILE, 3, 48, "`mysql`")]);
    expect(
        &report("{ url: \"mysql://me@db/x\" }, sqlite: { path: a.db }"),
        &[(Code::Conflict, FILE, 3, 3, "`mysql` and `sqlite`")],
    );
    let misspelt = workspace("{ url: \"mysql://me@db/x\" }").replace("mysql:", "msql:");
    let report = Workspace::new(&[(FILE, &misspelt)]).report();
    assert!(report.to_string().contains("did you mean `mysql`?"), "{report}");
}

#[test]
fn there_is_no_outbox_for_mysql() {
    let pipeline =
        "version: 1\nfrom: { connection: db, outbox: { table: t }, key: id }\nto: { connection: files, file: a }\n";
    let workspace = workspace("{ url: \"mysql://me@db/x\" }");
    let report = Workspace::new(&[(FILE, &workspace), ("pipelines/a.yaml", pipeline)]).report();
    expect(&report, &[(Code::Conflict, "pipelines/a.yaml", 2, 33, "use PostgreSQL")]);
}
