//! `renkei doctor`: the checks of each connection, line by line, and what to do where one is not well. It ends with the exit
//! code of what failed first.

use std::{path::Path, sync::Arc};

use super::{
    auth::nothing_kept,
    failure::{DONE, Failure, wrapped},
    output::{Output, Paint, WIDTH, printable},
    suggest,
    workspace::{self, Opened},
};
use crate::{
    auth::Ground,
    config::{
        Plan,
        plan::{Auth, Connection},
    },
    engine::doctor::{Checkup, Doctor, Line, State},
    model::Fault,
    store::{Memory, StateStore},
};

/// Where what was seen begins on a line.
const MARGIN: usize = 32;

pub async fn doctor(dir: &Path, only: &[String], output: &Output) -> Result<u8, Failure> {
    let plan = chosen(dir, only, output)?;
    let (opened, doctor) = at_hand(&plan).await?;
    let mut all = Vec::new();
    for connection in plan.connections.values() {
        let checkup = doctor.examine(connection).await;
        if !output.json() {
            show(&checkup, output);
        }
        all.push(checkup);
    }
    super::listing::close(opened).await;
    match output.json() {
        true => output.document(&all),
        false => output.line(summary(&all, Paint(output.color_stdout))),
    }
    Ok(all.iter().find_map(Checkup::exit_code).unwrap_or(DONE))
}

/// All connections, or the named ones. Their variables and secret files must be there.
fn chosen(dir: &Path, only: &[String], output: &Output) -> Result<Plan, Failure> {
    let known = workspace::plan_without_secrets(dir, output)?;
    let all = known.connections.keys().map(String::as_str);
    if let Some(name) = only.iter().find(|name| !known.connections.contains_key(*name)) {
        let help = suggest::help(name, "connection", all);
        return Err(Failure::usage(format!("there is no connection `{name}`"), help));
    }
    let names: Vec<&str> = match only {
        [] => all.collect(),
        only => only.iter().map(String::as_str).collect(),
    };
    let mut plan = workspace::plan_of(dir, &names)?;
    plan.connections.retain(|name, _| names.contains(&name.as_str()));
    Ok(plan)
}

/// What the checks stand on. Where no run has made a store yet, one is made only for tokens that have to be kept. One that
/// cannot be opened, because a run holds it, is told where it is needed.
async fn at_hand(plan: &Plan) -> Result<(Option<Opened>, Doctor), Failure> {
    let keeps = |connection: &Connection| match connection {
        Connection::Api(api) => matches!(api.auth, Auth::OAuth2(_) | Auth::Session(_)),
        Connection::Folder(_) | Connection::Postgres(_) | Connection::Sqlite(_) | Connection::Mysql(_) => false,
    };
    let opened = match plan.connections.values().any(keeps) {
        true => workspace::open(&plan.store, false).await.map(Some),
        false => workspace::look(&plan.store).await,
    };
    let held = |store: Result<Arc<dyn StateStore>, Fault>, ground: Ground| Doctor { ground, store };
    match opened {
        Ok(Some(opened)) => {
            let doctor = held(Ok(opened.shared_store()), opened.ground());
            Ok((Some(opened), doctor))
        }
        Ok(None) => Ok((None, held(Ok(Arc::new(Memory::new())), nothing_kept()))),
        Err(Failure::Fault(fault)) => Ok((None, held(Err(*fault), nothing_kept()))),
        Err(other) => Err(other),
    }
}

fn show(checkup: &Checkup, output: &Output) {
    let paint = Paint(output.color_stdout);
    output.line(format_args!("{} ({})", paint.bold(printable(&checkup.connection)), printable(&checkup.kind)));
    for line in &checkup.lines {
        let check = line.check.replace('_', " ");
        let head = format!("  {}  {check:<19}", state(line.state, paint));
        let mut rest = texts(line).into_iter();
        output.line(format_args!("{head}{}", rest.next().unwrap_or_default()));
        rest.for_each(|text| output.line(format_args!("{:MARGIN$}{text}", "")));
    }
    output.line("");
}

/// What was seen, and below it what to do.
fn texts(line: &Line) -> Vec<String> {
    let clean = |text: &str| printable(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    let help = line.help.as_deref().map(clean);
    let code = line.code.map(|code| format!("[{code}] ")).unwrap_or_default();
    let width = WIDTH - MARGIN;
    let help = help.into_iter().flat_map(|help| wrapped(&format!("-> {help}"), width));
    wrapped(&(code + &clean(&line.seen)), width).into_iter().chain(help).collect()
}

/// As wide as the widest of them.
fn state(state: State, paint: Paint) -> String {
    match state {
        State::Ok => paint.green("ok       "),
        State::Warning => paint.yellow("warning  "),
        State::Failed => paint.red("failed   "),
        State::NotTried => paint.dim("not tried"),
    }
}

fn summary(all: &[Checkup], paint: Paint) -> String {
    let with = |state| all.iter().filter(|checkup| checkup.state() == state).count();
    let (well, warned, failed) = (with(State::Ok), with(State::Warning), with(State::Failed));
    let parts = [
        (well, "well", paint.green(well)),
        (warned, "with warnings", paint.yellow(warned)),
        (failed, "failed", paint.red(failed)),
    ];
    let parts = parts.into_iter().filter(|(number, ..)| *number > 0).map(|(_, word, shown)| format!("{shown} {word}"));
    let parts: Vec<String> = parts.collect();
    let connections = if all.len() == 1 { "1 connection".to_owned() } else { format!("{} connections", all.len()) };
    if parts.is_empty() {
        format!("{connections}: nothing to look at")
    } else {
        format!("{connections}: {}", parts.join(", "))
    }
}
