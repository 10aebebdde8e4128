//! `renkei connectors new`: a connector from a vendor's OpenAPI document. It writes files that validate, and says what it could
//! not tell. `connectors check` stands in `connectors_check.rs`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde_json::json;

use super::{
    connector_page, connectors_check,
    failure::{DONE, Failure},
    init::write_new,
    output::{Output, Paint, printable},
};
use crate::{
    model::{Blame, Code, Fault},
    openapi::{self, Proposal, Trouble, Wanted},
};

#[derive(Subcommand, Debug)]
pub enum ConnectorsCommand {
    /// Make a connector from a vendor's OpenAPI document, and say what it does not tell
    New {
        /// The connector's name: the folder in connectors/
        name: String,
        /// An OpenAPI 3.0 or 3.1 or Swagger 2.0 document, as JSON or YAML
        #[arg(long, value_name = "FILE")]
        openapi: PathBuf,
        /// Only calls whose path, operation id or name fits, such as '/v1/customers*'; can be given several times [default: the
        /// first 40 streams and 60 operations]
        #[arg(long, value_name = "PATTERN")]
        only: Vec<String>,
        /// Replace the files of an earlier proposal
        #[arg(long)]
        overwrite: bool,
    },
    /// Hold a connector against its vendor's OpenAPI document: is what it calls, sends and reads there?
    Check {
        /// The connector: a folder in connectors/
        name: String,
        /// An OpenAPI 3.0 or 3.1 or Swagger 2.0 document, as JSON or YAML
        #[arg(long, value_name = "FILE")]
        openapi: PathBuf,
        /// An older document: also list what changed since then in the calls that the connector uses
        #[arg(long, value_name = "FILE")]
        since: Option<PathBuf>,
    },
    /// Print a connector's page: settings, limits, streams, operations and cases, as Markdown
    Page {
        /// The connector: a folder in connectors/
        name: String,
    },
}

const NAME_CHARS_MAX: usize = 64;

pub fn connectors(command: &ConnectorsCommand, dir: &Path, output: &Output) -> Result<u8, Failure> {
    match command {
        ConnectorsCommand::New { name, openapi, only, overwrite } => new(name, openapi, only, *overwrite, dir, output),
        ConnectorsCommand::Check { name, openapi, since } => {
            connectors_check::check(name, openapi, since.as_deref(), dir, output)
        }
        ConnectorsCommand::Page { name } => connector_page::show(name, dir, output),
    }
}

fn new(
    name: &str,
    openapi: &Path,
    only: &[String],
    overwrite: bool,
    dir: &Path,
    output: &Output,
) -> Result<u8, Failure> {
    let proper = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(proper) || name.starts_with('-') {
        let help = format!("use up to {NAME_CHARS_MAX} letters, digits, `_` and `-`");
        return Err(Failure::usage(format!("`{name}` cannot be the name of a connector"), help));
    }
    let folder = dir.join("connectors").join(name);
    let files = [folder.join("connector.yaml"), folder.join("README.md")];
    if let Some(taken) = files.iter().find(|file| file.exists() && !overwrite) {
        let help = "nothing was written; choose another name, or replace it with --overwrite";
        return Err(Failure::usage(format!("{} is there already", taken.display()), help));
    }
    let document = openapi::read(openapi).map_err(|trouble| failure(openapi, trouble))?;
    let wanted = Wanted { only: only.to_vec() };
    let proposal = openapi::propose(&document, name, &wanted).map_err(|trouble| failure(openapi, trouble))?;
    for (file, text) in files.iter().zip([&proposal.connector, &proposal.readme]) {
        write(file, text, overwrite)?;
    }
    tell(name, &files, &proposal, output);
    Ok(DONE)
}

/// One sentence: the file, the place in it, and what to do.
pub(super) fn failure(file: &Path, trouble: Trouble) -> Failure {
    let at = if trouble.at.is_empty() { String::new() } else { format!(" at {}", trouble.at) };
    let message = format!("{}{at}: {}", file.display(), trouble.message);
    Fault::halt(trouble.code, Blame::Config, message).help(format!("nothing was written; {}", trouble.help)).into()
}

fn write(file: &Path, text: &str, overwrite: bool) -> Result<(), Failure> {
    if !(overwrite && file.exists()) {
        return write_new(file, text);
    }
    fs::write(file, text).map_err(|error| {
        let message = format!("{} cannot be written: {error}", file.display());
        Fault::halt(Code::StoreIo, Blame::Host, message)
            .help("check the folder's permissions and free space (df -h)")
            .into()
    })
}

fn tell(name: &str, files: &[PathBuf], proposal: &Proposal, output: &Output) {
    if output.json() {
        let look_at = proposal.look_at.iter().map(|look| json!({ "about": look.words, "in": look.places }));
        return output.document(&json!({
            "connector": name,
            "files": files,
            "streams": proposal.streams,
            "operations": proposal.operations,
            "left_out": { "streams": proposal.streams_left, "operations": proposal.operations_left },
            "look_at": look_at.collect::<Vec<_>>(),
            "connection": proposal.connection,
        }));
    }
    let paint = Paint(output.color_stdout);
    let counted = |count: usize, word: &str| if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
    let made = [counted(proposal.streams.len(), "stream"), counted(proposal.operations.len(), "operation")].join(", ");
    output.line(format_args!("{} connectors/{name}: {made}", paint.green("made")));
    if proposal.streams_left + proposal.operations_left > 0 {
        let left =
            [counted(proposal.streams_left, "stream"), counted(proposal.operations_left, "operation")].join(" and ");
        output.line(format_args!("left out: {left}; name what you need with --only, or '*' for everything"));
    }
    if !proposal.look_at.is_empty() {
        let count = counted(proposal.look_at.len(), "thing");
        output.line(format_args!("\n{} to look at, noted in connector.yaml:", paint.bold(count)));
        for look in &proposal.look_at {
            let places = if look.places.is_empty() { String::new() } else { format!(" ({})", look.shown()) };
            output.line(format_args!("  {}{}", printable(&look.words), printable(&places)));
        }
    }
    output.line("\nNext: add this to renkei.yaml, set the variables, and check it with `renkei validate`:\n");
    output.text(&proposal.connection);
}
