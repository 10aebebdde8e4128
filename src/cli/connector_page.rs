//! `renkei connectors page`: one page of Markdown for a connector, made of its files alone. Whatever the language learns shows on it
//! by itself, because a part is written as its key and the very words of the file.

use std::{fs, path::Path};

use serde_json::{Map, Value};

use super::{
    failure::{DONE, Failure},
    output::{Output, printable},
    suggest,
};
use crate::{
    config,
    model::{Blame, Code, Fault},
};

/// Far more than a connector or a case holds.
const NODES_MAX: usize = 100_000;

pub fn show(name: &str, dir: &Path, output: &Output) -> Result<u8, Failure> {
    let known = config::connector_names(dir);
    if !known.iter().any(|known| known == name) {
        let help = suggest::help(name, "connector", known.iter().map(String::as_str));
        return Err(Failure::usage(format!("there is no connector `{}`", printable(name)), help));
    }
    output.text(of_files(name, dir)?);
    Ok(DONE)
}

/// The page of a connector of the workspace. Its files are checked first.
fn of_files(name: &str, dir: &Path) -> Result<String, Failure> {
    let cases = config::load_cases(dir, name).map_err(|report| Failure::Config(Box::new(report)))?;
    let folder = dir.join("connectors").join(name);
    let connector = document(&folder.join("connector.yaml"))?;
    let read = |case: &str| document(&folder.join("cases").join(format!("{case}.yaml")));
    let cases = cases.iter().map(|case| Ok((case.name.clone(), read(&case.name)?)));
    Ok(page(name, &connector, &cases.collect::<Result<Vec<_>, Failure>>()?))
}

fn document(path: &Path) -> Result<Value, Failure> {
    let unread = |reason: String| {
        Fault::halt(Code::StoreIo, Blame::Host, format!("{} cannot be read: {reason}", path.display()))
            .help("nothing was written; check that nobody changes the connector's files meanwhile")
    };
    let text = fs::read_to_string(path).map_err(|error| unread(error.to_string()))?;
    Ok(config::yaml_document(&text, NODES_MAX).map_err(|error| unread(error.message))?)
}

fn page(name: &str, connector: &Value, cases: &[(String, Value)]) -> String {
    let folder = format!("../../connectors/{name}");
    let mut page = format!(
        "# {name}\n\n{}. Scopes, traps, what it does not do yet and where each fact comes from: [README]({folder}/README.md). This page is \
         made of the connector's files by `renkei connectors page {name}`.\n",
        text(connector, "description")
    );
    let apart = ["version", "description", "config", "budget", "answers", "streams", "operations"];
    let mut rows = rows(connector, &apart);
    if connector.get("base_url").is_none() {
        rows.insert(0, ["`base_url`".to_owned(), "stands in the connection".to_owned()]);
    }
    push_table(&mut page, ["", ""], &rows);
    section(&mut page, "Settings", ["setting", "means", "default"], &settings(connector));
    let limits = list(connector, "budget").map(|limit| [code(&inside(limit))]);
    section(&mut page, "Limits", ["at once, all of them"], &limits.collect::<Vec<_>>());
    let answers = list(connector, "answers").map(|rule| [part(rule, "when"), part(rule, "is")]);
    section(&mut page, "Answers that mean something else", ["when", "is"], &answers.collect::<Vec<_>>());
    for (title, kind, of) in [("Streams", "streams", "stream"), ("Operations", "operations", "operation")] {
        let all: Vec<_> = map(connector, kind).collect();
        if !all.is_empty() {
            page.push_str(&format!("\n## {title}\n"));
        }
        for (name, declared) in all {
            page.push_str(&format!("\n### {name}\n\n{}.\n", text(declared, "description")));
            let mut rows = self::rows(declared, &["description"]);
            let shown = cases.iter().filter(|(_, case)| text(case, of) == *name);
            let links: Vec<String> = shown.map(|(case, _)| format!("[{case}]({folder}/cases/{case}.yaml)")).collect();
            rows.push(["cases".to_owned(), if links.is_empty() { "none".to_owned() } else { links.join(", ") }]);
            push_table(&mut page, ["", ""], &rows);
        }
    }
    let shown = cases.iter().map(|(name, case)| {
        let of = [text(case, "stream"), text(case, "operation")].concat();
        [
            format!("[{name}]({folder}/cases/{name}.yaml)"),
            format!("`{of}`"),
            text(case, "description").replace('|', "\\|"),
        ]
    });
    section(&mut page, "Cases", ["case", "plays", "shows"], &shown.collect::<Vec<_>>());
    page
}

fn settings(connector: &Value) -> Vec<[String; 3]> {
    let setting = |(name, setting): (&String, &Value)| {
        let default = match (setting.get("required"), setting.get("default")) {
            (Some(Value::Bool(true)), _) => "required".to_owned(),
            (_, Some(default)) => code(&inside(default)),
            (_, None) => "none".to_owned(),
        };
        [format!("`{name}`"), text(setting, "description").replace('|', "\\|"), default]
    };
    map(connector, "config").map(setting).collect()
}

