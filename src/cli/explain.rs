//! `renkei explain`: the pages of `docs/errors/`, compiled in.

use serde_json::json;

use super::{
    failure::{DONE, Failure},
    output::{Output, Paint},
};
use crate::model::Code;

pub fn explain(code: Option<&str>, output: &Output) -> Result<u8, Failure> {
    match code {
        None => list(output),
        Some(typed) => {
            let code: Code = typed.parse().map_err(|()| unknown(typed))?;
            if output.json() {
                let page = json!({ "code": code, "title": code.title(), "page": code.page() });
                output.document(&page);
            } else {
                output.text(shown(code.page(), Paint(output.color_stdout)));
            }
        }
    }
    Ok(DONE)
}

fn list(output: &Output) {
    if output.json() {
        let all: Vec<_> = Code::ALL.iter().map(|code| json!({ "code": code, "title": code.title() })).collect();
        return output.document(&all);
    }
    let paint = Paint(output.color_stdout);
    for code in Code::ALL {
        output.line(format_args!("{}  {}", paint.bold(code), code.title()));
    }
}

/// A page for a terminal: headings without their marks.
fn shown(page: &str, paint: Paint) -> String {
    page.lines()
        .map(|line| match line.trim_start_matches('#') {
            text if text.len() < line.len() => format!("{}\n", paint.bold(text.trim_start())),
            text => format!("{text}\n"),
        })
        .collect()
}

fn unknown(typed: &str) -> Failure {
    let all: Vec<String> = Code::ALL.iter().map(Code::to_string).collect();
    // Codes all look alike, so only one slip of the finger counts as near.
    let one_slip = |code: &&String| strsim::damerau_levenshtein(&typed.to_uppercase(), code) == 1;
    let help = match all.iter().find(one_slip) {
        Some(code) => format!("did you mean `{code}`? `renkei explain` lists all codes"),
        None => "a code looks like RK0103; `renkei explain` lists all of them".to_owned(),
    };
    Failure::usage(format!("there is no code `{typed}`"), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_begins_with_its_code_and_title_and_says_what_is_safe_and_what_to_do() {
        for code in Code::ALL {
            let page = code.page();
            let head = format!("# {code}: {}\n\n", code.title());
            assert!(page.starts_with(&head), "docs/errors/{code}.md must begin with {head:?}");
            assert!(page.contains("\n## What is safe\n\n"), "{code}");
            assert!(page.contains("\n## What to do\n\n"), "{code}");
        }
    }
}
