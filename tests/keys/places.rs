//! Everything of the repository that is written in the language: files, examples on pages, and texts in tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use renkei::config::yaml_document;
use serde_json::Value;

use super::{language::Language, literals};

const NODES: usize = 200_000;

/// A file, wherever it stands.
pub struct Place {
    pub name: String,
    /// Which kind of file it is.
    pub kind: &'static str,
    pub tree: Value,
}

/// Where to look: connectors with their cases first, then pipelines, what tests have, and the pages whose examples a test reads.
const ROOTS: [&str; 7] =
    ["connectors", "pipelines", "renkei.yaml", "tests", "src", "docs/configuration.md", "docs/write-a-connector.md"];

pub fn places(repository: &Path) -> Vec<Place> {
    let language = Language::of(&repository.join("docs/schema"));
    let mut found = Vec::new();
    for root in ROOTS {
        let mut files = Vec::new();
        list(&repository.join(root), &mut files);
        files.sort();
        // What a connector declares comes before what its cases say of it.
        files.sort_by_key(|path| path.parent().is_some_and(|folder| folder.ends_with("cases")));
        for path in files {
            let name = path.strip_prefix(repository).unwrap().to_string_lossy().replace('\\', "/");
            match path.extension().and_then(|ending| ending.to_str()) {
                Some("yaml") => found.extend(file(&path, name)),
                Some("md") if root.ends_with(".md") => found.extend(examples(&path, &name, &language)),
                Some("rs") if name.starts_with("tests/") || is_of_tests(&path) => {
                    found.extend(texts(&path, &name, &language))
                }
                _ => {}
            }
        }
    }
    found
}

fn list(path: &Path, files: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        files.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        if !entry.ends_with("target") && !entry.ends_with("node_modules") {
            list(&entry, files);
        }
    }
}

fn kind(path: &Path) -> Option<&'static str> {
    let folder = path.parent()?;
    match path.file_name()?.to_str()? {
        "connector.yaml" => Some("connector"),
        "renkei.yaml" => Some("workspace"),
        _ if folder.ends_with("cases") => Some("case"),
        _ if folder.ends_with("pipelines") => Some("pipeline"),
        _ => None,
    }
}

fn file(path: &Path, name: String) -> Option<Place> {
    let text = fs::read_to_string(path).ok()?;
    let kind = kind(path)?;
    Some(Place { name, kind, tree: yaml_document(&text, NODES).ok()? })
}

/// The YAML on a page, where it is a whole file or a beginning of one.
fn examples(path: &Path, name: &str, language: &Language) -> Vec<Place> {
    let text = fs::read_to_string(path).unwrap();
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter_map(|block| whole(name, block, language)).collect()
}

fn whole(name: &str, text: &str, language: &Language) -> Option<Place> {
    let tree = yaml_document(text, NODES).ok()?;
    Some(Place { name: name.to_owned(), kind: language.kind_of(&tree)?, tree })
}

/// Sources that hold tests.
fn is_of_tests(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.contains("#[test]") || text.contains("#[tokio::test"))
}

/// The texts of a source with tests that are whole files.
fn texts(path: &Path, name: &str, language: &Language) -> Vec<Place> {
    let source = fs::read_to_string(path).unwrap();
    // In a format string braces are doubled.
    let place = |text: String| {
        whole(name, &text, language).or_else(|| whole(name, &text.replace("{{", "{").replace("}}", "}"), language))
    };
    literals::of(&source).into_iter().filter(|text| text.contains(':')).filter_map(place).collect()
}
