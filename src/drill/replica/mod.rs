//! The replicas of a pipeline's connections: what their connector files declare, and nothing else. Pure: requests go in, an
//! answer and what shall become of it come out; `server.rs` has the sockets.
//!
//! What a connector does not declare a replica cannot play. A request that belongs to nothing it knows is answered with 404 and
//! counted, and whoever reads the result is told.

mod call;
mod gate;
mod listing;
mod shelf;
mod verdicts;
mod writes;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderValue, StatusCode, header};
use url::Url;

pub use self::{
    call::Answer,
    gate::Gate,
    listing::{Lists, carrier},
    shelf::Shelf,
};
use self::{
    call::{Asked, error},
    writes::Memory,
};
use super::{
    book::Book,
    pattern::Pattern,
    scenario::Scenario,
    stage,
    weather::{Purpose, Strike, Weather},
};
use crate::config::plan::{AnswerShape, Api, Auth, Body, Changed, Node, Operation, Pipeline, RequestPlan, Stream, To};

/// How far the clocks of servers are off where they are.
const SKEW: TimeDelta = TimeDelta::minutes(10);
/// Addresses that no replica knows, for the report.
const UNKNOWN_MAX: usize = 5;

/// One connection's replica.
pub struct Site {
    origin: Url,
    gate: Gate,
    routes: Vec<(Pattern, Route)>,
    /// How far its clock is off.
    skew: TimeDelta,
    memory: Memory,
}

/// What an address is for.
#[derive(Clone, Debug)]
enum Route {
    Login,
    List(Arc<Stream>, Lists),
    Write(Arc<Operation>),
    LookUp(Arc<Operation>),
    Revision(Arc<Operation>),
    Poll(Arc<Operation>),
    /// One of the job's results.
    Result(Arc<Operation>, usize),
}

/// All replicas of a drill's scenario, over one shelf and one book.
pub struct World {
    pub book: Book,
    pub shelf: Shelf,
    pub weather: Weather,
    sites: BTreeMap<String, Site>,
    /// Records on a page.
    page: usize,
    /// How far behind all clocks are, besides their skew.
    behind: TimeDelta,
    pub counters: Counters,
}

/// What was met, over all sites.
#[derive(Clone, Default, Debug)]
pub struct Counters {
    pub requests: u64,
    pub struck: u64,
    pub refused: u64,
    pub throttled: u64,
    /// `GET /path`, of requests that belong to nothing that is declared.
    pub unknown: Vec<String>,
}

impl World {
    pub fn new(book: Book, shelf: Shelf, weather: Weather, page: usize) -> Self {
        let (sites, behind) = (BTreeMap::new(), TimeDelta::zero());
        Self { book, shelf, weather, sites, page, behind, counters: Counters::default() }
    }

    /// Opens the replica of a connection, with what this pipeline uses of it.
    pub fn open(&mut self, pipeline: &Pipeline, api: &Api) {
        let skews = self.weather.scenario() == Scenario::Skew;
        // A source that is behind and a sink that is ahead are the worst pair.
        let is_source = pipeline.from.api.as_ref().is_some_and(|from| from.name == api.name);
        let skew = match (skews, is_source) {
            (false, _) => TimeDelta::zero(),
            (true, true) => -SKEW,
            (true, false) => SKEW,
        };
        let mut routes = routes(pipeline, api);
        // Where two addresses fit, the one that says more is meant.
        routes.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.weight()));
        let site =
            Site { origin: api.base_url.clone(), gate: Gate::of(&api.auth), routes, skew, memory: Memory::default() };
        self.sites.insert(api.name.clone(), site);
    }

    /// Sets all clocks back.
    pub fn set_behind(&mut self, behind: TimeDelta) {
        self.behind = behind;
    }

    /// All clocks go on by an hour.
    pub fn go_on(&mut self) {
        self.behind -= TimeDelta::hours(1);
    }

    /// The time of day of a connection's replica.
    pub fn time(&self, site: &str, now: DateTime<Utc>) -> DateTime<Utc> {
        now - self.behind + self.sites.get(site).map_or(TimeDelta::zero(), |site| site.skew)
    }

    /// Somebody puts back what cannot be renewed.
    pub fn mend_credentials(&mut self) {
        self.sites.values_mut().for_each(|site| site.gate.mend());
    }

    pub fn has_credentials(&self) -> bool {
        self.sites.values().any(|site| !site.gate.is_open())
    }

    /// Sign-ins that are made without any trouble: one for each connection whose credentials are tokens.
    pub fn sign_ins_needed(&self) -> u64 {
        self.sites.values().filter(|site| site.gate.issued > 0).count() as u64
    }

    pub fn sums(&self) -> Sums {
        let memories = || self.sites.values().map(|site| &site.memory);
        Sums {
            signed_in: self.sites.values().map(|site| u64::from(site.gate.issued)).sum(),
            replayed: memories().map(|memory| memory.replayed).sum(),
            looked_up: memories().map(|memory| memory.looked_up).sum(),
            read_back: memories().map(|memory| memory.read_back).sum(),
            unread: memories().map(|memory| memory.unread).sum(),
        }
    }

    /// Answers one request, and says what the network makes of the answer.
    pub fn handle(&mut self, name: &str, request: http::Request<Bytes>, now: DateTime<Utc>) -> (Strike, Answer) {
        let now = self.time(name, now);
        let Self { book, shelf, weather, sites, counters, page, .. } = self;
        let Some(site) = sites.get_mut(name) else { return (Strike::Nothing, error(StatusCode::NOT_FOUND, "nothing")) };
        counters.requests += 1;
        let mut asked = Asked::new(request);
        let (strike, mut answer) = match site.purpose(&mut asked) {
            None => {
                let place = format!("{} {}", asked.method, asked.path);
                if counters.unknown.len() < UNKNOWN_MAX && !counters.unknown.contains(&place) {
                    counters.unknown.push(place);
                }
                (Strike::Nothing, error(StatusCode::NOT_FOUND, "the connector file declares nothing here"))
            }
            Some((purpose, route)) => {
                let strike = weather.strike(purpose);
                counters.struck += u64::from(strike != Strike::Nothing);
                if strike == Strike::Revoke {
                    site.gate.revoke();
                }
                let desk = Desk { book, shelf, page: *page, now };
                (strike, site.answer(desk, &asked, purpose, route, strike, counters))
            }
        };
        if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now.into())) {
            answer.headers_mut().insert(header::DATE, date);
        }
        (strike, answer)
    }
}

