//! Strict servers, decided in pure time: each refuses the first call above its limit, and a refused call counts for
//! nothing. What they say of their limits, and how, is theirs too.

use std::{collections::VecDeque, time::Duration};

use http::StatusCode;

/// What a server allows.
#[derive(Clone, Debug)]
pub enum Rule {
    /// So many calls in any time of that length, wherever it begins.
    Sliding(usize, Duration),
    /// So many calls in each window, and the windows lie at multiples of their length, moved by this much.
    Fixed(usize, Duration, Duration),
    /// So many calls in a window that begins with a call.
    Lazy(usize, Duration),
    /// Calls that are this far apart. There is no burst at all.
    Apart(Duration),
    /// So many calls under way at once.
    AtOnce(usize),
}

/// What it says of its limit, besides `Retry-After` in refusals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Says {
    Nothing,
    /// Not even when it may be asked again.
    No429Time,
    /// `X-Left` and `X-Reset`, in whole seconds.
    Left,
    /// The IETF's draft.
    RateLimit,
}

/// One server and its account of what came.
pub struct Strict {
    rules: Vec<Rule>,
    says: Says,
    /// When each accepted call came, while a rule remembers it.
    taken: VecDeque<Duration>,
    window_began: Option<Duration>,
    under_way: usize,
    pub accepted: usize,
    pub refused: usize,
    /// Refused although the client was asked to wait until later.
    pub impatient: usize,
    asked_until: Duration,
    /// Time that calls were under way, in all.
    pub busy: Duration,
}

pub struct Said {
    pub status: StatusCode,
    pub headers: Vec<(&'static str, String)>,
}

impl Strict {
    pub fn new(rules: &[Rule], says: Says) -> Self {
        Self {
            rules: rules.to_vec(),
            says,
            taken: VecDeque::new(),
            window_began: None,
            under_way: 0,
            accepted: 0,
            refused: 0,
            impatient: 0,
            asked_until: Duration::ZERO,
            busy: Duration::ZERO,
        }
    }

    /// A call arrives. An accepted one is under way until [`Strict::ends`].
    pub fn call(&mut self, now: Duration) -> Said {
        let opens = self.rules.clone().iter().filter_map(|rule| self.opens(rule, now)).max();
        self.impatient += usize::from(now < self.asked_until);
        let Some(opens) = opens else { return self.accept(now) };
        self.refused += 1;
        let wait = (opens - now).as_secs_f64().ceil() as u64;
        self.asked_until = self.asked_until.max(now + Duration::from_secs(wait));
        let headers = match self.says {
            Says::No429Time => Vec::new(),
            _ => vec![("retry-after", wait.to_string())],
        };
        Said { status: StatusCode::TOO_MANY_REQUESTS, headers }
    }

    fn accept(&mut self, now: Duration) -> Said {
        self.accepted += 1;
        self.under_way += 1;
        self.taken.push_back(now);
        if self.taken.len() > 100_000 {
            self.taken.pop_front();
        }
        for rule in &self.rules {
            if let Rule::Lazy(_, per) = rule
                && self.window_began.is_none_or(|began| now >= began + *per)
            {
                self.window_began = Some(now);
            }
        }
        Said { status: StatusCode::OK, headers: self.told(now) }
    }

    pub fn ends(&mut self, took: Duration) {
        self.under_way -= 1;
        self.busy += took;
    }

    /// When the rule takes a call again, where it does not take one now.
    fn opens(&self, rule: &Rule, now: Duration) -> Option<Duration> {
        match rule {
            Rule::Sliding(most, per) => {
                let at = self.taken.len().checked_sub(*most)?;
                Some(self.taken[at] + *per).filter(|opens| *opens > now)
            }
            Rule::Fixed(most, per, moved) => {
                let window = |at: Duration| (at + *moved).as_nanos() / per.as_nanos();
                let used = self.taken.iter().rev().take_while(|at| window(**at) == window(now)).count();
                let passed = Duration::from_nanos_u128((now + *moved).as_nanos() % per.as_nanos());
                (used >= *most).then(|| now + *per - passed)
            }
            Rule::Lazy(most, per) => {
                let began = self.window_began.filter(|began| now < *began + *per)?;
                let used = self.taken.iter().rev().take_while(|at| **at >= began).count();
                (used >= *most).then(|| began + *per)
            }
            Rule::Apart(apart) => self.taken.back().map(|last| *last + *apart).filter(|opens| *opens > now),
            Rule::AtOnce(most) => (self.under_way >= *most).then(|| now + Duration::from_millis(1)),
        }
    }

    /// What is left of the first rule, after this call.
    fn told(&self, now: Duration) -> Vec<(&'static str, String)> {
        let (most, per, began) = match self.rules.first() {
            Some(Rule::Fixed(most, per, moved)) => {
                let passed = Duration::from_nanos_u128((now + *moved).as_nanos() % per.as_nanos());
                (*most, *per, now.saturating_sub(passed))
            }
            Some(Rule::Lazy(most, per)) => (*most, *per, self.window_began.unwrap_or(now)),
            Some(Rule::Sliding(most, per)) => (*most, *per, now.saturating_sub(*per)),
            Some(Rule::Apart(_) | Rule::AtOnce(_)) | None => return Vec::new(),
        };
        let used = self.taken.iter().rev().take_while(|at| **at >= began).count();
        let left = most.saturating_sub(used).to_string();
        let reset = (began + per).saturating_sub(now).as_secs_f64().ceil() as u64;
        match self.says {
            Says::Nothing | Says::No429Time => Vec::new(),
            Says::Left => vec![("x-left", left), ("x-reset", reset.to_string())],
            Says::RateLimit => vec![
                ("ratelimit-policy", format!("\"calls\";q={most};w={}", per.as_secs())),
                ("ratelimit", format!("\"calls\";r={left};t={reset}")),
            ],
        }
    }
}
