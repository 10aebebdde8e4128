//! From a directory to a plan: read all files, compile all of them, and report everything that is wrong together.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;

use super::{
    check::Check,
    compile_budget::share_accounts,
    compile_connection::Connectors,
    compile_pipeline::Connections,
    compile_targets::targets,
    diagnostic::{Problem, Report},
    environment::Environment,
    files,
    fill::HOLE,
    footprint::{Heard, digest},
    node::{Node, ScalarKind, Value, kind_of},
    plan::{Auth, Connection, Digest, Grant, Keep, Pipeline, Plan, To},
    raw_connector::RawConnector,
    raw_personal::RawProtect,
    raw_pipeline::{RawFrom, RawPipeline, RawStep},
    raw_steps::RawLookup,
    raw_workspace::RawWorkspace,
    read::{self, Reading},
    shape::{Named, OneOrMany, Spanned},
    source::{Sources, Span},
    units::Time,
    yaml,
};
use crate::model::Code;

/// The file that makes a directory a workspace.
pub const WORKSPACE_FILE: &str = "renkei.yaml";

/// A checked workspace and what is odd about it.
#[derive(Debug)]
pub struct Checked {
    /// Nothing when there are errors.
    pub plan: Option<Plan>,
    /// Errors and warnings.
    pub report: Report,
}

/// Loads a workspace. Every reference must be filled; the error is everything that is wrong, in all files.
pub fn load(dir: &Path, env: &dyn Environment) -> Result<Plan, Report> {
    let checked = compile(dir, env, false, None);
    checked.plan.ok_or(checked.report)
}

/// Loads what some pipelines need. References of connections that none of them uses may be missing; such connections
/// and all other pipelines are not in the plan, which is why their stand-ins do no harm.
pub fn load_for(dir: &Path, env: &dyn Environment, pipelines: &[&str]) -> Result<Plan, Report> {
    let checked = compile(dir, env, false, Some(Wanted::Pipelines(pipelines)));
    checked.plan.ok_or(checked.report)
}

/// Loads some connections, and no pipeline. References of other connections may be missing.
pub fn load_connections(dir: &Path, env: &dyn Environment, connections: &[&str]) -> Result<Plan, Report> {
    let checked = compile(dir, env, false, Some(Wanted::Connections(connections)));
    checked.plan.ok_or(checked.report)
}

/// Checks a workspace and also returns warnings. `offline` lets variables and secret files be missing, so that files can
/// be checked where the secrets are not; a plan made that way holds stand-ins and must not run.
pub fn check(dir: &Path, env: &dyn Environment, offline: bool) -> Checked {
    compile(dir, env, offline, None)
}

/// The part of a workspace that is needed.
#[derive(Clone, Copy)]
enum Wanted<'w> {
    /// These pipelines and the connections they use.
    Pipelines(&'w [&'w str]),
    /// These connections alone.
    Connections(&'w [&'w str]),
}

/// A file that was read.
pub(super) struct Loaded<T> {
    pub name: String,
    /// Nothing when it could not be read at all.
    pub raw: Option<Spanned<T>>,
}

pub(super) struct Loading<'a> {
    pub dir: &'a Path,
    pub reading: Reading<'a>,
    pub sources: Sources,
}

fn compile(dir: &Path, env: &dyn Environment, offline: bool, wanted: Option<Wanted<'_>>) -> Checked {
    let env = Heard::new(env);
    let reading = Reading { env: &env, base: dir, offline, problems: RefCell::default(), dropped: RefCell::default() };
    let mut loading = Loading { dir, reading, sources: Sources::default() };
    let Some((workspace, connectors, pipelines)) = loading.files() else {
        let report = Report::new(&loading.sources, loading.reading.problems.take());
        return Checked { plan: None, report };
    };
    let Loading { reading, sources, .. } = loading;
    let check = Check::new(&sources, &reading);
    let unused =
        wanted.map(|wanted| unused(wanted, workspace.raw.as_ref(), &connectors, &pipelines)).unwrap_or_default();
    let plan = everything(&check, workspace.raw, connectors, &pipelines);
    let plan = plan.map(|plan| Plan {
        made_of: digest(sources.texts_outside("pipelines").chain([format!("{:?}", env.digest()).as_str()])),
        files: plan.files.iter().cloned().chain(env.files()).collect(),
        ..plan
    });
    let mut problems = reading.problems.take();
    problems
        .retain(|problem| problem.code != Code::MissingVariable || !unused.iter().any(|part| part.holds(problem.span)));
    let report = Report::new(&sources, problems);
    let plan = plan.filter(|_| report.errors() == 0);
    let plan = match wanted {
        Some(wanted) => plan.map(|plan| only(plan, wanted)),
        None => plan,
    };
    Checked { plan, report }
}

