//! The pipeline's own plan, moved into the drill: the same steps, mapping, streams and operations, with replicas for servers,
//! placeholders for secrets and a folder of its own for what is kept. Pure, so that a run and the drill around it come to the same
//! plan from the same files.
//!
//! Waits are shortened, because a drill has a minute and a plan has days. Each of them is named in [`SHORTENED`].

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use http::Method;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use super::pattern::Pattern;
use crate::{
    config::{
        Plan,
        plan::{
            AnswerShape, Api, Auth, AwsKeys, Budget, Changed, ClientAuth, Contracts, Deletes, Egress, Files, Folder,
            Form, From, Grant, Incremental, NextToken, OAuth2, Operation, PageSize, Paginate, Personal, PersonalKeys,
            Pipeline, Place, Repeat, RequestPlan, RingKey, StepPlan, Stream, Sweep, To,
        },
    },
    model::{Blame, Code, Fault, Fields, SecretKey},
};

/// What is said about it to whoever reads the result.
pub const SHORTENED: &str = "an attempt has a second at the most, retries and breakers wait 500 ms at the most, look-ups and jobs \
     do not wait, and the budget's own limits are left out";

/// One attempt at the most.
pub const ATTEMPT: Duration = Duration::from_secs(1);
const RETRY_CAP: Duration = Duration::from_millis(200);
const RETRY_BASE: Duration = Duration::from_millis(40);
const BREAKER_PAUSE: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(20);
const LAG: Duration = Duration::from_millis(50);

/// Where a replica has the token endpoint of its connection.
pub const TOKEN_PATH: &str = "/.drill/token";
/// Stands for every secret.
pub const PLACEHOLDER: &str = "drill-placeholder";
/// What configuration without its variables has in their places.
const HOLE: char = '\u{fffc}';

/// Where the replicas of connections listen, by name.
pub type Ports = BTreeMap<String, u16>;

/// How a drill's plan is made of a pipeline's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setting {
    /// Store and files of the drill.
    pub folder: PathBuf,
    pub ports: Ports,
    /// Records on a page.
    pub page: u64,
}

/// The connections that need a replica server, each once.
pub fn served(pipeline: &Pipeline) -> Vec<String> {
    let mut names: Vec<String> = pipeline.from.api.iter().map(|api| api.name.clone()).collect();
    if let To::Operation { api, .. } = &pipeline.to
        && !names.contains(&api.name)
    {
        names.push(api.name.clone());
    }
    names
}

/// Says which ends of a pipeline have no replica.
pub fn check(pipeline: &Pipeline) -> Result<(), Fault> {
    if let Some(rows) = &pipeline.from.rows {
        let message =
            format!("{} reads a database ({}), of which a drill has no replica", pipeline.name, rows.database.name());
        return Err(Fault::halt(Code::DrillNoSource, Blame::Config, message)
            .help("Nothing was started, and the database was not asked."));
    }
    if pipeline.from.api.is_none() {
        let message = format!("{} has nobody to read from: its records are only pushed to it", pipeline.name);
        return Err(Fault::halt(Code::DrillNoSource, Blame::Config, message).help(
            "Nothing was started. A drill plays servers that are asked, and no callers. `renkei serve` keeps a pushed record \
             before it answers; what follows from there is what other pipelines with the same target are drilled for.",
        ));
    }
    let shapes = pipeline.steps.iter().find(|step| {
        matches!(
            step,
            StepPlan::Split | StepPlan::Flatten(_) | StepPlan::Coerce(_) | StepPlan::Dedupe(_) | StepPlan::Lookup(_)
        )
    });
    let shaped = shapes.map(|step| format!("a `{}` step", step.name()));
    let shaped =
        shaped.or_else(|| (!pipeline.from.stream.expand.is_empty()).then(|| "an `expand` of its stream".to_owned()));
    if let Some(what) = shaped {
        let message = format!("{} has {what}, for which a drill makes up no records", pipeline.name);
        return Err(Fault::halt(Code::DrillNoSource, Blame::Config, message).help(
            "Nothing was started. What a drill makes up are plain records, each with texts of its own, and no lists inside them, no              forms of dates, no duplicates and nothing to look up. To drill the rest, copy the pipeline and leave the step out.",
        ));
    }
    if let To::Table { database, .. } = &pipeline.to {
        let message =
            format!("{} writes into a database ({}), of which a drill has no replica", pipeline.name, database.name());
        return Err(Fault::halt(Code::DrillNoSink, Blame::Config, message).help(
            "Nothing was started, and the database was not asked. To drill the rest of it, copy the pipeline and let the copy \
             write to files: to: { connection: <a jsonl connection>, file: drill }.",
        ));
    }
    Ok(())
}

