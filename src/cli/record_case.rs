//! `renkei try NAME --record CASE`: real requests once, and what goes by becomes a case, which is played before it is kept.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    args_try::TryArgs,
    failure::{DONE, Failure},
    init::write_new,
    output::{Output, printable},
    suggest,
    try_cases::played,
    workspace,
};
use crate::{
    cases::{Came, Listened, Mask, Recorder, Subject, Traffic, case_of},
    config::{
        self,
        plan::{Api, Auth, Connection},
        plan_case::Given,
    },
    engine::Engine,
    model::{Blame, Code, Fault, Fields, Key},
};

/// Records of one recording.
const RECORDS_MAX: usize = 100;

pub async fn record(args: &TryArgs, dir: &Path, output: &Output) -> Result<u8, Failure> {
    let (name, connection) = (args.record.clone().unwrap_or_default(), args.connection.clone().unwrap_or_default());
    let api = api(dir, &connection, args.connector.as_deref())?;
    let file = file(dir, &api.connector, &name)?;
    let what = what(args, &api)?;
    let traffic = listen(dir, &connection, &api, &what).await?;
    let mut mask = Mask::new(traffic.secrets()).declaring(config::personal_names(dir, &api.connector));
    let operation = match &what {
        What::Write(name, _) => api.operations.get(name),
        What::Read(..) => None,
    };
    let subject = Subject {
        api: &api,
        is_stream: operation.is_none(),
        name: what.name(),
        key_header: operation.and_then(|operation| operation.key()).map(|key| &key.header),
    };
    let text = case_of(&subject, &traffic, &mut mask)?;
    write_new(&file, &text)?;
    if let Err(failure) = plays(dir, &api.connector, &name) {
        // It is no case, so nobody should find it.
        let _ = fs::remove_file(&file);
        return Err(failure);
    }
    tell(&file, &traffic, output);
    Ok(DONE)
}

/// What is recorded.
enum What {
    Read(String, u64),
    Write(String, Vec<Given>),
}

impl What {
    fn name(&self) -> &str {
        match self {
            Self::Read(name, _) | Self::Write(name, _) => name,
        }
    }
}

fn api(dir: &Path, connection: &str, connector: Option<&str>) -> Result<Arc<Api>, Failure> {
    let plan = workspace::plan_of(dir, &[connection])?;
    let Some(Connection::Api(api)) = plan.connections.get(connection) else {
        let names = plan.connections.keys().map(String::as_str);
        let help = suggest::help(connection, "connection", names);
        return Err(Failure::usage(
            format!("there is no connection `{}` with a connector", printable(connection)),
            help,
        ));
    };
    if matches!(api.auth, Auth::Session(_) | Auth::Hmac(_)) {
        return Err(Failure::usage(
            format!("`{connection}` signs in by a session or signs its requests, of which no case can be recorded"),
            "nothing was sent; write the case by hand, with stand-ins for its credentials",
        ));
    }
    match connector {
        Some(connector) if connector != api.connector => Err(Failure::usage(
            format!("the connection `{connection}` is one of `{}`", api.connector),
            format!("renkei try {} --record CASE --connection {connection} ..", api.connector),
        )),
        _ => Ok(api.clone()),
    }
}

/// Where the case will be. A file that is there is not touched, and no request is sent for it.
fn file(dir: &Path, connector: &str, name: &str) -> Result<PathBuf, Failure> {
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if !is_name {
        return Err(Failure::usage(
            format!("`{}` cannot be the name of a case", printable(name)),
            "use letters, digits, `-` and `_`",
        ));
    }
    let file = dir.join("connectors").join(connector).join("cases").join(format!("{name}.yaml"));
    match file.exists() {
        true => Err(Failure::usage(format!("there is a case `{name}` already"), "nothing was sent; take another name")),
        false => Ok(file),
    }
}

fn what(args: &TryArgs, api: &Api) -> Result<What, Failure> {
    match (&args.stream, &args.operation) {
        (Some(name), None) if api.streams.contains_key(name) => Ok(What::Read(name.clone(), args.pages.into())),
        (Some(name), None) => Err(unknown("stream", name, api.streams.keys().map(String::as_str))),
        (None, Some(name)) if api.operations.contains_key(name) => {
            Ok(What::Write(name.clone(), given(args.records.as_deref().unwrap_or(Path::new("")))?))
        }
        (None, Some(name)) => Err(unknown("operation", name, api.operations.keys().map(String::as_str))),
        _ => Err(Failure::usage(
            "there is nothing to record",
            "name a stream with --stream, or an operation with --operation and --records",
        )),
    }
}