/// The parts of the files that nothing wanted uses: connections, and connectors of no other connection.
fn unused(
    wanted: Wanted<'_>,
    workspace: Option<&Spanned<RawWorkspace>>,
    connectors: &[Loaded<RawConnector>],
    pipelines: &[Loaded<RawPipeline>],
) -> Vec<Span> {
    let Some(workspace) = workspace else { return Vec::new() };
    let used: BTreeSet<&str> = match wanted {
        Wanted::Connections(names) => names.iter().copied().collect(),
        Wanted::Pipelines(_) => BTreeSet::new(),
    };
    let wanted: Vec<&RawPipeline> = match wanted {
        Wanted::Connections(_) => Vec::new(),
        Wanted::Pipelines(names) => {
            let is_wanted = |file: &str, raw: &RawPipeline| {
                targets(file, raw).iter().any(|target| names.contains(&target.pipeline.as_str()))
            };
            let read = pipelines.iter().filter_map(|file| Some((file.name.as_str(), &file.raw.as_ref()?.value)));
            read.filter(|(file, raw)| is_wanted(file, raw)).map(|(_, raw)| raw).collect()
        }
    };
    let ends = wanted.iter().flat_map(|raw| {
        let from = raw.from.as_ref().and_then(|from| from.value.connection.as_ref()).map(|name| name.value.as_str());
        let looked_up = lookups(raw).map(|lookup| lookup.connection.value.as_str());
        let to = raw.to.iter().flat_map(|OneOrMany(targets)| targets).map(|to| to.value.connection.value.as_str());
        from.into_iter().chain(to).chain(looked_up)
    });
    let used: BTreeSet<&str> = used.into_iter().chain(ends).collect();
    let (used, unused): (Vec<_>, Vec<_>) =
        workspace.value.connections.iter().partition(|(name, _)| used.contains(name.value.as_str()));
    let needed: BTreeSet<&str> = used
        .iter()
        .filter_map(|(_, raw)| raw.value.connector.as_ref().map(|connector| connector.value.as_str()))
        .collect();
    let idle = connectors.iter().filter(|connector| !needed.contains(connector.name.as_str()));
    let idle = idle.filter_map(|connector| connector.raw.as_ref().map(|raw| raw.span));
    let keys = workspace.value.personal.as_ref().filter(|_| !needs_personal_keys(workspace, connectors, &wanted));
    unused.iter().map(|(_, raw)| raw.span).chain(idle).chain(keys.map(|keys| keys.span)).collect()
}

fn lookups(raw: &RawPipeline) -> impl Iterator<Item = &RawLookup> {
    raw.steps.iter().filter_map(|step| match step {
        RawStep::Lookup(lookup) => Some(&lookup.value),
        _ => None,
    })
}

