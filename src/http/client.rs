//! The path every request takes. [`Client::execute`] is the whole of it; each policy is a small value in a file of its
//! own, and the order in which they act is the order of the lines.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::{
    Call, Decision, Departure, Policy, Request, Response, SendError, Signer, Transport, Unwatched, Usage,
    budget::{Budget, Slot},
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

/// One connection's way out. Cheap to clone; all clones share the account's budget, its pause and its counters.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    policy: Policy,
    seams: Seams,
    budget: Budget,
    meter: Meter,
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
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ruling {
    Accepted,
    /// The server understood and said no. The fault's disposition is Reject or Park.
    Refused(Fault),
}

impl Answer {
    fn new(response: Response, ruling: Ruling) -> Self {
        let Response { status, headers, body } = response;
        let server_time = server_clock::date(&headers);
        Self { status, headers, body, attempts: 0, ruling, server_time }
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

impl Client {
    pub fn new(policy: Policy, seams: Seams) -> Self {
        let budget = Budget::new(&policy.budget);
        let (meter, server_clock) = (Meter::default(), ServerClock::default());
        Self(Arc::new(Inner { policy, seams, budget, meter, server_clock }))
    }

    /// Sends a call until it is answered for good, or a bound is reached. After an error nothing has to be undone by the
    /// caller; whether the call may have taken effect is in the fault. Dropping the future gives up: what was already
    /// sent may take effect.
    pub async fn execute(&self, call: &Call) -> Result<Answer, Fault> {
        self.execute_watched(call, &Unwatched).await
    }

    /// Like [`execute`](Self::execute), and tells `departure` when bytes are about to leave and when they had no effect.
    pub async fn execute_watched(&self, call: &Call, departure: &dyn Departure) -> Result<Answer, Fault> {
        let Inner { policy, seams, budget, meter, .. } = &*self.0;
        let mut effort = Effort::new(policy, call.repeatable);
        let answered = async {
            self.check_egress(&call.url)?;
            loop {
                let slot = self.wait_for_slot(&mut effort).await?;
                let mut request = self.request(call);
                seams.signer.sign(&mut request).await?;
                departure.leaving().await?;
                let sent = Instant::now();
                let outcome = self.send(call, &request, effort.attempt()).await;
                drop(slot);
                let is_unsent = outcome.as_ref().is_err_and(SendError::is_unsent);
                let judgement = self.judge(call, &request, outcome);
                if is_unsent || judgement.had_no_effect() {
                    departure.stayed();
                }
                match judgement {
                    Judgement::Accepted(response) => {
                        budget.pause.over(sent);
                        return Ok(Answer::new(response, Ruling::Accepted));
                    }
                    Judgement::Refused(response, fault) => {
                        budget.pause.over(sent);
                        return Ok(Answer::new(response, Ruling::Refused(self.placed(fault, call))));
                    }
                    Judgement::Final(fault) => return Err(fault),
                    Judgement::Unauthorized(fault) => {
                        let renewed = effort.may_refresh() && seams.signer.refused(&request).await?;
                        if !renewed {
                            return Err(fault);
                        }
                    }
                    Judgement::Throttled { after, sent: took_effect, fault } => {
                        meter.throttled();
                        let paused = budget.pause.begin(sent, after, seams.entropy.share());
                        if paused.is_new {
                            self.tell_pause(call, &fault, paused.until - Instant::now());
                        }
                        effort.throttled(took_effect, fault)?;
                    }
                    Judgement::Again { after, sent, fault } => {
                        let delay = effort.again(sent, after, &fault, &*seams.entropy)?;
                        self.tell_again(call, &fault, effort.failed(), delay);
                        sleep(delay).await;
                    }
                }
                meter.retry();
            }
        };
        let answer = answered.await.map_err(|fault: Fault| self.placed(fault, call))?;
        Ok(Answer { attempts: effort.attempts, ..answer })
    }

    /// What the connection's requests cost since the client was made.
    pub fn usage(&self) -> Usage {
        self.0.meter.usage(self.0.budget.waited())
    }

    /// Until when the connection waits for quota, if it does.
    pub fn waiting(&self) -> Option<Instant> {
        self.0.budget.waiting()
    }

    /// The server's time of day as far as its answers told; before the first answer, our own. Never ahead of the
    /// server once [`Client::server_clock_known`].
    pub fn server_now(&self) -> DateTime<Utc> {
        self.0.seams.clock.now() + self.0.server_clock.offset().unwrap_or_default()
    }

    /// How long an accepted answer asks to wait, in its Retry-After, before the same is asked again.
    pub fn asked_to_wait(&self, answer: &Answer) -> Option<Duration> {
        retry_after::retry_after(&answer.headers, self.0.seams.clock.now())
    }

    /// Whether an answer told the server's time of day.
    pub fn server_clock_known(&self) -> bool {
        self.0.server_clock.offset().is_some()
    }

    fn check_egress(&self, url: &Url) -> Result<(), Fault> {
        match self.0.policy.egress.decide(url) {
            Decision::Base | Decision::Declared => Ok(()),
            Decision::Refused(why) => Err(trouble::unanswered(&SendError::Egress(format!(
                "a request to {} is not allowed: {}",
                redact::url(url, &[]),
                why.reason()
            )))),
        }
    }

    /// Waits for the pause, the buckets and a free place, no longer than the call's patience. A pause that is known to
    /// last longer is not waited for.
    async fn wait_for_slot(&self, effort: &mut Effort<'_>) -> Result<Slot, Fault> {
        let budget = &self.0.budget;
        let began = Instant::now();
        let paused = budget.pause.until().map(|until| until - began);
        if paused.is_some_and(|paused| paused > effort.patience()) {
            return Err(effort.out_of_patience(paused));
        }
        let slot = timeout(effort.patience(), budget.slot()).await;
        effort.waited(began.elapsed());
        slot.map_err(|_| effort.out_of_patience(None))
    }

    fn request(&self, call: &Call) -> Request {
        Request {
            method: call.method.clone(),
            url: call.url.clone(),
            headers: call.headers.clone(),
            body: call.body.clone(),
            body_bytes_max: self.0.policy.body_bytes_max,
            secrets: redact::in_url(&call.url),
        }
    }

    async fn send(&self, call: &Call, request: &Request, attempt: u32) -> Result<Response, SendError> {
        let Inner { policy, seams, meter, server_clock, .. } = &*self.0;
        let began = Instant::now();
        meter.request();
        let limit = call.timeout.unwrap_or(policy.timeouts.attempt);
        let outcome = timeout(limit, seams.transport.send(request.clone())).await.unwrap_or(Err(SendError::Timeout));
        if let Ok(response) = &outcome {
            server_clock.learn(&response.headers, seams.clock.now());
        }
        tracing::debug!(
            connection = policy.name,
            call = &*call.name,
            method = %call.method,
            route = &*call.route,
            attempt,
            status = outcome.as_ref().ok().map(|response| response.status.as_u16()),
            duration_ms = began.elapsed().as_millis() as u64,
            "attempt"
        );
        outcome
    }

    fn judge(&self, call: &Call, request: &Request, outcome: Result<Response, SendError>) -> Judgement {
        let rules = [&call.answers[..], &self.0.policy.answers[..]];
        let mut judgement = verdict::judge(outcome, &rules, &request.secrets, self.0.seams.clock.now());
        if let Some(fault) = judgement.fault_mut().filter(|_| !call.hides.is_empty()) {
            fault.message = personal::without(&fault.message, &call.hides);
        }
        judgement
    }

    /// Once per pause, however many requests were asked to slow down: it is the budget at work, and no trouble.
    fn tell_pause(&self, call: &Call, fault: &Fault, wait: Duration) {
        tracing::info!(
            connection = self.0.policy.name,
            method = %call.method,
            route = &*call.route,
            code = %fault.code,
            wait_ms = wait.as_millis() as u64,
            "{}; everybody on this connection waits {:.1} s",
            fault.message,
            wait.as_secs_f64()
        );
    }

    /// The words are in the message, because whoever watches a run reads them; programs read the fields.
    fn tell_again(&self, call: &Call, fault: &Fault, (attempt, attempts_max): (u32, u32), wait: Duration) {
        tracing::warn!(
            connection = self.0.policy.name,
            call = &*call.name,
            method = %call.method,
            route = &*call.route,
            code = %fault.code,
            wait_ms = wait.as_millis() as u64,
            "{}; attempt {attempt} of {attempts_max}, next try in {:.1} s",
            fault.message,
            wait.as_secs_f64()
        );
    }

    fn placed(&self, fault: Fault, call: &Call) -> Fault {
        fault
            .at(format!("{} {} ({})", call.method, call.route, call.name))
            .at(format!("connection {}", self.0.policy.name))
    }
}

#[cfg(test)]
mod tests;
