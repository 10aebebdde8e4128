//! Answers requests as a case says. The first request that is not as it must be is noted, and from then on nothing is answered:
//! what follows from a wrong request says nothing.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::{
    compare::{self, Names},
    outcome::Difference,
};
use crate::{
    config::{
        plan::Auth,
        plan_case::{Case, Exchange, Subject},
    },
    http::{Request, Response, SendError, Transport},
    model::BoxFuture,
};

/// What is answered to a token request of which the case says nothing.
const TOKEN: &str = r#"{"access_token":"stand-in-access-token","token_type":"Bearer","expires_in":3600}"#;

/// The exchanges of a case, being played.
pub struct Tape {
    case: Arc<Case>,
    /// Token requests that the case does not mind.
    token_url: Option<Url>,
    playing: Mutex<Playing>,
}

struct Playing {
    used: BTreeSet<usize>,
    names: Names,
    /// When the last answer was given.
    answered: Instant,
    found: Vec<Difference>,
}

impl Tape {
    pub fn new(case: Arc<Case>) -> Self {
        let token_url = match &case.api.auth {
            Auth::OAuth2(oauth2) => Some(oauth2.token_url.clone()),
            _ => None,
        };
        let is_said = |url: &Url| case.exchanges.iter().any(|exchange| exchange.request.url == *url);
        let token_url = token_url.filter(|url| !is_said(url));
        let playing =
            Playing { used: BTreeSet::new(), names: Names::new(), answered: Instant::now(), found: Vec::new() };
        Self { case, token_url, playing: Mutex::new(playing) }
    }

    fn playing(&self) -> MutexGuard<'_, Playing> {
        self.playing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What differed, those exchanges included that never came; and what the names stand for.
    pub fn over(&self) -> (Vec<Difference>, Names) {
        let playing = self.playing();
        let mut found = playing.found.clone();
        if found.is_empty() {
            let exchanges = self.case.exchanges.iter().enumerate();
            let unused = exchanges.filter(|(at, _)| !playing.used.contains(at)).map(|(_, exchange)| exchange);
            found.extend(unused.map(|unused| {
                let message = format!("this request never came: {} {}", unused.request.method, unused.request.url);
                Difference::new(&unused.place, message)
            }));
        }
        (found, playing.names.clone())
    }

    /// The exchange that a request belongs to.
    fn find(&self, request: &Request) -> Option<&Exchange> {
        let mut playing = self.playing();
        if !playing.found.is_empty() {
            return None;
        }
        let is_ordered = matches!(self.case.subject, Subject::Stream { .. });
        let exchanges = self.case.exchanges.iter().enumerate();
        let left: Vec<(usize, &Exchange)> = exchanges.filter(|(at, _)| !playing.used.contains(at)).collect();
        let open = if is_ordered { &left[..left.len().min(1)] } else { &left[..] };
        for (at, exchange) in open {
            let mut names = playing.names.clone();
            if compare::request(&exchange.request, request, &mut names).is_empty() {
                playing.names = names;
                playing.used.insert(*at);
                let waited = playing.answered.elapsed();
                playing.found.extend(untimely(exchange, waited));
                return Some(exchange);
            }
        }
        let mut names = playing.names.clone();
        let differing = match nearest(open, request, &names) {
            Some(exchange) => {
                let differing = compare::request(&exchange.request, request, &mut names);
                differing.into_iter().map(|message| Difference::new(&exchange.place, message)).collect()
            }
            None => {
                let mut url = request.url.clone();
                url.set_query(None);
                let message = format!("no exchange is left for the request {} {url}", request.method);
                vec![Difference::new(&self.case.place, message)]
            }
        };
        playing.found = differing;
        None
    }
}

/// The exchange that the request was probably meant for: of the same method and path, or else the first one.
fn nearest<'e>(open: &[(usize, &'e Exchange)], request: &Request, names: &Names) -> Option<&'e Exchange> {
    let distance = |exchange: &Exchange| compare::request(&exchange.request, request, &mut names.clone()).len();
    let is_near = |exchange: &Exchange| {
        exchange.request.method == request.method && exchange.request.url.path() == request.url.path()
    };
    let near = open.iter().map(|(_, exchange)| *exchange).filter(|exchange| is_near(exchange));
    near.min_by_key(|exchange| distance(exchange)).or_else(|| open.first().map(|(_, exchange)| *exchange))
}

/// The body with what its names stand for: a server says back what it was sent.
fn said_back(body: &Bytes, names: &Names) -> Bytes {
    let Some(text) = std::str::from_utf8(body).ok().filter(|text| text.contains('<')) else { return body.clone() };
    let mut text = text.to_owned();
    for (name, value) in names {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text = text.replace(&format!("<{name}>"), &value);
    }
    text.into()
}

fn untimely(exchange: &Exchange, waited: Duration) -> Option<Difference> {
    let early = exchange.after.filter(|after| waited < *after).map(|after| format!("no sooner than {after:?}"));
    let late = exchange.within.filter(|within| waited > *within).map(|within| format!("no later than {within:?}"));
    let bound = early.or(late)?;
    Some(Difference::new(
        &exchange.place,
        format!("expected it {bound} after the answer before, got it after {waited:?}"),
    ))
}

impl Transport for Tape {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, SendError>> {
        Box::pin(async move {
            if self.token_url.as_ref() == Some(&request.url) {
                return Ok(Response {
                    status: StatusCode::OK,
                    headers: HeaderMap::new(),
                    body: Bytes::from_static(TOKEN.as_bytes()),
                });
            }
            let Some(exchange) = self.find(&request) else {
                return Err(SendError::Egress("the case does not expect this request".to_owned()));
            };
            let Some(answer) = &exchange.answer else { return std::future::pending().await };
            let mut playing = self.playing();
            playing.answered = Instant::now();
            let body = said_back(&answer.body, &playing.names);
            Ok(Response { status: answer.status, headers: answer.headers.clone(), body })
        })
    }
}
