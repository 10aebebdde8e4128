//! People, probes and callers talk to us here: what can be typed, what is shown, and which exit code says how it went.
//!
//! Results go to stdout; progress, logs and errors to stderr. Commands return an exit code or a `Failure`, and only
//! [`main`] tells failures and exits. Nothing heavy happens before the command is known, so `--version` answers at once.

mod args;
mod args_state;
mod args_try;
mod audit;
mod auth;
mod auth_login;
mod backfill;
mod check;
mod connector_page;
mod connectors;
mod connectors_check;
mod contract;
mod demo;
mod doctor;
mod drill;
mod explain;
mod failure;
mod format;
mod init;
mod letters;
mod letters_edit;
mod letters_pick;
mod letters_work;
mod limits;
mod links;
mod links_file;
mod listing;
mod logging;
mod output;
mod panic;
mod peer_state;
mod plan;
mod progress;
mod record_case;
mod reset;
mod run;
mod run_report;
mod runtime;
mod sandbox;
mod schedule;
mod serve;
mod signals;
mod state_import;
mod suggest;
mod summary;
mod table;
mod telemetry;
mod trace;
mod trace_text;
mod try_cases;
mod watched;
mod workspace;

use std::{path::Path, process::ExitCode, sync::Arc};

use clap::{ColorChoice, CommandFactory, FromArgMatches};

use self::{
    args::{Cli, Command, LettersCommand, LinksCommand, LogLevel, RunsCommand, ScheduleCommand},
    args_state::StateCommand,
    failure::{DONE, Failure},
    output::Output,
    runtime::block_on,
};
use crate::engine::Accepted;

/// Runs what was typed and returns its exit code.
pub fn main() -> ExitCode {
    panic::install_hook();
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is no reason to fail: the help was asked for and nobody reads it.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(failure::USAGE));
        }
    };
    let output = Arc::new(Output::new(&cli.global));
    let usual = match cli.command {
        Command::Serve => LogLevel::Info,
        // A case is full of trouble on purpose.
        Command::Try(_) => LogLevel::Error,
        _ => LogLevel::Warn,
    };
    logging::start(cli.global.log_level.unwrap_or(usual), &output);
    let code = dispatch(cli, &output).unwrap_or_else(|failure| {
        failure.tell(&output);
        failure.exit_code()
    });
    ExitCode::from(code)
}

/// `--no-color` must count also for the errors of parsing, so it is looked for before.
fn parse() -> Result<Cli, clap::Error> {
    let plain = output::no_color() || std::env::args_os().any(|arg| arg == "--no-color");
    let command = Cli::command().color(if plain { ColorChoice::Never } else { ColorChoice::Auto });
    Cli::from_arg_matches(&command.try_get_matches()?)
}

fn dispatch(cli: Cli, output: &Arc<Output>) -> Result<u8, Failure> {
    let dir: &Path = &cli.global.dir;
    match cli.command {
        Command::Init { folder } if dir == Path::new(".") => init::init(&folder, output),
        Command::Init { folder } => init::init(&dir.join(folder), output),
        Command::Validate { without_secrets } => check::validate(dir, without_secrets, output),
        Command::Run(args) => block_on(run::run(&args, dir, output.clone()))?,
        Command::Plan(args) => block_on(plan::plan(&args, dir, output))?,
        Command::Serve => runtime::block_on_threads(serve::serve(dir))?,
        Command::Schedule { command: ScheduleCommand::Next { pipeline, limit } } => {
            schedule::next(dir, pipeline.as_deref(), limit, output)
        }
        Command::Backfill(args) => block_on(backfill::backfill(&args, dir, output.clone()))?,
        Command::Status => block_on(listing::status(dir, output))?,
        Command::Runs { command: Some(RunsCommand::Show { id, limit }), .. } => {
            block_on(run_report::show(dir, &id, limit, output))?
        }
        Command::Runs { pipeline, limit, .. } => block_on(listing::runs(dir, pipeline.as_deref(), limit, output))?,
        Command::Trace(args) => block_on(trace::trace(dir, &args, output))?,
        Command::State { command } => state(command, dir, output),
        Command::Links { command } => links(command, dir, output),
        Command::DeadLetters { command } => dead_letters(command, dir, output),
        Command::Limits { connection } => block_on(limits::limits(dir, connection.as_deref(), output))?,
        Command::Drill(args) => block_on(drill::drill(&args, dir, output))?,
        Command::Doctor { connections } => block_on(doctor::doctor(dir, &connections, output))?,
        Command::Auth { command } => block_on(auth::auth(command, dir, output))?,
        Command::Audit { command } => audit::audit(command, dir, output),
        Command::Try(args) if args.record.is_some() => block_on(record_case::record(&args, dir, output))?,
        Command::Try(args) => try_cases::try_cases(&args, dir, output),
        Command::Connectors { command: None } => check::connectors(dir, output),
        Command::Connectors { command: Some(command) } => connectors::connectors(&command, dir, output),
        Command::Contract(command) => contract::contract(&command, output),
        Command::Schema { kind, markdown } => Ok(check::schema(kind, markdown, output)),
        Command::Explain { code } => explain::explain(code.as_deref(), output),
        Command::Sandbox(args) => block_on(sandbox::serve(&args, output))?,
        Command::Demo { seed } => block_on(demo::demo(seed, output))?,
        Command::Completion { shell } => Ok(completion(shell, output)),
    }
}

fn state(command: StateCommand, dir: &Path, output: &Output) -> Result<u8, Failure> {
    match command {
        StateCommand::Show { pipeline } => block_on(listing::state(dir, pipeline.as_deref(), output))?,
        StateCommand::Reset { pipeline: Some(pipeline), links, .. } => {
            block_on(reset::reset(dir, &pipeline, links, output))?
        }
        StateCommand::Reset { pipeline: None, .. } => block_on(reset::accept_older(dir, output))?,
        StateCommand::Import(args) => block_on(state_import::import(&args, dir, output))?,
    }
}

fn links(command: LinksCommand, dir: &Path, output: &Output) -> Result<u8, Failure> {
    match command {
        LinksCommand::Show { pipeline, key: Some(key), .. } => block_on(links::show(dir, &pipeline, &key, output))?,
        LinksCommand::Show { pipeline, key: None, limit, after } => {
            block_on(links::list(dir, &pipeline, limit, after.as_deref(), output))?
        }
        LinksCommand::Forget { pipeline, key, .. } => block_on(links::forget(dir, &pipeline, key.as_deref(), output))?,
        LinksCommand::Import { pipeline, file } => block_on(links::import(dir, &pipeline, &file, output))?,
    }
}

fn dead_letters(command: LettersCommand, dir: &Path, output: &Arc<Output>) -> Result<u8, Failure> {
    match command {
        LettersCommand::List { pipeline, filters, limit } => {
            block_on(letters::list(dir, pipeline, filters, limit, output))?
        }
        LettersCommand::Show { id } => block_on(letters::show(dir, &id, output))?,
        LettersCommand::Edit { id, set, file, undo } => {
            let change = letters_edit::Change { set, file, undo };
            block_on(letters_edit::edit(dir, &id, &change, output))?
        }
        LettersCommand::Replay { picked, accept_doubt, force } => {
            let accepted = Accepted { doubt: accept_doubt, older: force };
            block_on(letters_work::replay(dir, picked, accepted, output.clone()))?
        }
        LettersCommand::Drop { picked, yes } => block_on(letters_work::remove(dir, picked, yes, output))?,
    }
}

fn completion(shell: clap_complete::Shell, output: &Output) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "renkei", &mut script);
    output.text(String::from_utf8_lossy(&script));
    DONE
}
