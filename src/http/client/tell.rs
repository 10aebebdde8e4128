//! What a client says of its calls in the log: each attempt, and whatever concerns whoever reads along.

use std::time::Duration;

use http::StatusCode;

use super::Client;
use crate::{
    http::{Call, breaker::Change},
    model::Fault,
};

impl Client {
    pub(super) fn tell_attempt(&self, call: &Call, attempt: u32, status: Option<StatusCode>, took: Duration) {
        tracing::debug!(
            connection = self.inner.policy.name,
            call = &*call.name,
            method = %call.method,
            route = &*call.route,
            attempt,
            status = status.map(|status| status.as_u16()),
            duration_ms = took.as_millis() as u64,
            "attempt"
        );
    }

    /// Once per pause, however many requests were asked to slow down: it is the budget at work, and no trouble.
    pub(super) fn tell_pause(&self, call: &Call, fault: &Fault, wait: Duration) {
        tracing::info!(
            connection = self.inner.policy.name,
            method = %call.method,
            route = &*call.route,
            code = %fault.code,
            wait_ms = wait.as_millis() as u64,
            "{}; everybody on this connection waits {:.1} s",
            fault.message,
            wait.as_secs_f64()
        );
    }

    /// A breaker that opens concerns somebody; one that closes is good news for whoever asks.
    pub(super) fn tell_breaker(&self, call: &Call, change: Change) {
        let (connection, name) = (&self.inner.policy.name, &*call.name);
        match change {
            Change::Opened { failed, of, rest } => tracing::warn!(
                connection,
                call = name,
                failed,
                of,
                rest_ms = rest.as_millis() as u64,
                "{name} is left alone for {:.0} s, because {failed} of its last {of} attempts failed",
                rest.as_secs_f64()
            ),
            Change::Reopened { rest } => tracing::warn!(
                connection,
                call = name,
                rest_ms = rest.as_millis() as u64,
                "{name} is left alone for {:.0} s more, because the attempt to see whether it is well failed",
                rest.as_secs_f64()
            ),
            Change::Closed => tracing::info!(connection, call = name, "{name} answers again"),
        }
    }

    /// The words are in the message, because whoever watches a run reads them; programs read the fields.
    pub(super) fn tell_again(&self, call: &Call, fault: &Fault, (attempt, attempts_max): (u32, u32), wait: Duration) {
        tracing::warn!(
            connection = self.inner.policy.name,
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
}