fn unknown<'n>(kind: &str, name: &str, known: impl Iterator<Item = &'n str> + Clone) -> Failure {
    Failure::usage(format!("there is no {kind} `{}`", printable(name)), suggest::help(name, kind, known))
}

/// A line of the file of records.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: Option<String>,
    sink_id: Option<String>,
    fields: Map<String, Value>,
}

fn given(path: &Path) -> Result<Vec<Given>, Failure> {
    let help = "nothing was sent; one record a line, such as {\"fields\": {\"email\": \"a@example.com\"}}";
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display()), help))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty()).enumerate();
    let given = lines.map(|(at, line)| {
        let wrong = |error: serde_json::Error| Failure::usage(format!("line {}: {error}", at + 1), help);
        let line: Line = serde_json::from_str(line).map_err(wrong)?;
        let fields = Fields::parse(Value::Object(line.fields).to_string().as_bytes()).map_err(wrong)?;
        let key = Key::new(line.key.unwrap_or_else(|| (at + 1).to_string()));
        Ok(Given { key, fields, sink_id: line.sink_id })
    });
    let given: Vec<Given> = given.collect::<Result<_, Failure>>()?;
    match given.len() {
        0 => Err(Failure::usage(format!("{} holds no record", path.display()), help)),
        n if n > RECORDS_MAX => Err(Failure::usage(format!("{n} records are too many for a case"), help)),
        _ => Ok(given),
    }
}

async fn listen(dir: &Path, connection: &str, api: &Arc<Api>, what: &What) -> Result<Traffic, Failure> {
    let recorder = Arc::new(Recorder::new(api));
    let engine = Engine::open(workspace::plan_of(dir, &[connection])?).await?.by(recorder.clone());
    let recorded = async {
        let listened =
            Listened { api, client: engine.client_of(api)?, recorder: &recorder, clock: engine.clock().clone() };
        match what {
            What::Read(name, pages) => match api.streams.get(name) {
                Some(stream) => listened.read(stream, *pages).await,
                None => Err(gone()),
            },
            What::Write(name, records) => match api.operations.get(name) {
                Some(operation) => listened.write(operation, records.iter().map(copied).collect()).await,
                None => Err(gone()),
            },
        }
    };
    let recorded = recorded.await;
    engine.close().await;
    Ok(recorded?)
}

fn copied(given: &Given) -> Given {
    Given { key: given.key.clone(), fields: given.fields.clone(), sink_id: given.sink_id.clone() }
}

fn gone() -> Fault {
    Fault::halt(Code::Bug, Blame::Bug, "what is recorded is not there").help("nothing was sent; please report it")
}

/// The new case must come out as it says.
fn plays(dir: &Path, connector: &str, name: &str) -> Result<(), Failure> {
    let cases = config::load_cases(dir, connector).map_err(|report| Failure::Config(Box::new(report)))?;
    let Some(case) = cases.into_iter().find(|case| case.name == name).map(Arc::new) else { return Err(gone().into()) };
    // A runtime cannot be started inside of another one.
    let played = std::thread::scope(|scope| scope.spawn(|| played(&case)).join());
    let found = played.map_err(|_| gone())??;
    match found.first() {
        None => Ok(()),
        Some(difference) => {
            let message = format!("the case does not come out as recorded: {}", difference.message);
            let help = "the file was not kept; see renkei explain RK0991";
            Err(Fault::halt(Code::RecordingUnusable, Blame::Remote, message).help(help).into())
        }
    }
}

fn tell(file: &Path, traffic: &Traffic, output: &Output) {
    let exchanges = traffic.heard.len();
    if output.json() {
        return output.document(&json!({ "case": file, "exchanges": exchanges }));
    }
    let came = match &traffic.came {
        Came::Read { keys, pages, .. } => format!("{pages} pages, {} records", keys.len()),
        Came::Written { verdicts, .. } => format!("{} records written", verdicts.len()),
    };
    output.line(format_args!("recorded {} ({exchanges} requests, {came})", file.display()));
    output.line("Look it through before you share it: what is personal in free text, nobody can tell.");
}