/// The plan that a drill's runs have.
pub fn staged(plan: &Plan, name: &str, setting: &Setting) -> Option<Plan> {
    let pipeline = Arc::new(self::pipeline(plan.pipelines.get(name)?, setting));
    let mut plan =
        Plan { connections: BTreeMap::new(), pipelines: [(name.to_owned(), pipeline)].into(), ..plan.clone() };
    plan.store.path = setting.folder.join("state");
    plan.store.key = None;
    Some(plan)
}

fn pipeline(own: &Pipeline, setting: &Setting) -> Pipeline {
    let mut apis: BTreeMap<String, Arc<Api>> = BTreeMap::new();
    let mut staged_api =
        |api: &Arc<Api>| apis.entry(api.name.clone()).or_insert_with(|| Arc::new(self::api(api, setting))).clone();
    let from_api = own.from.api.as_ref().map(&mut staged_api);
    let stream = from_api.as_ref().and_then(|api| api.streams.get(&own.from.stream.name).cloned());
    let to = match &own.to {
        To::Operation { api, operation, key, changed, deletes } => {
            let api = staged_api(api);
            let again = |operation: &Arc<Operation>| {
                api.operations.get(&operation.name).cloned().unwrap_or_else(|| operation.clone())
            };
            To::Operation {
                operation: again(operation),
                key: key.clone(),
                changed: match changed {
                    Changed::Operation(operation) => Changed::Operation(again(operation)),
                    other => other.clone(),
                },
                deletes: deletes.as_ref().map(|deletes| Arc::new(self::deletes(deletes, from_api.as_deref(), &again))),
                api,
            }
        }
        To::File { folder, name, .. } => {
            // Lines of this machine, which the drill can read again, stand for files of every form and place.
            let place = Place::Path(setting.folder.join("out"));
            let folder = Arc::new(Folder { place, form: Files::JsonLines, ..(**folder).clone() });
            To::File { folder, name: name.clone(), columns: Vec::new() }
        }
        table @ To::Table { .. } => table.clone(),
    };
    Pipeline {
        from: From {
            api: from_api,
            stream: stream.unwrap_or_else(|| own.from.stream.clone()),
            rows: None,
            ingress: None,
        },
        to,
        personal: personal(&own.personal),
        // Its records are made up, and by no schema.
        contracts: Contracts::default(),
        schedule: None,
        ..own.clone()
    }
}

fn deletes(own: &Deletes, from: Option<&Api>, again: &impl Fn(&Arc<Operation>) -> Arc<Operation>) -> Deletes {
    let stream =
        |own: &Arc<Stream>| from.and_then(|api| api.streams.get(&own.name).cloned()).unwrap_or_else(|| own.clone());
    Deletes {
        operation: again(&own.operation),
        tombstones: own.tombstones.as_ref().map(stream),
        sweep: own.sweep.as_ref().map(|sweep| Sweep { stream: sweep.stream.as_ref().map(stream), every: sweep.every }),
        ..own.clone()
    }
}

/// Rules are kept by placeholder keys.
fn personal(own: &Personal) -> Personal {
    let key = |digit: &str| SecretKey::parse(&digit.repeat(64));
    let keys = match (key("d"), key("e")) {
        (Some(hash_key), Some(ring)) if own.needs_keys() => {
            Some(Arc::new(PersonalKeys { hash_key, ring: vec![RingKey { id: "drill".to_owned(), key: ring }] }))
        }
        _ => None,
    };
    Personal { keys, ..own.clone() }
}

