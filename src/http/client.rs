//! The path every request takes. [`Client::execute`] is the whole of it, with one attempt in [`Client::attempt`]; each
//! policy is a small value in a file of its own, and the order in which they act is the order of the lines.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;
use url::Url;

use super::{
    Call, Decision, Departure, Policy, Priority, Request, Response, SendError, Signer, Spool, Transport, Unwatched,
    Usage,
    account::Account,
    attempt,
    breaker::{BreakerState, Breakers, Health, Resting},
    budget::{Ask, Heard, LimitView, Paused, Slot},
    effort::Effort,
    personal, redact, retry_after,
    server_clock::{self, ServerClock},
    trouble,
    usage::Meter,
    verdict::{self, Judgement},
};
use crate::{
    config::plan::When,
    model::{Clock, Disposition, Entropy, Fault},
};

/// Signing that takes longer made its slot a thing of the past: everybody who waited for the same new token would leave
/// together.
const SIGNING_MAX: Duration = Duration::from_millis(10);

/// One connection's way out. Cheap to clone; all clones share the account's budget, its pause and its counters.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    priority: Priority,
}

struct Inner {
    policy: Policy,
    connector: Arc<str>,
    seams: Seams,
    account: Account,
    breakers: Breakers,
    meter: Arc<Meter>,
    server_clock: ServerClock,
}

/// What a client stands on.
#[derive(Clone)]
pub struct Seams {
    pub transport: Arc<dyn Transport>,
    pub signer: Arc<dyn Signer>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

/// The last answer to a call: accepted, or refused for good.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Attempts sent for this call.
    pub attempts: u32,
    pub ruling: Ruling,
    /// The answer's Date header.
    pub server_time: Option<DateTime<Utc>>,
    /// What the signer put into the request: a server may say it back.
    pub secrets: Vec<SecretString>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ruling {
    Accepted,
    /// The server understood and said no. The fault's disposition is Reject or Park.
    Refused(Fault),
}

impl Answer {
    fn new(response: Response, ruling: Ruling, secrets: Vec<SecretString>) -> Self {
        let Response { status, headers, body } = response;
        let server_time = server_clock::date(&headers);
        Self { status, headers, body, attempts: 0, ruling, server_time, secrets }
    }

    /// A part of the body as it may be shown.
    pub fn hushed(&self, text: &str) -> String {
        redact::scrub(text, &self.secrets)
    }

    /// Whether the answer meets all conditions.
    pub fn meets(&self, when: &When) -> bool {
        verdict::meets(when, self.status, &self.headers, &self.body)
    }

    /// The answer, for callers who cannot go on without it: to them a refusal stops the run.
    pub fn accepted(self) -> Result<Self, Fault> {
        match self.ruling {
            Ruling::Accepted => Ok(self),
            Ruling::Refused(fault) => Err(fault.with(Disposition::Halt)),
        }
    }
}

/// One attempt and what became of it.
struct Attempted {
    request: Request,
    /// Held until the answer is obeyed: a slot that is free lets the next one leave.
    slot: Slot,
    /// When it left.
    sent: Instant,
    judgement: Judgement,
}

impl Client {
    /// A client with an account of its own, for calls that are as urgent as most.
    pub fn new(policy: Policy, seams: Seams) -> Self {
        let account = Account::alone(&policy.budget, seams.clock.now());
        Self::with(policy, seams, account, Arc::default())
    }

    fn with(policy: Policy, seams: Seams, account: Account, meter: Arc<Meter>) -> Self {
        let (breakers, connector) = (Breakers::new(&policy.breaker), policy.connector.as_str().into());
        let server_clock = ServerClock::default();
        let inner = Inner { policy, connector, seams, account, breakers, meter, server_clock };
        Self { inner: Arc::new(inner), priority: Priority::Incremental }
    }

    /// A client like this one that uses an account which others use too, and counts where its predecessors did.
    pub fn sharing(&self, account: Account, meter: Arc<Meter>) -> Self {
        Self::with(self.inner.policy.clone(), self.inner.seams.clone(), account, meter)
    }

