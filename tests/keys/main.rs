//! Every key of the language is used somewhere: in a connector, a case, a pipeline, a page or a test. `docs/keys.md` says where.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod language;
mod literals;
mod places;

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, sync::Arc};

use language::{Key, Language};
use places::{Place, places};
use renkei::{
    cases,
    config::{self, MapEnvironment},
};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where each key is used first, in the order in which places are looked at.
fn uses(language: &Language, places: &[Place]) -> BTreeMap<Key, String> {
    let mut found = BTreeMap::new();
    for Place { name, kind, tree } in places {
        language.walk(kind, tree, &mut |key| {
            found.entry(key).or_insert_with(|| name.clone());
        });
    }
    found
}

fn table(language: &Language, uses: &BTreeMap<Key, String>) -> String {
    let mut page = "# Where each key is used\n\nMade by `tests/keys`, which fails where a key of [the schemas](schema/) is used nowhere. One place is named \
                    for each: a file of a connector, a pipeline or a case, an example on a page that a test reads, or a text in a test, where it is a \
                    whole file.\n"
        .to_owned();
    for kind in language::KINDS {
        write!(page, "\n## {}\n\n| key | used in |\n|---|---|\n", language::file(kind)).unwrap();
        for (key, path) in language.keys().filter(|(_, path)| path.kind == kind) {
            let place = uses.get(key).map_or("nowhere", String::as_str);
            writeln!(page, "| `{}` | {place} |", path.shown(key)).unwrap();
        }
    }
    page
}

/// With `RENKEI_BLESS` set to anything the page is written instead.
#[test]
fn every_key_is_used_in_a_connector_a_case_or_a_test() {
    let language = Language::of(&repository().join("docs/schema"));
    let found = uses(&language, &places(repository()));
    let nowhere: Vec<String> = language
        .keys()
        .filter(|(key, _)| !found.contains_key(key))
        .map(|(key, path)| format!("{}: {}", language::file(path.kind), path.shown(key)))
        .collect();
    assert!(nowhere.is_empty(), "{} keys are used nowhere:\n{}", nowhere.len(), nowhere.join("\n"));
    let (path, text) = (repository().join("docs/keys.md"), table(&language, &found));
    #[expect(clippy::disallowed_methods, reason = "a person asks the test to write the page")]
    if std::env::var("RENKEI_BLESS").is_ok() {
        fs::write(&path, &text).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "docs/keys.md differs: run this test once with RENKEI_BLESS=1");
}

/// Keys that no connector of the catalogue needs have a workspace of their own, and what they do is played.
#[test]
fn the_workspace_of_rare_keys_is_valid_and_does_what_its_cases_say() {
    let folder = repository().join("tests/keys/workspace");
    let checked = config::check(&folder, &MapEnvironment::default(), true);
    assert!(checked.report.is_empty(), "{}", checked.report.render(false));
    let mut wrong = Vec::new();
    for connector in config::connector_names(&folder) {
        let cases = config::load_cases(&folder, &connector).unwrap_or_else(|report| panic!("{}", report.render(false)));
        assert!(!cases.is_empty(), "{connector} has no cases");
        for case in cases {
            let found = cases::standing_still(cases::play(Arc::new(case))).unwrap();
            wrong.extend(found.iter().map(|difference| format!("{}: {}", difference.place, difference.message)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_key_is_looked_for_where_it_belongs() {
    let language = Language::of(&repository().join("docs/schema"));
    let yaml = "version: 1\nstreams:\n  size: { get: /x, key: id, paginate: { cursor: { next: n, query: q } } }\n";
    let tree = config::yaml_document(yaml, 1000).unwrap();
    let mut found = Vec::new();
    language.walk("connector", &tree, &mut |key| found.push(format!("{}.{}", key.owner, key.name)));
    let expected = [
        "connector.version",
        "connector.streams",
        "RawStream.get",
        "RawStream.key",
        "RawStream.paginate",
        "RawPaginate.cursor",
        "RawCursorPages.next",
        "RawCursorPages.query",
    ];
    assert_eq!(found, expected, "`size` is a name of somebody's here, and no key");
}

#[test]
fn the_texts_of_a_source_are_found_with_their_escapes() {
    let source = r####"let a = "x: 1\n  y: \"2\""; // "not: this"
let c = '"'; let b = r#"z: "3""#; let d = "joined: \
    here";"####;
    assert_eq!(literals::of(source), ["x: 1\n  y: \"2\"", "z: \"3\"", "joined: here"]);
}