fn api(own: &Api, setting: &Setting) -> Api {
    let port = setting.ports.get(&own.name).copied().unwrap_or(0);
    let mut base_url = own.base_url.clone();
    to_replica(&mut base_url, port);
    let mut timeouts = own.timeouts.clone();
    timeouts.attempt = timeouts.attempt.min(ATTEMPT);
    let mut retry = own.retry.clone();
    (retry.base, retry.cap) = (retry.base.min(RETRY_BASE), retry.cap.min(RETRY_CAP));
    let mut breaker = own.breaker.clone();
    breaker.pause = breaker.pause.min(BREAKER_PAUSE);
    let Budget { concurrency, .. } = own.budget;
    let streams = own.streams.iter().map(|(name, stream)| (name.clone(), Arc::new(self::stream(stream, setting.page))));
    let operations = own.operations.iter().map(|(name, own)| (name.clone(), Arc::new(operation(own))));
    Api {
        settings: Fields::from_object(own.settings.as_str().replace(HOLE, "drill").into()),
        auth: auth(&own.auth, port),
        budget: Budget { concurrency, wait_max: WAIT_MAX, ..Budget::default() },
        base_url,
        timeouts,
        retry,
        breaker,
        egress: Egress::default(),
        ca: None,
        client_certificate: None,
        streams: streams.collect(),
        operations: operations.collect(),
        ..own.clone()
    }
}

/// The same path at the replica. What cannot be such a URL cannot be a base URL either.
fn to_replica(url: &mut Url, port: u16) {
    let path = url.path().to_owned();
    let moved = Url::parse(&format!("http://127.0.0.1:{port}{path}"));
    if let Ok(moved) = moved {
        *url = moved;
    }
}

fn auth(own: &Auth, port: u16) -> Auth {
    let placeholder = || SecretString::from(PLACEHOLDER.to_owned());
    let named = |secrets: &[(String, SecretString)]| {
        secrets.iter().map(|(name, _)| (name.clone(), placeholder())).collect::<Vec<_>>()
    };
    match own {
        Auth::None => Auth::None,
        Auth::Bearer { .. } => Auth::Bearer { token: placeholder() },
        Auth::Basic { .. } => Auth::Basic { user: "drill".to_owned(), password: placeholder() },
        Auth::ApiKeyHeader { header, .. } => Auth::ApiKeyHeader { header: header.clone(), value: placeholder() },
        Auth::ApiKeyQuery { parameter, .. } => Auth::ApiKeyQuery { parameter: parameter.clone(), value: placeholder() },
        Auth::OAuth2(own) => Auth::OAuth2(Box::new(oauth2(own, port))),
        Auth::Session(own) => {
            let mut session = own.clone();
            session.secrets = named(&own.secrets);
            session.login.timeout = None;
            Auth::Session(session)
        }
        Auth::Hmac(own) => {
            let mut hmac = own.clone();
            // Its text must be readable in whatever way the secret is written: hexadecimal digits are all of them.
            hmac.secret = SecretString::from("d0".repeat(32));
            hmac.secrets = named(&own.secrets);
            Auth::Hmac(hmac)
        }
        Auth::Aws(own) => Auth::Aws(Box::new(AwsKeys { secret: placeholder(), token: None, ..(**own).clone() })),
    }
}

/// What a person or a private key would do is done with a refresh token.
fn oauth2(own: &OAuth2, port: u16) -> OAuth2 {
    let placeholder = || SecretString::from(PLACEHOLDER.to_owned());
    let mut token_url = own.token_url.clone();
    to_replica(&mut token_url, port);
    token_url.set_path(TOKEN_PATH);
    OAuth2 {
        grant: match &own.grant {
            Grant::ClientCredentials => Grant::ClientCredentials,
            _ => Grant::RefreshToken { token: placeholder() },
        },
        token_url,
        client_id: "drill".to_owned(),
        client: match &own.client {
            ClientAuth::Basic { .. } => ClientAuth::Basic { secret: placeholder() },
            ClientAuth::Public => ClientAuth::Public,
            _ => ClientAuth::Post { secret: placeholder() },
        },
        ..own.clone()
    }
}

