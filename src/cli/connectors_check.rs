//! `renkei connectors check`: a connector against its vendor's document, as a list of what does not fit.

use std::path::Path;

use serde_json::json;

use super::{
    connectors::failure,
    failure::{DONE, Failure},
    output::{Output, Paint, printable},
    suggest,
};
use crate::{
    config::{connector_names, load_connector},
    model::{Blame, Code, Fault},
    openapi::{self, Checked, Told},
};

/// Sentences about what a document does not tell; `--output json` has all.
const UNTOLD_SHOWN: usize = 20;

pub fn check(name: &str, document: &Path, since: Option<&Path>, dir: &Path, output: &Output) -> Result<u8, Failure> {
    let names = connector_names(dir);
    if !names.iter().any(|known| known == name) {
        let help = suggest::help(name, "connector", names.iter().map(String::as_str));
        return Err(Failure::usage(format!("there is no connector `{}`", printable(name)), help));
    }
    let folder = dir.join("connectors").join(name);
    let connector = load_connector(&folder).map_err(|report| Failure::Config(Box::new(report)))?;
    let read = |file: &Path| openapi::read(file).map_err(|trouble| failure(file, trouble));
    let (newer, older) = (read(document)?, since.map(read).transpose()?);
    let checked = openapi::check(&connector, &newer, older.as_ref());
    tell(name, &newer, &checked, output);
    if checked.misfits.is_empty() {
        return Ok(DONE);
    }
    let words = match checked.misfits.len() {
        1 => "1 thing in it does not".to_owned(),
        several => format!("{several} things in it do not"),
    };
    let message = format!("connectors/{name} does not fit {}: {words}", document.display());
    let help = "Nothing was changed and no server was asked. Compare the lines above with the vendor's documentation: mend the \
                connector, or take a newer document.";
    Err(Fault::halt(Code::UnlikeDocument, Blame::Config, message).help(help).into())
}

fn tell(name: &str, document: &openapi::Document, checked: &Checked, output: &Output) {
    let about = document.info();
    if output.json() {
        let told =
            |all: &[Told]| all.iter().map(|one| json!({ "in": one.part, "about": one.words })).collect::<Vec<_>>();
        let changes = checked
            .changes
            .iter()
            .map(|one| json!({ "in": one.part, "breaking": one.breaking, "about": one.words }))
            .collect::<Vec<_>>();
        return output.document(&json!({
            "connector": name,
            "document": { "title": about.0, "version": about.1, "openapi": document.version, "sha256": document.digest },
            "calls": checked.calls,
            "compared": checked.compared,
            "misfits": told(&checked.misfits),
            "untold": told(&checked.untold),
            "changes": changes,
        }));
    }
    let paint = Paint(output.color_stdout);
    let state = if checked.misfits.is_empty() { paint.green("fits") } else { paint.red("does not fit") };
    output.line(format_args!(
        "connectors/{name} {state} {} {}: {} calls, {} things compared",
        paint.bold(printable(about.0)),
        printable(about.1),
        checked.calls,
        checked.compared
    ));
    for one in &checked.misfits {
        output.line(format_args!("  {}  {}: {}", paint.red("misfit "), printable(&one.part), printable(&one.words)));
    }
    for one in &checked.changes {
        let word = if one.breaking { paint.yellow("breaking") } else { paint.dim("changed ") };
        output.line(format_args!("  {word} {}: {}", printable(&one.part), printable(&one.words)));
    }
    for one in checked.untold.iter().take(UNTOLD_SHOWN) {
        output.line(format_args!("  {}  {}: {}", paint.dim("untold "), printable(&one.part), printable(&one.words)));
    }
    if checked.untold.len() > UNTOLD_SHOWN {
        output.line(format_args!("  and {} more that the document does not tell", checked.untold.len() - UNTOLD_SHOWN));
    }
}