    /// The same client for calls that are more or less urgent.
    pub fn at(&self, priority: Priority) -> Self {
        Self { inner: self.inner.clone(), priority }
    }

    /// Sends a call until it is answered for good, or a bound is reached. After an error nothing has to be undone by the
    /// caller; whether the call may have taken effect is in the fault. Dropping the future gives up: what was already
    /// sent may take effect.
    pub async fn execute(&self, call: &Call) -> Result<Answer, Fault> {
        self.execute_watched(call, &Unwatched).await
    }

    /// Like [`execute`](Self::execute), and tells `departure` when bytes are about to leave and when they had no effect.
    pub async fn execute_watched(&self, call: &Call, departure: &dyn Departure) -> Result<Answer, Fault> {
        let Inner { policy, seams, account, meter, .. } = &*self.inner;
        let mut effort = Effort::new(policy, call);
        let answered = async {
            self.check_egress(&call.url)?;
            loop {
                let Attempted { mut request, slot, sent, judgement } =
                    self.attempt(call, departure, &mut effort).await?;
                let cause = match judgement {
                    Judgement::Accepted(response) => {
                        account.budget().accepted(sent);
                        return Ok(Answer::new(response, Ruling::Accepted, request.secrets));
                    }
                    Judgement::Refused(response, fault) => {
                        account.budget().accepted(sent);
                        let ruling = Ruling::Refused(self.placed(fault, call));
                        return Ok(Answer::new(response, ruling, request.secrets));
                    }
                    Judgement::Final(fault) => return Err(fault),
                    Judgement::Unauthorized(fault) => {
                        drop(slot);
                        request.offset_learned = self.offset();
                        let renewed = !call.unsigned && effort.may_refresh() && seams.signer.refused(&request).await?;
                        if !renewed {
                            return Err(fault);
                        }
                        fault.code
                    }
                    Judgement::Throttled { after, sent: took_effect, fault } => {
                        let paused = self.slow_down(call, &slot, sent, after, took_effect, &fault).await;
                        drop(slot);
                        let cause = fault.code;
                        effort.throttled(took_effect, fault)?;
                        if paused.is_stray {
                            let wait = paused.until.saturating_duration_since(Instant::now());
                            sleep(wait.min(effort.time_left())).await;
                        }
                        cause
                    }
                    Judgement::Again { after, sent, fault } => {
                        drop(slot);
                        let delay = effort.again(sent, after, &fault, &*seams.entropy)?;
                        self.tell_again(call, &fault, effort.failed(), delay);
                        sleep(delay).await;
                        fault.code
                    }
                };
                meter.retry(cause);
            }
        };
        let answer = answered.await.map_err(|fault: Fault| self.placed(fault, call))?;
        Ok(Answer { attempts: effort.attempts, ..answer })
    }

    /// One attempt: breaker, quota, signature, sending, judging. An error means that nothing was sent.
    async fn attempt(
        &self,
        call: &Call,
        departure: &dyn Departure,
        effort: &mut Effort<'_>,
    ) -> Result<Attempted, Fault> {
        let Inner { account, breakers, .. } = &*self.inner;
        let resting = |resting: Resting| trouble::resting(&call.name, resting.left);
        breakers.look(&call.name).map_err(resting)?;
        let (mut slot, request) = self.signed_slot(call, effort).await?;
        let admitted = breakers.admit(&call.name).map_err(resting)?;
        effort.check_time("nothing was sent in time")?;
        departure.leaving().await?;
        if let Err(fault) = effort.check_time("nothing was sent in time") {
            departure.stayed();
            return Err(fault);
        }
        slot.leaves();
        let sent = Instant::now();
        let outcome = self.send(call, &request, effort).await;
        let is_unsent = outcome.as_ref().is_err_and(SendError::is_unsent);
        if let Ok(response) = &outcome {
            self.hear(&slot, response);
            self.inner.meter.notice(call, &response.headers);
        }
        let judgement = self.judge(call, &request, outcome);
        if is_unsent || judgement.had_no_effect() {
            departure.stayed();
        }
        // An attempt that was cut off by an impatient caller says nothing about the server.
        let health = if effort.time_left().is_zero() { Health::Unknown } else { judgement.health() };
        if let Some(change) = admitted.report(health) {
            self.tell_breaker(call, change);
            self.inner.meter.breaker(&call.name, change.state());
            let now = self.inner.seams.clock.now();
            account.keep_breakers(&self.inner.policy.name, breakers.open(), now).await;
        }
        account.keep().await;
        Ok(Attempted { request, slot, sent, judgement })
    }

