//! One request from its head to its answer. What it asks for is decided in `request.rs`, who asks in `verify.rs`, how it is answered
//! in `answer.rs`; this file does it, in this order:
//!
//! path -> body within its bounds -> caller -> pace -> key -> records -> **durable** -> verdict, or not by the deadline -> answer
//!
//! Nothing is acknowledged before it is durable. From the key on the work is a task of its own, so a caller that hangs up and comes
//! again with the same key finds the key taken or the answer there, and never half a request.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, response::Response};
use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::future::join_all;
use http::{HeaderMap, Method, Request, StatusCode, header};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::{
    answer::{self, Outcome},
    hall::{Hall, Route, Routes, Taken},
    openapi,
    problem::Problem,
    request::{self, Form, Target},
    traced,
    verify::{Known, Refused, tells_by_head, verify},
};
use crate::{
    config::plan::Mode,
    engine::Engine,
    model::{Code, Slip},
    server::body::{self, Held, Room, Unread},
    store::{Accepted, AnswerName, Answered, Remembered, Standing, StreamId},
};

/// A caller has an answer within five seconds of its last byte; the rest is for the way.
const ANSWER_MAX: Duration = Duration::from_millis(4_500);

/// Answers every request that reaches the listener.
pub async fn serve(State(hall): State<Arc<Hall>>, request: Request<axum::body::Body>) -> Response {
    let span = traced::span(&request, &hall.routes());
    let answered = handle(hall, request).instrument(span.clone()).await;
    let response = answered.unwrap_or_else(Problem::response);
    traced::over(&span, &response);
    response
}

async fn handle(hall: Arc<Hall>, request: Request<axum::body::Body>) -> Result<Response, Problem> {
    let routes = hall.routes();
    let (head, body) = request.into_parts();
    let nothing = || Problem::new(StatusCode::NOT_FOUND, Code::NoSuchRoute, "there is nothing at this address");
    let target = request::target(head.uri.path()).ok_or_else(nothing)?;
    match target {
        Target::OpenApi => {
            only(&head.method, &Method::GET)?;
            let text = openapi::document(routes.all()).to_string();
            let page =
                Answered { status: 200, location: None, content_type: "application/json".to_owned(), body: text };
            Ok(answer::response(&page, false, None))
        }
        Target::Push { pipeline } => {
            let route = routes.get(pipeline).ok_or_else(nothing)?.clone();
            only(&head.method, &Method::POST)?;
            if hall.stop.requested() {
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::Stopping, "the service is stopping");
                return Err(problem.later(Duration::from_secs(10)).hang_up());
            }
            let form = request::form(&head.headers)?;
            // Strangers shall not make us read.
            if tells_by_head(&route.ingress.callers) {
                known(&route, &routes.engine, &head.headers, b"").map_err(Problem::hang_up)?;
            }
            let (body, held) = read(body, &head.headers, &route, &hall.room).await?;
            let known = known(&route, &routes.engine, &head.headers, &body)?;
            keep_pace(&route)?;
            let push = Push { hall, routes, route, headers: head.headers, body, form, since: Instant::now() };
            let answer = push.run(known).await;
            drop(held);
            answer
        }
        Target::Record { pipeline, slip } => {
            let route = routes.get(pipeline).ok_or_else(nothing)?;
            only(&head.method, &Method::GET)?;
            known(route, &routes.engine, &head.headers, b"")?;
            let gone =
                || Problem::new(StatusCode::NOT_FOUND, Code::NoSuchRoute, "no such record is known, or any more");
            let slip = Slip::parse(slip).ok_or_else(gone)?;
            let standing = routes.engine.state().standing(&route.stream, slip).await;
            let told = match standing.map_err(|fault| Problem::of_fault(&fault))?.ok_or_else(gone)? {
                Standing::Waits => None,
                Standing::Ended(told) => Some(told),
            };
            let shown = answer::record(&route.segment, &(slip, told)).to_string();
            let page =
                Answered { status: 200, location: None, content_type: "application/json".to_owned(), body: shown };
            Ok(answer::response(&page, false, None))
        }
    }
}

