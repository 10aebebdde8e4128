//! `dead-letters edit`: a person mends a record. What was read stays; a replay takes what was mended.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    args::Picked,
    failure::{DONE, Failure},
    letters_pick,
    output::Output,
    workspace,
};
use crate::engine::letters::{self, audited, mended};

/// What was asked for.
pub struct Change {
    pub set: Vec<String>,
    pub file: Option<PathBuf>,
    pub undo: bool,
}

impl Change {
    fn read(&self) -> Result<letters::Change, Failure> {
        if self.undo {
            return Ok(letters::Change::Undo);
        }
        if let Some(file) = &self.file {
            let unread =
                |error| Failure::usage(format!("{}: {error}", file.display()), "name a file with a JSON object");
            return Ok(letters::Change::Patch(fs::read(file).map_err(unread)?));
        }
        let one = |text: &String| {
            let help = "write --set email='\"ada@example.com\"' or --set age=42";
            let (path, value) =
                text.split_once('=').ok_or_else(|| Failure::usage(format!("--set {text}: there is no `=`"), help))?;
            Ok((path.to_owned(), value.to_owned()))
        };
        Ok(letters::Change::Set(self.set.iter().map(one).collect::<Result<_, Failure>>()?))
    }
}

pub async fn edit(dir: &Path, id: &str, change: &Change, output: &Output) -> Result<u8, Failure> {
    let (plan, letters, _) = letters_pick::pick(dir, &Picked::one(id), output).await?;
    let Some(letter) = letters.into_iter().next() else { return Ok(DONE) };
    let letter = mended(&plan, letter, &change.read()?)?;
    let opened = workspace::open(&plan.store, false).await?;
    let kept = async {
        opened.note("edit", &letter.pipeline, audited(std::slice::from_ref(&letter))).await?;
        opened.state.keep_letter(&letter).await
    };
    let kept = kept.await;
    opened.close().await;
    kept?;
    if output.json() {
        output.document(&letter);
    } else {
        output.line(match change.undo {
            true => format!("{id} is as it was read"),
            false => format!("{id} is mended; renkei dead-letters replay {id} sends it"),
        });
    }
    Ok(DONE)
}