/// What replicas remember, over all sites.
#[derive(Clone, Copy, Default, Debug)]
pub struct Sums {
    pub signed_in: u64,
    pub replayed: u64,
    pub looked_up: u64,
    pub read_back: u64,
    pub unread: u64,
}

struct Desk<'w> {
    book: &'w mut Book,
    shelf: &'w Shelf,
    page: usize,
    now: DateTime<Utc>,
}

impl Site {
    /// What a request is for, with what stands in the holes of its path.
    fn purpose(&self, asked: &mut Asked) -> Option<(Purpose, Option<Route>)> {
        if stage::is_token_call(&asked.method, &asked.path) {
            return Some((Purpose::Token, None));
        }
        let fitting = self.routes.iter().filter_map(|(pattern, route)| {
            pattern.fits(&asked.method, &asked.path).map(|held| (held, pattern.weight(), route))
        });
        let mut fitting: Vec<_> = fitting.collect();
        let heaviest = fitting.first()?.1;
        fitting.retain(|(_, weight, _)| *weight == heaviest);
        // One address for everything: what the body says in constant texts tells.
        let (held, _, route) = fitting.into_iter().max_by_key(|(_, _, route)| route.likeness(asked))?;
        let route = route.clone();
        asked.held = held;
        let purpose = match &route {
            Route::Login => Purpose::Token,
            Route::Write(_) => Purpose::Write,
            _ => Purpose::Read,
        };
        Some((purpose, Some(route)))
    }

    fn answer(
        &mut self,
        desk: Desk<'_>,
        asked: &Asked,
        purpose: Purpose,
        route: Option<Route>,
        strike: Strike,
        counters: &mut Counters,
    ) -> Answer {
        if purpose == Purpose::Token {
            return if route.is_some() { self.gate.login(desk.now) } else { self.gate.token() };
        }
        if !self.gate.admits(asked) {
            counters.refused += 1;
            return error(StatusCode::UNAUTHORIZED, "these credentials are not good any more");
        }
        if let Strike::Throttle(after) = strike {
            counters.throttled += 1;
            let mut answer = error(StatusCode::TOO_MANY_REQUESTS, "too many requests");
            if let Some(after) = after {
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after));
            }
            return answer;
        }
        let memory = &mut self.memory;
        match route {
            None | Some(Route::Login) => error(StatusCode::NOT_FOUND, "nothing"),
            Some(Route::List(stream, lists)) => {
                listing::page(&stream, lists, desk.shelf, asked, desk.page, &self.origin)
            }
            Some(Route::Write(operation)) => writes::write(&operation, asked, desk.book, memory),
            Some(Route::LookUp(operation)) => match operation.look_up() {
                Some(plan) => writes::look_up(plan, asked, desk.book, memory),
                None => error(StatusCode::NOT_FOUND, "nothing"),
            },
            Some(Route::Revision(operation)) => match operation.revision() {
                Some(plan) => writes::read_revision(plan, asked, desk.book, memory),
                None => error(StatusCode::NOT_FOUND, "nothing"),
            },
            Some(Route::Poll(operation)) => of_job(&operation, asked, memory, None),
            Some(Route::Result(operation, which)) => of_job(&operation, asked, memory, Some(which)),
        }
    }
}

