//! Whole workspaces: the repository's own, and ones with every kind of mistake. Each case says the code, the place and a
//! part of the help that a person is shown.

use std::{fs, path::Path};

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::{
    plan::{Auth, Changed, ClientAuth, Connection, Incremental, Node, Paginate, Repeat, To},
    *,
};
use crate::model::Code;

/// A workspace in a temporary directory.
pub(super) struct Workspace(pub tempfile::TempDir);

const CONNECTOR: &str = "version: 1\nbase_url: https://api.example.com/v1\nstreams:\n  people: { get: /people, key: id }\noperations:\n  put_person: { put: \"/people/{{ record.id }}\", makes: upsert, repeat: { upsert: { unique: id } } }\n";
const WORKSPACE: &str = "version: 1\nconnections:\n  crm: { connector: crm }\n  files: { jsonl: { path: out } }\n";

impl Workspace {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    /// A good workspace with one file replaced.
    pub fn with(name: &str, text: &str) -> Self {
        let mut files = vec![("renkei.yaml", WORKSPACE), ("connectors/crm/connector.yaml", CONNECTOR)];
        files.retain(|(other, _)| !name.starts_with(other));
        files.push((name, text));
        Self::new(&files)
    }

    pub fn check(&self, variables: &[(&str, &str)]) -> Checked {
        check(self.0.path(), &MapEnvironment::new(variables), false)
    }

    pub fn report(&self) -> Report {
        self.check(&[]).report
    }
}

/// Code, file, line and column of every problem, and whether the help holds a text.
#[track_caller]
pub(super) fn expect(report: &Report, wanted: &[(Code, &str, usize, usize, &str)]) {
    let found: Vec<(Code, String, usize, usize)> =
        report.diagnostics.iter().map(|one| (one.code, one.file.display().to_string(), one.line, one.column)).collect();
    let places: Vec<(Code, String, usize, usize)> =
        wanted.iter().map(|(code, file, line, column, _)| (*code, (*file).to_owned(), *line, *column)).collect();
    assert_eq!(found, places, "\n{report}");
    for (one, (.., help)) in report.diagnostics.iter().zip(wanted) {
        let said = format!("{} {}", one.message, one.help.clone().unwrap_or_default());
        assert!(said.contains(help), "`{said}` does not say `{help}`");
    }
}

#[test]
fn the_workspace_of_this_repository_is_a_plan() {
    let checked = check(Path::new(env!("CARGO_MANIFEST_DIR")), &MapEnvironment::default(), false);
    assert!(checked.report.is_empty(), "{}", checked.report);
    let plan = checked.plan.unwrap();
    assert_eq!(plan.connections.keys().collect::<Vec<_>>(), ["crm", "files", "shop"]);
    let Connection::Api(shop) = &plan.connections["shop"] else { panic!("shop is an API") };
    assert_eq!(shop.base_url.as_str(), "http://127.0.0.1:4010/");
    let Auth::OAuth2(auth) = &shop.auth else { panic!("shop signs in with OAuth 2.0") };
    assert_eq!(auth.token_url.as_str(), "http://127.0.0.1:4010/oauth/token");
    let ClientAuth::Basic { secret } = &auth.client else { panic!("the secret travels in the header") };
    assert_eq!(secret.expose_secret(), "demo-secret");
    let leads = &plan.pipelines["demo-leads"];
    let To::Operation { operation, key, changed, .. } = &leads.to else { panic!("leads go to an operation") };
    assert_eq!(key.as_ref().unwrap().as_str(), "external_id");
    assert!(matches!(&operation.repeat[..], [Repeat::IdempotencyKey(key)] if key.header == "idempotency-key"));
    assert!(matches!(changed, Changed::Operation(update) if update.name == "update_lead"));
    assert!(matches!(leads.from.stream.paginate, Paginate::Cursor { .. }));
    assert!(matches!(&leads.from.stream.incremental, Some(Incremental::Field(field)) if field.ascending));
}

