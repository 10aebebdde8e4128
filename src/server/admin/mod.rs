//! The admin API: health, metrics, and everything that people and the page do with a running service. It owes the rest that nobody gets in
//! who may not (`guard.rs`), that what people ask for goes through the service's own loop, and that a caller always gets an answer it can
//! understand: JSON, or a problem (RFC 9457) with one of our codes.
//!
//! ```text
//!   listen.rs -> answer: guard -> routes.rs (one table) -> a handler by resource -> the loop (Asked), or the store to look at
//! ```
//!
//! The hard idea is that handlers decide nothing. They read what was asked for, let `engine::letters` and the loop decide, and show what came
//! of it. The table of routes is also the OpenAPI document and the label of the metrics, so neither can differ from what is answered.

mod accounts;
mod call;
mod guard;
mod health;
mod letters;
mod live;
mod openapi;
mod page;
mod pipelines;
mod problem;
mod routes;
mod runs;
mod session;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use http::{HeaderValue, Method, header};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use self::{call::Call, guard::Guard, problem::Problem, routes::Route};
use super::{
    hub::Hub,
    listen::{Limits, Listening, Secured, listen_secured},
    metrics::Metrics,
    service::{Asked, View, What, Wish},
};
use crate::{
    config::plan::AdminPlan,
    engine::Stop,
    model::{Code, Fault},
    store::audit::{Entry, Via},
    telemetry::{self as names, Page},
};

/// How long the loop may take to answer. It is at a commit or a decision, both of which are short.
const LOOP_TIME_MAX: Duration = Duration::from_secs(5);
/// Listeners to events at once.
const LISTENERS_MAX: usize = 64;
/// Connections at once.
const CONNECTIONS_MAX: usize = 256;

/// What every request is answered with.
pub struct Desk {
    ask: mpsc::Sender<Asked>,
    hub: Arc<Hub>,
    metrics: Metrics,
    guard: Guard,
    listeners: Arc<Semaphore>,
    stop: Stop,
    /// Answers by route and status class.
    answered: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

/// Listens, and answers until `stop` asks to end.
pub async fn start(plan: &AdminPlan, ask: mpsc::Sender<Asked>, hub: Arc<Hub>, stop: Stop) -> Result<Listening, Fault> {
    let secured = plan.tls.as_ref().map(Secured::read).transpose()?;
    let desk = Arc::new(Desk {
        ask,
        hub,
        metrics: Metrics::default(),
        guard: Guard::new(plan),
        listeners: Arc::new(Semaphore::new(LISTENERS_MAX)),
        stop: stop.clone(),
        answered: Mutex::default(),
    });
    let router = Router::new().fallback(answer).with_state(desk);
    let limits = Limits { connections_max: CONNECTIONS_MAX, ..Limits::default() };
    let listening = listen_secured(plan.address, router, limits, stop, secured).await?;
    let scheme = if plan.tls.is_some() { "https" } else { "http" };
    tracing::info!(address = format!("{scheme}://{}", listening.address()), "the admin API listens");
    Ok(listening)
}

async fn answer(
    State(desk): State<Arc<Desk>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let mut shown = Shown { route: routes::NONE, is_page: page::is_wanted(&request) };
    let (method, at) = (request.method().clone(), request.uri().clone());
    let mut answer = match met(&desk, peer, request, &mut shown).await {
        Ok(answer) => answer,
        Err(problem) if shown.is_page => page::refused(problem, &method, &at),
        Err(problem) => problem.response(),
    };
    let headers = answer.headers_mut();
    // What is told here is nobody's to keep, and nothing of it is a page of another kind than it says.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    desk.count(shown.route, answer.status().as_u16());
    answer
}

/// How an answer is counted, and for whom it is written.
struct Shown {
    route: &'static str,
    is_page: bool,
}

/// Finds the route, checks who asks, reads the body, and lets the handler answer.
async fn met(desk: &Desk, peer: SocketAddr, request: Request, shown: &mut Shown) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    desk.guard.check_host(&parts)?;
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    let found = routes::find(&method, parts.uri.path());
    if let Ok((route, _)) = &found {
        *shown = Shown { route: route.path, is_page: route.is_page };
    }
    if !matches!(&found, Ok((Route { open: true, .. }, _))) {
        // A browser sends the cookie by itself, so it is good for looking and for the page's own forms, which are checked below.
        let by_session = method == Method::GET || matches!(&found, Ok((Route { is_page: true, .. }, _)));
        desk.guard.check_entry(&parts, by_session, desk.hub.now())?;
    }
    let (route, names) = found?;
    if method != Method::GET {
        desk.guard.check_site(&parts, route.is_page)?;
    }
    let call = Call::read(route, names, parts, body, peer).await?;
    (route.handler)(desk, &call).await
}

impl Desk {
    /// How everything stands.
    async fn look(&self) -> Result<View, Problem> {
        let (reply, view) = oneshot::channel();
        let looked = async {
            self.ask.send(Asked::Look(reply)).await.ok()?;
            view.await.ok()
        };
        timeout(LOOP_TIME_MAX, looked).await.ok().flatten().ok_or_else(Problem::busy)
    }

    /// Asks for something. It is durable when this returns.
    async fn wish(&self, pipeline: &str, what: What) -> Result<(), Problem> {
        let (heard, granted) = oneshot::channel();
        let wish = Wish { pipeline: pipeline.to_owned(), what };
        let asked = async {
            self.ask.send(Asked::Wish(wish, heard)).await.ok()?;
            granted.await.ok()
        };
        let granted = timeout(LOOP_TIME_MAX, asked).await.map_err(|_| Problem::late())?.ok_or_else(Problem::busy)?;
        granted.map_err(|refused| Problem::refused(pipeline, refused))
    }

    /// Does what a person asks for, once it is noted durably. A refusal is noted too, so that the log says what was done.
    async fn act(&self, call: &Call, pipeline: &str, what: What) -> Result<(), Problem> {
        let engine = self.look().await?.engine;
        let entry = Entry {
            via: Via::Api,
            peer: Some(call.peer.ip().to_string()),
            what: what.name().to_owned(),
            on: Some(pipeline.to_owned()),
            details: what.details(),
        };
        engine.note(entry.clone()).await?;
        let Err(problem) = self.wish(pipeline, what).await else { return Ok(()) };
        let details = serde_json::json!({ "refused": entry.what, "code": problem.code() });
        engine.note(Entry { what: "refused".to_owned(), details, ..entry }).await?;
        Err(problem)
    }

    /// The metrics of everything, this API included.
    async fn page(&self, view: &View) -> Result<Page, Problem> {
        let mut page = self.metrics.page(&self.hub, view).await?;
        for ((route, class), count) in &*self.answered.lock().unwrap_or_else(PoisonError::into_inner) {
            page.put(&names::ADMIN_REQUESTS, &[route, class], *count as f64);
        }
        if let Some(audit) = view.engine.audit() {
            page.put(&names::AUDIT_ENTRIES, &[], audit.count() as f64);
        }
        Ok(page)
    }

    fn count(&self, route: &'static str, status: u16) {
        let class = match status {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        *answered.entry((route, class)).or_default() += 1;
    }
}

/// An answer in JSON.
fn json(value: &impl serde::Serialize) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(value).map_err(|error| Problem::bug(&error.to_string()))?;
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Tells that the files have another admin API than the one that listens.
pub fn moved() {
    tracing::warn!(
        code = %Code::AdminMoved,
        "`serve.admin` is another than the service was started with; it goes on as it was until the service is restarted"
    );
}
