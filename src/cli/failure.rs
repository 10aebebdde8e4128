//! What a command fails with, and the exit code and block of text that a person gets for it.

use serde_json::json;

use super::output::{Output, Paint, printable};
use crate::{
    config::Report,
    engine::letters::{Mistake, Unmended},
    model::Fault,
};

/// The documented exit codes that are not a fault's own; `docs/exit-codes.md` has all of them.
pub const DONE: u8 = 0;
pub const DEAD_LETTERS: u8 = 1;
pub const USAGE: u8 = 2;
pub const CONFIG: u8 = 3;
pub const BUG: u8 = 70;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// What was typed makes no sense here.
    Usage {
        message: String,
        help: String,
    },
    /// Everything that is wrong with the files.
    Config(Box<Report>),
    Fault(Box<Fault>),
}

impl Failure {
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), help: help.into() }
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } => USAGE,
            Self::Config(_) => CONFIG,
            Self::Fault(fault) => fault.exit_code(),
        }
    }

    /// Tells the person, on stderr.
    pub fn tell(&self, output: &Output) {
        match self {
            Self::Usage { message, help } if output.json_errors => {
                output.note(json!({ "error": { "code": null, "message": message, "help": help } }));
            }
            Self::Usage { message, help } => {
                let paint = Paint(output.color_stderr);
                output.note(format_args!("{}: {}", paint.red("error"), paint.bold(printable(message))));
                output.note(format_args!("{}", labelled("help", help, paint)));
            }
            Self::Config(report) if output.json_errors => {
                output.note(json!({ "error": { "diagnostics": report.diagnostics } }));
            }
            Self::Config(report) => output.note(report.render(output.color_stderr).trim_end()),
            Self::Fault(fault) => tell_fault(fault, output),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl From<Mistake> for Failure {
    fn from(Mistake { message, help }: Mistake) -> Self {
        Self::Usage { message, help }
    }
}

impl From<Unmended> for Failure {
    fn from(unmended: Unmended) -> Self {
        match unmended {
            Unmended::Mistake(mistake) => mistake.into(),
            Unmended::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// One fault, as a JSON line or as a block: code, what, where, what is safe and what to do next.
pub fn tell_fault(fault: &Fault, output: &Output) {
    if output.json_errors {
        output.note(json!({ "error": fault_json(fault) }));
    } else {
        output.note(block(fault, Paint(output.color_stderr)));
    }
}

/// A fault for programs.
pub fn fault_json(fault: &Fault) -> serde_json::Value {
    json!({
        "code": fault.code,
        "title": fault.code.title(),
        "message": fault.message,
        "place": fault.place,
        "help": fault.help,
        "exit_code": fault.exit_code(),
    })
}

fn block(fault: &Fault, paint: Paint) -> String {
    let head = paint.red(format_args!("error[{}]", fault.code));
    let mut text = format!("{head}: {}", paint.bold(printable(&fault.message)));
    if !fault.place.is_empty() {
        // A call inside another one names their common connection twice.
        let mut places: Vec<String> = Vec::new();
        for place in fault.place.iter().map(|place| printable(place)) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        text.push_str(&format!("\n  {} {}", paint.blue("-->"), places.join(", ")));
    }
    if !fault.help.is_empty() {
        text.push('\n');
        text.push_str(&labelled("help", &fault.help, paint));
    }
    text.push('\n');
    text.push_str(&labelled("more", &format!("renkei explain {}", fault.code), paint));
    text
}

/// `  = help: ...`, wrapped under its first word.
fn labelled(label: &str, text: &str, paint: Paint) -> String {
    let margin = label.len() + "  = : ".len();
    let indent = format!("\n{}", " ".repeat(margin));
    let lines = wrapped(&printable(&sentence(text)), super::output::WIDTH - margin);
    format!("  {} {}: {}", paint.blue("="), paint.bold(label), lines.join(&indent))
}

/// Help is written over several source lines; what separates words is one space.
fn sentence(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Blame, Code};

    #[test]
    fn a_block_has_code_what_where_help_and_where_to_read_more() {
        let fault = Fault::halt(Code::Unreachable, Blame::Remote, "127.0.0.1:1 refuses connections")
            .at("connection shop")
            .at("stream customers")
            .at("connection shop")
            .at("pipeline leads")
            .help(
                "nothing is lost: the cursor did not move; run again when the host is back, the next run goes on \
                   from the last page that was delivered",
            );
        insta::assert_snapshot!(block(&fault, Paint(false)), @r"
        error[RK0201]: 127.0.0.1:1 refuses connections
          --> connection shop, stream customers, pipeline leads
          = help: nothing is lost: the cursor did not move; run again when the host is back, the next run
                  goes on from the last page that was delivered
          = more: renkei explain RK0201
        ");
    }

    #[test]
    fn a_word_longer_than_a_line_gets_a_line_of_its_own() {
        assert_eq!(wrapped("a bb cccccc d", 4), ["a bb", "cccccc", "d"]);
    }
}