/// Whether a rule of these pipelines, or of the streams that they read, is kept with a key.
fn needs_personal_keys(
    workspace: &Spanned<RawWorkspace>,
    connectors: &[Loaded<RawConnector>],
    pipelines: &[&RawPipeline],
) -> bool {
    let needs = |rules: &Named<Spanned<RawProtect>>| rules.iter().any(|(_, rule)| rule.value != RawProtect::Mask);
    let of_stream = |from: &RawFrom, deletes: bool| {
        let (_, connection) = workspace.value.connections.get(&from.connection.as_ref()?.value)?;
        let name = connection.value.connector.as_ref()?;
        let raw = connectors.iter().find(|connector| connector.name == name.value)?.raw.as_ref()?;
        let (_, stream) = raw.value.streams.get(&from.stream.as_ref()?.value)?;
        // Those that tell of its deletions count, where the pipeline listens.
        let deletions = stream.value.deletions.as_ref().filter(|_| deletes);
        let tombstones = deletions.and_then(|deletions| Some(&deletions.tombstones.as_ref()?.stream));
        let existing = deletions.and_then(|deletions| deletions.sweep.as_ref()?.value.stream.as_ref());
        let listings = [tombstones, existing].into_iter().flatten();
        let listed = listings.filter_map(|name| raw.value.streams.get(&name.value)).map(|(_, listed)| listed);
        Some([stream].into_iter().chain(listed).any(|stream| needs(&stream.value.personal)))
    };
    let looked_up = |lookup: &RawLookup| {
        let (_, connection) = workspace.value.connections.get(&lookup.connection.value)?;
        let name = connection.value.connector.as_ref()?;
        let raw = connectors.iter().find(|connector| connector.name == name.value)?.raw.as_ref()?;
        let (_, stream) = raw.value.streams.get(&lookup.stream.as_ref()?.value)?;
        Some(needs(&stream.value.personal))
    };
    let any = |raw: &&RawPipeline| {
        let deletes = raw.to.iter().flat_map(|OneOrMany(targets)| targets).any(|to| to.value.deletes.is_some());
        lookups(raw).any(|lookup| looked_up(lookup).unwrap_or(false))
            || needs(&raw.personal)
            || raw.from.as_ref().and_then(|from| of_stream(&from.value, deletes)).unwrap_or(false)
    };
    pipelines.iter().any(any)
}

/// The plan of what is wanted alone.
fn only(mut plan: Plan, wanted: Wanted<'_>) -> Plan {
    match wanted {
        Wanted::Connections(names) => {
            plan.pipelines.clear();
            plan.connections.retain(|name, _| names.contains(&name.as_str()));
        }
        Wanted::Pipelines(names) => {
            plan.pipelines.retain(|name, _| names.contains(&name.as_str()));
            let used: BTreeSet<&str> = plan.pipelines.values().flat_map(|pipeline| pipeline.connections()).collect();
            plan.connections.retain(|name, _| used.contains(name.as_str()));
        }
    }
    plan
}

fn everything(
    check: &Check<'_>,
    workspace: Option<Spanned<RawWorkspace>>,
    connectors: Vec<Loaded<RawConnector>>,
    pipelines: &[Loaded<RawPipeline>],
) -> Option<Plan> {
    let compiled = |Loaded { name, raw }: Loaded<RawConnector>| {
        let connector = raw.map(|raw| check.connector(name.clone(), raw));
        (name, connector)
    };
    let connectors: Connectors = connectors.into_iter().map(compiled).collect();
    let workspace = workspace?.value;
    check.version(&workspace.version);
    check.note_personal_keys(workspace.personal.as_ref());
    let store = check.store(&workspace);
    check.scratch.replace(store.path.clone());
    let raw = &workspace.dead_letters;
    let dead_letters = Keep { keep: raw.keep.map(|Time(keep)| keep), max: raw.max.map(|max| max as usize) };
    let history = check.history(&workspace.history);
    let connections = workspace.connections.iter();
    let connections: Connections =
        connections.map(|(name, raw)| (name.value.clone(), check.connection(name, raw, &connectors))).collect();
    one_owner(check, &connections, workspace.connections.iter().map(|(name, _)| name));
    let dropped = workspace.connections.dropped().iter().map(|name| (name.clone(), None));
    let mut connections: Connections = connections.into_iter().chain(dropped).collect();
    share_accounts(&mut connections);
    let (serve, calendars) = (check.serve(workspace.serve.as_ref()), check.calendars(&workspace.calendars));
    let telemetry = check.telemetry(workspace.telemetry.as_ref());
    check.listens_at.replace(Some(serve.ingress.address));
    let mut plans = BTreeMap::new();
    let mut files: BTreeMap<(String, String), Span> = BTreeMap::new();
    for Loaded { name, raw } in pipelines {
        let Some(raw) = raw else { continue };
        check.targets_fit(&raw.value);
        for target in targets(name, &raw.value) {
            let Some(pipeline) = check.pipeline(raw, &target, &connections, &calendars) else { continue };
            let file = target.to.and_then(|to| to.value.file.as_ref());
            one_writer(check, &pipeline, file.map_or(raw.span, |file| file.span), &mut files);
            one_name(check, &pipeline, target.to.map_or(raw.span, |to| to.span), &plans);
            plans.insert(target.pipeline, Arc::new(pipeline));
        }
    }
    who_waits_for_whom(check, pipelines);
    let connections: BTreeMap<String, Connection> =
        connections.into_iter().filter_map(|(name, connection)| Some((name, connection?))).collect();
    let calendars = workspace.calendars.iter().map(|(_, raw)| check.reading.base.join(&raw.file.value));
    let files = calendars.chain(check.schemas.take()).collect();
    let made_of = Digest::default();
    Some(Plan { store, dead_letters, history, serve, telemetry, connections, pipelines: plans, made_of, files })
}