    /// What the connection's requests cost since the client was made.
    pub fn usage(&self) -> Usage {
        self.inner.meter.usage(self.inner.account.budget().waited())
    }

    /// How often a call of this connection was begun to be left alone.
    pub fn trips(&self) -> u64 {
        self.inner.breakers.trips()
    }

    /// The connection's name.
    pub fn name(&self) -> &str {
        &self.inner.policy.name
    }

    /// What came of its requests, for metrics.
    pub fn meter(&self) -> &Meter {
        &self.inner.meter
    }

    /// Every limit of its account as it stands.
    pub fn limits(&self) -> Vec<LimitView> {
        self.inner.account.budget().view()
    }

    /// Every call that is watched, and whether it is left alone.
    pub fn breakers(&self) -> Vec<(Arc<str>, BreakerState)> {
        self.inner.breakers.all()
    }

    /// Until when the connection waits for quota, if it does.
    pub fn waiting(&self) -> Option<Instant> {
        self.inner.account.budget().waiting()
    }

    /// The server's time of day as far as its answers told; before the first answer, our own. Never ahead of the
    /// server once [`Client::server_clock_known`].
    pub fn server_now(&self) -> DateTime<Utc> {
        self.inner.seams.clock.now() + self.offset()
    }

    /// How far the server's clock is from ours, as far as its answers told.
    fn offset(&self) -> TimeDelta {
        self.inner.server_clock.offset().unwrap_or_default()
    }

    /// How long an accepted answer asks to wait, in its Retry-After, before the same is asked again.
    pub fn asked_to_wait(&self, answer: &Answer) -> Option<Duration> {
        retry_after::retry_after(&answer.headers, self.inner.seams.clock.now())
    }

    /// Whether an answer told the server's time of day.
    pub fn server_clock_known(&self) -> bool {
        self.inner.server_clock.offset().is_some()
    }

    fn check_egress(&self, url: &Url) -> Result<(), Fault> {
        match self.inner.policy.egress.decide(url) {
            Decision::Base | Decision::Declared => Ok(()),
            Decision::Refused(why) => Err(trouble::unanswered(&SendError::Egress(format!(
                "a request to {} is not allowed: {}",
                redact::url(url, &[]),
                why.reason()
            )))),
        }
    }

    /// A slot of the budget and a request that is signed in its time.
    async fn signed_slot(&self, call: &Call, effort: &mut Effort<'_>) -> Result<(Slot, Request), Fault> {
        let mut is_last = false;
        loop {
            let slot = self.wait_for_slot(call, effort).await?;
            let began = Instant::now();
            let mut request = self.request(call);
            if call.unsigned {
                return Ok((slot, request));
            }
            let signing = self.inner.seams.signer.sign(&mut request);
            timeout(effort.time_left(), signing).await.map_err(|_| trouble::deadline("signing in took longer"))??;
            if is_last || began.elapsed() <= SIGNING_MAX {
                return Ok((slot, request));
            }
            is_last = true;
        }
    }

    /// Waits for the pause and all limits, no longer than the call's patience. A wait that is known to last longer is not
    /// begun.
    async fn wait_for_slot(&self, call: &Call, effort: &mut Effort<'_>) -> Result<Slot, Fault> {
        let Inner { policy, seams, connector, account, .. } = &*self.inner;
        let ask = Ask { connector: connector.clone(), call: call.name.clone(), priority: self.priority };
        let began = Instant::now();
        // Credentials are kept from ending in a long wait.
        let slot = tokio::select! {
            biased;
            slot = account.slot(ask, effort.patience()) => slot,
            never = seams.signer.keep() => match never {},
        };
        let waited = began.elapsed();
        effort.waited(waited);
        match slot {
            Ok(slot) => {
                tracing::debug!(
                    connection = policy.name,
                    call = &*call.name,
                    priority = self.priority.name(),
                    wait_ms = waited.as_millis() as u64,
                    limit = slot.held_up_by(),
                    "slot"
                );
                Ok(slot)
            }
            Err(blocked) => Err(effort.out_of_patience(&blocked)),
        }
    }

