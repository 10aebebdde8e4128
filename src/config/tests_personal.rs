//! Rules for personal fields: what a plan has of them, and every way in which one is refused.

use super::{plan::Protect, tests_load::*, *};
use crate::model::{Code, Path};

const KEYS: [(&str, &str); 3] = [
    ("HASH", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ("K1", "1111111111111111111111111111111111111111111111111111111111111111"),
    ("K2", "IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiI="),
];

const CONNECTOR: &str = r#"version: 1
base_url: https://api.example.com
streams:
  people:
    get: /people
    key: id
    version: revision
    paginate: { cursor: { last: place, query: after } }
    personal: { born: mask }
  changes:
    get: /changes
    key: [tenant, who.id]
    incremental: { field: changed, format: rfc3339, since: since }
    deletions: { flag: { path: state }, tombstones: { stream: gone }, sweep: { stream: all } }
  gone:
    get: /gone
    key: [tenant, id]
    incremental: { field: changed, format: rfc3339, since: since }
    personal: { who.mail: mask, tenant: hash }
  all: { get: /all, key: [t, i] }
operations:
  remove: { delete: "/people/{{ record.who.mail }}", makes: delete, repeat: { upsert: { unique: id } } }
  put_person: { put: "/people/{{ record.id }}", makes: upsert, repeat: { upsert: { unique: email } } }
  add_person:
    post: /people
    makes: create
    repeat: { look_up: { get: /people, query: { q: "{{ record.phone }}" }, id: id, match: { answer: n, sent: name }, update: put_person } }
"#;

const WORKSPACE: &str = r#"version: 1
connections:
  crm: { connector: crm }
  files: { jsonl: { path: out } }
  db: { postgres: { url: "postgres://me@db/x" } }
personal: { hash_key: "${HASH}", keys: [{ id: k2, key: "${K2}" }, { id: k1, key: "${K1}" }] }
"#;

fn workspace(renkei: &str, pipeline: &str) -> Workspace {
    let pipeline = format!("version: 1\n{pipeline}");
    Workspace::new(&[
        ("renkei.yaml", renkei),
        ("connectors/crm/connector.yaml", CONNECTOR),
        ("pipelines/p.yaml", &pipeline),
    ])
}

/// What is said about a pipeline's lines.
#[track_caller]
fn refused(pipeline: &str, wanted: &[(usize, usize, &str)]) {
    let report = workspace(WORKSPACE, pipeline).check(&KEYS).report;
    let wanted: Vec<_> = wanted
        .iter()
        .map(|(line, column, help)| (Code::PersonalRule, "pipelines/p.yaml", *line, *column, *help))
        .collect();
    expect(&report, &wanted);
}

fn keys_refused(renkei: &str, wanted: &[(Code, usize, usize, &str)]) {
    let pipeline = "from: { connection: crm, stream: people }\nto: { connection: files, file: p }\n";
    let report = workspace(renkei, pipeline).check(&KEYS).report;
    let wanted: Vec<_> =
        wanted.iter().map(|(code, line, column, help)| (*code, "renkei.yaml", *line, *column, *help)).collect();
    expect(&report, &wanted);
    for (_, secret) in KEYS {
        assert!(!report.to_string().contains(secret), "{report}");
    }
}

#[test]
fn the_rules_of_stream_and_pipeline_become_one_plan_with_the_places_that_are_opened() {
    let pipeline = r#"from: { connection: crm, stream: people }
personal: { id: hash, born: mask, ssn: encrypt, who.mail: encrypt }
steps:
  - rename: { who: person }
to:
  connection: crm
  operation: put_person
  fields: { id: record.id, email: record.person.mail, number: record.ssn, all: record.person }
  clear: [email, all]
"#;
    let checked = workspace(WORKSPACE, pipeline).check(&KEYS);
    assert!(checked.report.is_empty(), "{}", checked.report);
    let plan = checked.plan.unwrap();
    let personal = &plan.pipelines["p"].personal;
    let rules: Vec<(&str, Protect)> = personal.rules.iter().map(|rule| (rule.path.as_str(), rule.protect)).collect();
    let expected =
        [("born", Protect::Mask), ("id", Protect::Hash), ("ssn", Protect::Encrypt), ("who.mail", Protect::Encrypt)];
    assert_eq!(rules, expected);
    assert_eq!(personal.clear.iter().map(Path::as_str).collect::<Vec<_>>(), ["email", "all.mail"]);
    assert_eq!(personal.hashed_key, [true]);
    let keys = personal.keys.as_ref().unwrap();
    assert_eq!(keys.ring.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["k2", "k1"]);
    let shown = format!("{plan:?}");
    for (_, secret) in KEYS {
        assert!(!shown.contains(secret) && !shown.contains("34, 34"), "a key must not be printed");
    }
}

#[test]
fn rules_that_contradict_each_other_are_refused_with_both_places() {
    let pipeline = "from: { connection: crm, stream: people }\npersonal: { born: hash, a.b: mask, \"a.b[0].c\": hash, a: hash }\nto: { connection: files, file: p }\n";
    let wanted = [
        (3, 13, "two rules are about `born`"),
        (3, 36, "two rules are about `a.b[0].c`"),
        (3, 54, "two rules are about `a`"),
    ];
    refused(pipeline, &wanted);
    let report = workspace(WORKSPACE, pipeline).check(&KEYS).report;
    let related = &report.diagnostics[0].related[0];
    assert_eq!((related.file.display().to_string().as_str(), related.line), ("connectors/crm/connector.yaml", 9));
    assert!(related.message.contains("`born` is masked here"), "{}", related.message);
}

#[test]
fn what_reading_needs_cannot_be_protected_and_a_key_only_hashed() {
    refused(
        "from: { connection: crm, stream: people }\npersonal:\n  id: mask\n  revision: hash\n  place: encrypt\n  .: mask\n  \"[0]\": mask\nto: { connection: files, file: p }\n",
        &[
            (4, 3, "`id` names the record, so it cannot be masked"),
            (5, 3, "it tells the record's version"),
            (6, 3, "the next page begins at it"),
            (7, 3, "a rule is for a field of the record"),
            (8, 3, "a rule is for a field of the record"),
        ],
    );
    refused(
        "from: { connection: crm, stream: changes }\npersonal:\n  tenant: encrypt\n  who: hash\n  changed: mask\n  state: hash\nto: { connection: files, file: p }\n",
        &[
            (4, 3, "write `hash`"),
            (5, 3, "exactly the field of the key"),
            (6, 3, "the cursor follows it"),
            (7, 3, "it tells whether the record is gone"),
        ],
    );
}

#[test]
fn what_names_a_record_at_the_sink_is_not_masked_and_only_encrypted_where_it_is_opened() {
    refused(
        "from: { connection: crm, stream: people }\npersonal:\n  email: encrypt\n  phone: mask\n  name: encrypt\n  note: mask\nto: { connection: crm, operation: add_person, fields: { id: record.note, email: record.email, phone: record.phone, name: record.name } }\n",
        &[
            (4, 3, "`put_person` is an upsert by it"),
            (5, 3, "`add_person` looks records up by it"),
            (6, 3, "`add_person` looks records up by it"),
            (7, 3, "`put_person` has it in its path"),
        ],
    );
    let opened = "from: { connection: crm, stream: people }\npersonal: { email: encrypt, phone: hash, name: encrypt }\nto: { connection: crm, operation: add_person, clear: [email, name] }\n";
    refused(opened, &[]);
    refused(
        "from: { connection: crm, stream: people }\npersonal: { email: mask, note: encrypt, name: encrypt }\nto: { connection: db, table: t, key: [email, note] }\n",
        &[(3, 13, "part of the key of the table `t`"), (3, 26, "another one after the keys were rotated")],
    );
    refused(
        "from: { connection: crm, stream: people }\npersonal: { email: mask }\nsteps: [{ set: { email: record.email ~ record.id } }]\nto: { connection: db, table: t, key: email }\n",
        &[],
    );
}

#[test]
fn only_an_encrypted_field_that_nothing_touched_can_be_sent_in_the_clear() {
    refused(
        "from: { connection: crm, stream: people }\npersonal: { email: hash, ssn: encrypt, tax: encrypt }\nsteps: [{ set: { tax: record.tax | trim } }]\nto:\n  connection: crm\n  operation: put_person\n  clear: [email, born, ssn, tax, other]\n",
        &[
            (8, 11, "`email` is hashed, and nobody can undo that"),
            (8, 18, "`born` is masked"),
            (8, 29, "`tax` holds no encrypted value"),
            (8, 34, "`other` holds no encrypted value"),
        ],
    );
}

#[test]
fn a_rule_without_its_key_is_refused_where_it_stands() {
    let pipeline = "from: { connection: crm, stream: people }\npersonal: { email: hash, ssn: encrypt, note: mask }\nto: { connection: files, file: p }\n";
    let without = WORKSPACE.replace("personal:", "#");
    let report = workspace(&without, pipeline).check(&KEYS).report;
    let missing = |column, help| (Code::PersonalKeys, "pipelines/p.yaml", 3, column, help);
    expect(&report, &[missing(13, "renkei.yaml has no `hash_key`"), missing(26, "PERSONAL_HASH_KEY")]);
    let hash_only = WORKSPACE.replace(", keys: [{ id: k2, key: \"${K2}\" }, { id: k1, key: \"${K1}\" }]", "");
    let report = workspace(&hash_only, pipeline).check(&KEYS).report;
    expect(&report, &[missing(26, "keys: [{ id: k1")]);
}

#[test]
fn keys_are_references_of_32_bytes_each_with_an_id_of_its_own() {
    let with = |personal: &str| {
        format!(
            "version: 1\nconnections:\n  crm: {{ connector: crm }}\n  files: {{ jsonl: {{ path: out }} }}\npersonal:\n{personal}"
        )
    };
    keys_refused(
        &with(
            "  hash_key: \"${K1}\"\n  keys:\n    - { id: k1, key: \"${HASH}\" }\n    - { id: k1, key: \"${K2}\" }\n    - { id: K 3, key: \"${K1}\" }\n    - { id: k4, key: \"${K2}\" }\n",
        ),
        &[
            (Code::PersonalKeys, 9, 13, "two keys have this id"),
            (Code::PersonalKeys, 10, 13, "up to 16 lower case letters"),
            (Code::PersonalKeys, 11, 22, "this key is used twice"),
        ],
    );
    keys_refused(
        &with(
            "  hash_key: \"${K1}\"\n  keys:\n    - { id: k3, key: \"${K1}\" }\n    - { id: k4, key: \"${K1:-abc}x\" }\n    - { id: k5, key: abc }\n    - { id: k6, key: \"${NONE}\" }\n",
        ),
        &[
            (Code::PersonalKeys, 8, 22, "this key is used twice"),
            (Code::PersonalKeys, 9, 22, "neither base64 of 32 bytes nor 64 hexadecimal digits"),
            (Code::LiteralSecret, 10, 22, ""),
            (Code::MissingVariable, 11, 22, "NONE"),
        ],
    );
    let many: String = (0..17).map(|n| format!("    - {{ id: k{n}, key: \"${{K1}}\" }}\n")).collect();
    keys_refused(&with(&format!("  keys:\n{many}")), &[(Code::PersonalKeys, 6, 3, "keep 16 at the most")]);
}

#[test]
fn keys_are_asked_for_by_the_pipelines_that_need_them_and_nobody_is_blamed_offline() {
    let pipeline =
        "from: { connection: crm, stream: changes }\npersonal: { a: RULE }\nto: { connection: files, file: p }\n";
    for (rule, needed) in [("mask", false), ("hash", true), ("encrypt", true)] {
        let workspace = workspace(WORKSPACE, &pipeline.replace("RULE", rule));
        let dir = workspace.0.path();
        let loaded = load_for(dir, &MapEnvironment::default(), &["p"]);
        let codes = |report: &Report| report.diagnostics.iter().map(|one| one.code).collect::<Vec<_>>();
        match loaded {
            Ok(plan) => assert!(!needed && plan.pipelines["p"].personal.keys.is_none()),
            Err(report) => assert!(needed && codes(&report) == [Code::MissingVariable; 3], "{report}"),
        }
        let offline = check(dir, &MapEnvironment::default(), true);
        assert!(offline.report.is_empty(), "{}", offline.report);
        assert!(offline.plan.unwrap().pipelines["p"].personal.keys.is_none());
        assert_eq!(workspace.report().errors(), 3, "validate asks for all");
    }
}

#[test]
fn what_tells_of_deletions_names_records_by_the_same_hashes_and_has_the_rules_of_both_streams() {
    let pipeline = "from: { connection: crm, stream: changes }\npersonal: { tenant: hash, who.id: hash, who.mail: mask, changes: mask, ssn: encrypt }\nto: { connection: crm, operation: put_person, fields: { id: record.tenant, email: record.ssn }, clear: email, deletes: { propagate: { operation: remove, fields: { other: record.ssn } } } }\n";
    let checked = workspace(WORKSPACE, pipeline).check(&KEYS);
    assert!(checked.report.is_empty(), "{}", checked.report);
    let personal = &checked.plan.unwrap().pipelines["p"].personal;
    let shown = |rules: &[plan::PersonalRule]| {
        rules.iter().map(|rule| format!("{} {}", rule.path, rule.protect.done())).collect::<Vec<_>>().join(", ")
    };
    let tombstones = "who.mail masked, tenant hashed, who.id hashed, changes masked, ssn encrypted, id hashed";
    assert_eq!(shown(&personal.tombstones), tombstones);
    let existing = "tenant hashed, who.id hashed, who.mail masked, changes masked, ssn encrypted, t hashed, i hashed";
    assert_eq!(shown(&personal.existing), existing);
    assert_eq!((personal.clear.len(), personal.clear_gone.len(), &personal.hashed_key[..]), (1, 0, &[true, true][..]));

    let refused = |personal: &str, clear: &str, fields: &str, wanted: &[(&str, usize, usize, &str)]| {
        let pipeline = format!(
            "from: {{ connection: crm, stream: changes }}\npersonal: {personal}\nto: {{ connection: crm, operation: put_person, fields: {{ id: record.x, email: record.x }}, deletes: {{ propagate: {{ operation: remove{fields} }} }}{clear} }}\n"
        );
        let report = workspace(WORKSPACE, &pipeline).check(&KEYS).report;
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(file, line, column, help)| (Code::PersonalRule, *file, *line, *column, *help))
            .collect();
        expect(&report, &wanted);
    };
    let connector = "connectors/crm/connector.yaml";
    refused(
        "{ who.id: hash }",
        "",
        ", fields: { who: record.x }",
        &[(connector, 19, 33, "`tenant` is hashed here, and not in `changes`")],
    );
    refused("{ tenant: hash }", "", "", &[(connector, 19, 17, "`remove` has it in its path")]);
    let named = ", fields: { who: record.who }";
    refused(
        "{ tenant: hash }",
        ", clear: who",
        named,
        &[(connector, 19, 17, ""), ("pipelines/p.yaml", 4, 173, "nobody can undo that")],
    );
}