fn who_waits_for_whom(check: &Check<'_>, pipelines: &[Loaded<RawPipeline>]) {
    let read = pipelines.iter().filter_map(|file| Some((file.name.as_str(), &file.raw.as_ref()?.value)));
    let all: Vec<_> =
        read.flat_map(|(file, raw)| targets(file, raw).into_iter().map(move |target| (target, raw))).collect();
    let after = all
        .iter()
        .filter_map(|(target, raw)| Some((target.pipeline.clone(), raw.schedule.as_ref()?.value.after.clone()?)));
    // One that cannot be read exists, so nobody is told that it is unknown.
    let unread = pipelines.iter().filter(|file| file.raw.is_none()).map(|file| file.name.as_str());
    let names: BTreeSet<&str> = all.iter().map(|(target, _)| target.pipeline.as_str()).chain(unread).collect();
    check.circles(&after.collect(), &names);
}

/// The target `crm` of `leads.yaml` and the file `leads.crm.yaml` would be one pipeline.
fn one_name(check: &Check<'_>, pipeline: &Pipeline, at: Span, others: &BTreeMap<String, Arc<Pipeline>>) {
    if let Some(other) = others.get(&pipeline.name).filter(|other| other.file != pipeline.file) {
        let message = format!("another file makes a pipeline `{}`", pipeline.name);
        let help = format!("rename the target, or pipelines/{}.yaml", other.file);
        check.report(Problem::new(Code::Conflict, at, message).help(help));
    }
}

/// A vendor that rotates refresh tokens takes each of them from one connection only; the other one's is dead by then.
fn one_owner<'n>(check: &Check<'_>, connections: &Connections, names: impl Iterator<Item = &'n Spanned<String>>) {
    let mut owners: BTreeMap<(String, String), Span> = BTreeMap::new();
    for name in names {
        let Some(Some(Connection::Api(api))) = connections.get(&name.value) else { continue };
        let Auth::OAuth2(oauth2) = &api.auth else { continue };
        let Grant::RefreshToken { token } = &oauth2.grant else { continue };
        let token = token.expose_secret().to_owned();
        if token.contains(HOLE) {
            continue;
        }
        match owners.get(&(oauth2.token_url.to_string(), token.clone())) {
            Some(first) => {
                let message = format!("the refresh token of `{}` is that of another connection too", name.value);
                let problem = Problem::new(Code::Conflict, name.span, message).warning();
                let help = "where the vendor rotates it, the second one to refresh is refused: give each its own";
                check.report(problem.help(help).related(*first, "it is given here first"));
            }
            None => {
                owners.insert((oauth2.token_url.to_string(), token), name.span);
            }
        }
    }
}

