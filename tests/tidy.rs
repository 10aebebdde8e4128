//! The rules of the house that a compiler does not hold: ranks, file length, one library to one file, and prose.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, path::Path, path::PathBuf};

/// Rooms by rank. Imports go to a lower rank only; rooms on one rank are strangers.
const RANKS: &[&[&str]] = &[
    &["model"],
    &["expr", "telemetry", "contract"],
    &["config", "store"],
    &["database", "http", "transform"],
    &["auth"],
    &["source", "sink", "sandbox"],
    &["engine"],
    &["server", "drill", "cases", "openapi"],
    &["cli"],
];

const LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// A library and the only files that may name it.
const KNOWN_ONLY_TO: &[(&str, &[&str])] = &[
    ("redb::", &["store/redb", "store/mod.rs"]),
    ("zstd::", &["store/history_rows.rs"]),
    ("serde_saphyr", &["config/yaml.rs"]),
    ("minijinja", &["expr/"]),
    ("unicode_normalization", &["expr/library/japanese/"]),
    ("phonenumber", &["expr/library/phone.rs"]),
    ("StringRecord", &["source/decode/table.rs"]),
    ("zip::", &["source/decode/packed.rs"]),
    ("flate2", &["source/decode/packed.rs", "source/decode/tests.rs"]),
    ("encoding_rs", &["source/decode/text.rs", "config/plan_decode.rs"]),
    ("tempfile_in", &["http/transport/"]),
    ("percent_encoding", &["drill/pattern.rs"]),
    ("reqwest::", &["http/transport"]),
    ("governor", &["http/budget/bucket.rs"]),
    ("jsonschema::", &["contract/schema.rs", "contract/look.rs"]),
    ("cron::", &["engine/crontab.rs"]),
    ("oauth2::", &["auth/login.rs"]),
    ("x509_cert", &["http/keys/"]),
    ("tokio_postgres", &["database/postgres", "sink/postgres", "source/postgres"]),
    ("rusqlite", &["database/sqlite"]),
    ("mysql_async", &["database/mysql"]),
    ("axum", &["sandbox/", "server/", "drill/server.rs"]),
    ("parquet::", &["sink/whole/sheet.rs"]),
    ("quick_xml", &["http/xml.rs"]),
    ("maud::", &["server/admin/page/"]),
    // What is put into a page is escaped, always.
    ("PreEscaped", &[]),
    ("hyper", &["server/listen.rs"]),
    ("tokio_rustls", &["server/listen.rs"]),
    ("clap", &["cli/", "main.rs"]),
    ("indicatif", &["cli/"]),
    ("comfy_table", &["cli/"]),
];

struct Source {
    /// Path below `src/`, with forward slashes.
    name: String,
    text: String,
}

fn sources(root: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                files.push(Source { name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    assert!(!files.is_empty(), "no sources under {}", root.display());
    files
}

fn rank(room: &str) -> Option<usize> {
    RANKS.iter().position(|rooms| rooms.contains(&room))
}

/// The rooms that a text imports: every `crate::room`, and every room of a `use crate::{..}` list. Comments do not count.
fn imported_rooms(text: &str) -> Vec<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => rooms.push(word(rest)),
            Some(list) => rooms.extend(top_level_names(list)),
        }
    }
    rooms
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first word of each entry of a brace list, nested braces skipped.
fn top_level_names(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut entry) = (0, String::new());
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(word(std::mem::take(&mut entry).trim())),
            _ if depth == 0 => entry.push(c),
            _ => {}
        }
    }
    names.push(word(entry.trim()));
    names.into_iter().filter(|name| !name.is_empty()).collect()
}

#[test]
fn imports_go_to_a_lower_rank_only() {
    let mut broken = Vec::new();
    for source in sources("src") {
        let room = source.name.split(['/', '.']).next().unwrap();
        if matches!(room, "lib" | "main") {
            continue;
        }
        let from = rank(room).unwrap_or_else(|| panic!("{} stands in no room of the rank table", source.name));
        for target in imported_rooms(&source.text) {
            match rank(&target) {
                Some(to) if to < from || target == room => {}
                Some(_) => broken.push(format!("{} imports crate::{target}, which is not below it", source.name)),
                None => broken.push(format!("{} imports crate::{target}, which is no room", source.name)),
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_rank_check_reads_plain_and_listed_imports() {
    let text = "use crate::{\n    model::{Code, Fault},\n    store,\n};\nfn f() { crate::http::x() } // crate::cli";
    assert_eq!(imported_rooms(text), ["model", "store", "http"]);
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let long: Vec<String> = ["src", "tests"]
        .iter()
        .flat_map(|root| sources(root))
        .map(|source| (source.text.lines().count(), source.name))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, name)| format!("{name}: {lines} lines, the wall is {LINES_MAX}"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn no_function_is_longer_than_a_screen() {
    let mut long = Vec::new();
    for source in sources("src") {
        let lines: Vec<&str> = source.text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start();
            let is_function =
                ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(super) fn ", "pub(crate) fn ", "const fn "]
                    .iter()
                    .any(|opening| head.starts_with(opening));
            if !is_function || head.ends_with(';') {
                continue;
            }
            let close = format!("{}}}", " ".repeat(indent));
            let length =
                lines[start..].iter().position(|line| **line == close || line.trim_end().ends_with("{}")).unwrap_or(0);
            if length > FUNCTION_LINES_MAX {
                long.push(format!("{}:{}: {length} lines, the wall is {FUNCTION_LINES_MAX}", source.name, start + 1));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn one_library_is_known_to_one_place() {
    let mut broken = Vec::new();
    for source in sources("src") {
        for (library, places) in KNOWN_ONLY_TO {
            let named = source.text.lines().any(|line| line.split("//").next().unwrap_or_default().contains(library));
            if named && !places.iter().any(|place| source.name.starts_with(place)) {
                broken.push(format!("{} names {library}, which only {places:?} may know", source.name));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_opens_by_saying_what_it_owes_the_rest() {
    let silent: Vec<String> = sources("src")
        .into_iter()
        .filter(|source| !source.name.ends_with("tests.rs") && !source.text.starts_with("//!"))
        .map(|source| source.name)
        .collect();
    assert!(silent.is_empty(), "files without an opening //! comment: {silent:?}");
}

#[test]
fn nothing_is_left_for_later_in_the_code() {
    let marks = ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!(", "#[allow(", "#[ignore"];
    let mut left = Vec::new();
    for source in sources("src") {
        for (number, line) in source.text.lines().enumerate() {
            if let Some(mark) = marks.iter().find(|mark| line.contains(*mark)) {
                left.push(format!("{}:{}: {mark}", source.name, number + 1));
            }
        }
    }
    assert!(left.is_empty(), "{}", left.join("\n"));
}

/// Otherwise a rule whose code has moved is no longer broken by anybody, and nobody notices.
#[test]
fn every_rule_that_is_broken_on_purpose_is_where_the_script_says() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/mutants");
    let checked = std::process::Command::new("python3").arg(script).arg("--check").output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