/// What of a connection's signing in is not played as it is.
pub fn replaced_sign_in(auth: &Auth) -> Option<&'static str> {
    match auth {
        Auth::OAuth2(oauth2) => match (&oauth2.grant, &oauth2.client) {
            (Grant::AuthorizationCode(_) | Grant::DeviceCode { .. }, _) => {
                Some("nobody signs in: a refresh token is there from the start")
            }
            (Grant::JwtBearer(_), _) => Some("no assertion is signed: a refresh token is there from the start"),
            (_, ClientAuth::PrivateKeyJwt { .. }) => Some("no assertion is signed: the client has a secret"),
            (_, ClientAuth::Tls) => Some("no client certificate is shown: the client has a secret"),
            _ => None,
        },
        Auth::Hmac(_) => Some("signatures are made, and nobody checks them"),
        _ => None,
    }
}

fn stream(own: &Stream, page: u64) -> Stream {
    let size = |size: &PageSize| PageSize { records: size.records.min(page), ..size.clone() };
    let paginate = match &own.paginate {
        Paginate::Page { query, first, size: sized, more, total_pages } => Paginate::Page {
            query: query.clone(),
            first: *first,
            size: sized.as_ref().map(size),
            more: more.clone(),
            total_pages: total_pages.clone(),
        },
        Paginate::Offset { query, size: sized, more, total, cap } => Paginate::Offset {
            query: query.clone(),
            size: size(sized),
            more: more.clone(),
            total: total.clone(),
            cap: *cap,
        },
        Paginate::Cursor { next, query, more, size: Some(sized) } if !matches!(next, NextToken::Header(_)) => {
            Paginate::Cursor { next: next.clone(), query: query.clone(), more: more.clone(), size: Some(size(sized)) }
        }
        // Replicas name the next page in the body or by a link.
        Paginate::Cursor { next: NextToken::Header(_), .. } => Paginate::Link,
        other => other.clone(),
    };
    let mut incremental = own.incremental.clone();
    if let Some(Incremental::Field(field)) = &mut incremental {
        // The first records are of yesterday, whatever the connector calls the beginning.
        field.start = None;
    }
    // Replicas write JSON.
    let form = Form { decode: None, export: None, ..own.form.clone() };
    Stream { request: quick(&own.request), paginate, incremental, form, ..own.clone() }
}

fn quick(own: &RequestPlan) -> RequestPlan {
    RequestPlan { timeout: None, ..own.clone() }
}

fn operation(own: &Operation) -> Operation {
    let mut operation = Operation { request: quick(&own.request), ..own.clone() };
    for kind in &mut operation.repeat {
        match kind {
            Repeat::LookUp(look_up) => {
                look_up.lag = look_up.lag.min(LAG);
                look_up.request.timeout = None;
            }
            Repeat::Revision(revision) => revision.read.timeout = None,
            Repeat::IdempotencyKey(_) | Repeat::Upsert { .. } | Repeat::Never => {}
        }
    }
    if let AnswerShape::Job(job) = &mut operation.answer {
        (job.poll.every, job.poll.wait_max) = (LAG, WAIT_MAX);
        job.poll.request.timeout = None;
        job.results.iter_mut().filter_map(|result| result.request.as_mut()).for_each(|it| it.timeout = None);
    }
    operation
}

/// The pattern of a request of a connection.
pub fn pattern(api: &Api, request: &RequestPlan) -> Pattern {
    Pattern::new(&request.method, api.base_url.path(), &request.path)
}

/// The pattern of a token endpoint.
pub fn is_token_call(method: &Method, path: &str) -> bool {
    *method == Method::POST && path == TOKEN_PATH
}
