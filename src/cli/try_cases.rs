//! `renkei try`: the cases of connectors, played. The differences are the result, so they go to stdout.

use std::{path::Path, sync::Arc};

use serde_json::{Value, json};

use super::{
    args_try::TryArgs,
    failure::{DONE, Failure},
    output::{Output, Paint, printable},
    suggest,
};
use crate::{
    cases::{self, Difference},
    config::{self, plan_case::Case},
    model::{Blame, Code, Fault},
};

pub fn try_cases(args: &TryArgs, dir: &Path, output: &Output) -> Result<u8, Failure> {
    let known = config::connector_names(dir);
    let names = match &args.connector {
        Some(name) if known.contains(name) => vec![name.clone()],
        Some(name) => {
            let help = suggest::help(name, "connector", known.iter().map(String::as_str));
            return Err(Failure::usage(format!("there is no connector `{}`", printable(name)), help));
        }
        None => known,
    };
    let (mut documents, mut failed, mut count) = (Vec::new(), 0, 0);
    for name in names {
        let cases = config::load_cases(dir, &name).map_err(|report| Failure::Config(Box::new(report)))?;
        for case in chosen(&name, cases, args)? {
            let case = Arc::new(case);
            let found = played(&case)?;
            count += 1;
            failed += usize::from(!found.is_empty());
            match output.json() {
                true => documents.push(document(&name, &case, &found)),
                false => show(&name, &case, &found, output),
            }
        }
    }
    if output.json() {
        output.document(&documents);
    }
    verdict(count, failed, output)
}

/// The wanted cases of a connector. One that was named by a person must have some.
fn chosen(connector: &str, mut cases: Vec<Case>, args: &TryArgs) -> Result<Vec<Case>, Failure> {
    let known: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
    let Some(wanted) = &args.case else {
        if known.is_empty() && args.connector.is_some() {
            let help = format!("write one into connectors/{connector}/cases/; docs/write-a-connector.md says how");
            return Err(Failure::usage(format!("the connector `{connector}` has no cases"), help));
        }
        return Ok(cases);
    };
    cases.retain(|case| case.name == *wanted);
    if cases.is_empty() {
        let help = suggest::help(wanted, "case", known.iter().map(String::as_str));
        return Err(Failure::usage(format!("`{connector}` has no case `{}`", printable(wanted)), help));
    }
    Ok(cases)
}

pub fn played(case: &Arc<Case>) -> Result<Vec<Difference>, Failure> {
    cases::standing_still(cases::play(case.clone())).map_err(|error| {
        Fault::halt(Code::StoreIo, Blame::Host, format!("the system gives no runtime: {error}"))
            .help("nothing was played; look at the limits of this user (ulimit -n) and try again")
            .into()
    })
}

fn document(connector: &str, case: &Case, found: &[Difference]) -> Value {
    json!({
        "connector": connector,
        "case": case.name,
        "of": case.subject.name(),
        "passed": found.is_empty(),
        "differences": found,
    })
}

fn show(connector: &str, case: &Case, found: &[Difference], output: &Output) {
    let paint = Paint(output.color_stdout);
    let word = if found.is_empty() { paint.green("as said") } else { paint.red("differs") };
    output.line(format_args!("{word}  {connector} {}", case.name));
    for difference in found {
        output.line(format_args!("  {}", difference.place));
        output.line(format_args!("    {}", printable(&difference.message)));
    }
}

fn verdict(count: usize, failed: usize, output: &Output) -> Result<u8, Failure> {
    let cases = if count == 1 { "1 case".to_owned() } else { format!("{count} cases") };
    if failed == 0 {
        if !output.json() {
            output.line(format_args!("{cases}, all as they say"));
        }
        return Ok(DONE);
    }
    let verb = if failed == 1 { "does" } else { "do" };
    let fault =
        Fault::halt(Code::CaseFailed, Blame::Config, format!("{failed} of {cases} {verb} not come out as said"));
    Err(fault.help("no server was asked; mend the connector or the case, whichever is wrong").into())
}
