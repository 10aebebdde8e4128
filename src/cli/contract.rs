//! `renkei contract diff`: what changed from one schema to the next, or from one connector's schemas to those of another version of it,
//! and whether it breaks anything.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    failure::{DONE, Failure},
    output::{Output, Paint, printable},
};
use crate::{
    config::{OneConnector, load_connector, yaml_document},
    contract::{At, Change, Direction, RecordSchema, diff},
    model::{Blame, Code, Fault},
};

#[derive(Subcommand, Debug)]
pub enum ContractCommand {
    /// Compare two schemas, or the schemas of two versions of a connector, and say which changes break something
    Diff(DiffArgs),
}

#[derive(Args, Debug)]
pub struct DiffArgs {
    /// A JSON Schema as JSON or YAML, or a connector's folder
    pub old: PathBuf,
    /// The same in its newer version
    pub new: PathBuf,
    /// The schema is of records that are sent: what is no longer taken breaks. Default: of records that are read, where what did not
    /// come before breaks. In a connector's folder streams are read and operations are sent
    #[arg(long)]
    pub sent: bool,
}

/// The largest schema, and how much its aliases may expand to.
const BYTES_MAX: u64 = 8 << 20;
const NODES_MAX: usize = 500_000;

/// The changes of one schema.
struct Compared {
    /// Empty where there is only one.
    name: String,
    changes: Vec<Change>,
}

pub fn contract(command: &ContractCommand, output: &Output) -> Result<u8, Failure> {
    let ContractCommand::Diff(args) = command;
    let compared = match (args.old.is_dir(), args.new.is_dir()) {
        (true, true) if args.sent => {
            return Err(Failure::usage(
                "a connector's streams are read and its operations are sent",
                "leave out --sent, or name two files",
            ));
        }
        (true, true) => folders(&args.old, &args.new)?,
        (false, false) => {
            let direction = if args.sent { Direction::Sent } else { Direction::Read };
            let (old, new) = (schema(&args.old)?, schema(&args.new)?);
            vec![Compared { name: String::new(), changes: changes(&old, &new, direction) }]
        }
        _ => {
            let help = "name two files, or the folders of two versions of a connector";
            return Err(Failure::usage("a file cannot be compared with a folder", help));
        }
    };
    tell(&compared, output);
    let breaking = compared.iter().flat_map(|one| &one.changes).filter(|change| change.breaking).count();
    if breaking == 0 {
        return Ok(DONE);
    }
    let words = if breaking == 1 { "1 change breaks".to_owned() } else { format!("{breaking} changes break") };
    let fault = Fault::halt(Code::ContractBroken, Blame::Config, format!("{words} who goes by {}", args.old.display()));
    Err(fault
        .help("Nothing was changed. Look at the lines marked as breaking before the new schema is taken over.")
        .into())
}

fn changes(old: &Value, new: &Value, direction: Direction) -> Vec<Change> {
    diff(At { root: old, pointer: "" }, At { root: new, pointer: "" }, direction)
}

/// A schema's file, if it is one that could be used.
fn schema(file: &Path) -> Result<Value, Failure> {
    let unusable = |why: String| -> Failure {
        let message = format!("{} cannot be used as a schema: {why}", file.display());
        Fault::halt(Code::ContractSchema, Blame::Config, message)
            .help("Nothing was compared. Name a JSON Schema of draft 2020-12, as JSON or YAML.")
            .into()
    };
    let length = fs::metadata(file).map_err(|error| unusable(error.to_string()))?.len();
    if length > BYTES_MAX {
        return Err(unusable(format!("it is larger than {} MiB", BYTES_MAX >> 20)));
    }
    let text = fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    let tree = match text.trim_start().starts_with('{') {
        true => serde_json::from_str(&text).map_err(|error| format!("it is no JSON: {error}")),
        false => yaml_document(&text, NODES_MAX)
            .map_err(|bad| format!("it is no YAML, line {}, column {}: {}", bad.line, bad.column, bad.message)),
    };
    let schema = tree.and_then(RecordSchema::of).map_err(unusable)?;
    Ok(schema.text().clone())
}

/// A stream or operation, and its schema if it has one.
type Named = (String, Option<Arc<RecordSchema>>);

fn folders(old: &Path, new: &Path) -> Result<Vec<Compared>, Failure> {
    let load = |folder: &Path| load_connector(folder).map_err(|report| Failure::Config(Box::new(report)));
    let (old, new) = (load(old)?, load(new)?);
    let streams = |connector: &OneConnector| -> Vec<Named> {
        connector.streams.iter().map(|one| (format!("stream {}", one.name), one.schema.clone())).collect()
    };
    let operations = |connector: &OneConnector| -> Vec<Named> {
        connector.operations.iter().map(|one| (format!("operation {}", one.name), one.schema.clone())).collect()
    };
    let mut all = compared(streams(&old), &streams(&new), Direction::Read);
    all.extend(compared(operations(&old), &operations(&new), Direction::Sent));
    Ok(all)
}

fn compared(old: Vec<Named>, new: &[Named], direction: Direction) -> Vec<Compared> {
    let only = |breaking, what: &str| vec![Change { breaking, path: ".".to_owned(), what: what.to_owned() }];
    let is_new = |name: &String| !old.iter().any(|(known, _)| known == name);
    let added = new.iter().map(|(name, _)| name).filter(|name| is_new(name));
    let added: Vec<Compared> =
        added.map(|name| Compared { name: name.clone(), changes: only(false, "is new") }).collect();
    let one = |(name, before): Named| {
        let after = new.iter().find(|(known, _)| *known == name).map(|(_, schema)| schema);
        let changes = match (before, after) {
            (_, None) => only(true, "is gone"),
            (Some(before), Some(Some(after))) => changes(before.text(), after.text(), direction),
            (Some(_), Some(None)) => only(true, "has no schema any more, so nothing can be compared"),
            (None, Some(Some(_))) => only(false, "has a schema now"),
            (None, Some(None)) => Vec::new(),
        };
        Compared { name, changes }
    };
    old.into_iter().map(one).chain(added).collect()
}

fn tell(compared: &[Compared], output: &Output) {
    let all = || compared.iter().flat_map(|one| one.changes.iter().map(move |change| (one, change)));
    if output.json() {
        let changes = all().map(|(one, change)| {
            json!({ "schema": one.name, "path": change.path, "breaking": change.breaking, "what": change.what })
        });
        let breaking = all().filter(|(_, change)| change.breaking).count();
        return output.document(&json!({ "breaking": breaking, "changes": changes.collect::<Vec<_>>() }));
    }
    let paint = Paint(output.color_stdout);
    if all().next().is_none() {
        return output.line(paint.green("nothing changed"));
    }
    let (breaking, compatible): (Vec<_>, Vec<_>) = all().partition(|(_, change)| change.breaking);
    for (one, change) in breaking.into_iter().chain(compatible) {
        let word = if change.breaking { paint.red("breaking  ") } else { paint.green("compatible") };
        let name = if one.name.is_empty() { String::new() } else { format!("{}: ", one.name) };
        output.line(format_args!(
            "{word}  {}{} {}",
            printable(&name),
            printable(&change.path),
            printable(&change.what)
        ));
    }
}
