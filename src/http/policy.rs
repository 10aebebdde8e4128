//! What one client obeys. Taken from a connection's plan, or made for a token endpoint, which has its own address and
//! none of the vendor's rules.

use url::Url;

use super::Egress;
use crate::config::plan::{self, AnswerRule, Api, Breaker, Budget, Retry, Timeouts};

#[derive(Clone, Debug)]
pub struct Policy {
    /// The connection's name, for messages and logs.
    pub name: String,
    pub egress: Egress,
    /// The path of the base URL, which stands before every route.
    pub below: String,
    /// Requests say which trace they belong to.
    pub trace_context: bool,
    /// The connector's name, for limits of some of its calls.
    pub connector: String,
    pub budget: Budget,
    pub timeouts: Timeouts,
    pub retry: Retry,
    pub breaker: Breaker,
    pub answers: Vec<AnswerRule>,
    pub body_bytes_max: usize,
}

/// No token answer is larger.
const TOKEN_BYTES_MAX: usize = 1 << 20;

impl Policy {
    pub fn of(api: &Api) -> Self {
        Self {
            name: api.name.clone(),
            connector: api.connector.clone(),
            egress: Egress::new(&api.base_url, &api.egress),
            below: api.base_url.path().trim_end_matches('/').to_owned(),
            trace_context: api.trace_context,
            budget: api.budget.clone(),
            timeouts: api.timeouts.clone(),
            retry: api.retry.clone(),
            breaker: api.breaker.clone(),
            answers: api.answers.clone(),
            body_bytes_max: api.body_bytes_max,
        }
    }

    /// The connection's timeouts and retries, for its token endpoint and nothing else.
    pub fn for_tokens(api: &Api, token_url: &Url) -> Self {
        Self {
            egress: Egress::new(token_url, &plan::Egress::default()),
            below: String::new(),
            // Another system than the vendor's own, as often as not.
            trace_context: false,
            budget: Budget { concurrency: 1, wait_max: api.budget.wait_max, ..Budget::default() },
            answers: Vec::new(),
            body_bytes_max: TOKEN_BYTES_MAX,
            ..Self::of(api)
        }
    }
}