    /// Everybody waits, because an answer asked for it; or the call alone, where that was a stray one.
    async fn slow_down(
        &self,
        call: &Call,
        slot: &Slot,
        sent: Instant,
        after: Option<Duration>,
        took_effect: bool,
        fault: &Fault,
    ) -> Paused {
        let Inner { seams, account, meter, .. } = &*self.inner;
        meter.throttled();
        // What may have taken effect was refused for the server's sake and not for ours.
        let paused = slot.refused(sent, after, seams.entropy.share(), !took_effect);
        if paused.is_new {
            self.tell_pause(call, fault, paused.until - Instant::now());
            account.keep_now().await;
        }
        paused
    }

    fn hear(&self, slot: &Slot, response: &Response) {
        let now = self.inner.seams.clock.now();
        let server_time = server_clock::date(&response.headers).unwrap_or(now);
        slot.heard(&Heard {
            status: response.status,
            headers: &response.headers,
            body: &response.body,
            server_ms: server_time.timestamp_millis(),
        });
    }

    fn request(&self, call: &Call) -> Request {
        Request {
            method: call.method.clone(),
            url: call.url.clone(),
            headers: call.headers.clone(),
            body: call.body.clone(),
            body_bytes_max: self.inner.policy.body_bytes_max,
            spool: call.spool.clone(),
            secrets: redact::in_url(&call.url),
            offset: self.offset(),
            offset_learned: self.offset(),
        }
    }

    /// Sends one attempt, no longer than it may take and than the caller waits.
    async fn send(&self, call: &Call, request: &Request, effort: &mut Effort<'_>) -> Result<Response, SendError> {
        let Inner { policy, seams, meter, server_clock, .. } = &*self.inner;
        let (began, attempt) = (Instant::now(), effort.attempt());
        meter.request();
        let limit = call.spool.as_ref().map(Spool::time_max).or(call.timeout).unwrap_or(policy.timeouts.attempt);
        let limit = limit.min(effort.time_left());
        let (span, mut leaving) = (attempt::span(policy, call, attempt), request.clone());
        if policy.trace_context {
            // It is signed already: what a signature covers does not depend on who watches.
            attempt::tell_context(&span, &mut leaving.headers);
        }
        let sending = seams.transport.send(leaving).instrument(span.clone());
        let outcome = timeout(limit, sending).await.unwrap_or(Err(SendError::Timeout));
        if let Ok(response) = &outcome {
            server_clock.learn(&response.headers, seams.clock.now());
        }
        let (status, took) = (outcome.as_ref().ok().map(|response| response.status), began.elapsed());
        meter.over(&call.method, &call.route, status, took);
        attempt::over(&span, &outcome);
        span.in_scope(|| self.tell_attempt(call, attempt, status, took));
        outcome
    }

    fn judge(&self, call: &Call, request: &Request, outcome: Result<Response, SendError>) -> Judgement {
        let rules = [&call.answers[..], &self.inner.policy.answers[..]];
        let mut judgement = verdict::judge(outcome, &rules, &request.secrets, self.inner.seams.clock.now());
        if let Some(fault) = judgement.fault_mut().filter(|_| !call.hides.is_empty()) {
            fault.message = personal::without(&fault.message, &call.hides);
        }
        judgement
    }

    fn placed(&self, fault: Fault, call: &Call) -> Fault {
        fault
            .at(format!("{} {} ({})", call.method, call.route, call.name))
            .at(format!("connection {}", self.inner.policy.name))
    }
}

mod tell;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trouble_tests;