fn of_job(operation: &Operation, asked: &Asked, memory: &Memory, which: Option<usize>) -> Answer {
    let (AnswerShape::Job(plan), Some(done)) = (&operation.answer, writes::job(asked, memory)) else {
        return error(StatusCode::NOT_FOUND, "no such job");
    };
    match which.and_then(|which| plan.results.get(which)) {
        None => verdicts::job_state(operation, plan, done),
        Some(result) => verdicts::job_result(operation, plan, result, done),
    }
}

impl Route {
    /// How much of the declared request's constant query and body the request has.
    fn likeness(&self, asked: &Asked) -> usize {
        let request = match self {
            Self::Login => return 0,
            Self::List(stream, _) => &stream.request,
            Self::Write(operation) => &operation.request,
            Self::LookUp(operation) => match operation.look_up() {
                Some(plan) => &plan.request,
                None => return 0,
            },
            Self::Revision(operation) => match operation.revision() {
                Some(plan) => &plan.read,
                None => return 0,
            },
            Self::Poll(_) | Self::Result(..) => return 0,
        };
        let texts = asked.texts();
        let said = |text: &str| texts.iter().any(|held| held == text);
        let query = request.query.iter().filter(|(name, value)| {
            asked.parameter(name).is_some_and(|given| value.constant().is_none_or(|constant| constant == given))
        });
        query.count() + constants(request).iter().filter(|text| said(text)).count()
    }
}

/// The constant texts of a request's body.
fn constants(request: &RequestPlan) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(Body::Json(node) | Body::Form(node)) = &request.body {
        collect_constants(node, &mut found);
    }
    found
}

fn collect_constants(node: &Node, found: &mut Vec<String>) {
    match node {
        Node::Text(template) => found.extend(template.constant().map(str::to_owned)),
        Node::Object(fields) => fields.iter().for_each(|(_, node)| collect_constants(node, found)),
        Node::List(items) => items.iter().for_each(|node| collect_constants(node, found)),
        Node::Literal(_) | Node::Value(_) => {}
    }
}

/// The addresses of a connection that this pipeline uses.
fn routes(pipeline: &Pipeline, api: &Api) -> Vec<(Pattern, Route)> {
    let mut routes = Vec::new();
    let mut add = |request: &RequestPlan, route: Route| routes.push((stage::pattern(api, request), route));
    if let Auth::Session(session) = &api.auth {
        add(&session.login, Route::Login);
    }
    let deletes = match &pipeline.to {
        To::Operation { deletes, .. } => deletes.as_deref(),
        To::File { .. } | To::Table { .. } => None,
    };
    if pipeline.from.api.as_ref().is_some_and(|from| from.name == api.name) {
        let stream = &pipeline.from.stream;
        add(&stream.request, Route::List(stream.clone(), Lists::Records));
        let listed = deletes.into_iter().flat_map(|deletes| {
            let tombstones = deletes.tombstones.iter().map(|stream| (stream, Lists::Tombstones));
            let sweep = deletes.sweep.iter().filter_map(|sweep| sweep.stream.as_ref());
            tombstones.chain(sweep.map(|stream| (stream, Lists::Keys)))
        });
        listed.for_each(|(stream, lists)| add(&stream.request, Route::List(stream.clone(), lists)));
    }
    let To::Operation { api: to, operation, changed, .. } = &pipeline.to else { return routes };
    if to.name != api.name {
        return routes;
    }
    let mut used = vec![operation.clone()];
    if let Changed::Operation(operation) = changed {
        used.push(operation.clone());
    }
    used.extend(deletes.map(|deletes| deletes.operation.clone()));
    let updates: Vec<_> = used.iter().filter_map(|it| api.operations.get(it.look_up()?.update.as_ref()?)).collect();
    used.extend(updates.into_iter().cloned().collect::<Vec<_>>());
    for operation in used {
        add(&operation.request, Route::Write(operation.clone()));
        if let Some(plan) = operation.look_up() {
            add(&plan.request, Route::LookUp(operation.clone()));
        }
        if let Some(plan) = operation.revision() {
            add(&plan.read, Route::Revision(operation.clone()));
        }
        if let AnswerShape::Job(job) = &operation.answer {
            add(&job.poll.request, Route::Poll(operation.clone()));
            for (which, result) in job.results.iter().enumerate() {
                result.request.iter().for_each(|request| add(request, Route::Result(operation.clone(), which)));
            }
        }
    }
    routes
}

/// How long an answer of this kind waits.
pub fn wait(strike: Strike) -> Duration {
    match strike {
        Strike::Late | Strike::SlowBody => stage::ATTEMPT + stage::ATTEMPT / 2,
        _ => Duration::ZERO,
    }
}