/// A row for each part, in the order of the file.
fn rows(declared: &Value, apart: &[&str]) -> Vec<[String; 2]> {
    let parts = declared.as_object().into_iter().flatten().filter(|(key, _)| !apart.contains(&key.as_str()));
    parts.map(|(key, value)| [format!("`{key}`"), code(&inside(value))]).collect()
}

fn section<const N: usize>(page: &mut String, title: &str, head: [&str; N], rows: &[[String; N]]) {
    if !rows.is_empty() {
        page.push_str(&format!("\n## {title}\n"));
        push_table(page, head, rows);
    }
}

fn push_table<const N: usize>(page: &mut String, head: [&str; N], rows: &[[String; N]]) {
    if rows.is_empty() {
        return;
    }
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    page.push('\n');
    page.push_str(&line(&head));
    page.push_str(&format!("|{}\n", "---|".repeat(N)));
    for row in rows {
        page.push_str(&line(&row.each_ref().map(String::as_str)));
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn map<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn part(value: &Value, key: &str) -> String {
    value.get(key).map_or_else(String::new, |value| code(&inside(value)))
}

/// As code in a cell of a table, on one line.
fn code(words: &str) -> String {
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    if words.contains('`') { format!("`` {words} ``") } else { format!("`{words}`") }
}

/// A value as the file could have it on one line; the outermost map without its braces.
fn inside(value: &Value) -> String {
    match value {
        Value::Object(entries) if !entries.is_empty() => pairs(entries),
        Value::String(text) => text.clone(),
        value => flow(value),
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Object(entries) => format!("{{ {} }}", pairs(entries)),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) => scalar(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn pairs(entries: &Map<String, Value>) -> String {
    entries.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value))).collect::<Vec<_>>().join(", ")
}

/// A text, in quotes where it would be read as something else.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '_' | '$' | '.'))
        && text.parse::<f64>().is_err()
        && !text.contains([',', '[', ']', '{', '}', '"', '#', '\n'])
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !matches!(text, "true" | "false" | "null");
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{Environment, SystemEnvironment};

    /// With `RENKEI_BLESS` set to anything the pages are written instead.
    #[test]
    fn the_pages_of_connectors_are_made_of_their_files() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = repository.join("docs/connectors");
        let names = config::connector_names(repository);
        for name in &names {
            let (path, page) = (folder.join(format!("{name}.md")), of_files(name, repository).ok().unwrap());
            if SystemEnvironment.variable("RENKEI_BLESS").is_some() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, &page).unwrap();
            }
            let stored = fs::read_to_string(&path).unwrap_or_default();
            assert!(stored == page, "{} differs: run this test once with RENKEI_BLESS=1", path.display());
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), names.len(), "a page of a connector that is not there");
    }

    #[test]
    fn a_part_is_written_as_the_file_could_have_it() {
        let value = json!({"get": "/x/{{ a | b }}", "n": [1, true, null, "1", "a b"], "e": {}, "of": {"a.b": "x: y"}});
        assert_eq!(
            inside(&value),
            r#"get: "/x/{{ a | b }}", n: [1, true, null, "1", a b], e: {}, of: { a.b: "x: y" }"#
        );
        assert_eq!(code("a | b\n  c"), "`a \\| b c`");
        assert_eq!(code("a `b`"), "`` a `b` ``");
    }

    #[test]
    fn a_page_shows_every_part_and_the_cases_of_each() {
        let connector = json!({
            "version": 1, "description": "A vendor", "auth": {"bearer": {}},
            "config": {"region": {"description": "Where", "default": "eu"}, "team": {"description": "Which", "required": true}},
            "budget": [{"concurrency": 2}],
            "answers": [{"when": {"status": 409}, "is": "halt"}],
            "streams": {"items": {"description": "All items", "get": "/items", "key": "id"}},
            "operations": {"add": {"description": "Adds", "post": "/items", "repeat": {"never": {}}}},
        });
        let cases = [("paging".to_owned(), json!({"description": "Two pages", "stream": "items"}))];
        let page = page("acme", &connector, &cases);
        for line in [
            "| `base_url` | stands in the connection |",
            "| `auth` | `bearer: {}` |",
            "| `region` | Where | `eu` |",
            "| `team` | Which | required |",
            "| `concurrency: 2` |",
            "| `status: 409` | `halt` |",
            "### items",
            "| `get` | `/items` |",
            "| cases | [paging](../../connectors/acme/cases/paging.yaml) |",
            "### add",
            "| `repeat` | `never: {}` |",
            "| cases | none |",
            "| [paging](../../connectors/acme/cases/paging.yaml) | `items` | Two pages |",
        ] {
            assert!(page.lines().any(|other| other == line), "{line}\n{page}");
        }
    }
}