fn only(method: &Method, taken: &Method) -> Result<(), Problem> {
    if method == taken {
        return Ok(());
    }
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, Code::NotTaken, format!("only {taken} is taken here"));
    Err(problem.header(header::ALLOW, taken.as_str()).hang_up())
}

async fn read(
    body: axum::body::Body,
    headers: &HeaderMap,
    route: &Route,
    room: &Arc<Room>,
) -> Result<(Bytes, Held), Problem> {
    let max = route.ingress.body_bytes_max;
    let too_large = || {
        let detail = format!("the body is larger than {max} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Code::PushTooLarge, detail).hang_up()
    };
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > max) {
        return Err(too_large());
    }
    body::read(body, max, route.ingress.body_time_max, room).await.map_err(|unread| match unread {
        Unread::TooLarge => too_large(),
        Unread::TooSlow => {
            Problem::new(StatusCode::REQUEST_TIMEOUT, Code::PushTooSlow, "the body did not come in time").hang_up()
        }
        Unread::NoRoom => {
            let detail = "too much is sent at the same time";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::IntakeFull, detail);
            problem.later(Duration::from_secs(1)).hang_up()
        }
        Unread::Broken => Problem::new(StatusCode::BAD_REQUEST, Code::NotARecord, "the body broke off").hang_up(),
    })
}

fn known(route: &Route, engine: &Engine, headers: &HeaderMap, body: &[u8]) -> Result<Known, Problem> {
    verify(&route.ingress.callers, headers, body, engine.clock().now()).map_err(|refused| {
        let (code, detail) = match refused {
            Refused::Unknown => (Code::CallerUnknown, "the credentials or the signature are missing or wrong"),
            Refused::Elsewhen => (Code::SignedElsewhen, "the signature is of another time"),
        };
        Problem::new(StatusCode::UNAUTHORIZED, code, detail).header(header::WWW_AUTHENTICATE, "Bearer")
    })
}

fn keep_pace(route: &Route) -> Result<(), Problem> {
    let Some(pace) = &route.pace else { return Ok(()) };
    let taken = pace.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take(Instant::now());
    taken.map_err(|wait| {
        let detail = "more requests come than the route takes";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, detail).later(wait)
    })
}

/// Records on their way in.
struct Push {
    hall: Arc<Hall>,
    routes: Arc<Routes>,
    route: Arc<Route>,
    headers: HeaderMap,
    body: Bytes,
    form: Form,
    since: Instant,
}