/// Two pipelines that append to the same file would cut each other's records off when they resume.
fn one_writer(check: &Check<'_>, pipeline: &Pipeline, at: Span, files: &mut BTreeMap<(String, String), Span>) {
    let To::File { folder, name, .. } = &pipeline.to else { return };
    let place = (folder.name.clone(), name.clone());
    match files.get(&place) {
        Some(first) => {
            let message = format!("another pipeline writes the file `{name}` of `{}`", folder.name);
            let problem = Problem::new(Code::Conflict, at, message).help("give each pipeline a file of its own");
            check.report(problem.related(*first, "it is written here"));
        }
        None => {
            files.insert(place, at);
        }
    }
}

type Files = (Loaded<RawWorkspace>, Vec<Loaded<RawConnector>>, Vec<Loaded<RawPipeline>>);

impl Loading<'_> {
    fn problem(&self, problem: Problem) {
        self.reading.problems.borrow_mut().push(problem);
    }

    fn files(&mut self) -> Option<Files> {
        let path = self.dir.join(WORKSPACE_FILE);
        if !path.exists() {
            let file = self.sources.add(path.clone(), String::new());
            let message = format!("there is no {WORKSPACE_FILE} in {}", self.dir.display());
            let help = "go to a workspace or name one with --dir; `renkei init` makes a new one";
            self.problem(Problem::new(Code::Workspace, Span::new(file, 0, 0), message).help(help));
            return None;
        }
        let workspace = self.file(&path, String::new());
        let connectors = self.connectors();
        let pipelines = self.pipelines();
        Some((workspace, connectors, pipelines))
    }

    fn connectors(&mut self) -> Vec<Loaded<RawConnector>> {
        let folders = self.list("connectors");
        let folders = folders.into_iter().filter(|path| path.is_dir());
        folders
            .map(|folder| (name_of(&folder), folder))
            .map(|(name, folder)| self.file(&folder.join("connector.yaml"), name))
            .collect()
    }

    fn pipelines(&mut self) -> Vec<Loaded<RawPipeline>> {
        let mut all = Vec::new();
        for path in self.list("pipelines") {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("yaml") => {
                    let name = name_of(&path);
                    all.push(self.file(&path, name));
                }
                Some("yml") => {
                    let file =
                        self.sources.add(path.strip_prefix(self.dir).unwrap_or(&path).to_path_buf(), String::new());
                    let problem =
                        Problem::new(Code::ConfigFile, Span::new(file, 0, 0), "a pipeline's file ends with .yaml");
                    self.problem(problem.help("rename it, so that it is not overlooked"));
                }
                _ => {}
            }
        }
        all
    }

    pub fn list(&mut self, folder: &str) -> Vec<std::path::PathBuf> {
        files::list(&self.dir.join(folder)).unwrap_or_else(|error| {
            let file = self.sources.add(folder.into(), String::new());
            let message = format!("the folder cannot be read: {error}");
            let problem = Problem::new(Code::ConfigFile, Span::new(file, 0, 0), message);
            self.problem(problem.help("make it a folder that this user can read"));
            Vec::new()
        })
    }

    pub fn file<T: DeserializeOwned>(&mut self, path: &Path, name: String) -> Loaded<T> {
        let mut problems = Vec::new();
        let file = files::read(self.dir, path, &mut self.sources, &mut problems);
        let node = file.and_then(|file| self.parse(file, &mut problems));
        self.reading.problems.borrow_mut().append(&mut problems);
        let raw =
            node.and_then(|node| read::read(&node, &self.reading).map(|value| Spanned { value, span: node.span }));
        Loaded { name, raw }
    }

    fn parse(&self, file: u32, problems: &mut Vec<Problem>) -> Option<std::rc::Rc<Node>> {
        let text = &self.sources.file(file)?.text;
        let found = problems.len();
        let node = yaml::parse(file, text, problems);
        let empty = node.as_ref().is_none_or(|node| match &node.value {
            Value::Scalar(scalar) => scalar.plain && kind_of(&scalar.text) == ScalarKind::Null,
            Value::List(_) | Value::Map(_) => false,
        });
        if empty && problems.len() == found {
            let problem = Problem::new(Code::MissingKey, Span::new(file, 0, 0), "the file is empty");
            problems.push(problem.help("begin with `version: 1`"));
        }
        node.filter(|_| !empty)
    }
}

fn name_of(path: &Path) -> String {
    path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