#[test]
fn the_stripe_connector_is_a_plan() {
    let stripe = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/connectors/stripe/connector.yaml")).unwrap();
    let workspace = Workspace::new(&[
        ("connectors/stripe/connector.yaml", &stripe),
        (
            "renkei.yaml",
            "version: 1\nconnections:\n  stripe:\n    connector: stripe\n    auth: { bearer: { token: \"${STRIPE_KEY}\" } }\n    config: { api_version: \"2022-11-15\" }\n",
        ),
    ]);
    let checked = workspace.check(&[("STRIPE_KEY", "sk_test_x")]);
    assert!(checked.report.is_empty(), "{}", checked.report);
    let plan = checked.plan.unwrap();
    let Connection::Api(api) = &plan.connections["stripe"] else { panic!("an API") };
    assert_eq!(api.settings.as_str(), r#"{"api_version":"2022-11-15"}"#);
    let create = &api.operations["create_customer"];
    assert!(matches!(&create.request.body, Some(plan::Body::Form(Node::Value(whole))) if whole.as_str() == "record"));
    assert!(!format!("{plan:?}").contains("sk_test_x"), "a secret must not be printed");
}

#[test]
fn the_history_has_usual_bounds_and_can_be_switched_off() {
    let plan = |line: &str| {
        let workspace = Workspace::with("renkei.yaml", &format!("{WORKSPACE}{line}"));
        workspace.check(&[]).plan.map(|plan| (plan.history.keep.as_secs() / 3_600, plan.history.bytes_max))
    };
    assert_eq!(plan(""), Some((30 * 24, 32_000_000)));
    assert_eq!(plan("history: { keep: 12h, max: 2MB }\n"), Some((12, 2_000_000)));
    assert_eq!(plan("history: { max: 0 }\n"), Some((30 * 24, 0)));
    let report = Workspace::with("renkei.yaml", &format!("{WORKSPACE}history: {{ keep: 1m, max: 10kB }}\n")).report();
    let bounds = "from 1000000 to";
    expect(&report, &[(Code::OutOfRange, "renkei.yaml", 5, 18, ""), (Code::OutOfRange, "renkei.yaml", 5, 27, bounds)]);
}

#[test]
fn an_unknown_key_is_pointed_at_and_the_near_one_named() {
    let report = Workspace::with("renkei.yaml", "version: 1\nconections: {}\n").report();
    expect(&report, &[(Code::UnknownKey, "renkei.yaml", 2, 1, "did you mean `connections`?")]);
}

#[test]
fn a_duplicate_key_shows_both_places() {
    let report =
        Workspace::with("renkei.yaml", "version: 1\nconnections:\n  a: { jsonl: { path: x } }\n  a: {}\n").report();
    expect(&report, &[(Code::DuplicateKey, "renkei.yaml", 4, 3, "keep one")]);
    assert_eq!((report.diagnostics[0].related[0].line, report.diagnostics[0].related[0].column), (3, 3));
}

#[test]
fn a_value_of_the_wrong_type_does_not_hide_other_mistakes() {
    let report = Workspace::with(
        "renkei.yaml",
        "version: one\nstore: { redb: [state] }\nconnections:\n  a: { jsonl: { path: x, rotate: big } }\n  b: { jsonl: { paht: x } }\n",
    )
    .report();
    expect(
        &report,
        &[
            (Code::WrongType, "renkei.yaml", 1, 10, "a whole number, found a text"),
            (Code::WrongType, "renkei.yaml", 2, 16, "a map of settings, found a list"),
            (Code::WrongType, "renkei.yaml", 4, 34, "a size such as"),
            (Code::MissingKey, "renkei.yaml", 5, 8, "`path`"),
            (Code::UnknownKey, "renkei.yaml", 5, 17, "did you mean `path`?"),
        ],
    );
}

#[test]
fn booleans_are_strict() {
    let text = "version: 1\nconnections:\n  crm: { connector: crm, egress: { private: yes } }\n";
    let report = Workspace::with("renkei.yaml", text).report();
    expect(&report, &[(Code::WrongType, "renkei.yaml", 3, 45, "write true or false")]);
}

#[test]
fn an_alias_bomb_is_refused_and_costs_nothing() {
    let mut text = String::from("version: 1\nconnections:\n  a: &a0 { jsonl: { path: x } }\n");
    for level in 1..30 {
        let last = level - 1;
        text.push_str(&format!("  b{level}: &a{level} [*a{last}, *a{last}, *a{last}, *a{last}]\n"));
    }
    let report = Workspace::with("renkei.yaml", &text).report();
    assert_eq!(report.diagnostics[0].code, Code::YamlBudget, "{report}");
    assert!(report.diagnostics[0].help.as_ref().unwrap().contains("write the values out"));
}

#[test]
fn deep_nesting_is_refused() {
    for text in ["[".repeat(5000), "- ".repeat(5000), "{a: ".repeat(5000)] {
        let report = Workspace::with("renkei.yaml", &text).report();
        expect(&report, &[(Code::YamlBudget, "renkei.yaml", 1, report.diagnostics[0].column, "never closed")]);
    }
}

#[test]
fn a_file_over_one_megabyte_is_refused_before_it_is_parsed() {
    let report = Workspace::with("renkei.yaml", &"#".repeat(1_000_001)).report();
    expect(&report, &[(Code::YamlBudget, "renkei.yaml", 1, 1, "split it")]);
}

#[test]
fn names_that_nothing_declares_are_found_with_what_was_probably_meant() {
    let cases = [
        ("{ connection: cmr, stream: people }", "{ connection: files, file: a }", "cmr", "did you mean `crm`?"),
        ("{ connection: crm, stream: peple }", "{ connection: files, file: a }", "peple", "did you mean `people`?"),
        (
            "{ connection: out, stream: people }",
            "{ connection: files, file: a }",
            "out",
            "connections of renkei.yaml are",
        ),
        ("{ connection: crm, stream: people }", "{ connection: crm, operation: putt }", "putt", "are: put_person"),
        ("{ connection: crm, stream: people }", "{ connection: crm, file: zzz }", "zzz", "write `operation:`"),
        ("{ connection: crm, stream: people }", "{ connection: files, table: zzz }", "zzz", "write `file:`"),
        ("{ connection: files, stream: x }", "{ connection: files, file: a }", "files", "can only be written to"),
    ];
    for (from, to, word, help) in cases {
        let text = format!("version: 1\nfrom: {from}\nto: {to}\n");
        let before = &text[..text.find(word).unwrap()];
        let line_start = before.rfind('\n').unwrap() + 1;
        let (line, column) = (before.matches('\n').count() + 1, before.len() - line_start + 1);
        let report = Workspace::with("pipelines/a.yaml", &text).report();
        expect(&report, &[(Code::UnknownName, "pipelines/a.yaml", line, column, help)]);
    }
    let report = Workspace::with("renkei.yaml", "version: 1\nconnections:\n  crm: { connector: crn }\n").report();
    expect(&report, &[(Code::UnknownName, "renkei.yaml", 3, 21, "did you mean `crm`?")]);
}

#[test]
fn all_missing_variables_are_listed_and_offline_none_is_missed() {
    let text = "version: 1\nconnections:\n  crm:\n    connector: crm\n    base_url: ${URL}\n    auth: { bearer: { token: \"${TOKEN:?ask Mia}\" } }\n    timeouts: { connect: \"${WAIT}\" }\n    retry: { attempts: \"${N}\" }\n";
    let workspace = Workspace::with("renkei.yaml", text);
    expect(
        &workspace.report(),
        &[
            (Code::MissingVariable, "renkei.yaml", 5, 15, "export URL"),
            (Code::MissingVariable, "renkei.yaml", 6, 30, "ask Mia"),
            (Code::MissingVariable, "renkei.yaml", 7, 26, "`WAIT`"),
            (Code::MissingVariable, "renkei.yaml", 8, 24, "`N`"),
        ],
    );
    let offline = check(workspace.0.path(), &MapEnvironment::default(), true);
    assert!(offline.report.is_empty(), "{}", offline.report);
    let set = [("URL", "https://x.example"), ("TOKEN", "t"), ("WAIT", "2s"), ("N", "4")];
    let plan = workspace.check(&set).plan.unwrap();
    let Connection::Api(api) = &plan.connections["crm"] else { panic!("an API") };
    assert_eq!((api.retry.attempts, api.timeouts.connect.as_secs()), (4, 2));
}

#[test]
fn a_literal_secret_is_refused_and_never_shown() {
    let cases = [
        "    auth: { bearer: { token: hunter2 } }\n",
        "    auth: { bearer: { token: [hunter2] } }\n",
        "    auth: { bearer: { tokn: hunter2 } }\n",
        "    auth: { bearer: { token: hunter2 }\n",
        "    auth:\n      bearer:\n        token: |\n          hunter2\n",
        "    auth: { basic: { user: me, password: hunter2 } }\n    base_url: 7\n",
    ];
    for auth in cases {
        let text = format!("version: 1\nconnections:\n  crm:\n    connector: crm\n{auth}");
        let report = Workspace::with("renkei.yaml", &text).report();
        assert!(report.errors() > 0);
        assert!(!report.render(true).contains("hunter2"), "{report}");
        assert!(!serde_json::to_string(&report).unwrap().contains("hunter2"));
    }
    let text = "version: 1\nconnections:\n  crm: { connector: crm, auth: { bearer: { token: hunter2 } } }\n";
    expect(
        &Workspace::with("renkei.yaml", text).report(),
        &[(Code::LiteralSecret, "renkei.yaml", 3, 51, "write ${NAME}")],
    );
    let text = "version: 1\nconnections:\n  db: { postgres: { url: \"postgres://me:hunter2@db/x\" } }\n";
    let report = Workspace::with("renkei.yaml", text).report();
    expect(&report, &[(Code::LiteralSecret, "renkei.yaml", 3, 26, "write ${NAME}")]);
    assert!(!report.to_string().contains("hunter2"));
    let text = "version: 1\nconnections:\n  db: { postgres: { url: \"postgres://me@db/x\" } }\n";
    assert!(Workspace::with("renkei.yaml", text).report().is_empty(), "a URL without a password is no secret");
}

#[test]
fn an_operation_without_a_safe_way_to_repeat_is_refused_whatever_its_method() {
    for method in ["post", "put", "patch", "delete"] {
        let text = format!(
            "version: 1\nbase_url: https://a.example\noperations:\n  send: {{ {method}: /x, makes: update }}\n"
        );
        let report = Workspace::with("connectors/crm/connector.yaml", &text).report();
        expect(&report, &[(Code::UnsafeRepeat, "connectors/crm/connector.yaml", 4, 3, "idempotency_key")]);
    }
    let text =
        "version: 1\nbase_url: https://a.example\noperations:\n  send: { post: /x, makes: update, repeat: always }\n";
    let report = Workspace::with("connectors/crm/connector.yaml", text).report();
    expect(&report, &[(Code::UnknownKey, "connectors/crm/connector.yaml", 4, 44, "idempotency_key, look_up, never")]);
}

#[test]
fn an_expression_is_pointed_at_inside_its_text() {
    let text = "version: 1\nfrom: { connection: crm, stream: people }\nsteps:\n  - filter: recrod.x\n  - set:\n      a: >-\n        record.a\n        | lwer\n  - set: { b: \"record.b + \" }\nto: { connection: files, file: a }\n";
    let report = Workspace::with("pipelines/a.yaml", text).report();
    assert_eq!(report.diagnostics.len(), 3, "{report}");
    let at = |n: usize| (report.diagnostics[n].code, report.diagnostics[n].line, report.diagnostics[n].column);
    assert_eq!(at(0), (Code::Expression, 4, 13));
    assert_eq!(at(1), (Code::Expression, 8, 11), "{report}");
    assert_eq!((at(2).0, at(2).1), (Code::Expression, 9));
    let filled = text.replace("recrod.x", "record.x == '${HOME}'").replace("lwer", "lower").replace(" + ", "");
    expect(
        &Workspace::with("pipelines/a.yaml", &filled).report(),
        &[(Code::Expression, "pipelines/a.yaml", 4, 26, "config")],
    );
}

#[test]
fn an_operation_that_only_creates_must_say_what_happens_to_changes() {
    let connector = "version: 1\nbase_url: https://a.example\nstreams:\n  people:\n    get: /people\n    key: id\n    incremental: { field: at, format: rfc3339, since: since }\noperations:\n  add: { post: /people, makes: create, repeat: { idempotency_key: {} } }\n";
    let pipeline = "version: 1\nfrom: { connection: crm, stream: people }\nto: { connection: crm, operation: add }\n";
    let files =
        [("renkei.yaml", WORKSPACE), ("connectors/crm/connector.yaml", connector), ("pipelines/a.yaml", pipeline)];
    let report = Workspace::new(&files).report();
    expect(&report, &[(Code::MissingKey, "pipelines/a.yaml", 3, 35, "`changed: skip`")]);
}

#[test]
fn mistakes_in_several_files_come_in_one_report_in_their_order() {
    let workspace = Workspace::new(&[
        ("renkei.yaml", "version: 1\nconnections:\n  crm: { connector: crm }\n  odd: {}\n"),
        ("connectors/crm/connector.yaml", &CONNECTOR.replace("key: id", "kye: id")),
        ("connectors/empty/connector.yaml", ""),
        ("pipelines/a.yaml", "version: 1\nfrom: { connection: crm, stream: people }\nto: { connection: x, file: a }\n"),
        ("pipelines/b.yaml", "version: 1\n\tfrom: x\n"),
        ("pipelines/c.yml", "version: 1\n"),
    ]);
    expect(
        &workspace.report(),
        &[
            (Code::MissingKey, "connectors/crm/connector.yaml", 4, 3, "`key`"),
            (Code::UnknownKey, "connectors/crm/connector.yaml", 4, 27, "did you mean `key`?"),
            (Code::MissingKey, "connectors/empty/connector.yaml", 1, 1, "version: 1"),
            (Code::UnknownName, "pipelines/a.yaml", 3, 19, "crm, odd"),
            (Code::YamlSyntax, "pipelines/b.yaml", 2, 1, "indent with spaces"),
            (Code::ConfigFile, "pipelines/c.yml", 1, 1, "rename it"),
            (Code::MissingKey, "renkei.yaml", 4, 3, "`connector`"),
        ],
    );
}

#[test]
fn line_ends_of_windows_and_a_byte_order_mark_change_no_place() {
    let text = "\u{feff}version: 1\r\nconnections:\r\n  a: { jsonl: { pth: x } }\r\n";
    let report = Workspace::with("renkei.yaml", text).report();
    expect(
        &report,
        &[
            (Code::MissingKey, "renkei.yaml", 3, 8, "`path`"),
            (Code::UnknownKey, "renkei.yaml", 3, 17, "did you mean `path`?"),
        ],
    );
    assert_eq!(report.diagnostics[1].snippet, "  a: { jsonl: { pth: x } }");
}

#[test]
fn files_that_are_no_files_or_no_text_are_problems_like_others() {
    let workspace = Workspace::with("connectors/crm/connector.yaml/x", "");
    let report = workspace.report();
    expect(&report, &[(Code::ConfigFile, "connectors/crm/connector.yaml", 1, 1, "directory")]);
    let workspace = Workspace::with("renkei.yaml", "");
    fs::write(workspace.0.path().join("renkei.yaml"), b"version: 1\n# \xff\n").unwrap();
    expect(&workspace.report(), &[(Code::ConfigFile, "renkei.yaml", 1, 1, "save it as UTF-8")]);
    let nowhere = Workspace::new(&[]).report();
    assert_eq!(nowhere.diagnostics[0].code, Code::Workspace);
    assert!(nowhere.diagnostics[0].help.as_ref().unwrap().contains("renkei init"));
    for text in ["", "# nothing\n", "---\n", "~\n"] {
        expect(
            &Workspace::with("renkei.yaml", text).report(),
            &[(Code::MissingKey, "renkei.yaml", 1, 1, "version: 1")],
        );
    }
    let report = Workspace::with("renkei.yaml", "version: 1\n---\nversion: 1\n").report();
    assert_eq!(report.diagnostics[0].code, Code::YamlSyntax);
    let report = Workspace::with("renkei.yaml", "version: !!int 1\n").report();
    assert!(report.to_string().contains("tag"), "{report}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let workspace = Workspace::with("pipelines/a.yaml", "");
        fs::write(workspace.0.path().join("pipelines/a.yaml"), &bytes).unwrap();
        workspace.report().render(true);
    }

    #[test]
    fn no_yaml_makes_it_panic(text in "(?s)([a-z]{1,6}: |- |\\[|\\]|\\{|\\}|, |\n|\n  |\n    |\"|'|\\$\\{[A-Z]\\}|\\{\\{|\\}\\}|&a |\\*a|\\||>|é|\t|[0-9]|~|!){0,60}") {
        for name in ["renkei.yaml", "connectors/crm/connector.yaml", "pipelines/a.yaml"] {
            Workspace::with(name, &format!("version: 1\n{text}")).report().render(false);
        }
    }

    #[test]
    fn a_cut_connector_never_makes_it_panic(cut in 0usize..4000) {
        let text = include_str!("../../connectors/crm/connector.yaml");
        let cut = text.char_indices().map(|(at, _)| at).find(|at| *at >= cut).unwrap_or(text.len());
        Workspace::with("connectors/crm/connector.yaml", &text[..cut]).report().render(false);
    }
}