impl Push {
    async fn run(self, known: Known) -> Result<Response, Problem> {
        let key = request::key(&self.headers, known.message, &self.route.ingress)?;
        let taken = match key {
            Some(key) => {
                let under_way = || {
                    let detail = "the request of this key is under way";
                    Problem::new(StatusCode::CONFLICT, Code::KeyInFlight, detail).later(Duration::from_secs(1))
                };
                Some(self.hall.take(AnswerName::new(&self.route.pipeline.name, &key)).ok_or_else(under_way)?)
            }
            None => None,
        };
        let failed = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Bug, "the request could not be handled");
        tokio::spawn(self.carry_out(taken).in_current_span()).await.map_err(|_| failed())?
    }

    async fn carry_out(self, taken: Option<Taken>) -> Result<Response, Problem> {
        let engine = &self.routes.engine;
        if let Some(taken) = &taken
            && let Some(again) = self.again(engine, taken).await?
        {
            return Ok(again);
        }
        let records = request::records(&self.body, self.form, &self.route.ingress)?;
        request::fit(&records, &self.route.ingress)?;
        let count = records.len();
        let records = engine.pushed(&self.route.pipeline, records);
        let records = records.map_err(|reject| request::malformed(reject.reason.message))?;
        let remember =
            taken.as_ref().map(|taken| (taken.name.clone(), Remembered::of(&self.body, engine.clock().now())));
        let limit = self.since + ANSWER_MAX;
        let accepting = engine.accept(&self.route.pipeline, records, remember.clone());
        let slow = || {
            let detail = "the record was not durable in time; send it again under the same Idempotency-Key";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::Deadline, detail).later(Duration::from_secs(1))
        };
        let accepted = timeout_at(limit, accepting).await.map_err(|_| slow())?;
        let accepted = accepted.map_err(|fault| Problem::of_fault(&fault))?;
        let slips = accepted.iter().map(|accepted| accepted.slip).collect();
        let (mode, deadline, applied) = request::mode(&self.headers, &self.route.ingress);
        let outcomes = match mode {
            Mode::Async => accepted.into_iter().map(|accepted| (accepted.slip, None)).collect(),
            Mode::Sync => {
                let outcomes = self.verdicts(engine, accepted, (self.since + deadline).min(limit)).await;
                let progress = engine.progress(&self.route.pipeline.name);
                progress.vitals.answered(self.since.elapsed(), engine.clock().now());
                outcomes
            }
        };
        let as_list = count > 1 || self.is_list();
        let answered = answer::answer(&self.route.segment, &outcomes, as_list);
        if let Some((name, remembered)) = remember {
            let row = Remembered { slips, answer: Some(answered.clone()), ..remembered };
            // Where this does not last, the slips tell what to answer.
            if let Err(fault) = engine.state().remember_soon(&name, &row) {
                tracing::warn!(code = %fault.code, why = fault.message, "an answer is not remembered");
            }
        }
        Ok(answer::response(&answered, false, applied))
    }

    fn is_list(&self) -> bool {
        self.form == Form::Lines || self.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
    }

    /// The answer to a request that came before. Nothing: it did not, or longer ago than is kept.
    async fn again(&self, engine: &Engine, taken: &Taken) -> Result<Option<Response>, Problem> {
        let remembered = engine.state().remembered(&taken.name).await.map_err(|fault| Problem::of_fault(&fault))?;
        let keep = TimeDelta::from_std(self.route.ingress.idempotency.keep).unwrap_or(TimeDelta::MAX);
        let Some(remembered) = remembered.filter(|row| engine.clock().now() - row.at < keep) else {
            return Ok(None);
        };
        if !remembered.is_of(&self.body) {
            let detail = "the key came before with another body";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, Code::KeyReused, detail));
        }
        let answered = match remembered.answer {
            Some(answered) => answered,
            None => {
                let outcomes = standings(engine, &self.route.stream, remembered.slips).await?;
                answer::answer(&self.route.segment, &outcomes, self.is_list())
            }
        };
        Ok(Some(answer::response(&answered, true, None)))
    }

    /// Waits for the verdicts until the deadline, or not at all where delivery is known to be stuck, or is held back, or nobody
    /// shall wait. What has none by then is answered as accepted.
    async fn verdicts(&self, engine: &Engine, accepted: Vec<Accepted>, deadline: Instant) -> Vec<Outcome> {
        let is_stuck = engine.state().is_stuck(&self.route.stream);
        let deadline = if is_stuck || self.hall.stop.requested() { Instant::now() } else { deadline };
        let valve = engine.valve(&self.route.pipeline.name);
        let one = |accepted: Accepted| {
            let mut valve = valve.clone();
            async move {
                let told = tokio::select! {
                    biased;
                    told = timeout_at(deadline, accepted.verdict) => told.ok().and_then(Result::ok),
                    _ = valve.wait_for(|valve| valve.answers_at_once()) => None,
                    () = self.hall.stop.wait() => None,
                };
                (accepted.slip, told)
            }
        };
        let outcomes = join_all(accepted.into_iter().map(one)).await;
        // The next ones shall not wait in vain as well; the first verdict that comes lets callers wait again.
        let is_over = Instant::now() >= self.since + self.route.ingress.deadline;
        if is_over && outcomes.iter().any(|(_, told)| told.is_none()) {
            engine.state().set_stuck(&self.route.stream);
        }
        outcomes
    }
}

async fn standings(engine: &Engine, stream: &StreamId, slips: Vec<Slip>) -> Result<Vec<Outcome>, Problem> {
    let mut outcomes = Vec::with_capacity(slips.len());
    for slip in slips {
        let standing = engine.state().standing(stream, slip).await.map_err(|fault| Problem::of_fault(&fault))?;
        let told = match standing {
            Some(Standing::Ended(told)) => Some(told),
            Some(Standing::Waits) | None => None,
        };
        outcomes.push((slip, told));
    }
    Ok(outcomes)
}
