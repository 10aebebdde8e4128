//! Every limit of one account, and whether they let a call through now. A call goes when all of them do; then it is taken
//! off all of them at once.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::{
    bucket::Bucket, ceiling::Ceiling, daily::Daily, moment::Moment, points::Points, queue::Ask, window::Window,
};
use crate::{config::plan, http::told};

/// No account has more calls under way.
const UNDER_WAY_MAX: u32 = 1000;

/// Limits that answers told of, besides the declared ones.
const LEARNED_MAX: usize = 8;

/// When a call may go.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Nothing: when something changes, and nobody knows when.
    pub at: Option<Instant>,
    /// The limit that lets nothing through for longest.
    pub why: Arc<str>,
    /// It is one that everybody shares.
    pub is_shared: bool,
}

/// What a call took off the limits, to be given back.
#[derive(Debug)]
pub struct Taken {
    /// The call's number among all.
    number: u64,
    /// Points by limit.
    costs: Vec<(usize, f64)>,
    /// The call's number by window.
    numbers: Vec<(usize, u64)>,
}

/// One limit.
pub struct Limit {
    /// Names it in messages, listings and the store.
    pub label: Arc<str>,
    /// The calls that it is about; nothing: all of the account.
    of: Option<(Arc<str>, BTreeSet<String>)>,
    pub kind: Kind,
}

pub enum Kind {
    Bucket(Bucket),
    Window(Window),
    Daily(Daily),
    Points(Points),
    /// Requests under way at once, and how many are.
    Concurrency(u32, u32),
    Ceiling(Ceiling),
}

pub struct Gates {
    pub limits: Vec<Limit>,
    /// How many limits were declared; answers told of the others.
    declared: usize,
    /// After a pause one call goes alone, then twice as many each time; nothing: there was none.
    ramp: Option<Ramp>,
    under_way: u32,
    /// Calls that left so far.
    departed: u64,
}

/// How many calls may be under way after a pause. Only those count that left after it: a call from before may hang for as
/// long as an attempt may, and would hold up everybody.
struct Ramp {
    most: u32,
    under_way: u32,
    /// So many calls left before it.
    departed: u64,
}

/// What an answer brought.
pub struct Heard<'a> {
    pub status: StatusCode,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
    /// The server's time of day.
    pub server_ms: i64,
}

impl Taken {
    fn cost(&self, limit: usize) -> f64 {
        self.costs.iter().find(|(at, _)| *at == limit).map_or(0.0, |(_, cost)| *cost)
    }

    /// A window that was not known when the call left has no number for it: nothing is newer.
    fn number(&self, limit: usize) -> u64 {
        self.numbers.iter().find(|(at, _)| *at == limit).map_or(0, |(_, number)| *number)
    }
}

impl Ramp {
    /// The call left after the pause, so its answer says how things are now.
    fn is_after(&self, taken: &Taken) -> bool {
        taken.number > self.departed
    }
}

impl Gates {
    pub fn new(plan: &plan::Budget, now: Moment) -> Self {
        let mut limits: Vec<Limit> = declared(plan, now);
        for at in 1..limits.len() {
            // The store tells limits apart by their labels.
            let same = limits[..at].iter().filter(|limit| limit.label == limits[at].label).count();
            if same > 0 {
                limits[at].label = format!("{} ({})", limits[at].label, same + 1).into();
            }
        }
        let declared = limits.len();
        Self { limits, declared, ramp: None, under_way: 0, departed: 0 }
    }

    pub fn declared(&self) -> usize {
        self.declared
    }

    /// When the limits let a call through. The limit that opens last decides whom it holds up: a call that waits longest for
    /// a limit of its own could not use what all share.
    pub fn opens(&mut self, ask: &Ask, now: Moment) -> Opening {
        let mut opening = Opening { at: Some(now.at), is_shared: false, why: Arc::default() };
        if self.ramp.as_ref().is_some_and(|ramp| ramp.under_way >= ramp.most) {
            return Opening { at: None, is_shared: true, why: "one call at a time after a pause".into() };
        }
        for limit in self.limits.iter_mut().filter(|limit| limit.concerns(ask)) {
            let at = limit.opens(ask, now);
            if at.is_none() || opening.at.is_some_and(|so_far| at.is_some_and(|at| at > so_far)) {
                // The reserve of a daily quota is for others, so it holds up nobody else.
                let is_shared = limit.of.is_none() && !matches!(limit.kind, Kind::Daily(_));
                opening = Opening { at, is_shared, why: limit.label.clone() };
            }
            if opening.at.is_none() {
                break;
            }
        }
        opening
    }

    pub fn take(&mut self, ask: &Ask, now: Moment) -> Taken {
        self.under_way += 1;
        self.departed += 1;
        if let Some(ramp) = &mut self.ramp {
            ramp.under_way += 1;
        }
        let (mut costs, mut numbers) = (Vec::new(), Vec::new());
        for (at, limit) in self.limits.iter_mut().enumerate().filter(|(_, limit)| limit.concerns(ask)) {
            match &mut limit.kind {
                Kind::Bucket(bucket) => bucket.take(now),
                Kind::Window(window) => numbers.push((at, window.take(now))),
                Kind::Daily(daily) => daily.take(now),
                Kind::Points(points) => costs.push((at, points.take(&ask.call, now))),
                Kind::Concurrency(_, under_way) => *under_way += 1,
                Kind::Ceiling(ceiling) => ceiling.take(),
            }
        }
        Taken { number: self.departed, costs, numbers }
    }

    /// Whether a call's limits remember more than a process does.
    pub fn outlive(&self, ask: &Ask) -> bool {
        let kept = |limit: &&Limit| matches!(limit.kind, Kind::Window(_) | Kind::Daily(_));
        self.limits[..self.declared].iter().filter(kept).any(|limit| limit.concerns(ask))
    }

    /// The call is not under way any more. One that never left costs no quota; its place in a bucket is gone with its time.
    pub fn give_back(&mut self, ask: &Ask, taken: &Taken, left: bool) {
        self.under_way = self.under_way.saturating_sub(1);
        if let Some(ramp) = self.ramp.as_mut().filter(|ramp| ramp.is_after(taken)) {
            ramp.under_way = ramp.under_way.saturating_sub(1);
        }
        for (at, limit) in self.limits.iter_mut().enumerate().filter(|(_, limit)| limit.concerns(ask)) {
            match &mut limit.kind {
                // A window that was not known when the call left has nothing of it.
                Kind::Window(window) if taken.number(at) > 0 => window.back(left),
                Kind::Daily(daily) if !left => daily.log.take_back(),
                Kind::Points(points) => points.back(taken.cost(at), left),
                Kind::Concurrency(_, under_way) => *under_way = under_way.saturating_sub(1),
                Kind::Window(_) | Kind::Daily(_) | Kind::Bucket(_) | Kind::Ceiling(_) => {}
            }
        }
    }

    /// Learns from an answer, while its call still counts as under way.
    pub fn heard(&mut self, ask: &Ask, taken: &Taken, heard: &Heard<'_>, now: Moment) {
        if heard.status != StatusCode::TOO_MANY_REQUESTS && !heard.status.is_server_error() {
            let widened = |ramp: Ramp| match ramp.is_after(taken) {
                true => Some(Ramp { most: ramp.most * 2, ..ramp }).filter(|ramp| ramp.most <= UNDER_WAY_MAX),
                false => Some(ramp),
            };
            self.ramp = self.ramp.take().and_then(widened);
        }
        for (at, limit) in self.limits.iter_mut().enumerate().filter(|(_, limit)| limit.concerns(ask)) {
            match &mut limit.kind {
                Kind::Window(window) => window.heard(taken.number(at), heard.headers, now, heard.server_ms),
                Kind::Daily(daily) => daily.heard(heard.headers, now),
                Kind::Points(points) => {
                    points.heard(&ask.call, taken.cost(at), heard.body, now);
                }
                Kind::Bucket(_) | Kind::Concurrency(..) | Kind::Ceiling(_) => {}
            }
        }
        for policy in told::policies(heard.headers) {
            self.learn(ask, taken, &policy, now);
        }
        let is_paced = self.limits[..self.declared].iter().any(|limit| limit.of.is_none() && limit.is_rate());
        if let Some((left, reset)) = told::convention(heard.headers, heard.server_ms).filter(|_| !is_paced) {
            self.ceiling(ask, "X-RateLimit", left, reset, now);
        }
    }

    /// A limit that the server speaks of in the IETF's words.
    fn learn(&mut self, ask: &Ask, taken: &Taken, policy: &told::Policy, now: Moment) {
        let label = format!("RateLimit {:?}", policy.name);
        let window = policy.quota.filter(|quota| *quota > 0).zip(policy.window);
        let made = |under_way: u64| {
            let (quota, per) = window?;
            let requests = u32::try_from(quota).unwrap_or(u32::MAX);
            let mut learned = Window::new(&plan::Window { requests, per, left: None, reset: None });
            let used = policy.left.map_or(1, |left| quota.saturating_sub(left));
            // What left before we knew of it is told by what is left, and by what is under way.
            learned.log.add(now.unix_ms, used + under_way);
            Some(Kind::Window(learned))
        };
        match (self.learned(ask, &label, made), policy.left, policy.reset) {
            (Some((at, Kind::Window(window))), Some(left), reset) => window.told(taken.number(at), left, reset, now),
            (None, Some(left), Some(reset)) => self.ceiling(ask, &label, left, reset, now),
            _ => {}
        }
    }

    fn ceiling(&mut self, ask: &Ask, label: &str, left: u64, reset: Duration, now: Moment) {
        let left = left.saturating_sub(u64::from(self.under_way.saturating_sub(1)));
        let made = |_| Some(Kind::Ceiling(Ceiling::default()));
        if let Some((_, Kind::Ceiling(ceiling))) = self.learned(ask, label, made) {
            ceiling.told(left, reset, now);
        }
    }

    /// A limit that answers told of. It is about the calls whose answers do, because a vendor's search may have another
    /// limit than its records.
    fn learned(
        &mut self,
        ask: &Ask,
        label: &str,
        made: impl FnOnce(u64) -> Option<Kind>,
    ) -> Option<(usize, &mut Kind)> {
        let known = self.limits[self.declared..].iter().position(|limit| &*limit.label == label);
        let at = match known {
            Some(at) => self.declared + at,
            None if self.limits.len() >= self.declared + LEARNED_MAX => return None,
            None => {
                let kind = made(u64::from(self.under_way.saturating_sub(1)))?;
                let of = Some((ask.connector.clone(), BTreeSet::new()));
                self.limits.push(Limit { label: label.into(), of, kind });
                self.limits.len() - 1
            }
        };
        let limit = &mut self.limits[at];
        if let Some((connector, calls)) = &mut limit.of
            && *connector == ask.connector
            && !calls.contains(&*ask.call)
        {
            calls.insert((*ask.call).to_owned());
        }
        Some((at, &mut limit.kind))
    }

    /// The server asked to slow down, in answer to a call that still counts as under way. `is_pace`: it may be about the pace,
    /// and not about a longer quota or the server's own trouble.
    pub fn refused(&mut self, ask: &Ask, is_pace: bool, now: Moment) {
        self.ramp = Some(Ramp { most: 1, under_way: 0, departed: self.departed });
        let under_way = u64::from(self.under_way);
        for limit in self.limits.iter_mut().filter(|limit| is_pace && limit.concerns(ask)) {
            match &mut limit.kind {
                Kind::Bucket(bucket) => bucket.refused(now),
                Kind::Window(window) => window.refused(now, under_way),
                Kind::Daily(_) | Kind::Points(_) | Kind::Concurrency(..) | Kind::Ceiling(_) => {}
            }
        }
    }
}

impl Limit {
    pub fn concerns(&self, ask: &Ask) -> bool {
        self.of.as_ref().is_none_or(|(connector, calls)| *connector == ask.connector && calls.contains(&*ask.call))
    }

    /// The calls that it is about, where it is not about all.
    pub fn calls(&self) -> Option<&BTreeSet<String>> {
        self.of.as_ref().map(|(_, calls)| calls)
    }

    fn is_rate(&self) -> bool {
        matches!(self.kind, Kind::Bucket(_) | Kind::Window(_) | Kind::Points(_))
    }

    fn opens(&mut self, ask: &Ask, now: Moment) -> Option<Instant> {
        match &mut self.kind {
            Kind::Bucket(bucket) => Some(bucket.opens(now)),
            Kind::Window(window) => Some(now.instant(window.opens_ms(now))),
            Kind::Daily(daily) => Some(now.instant(daily.opens_ms(ask.priority, now))),
            Kind::Points(points) => Some(now.instant(points.opens_ms(&ask.call, now))),
            Kind::Concurrency(most, under_way) => (under_way < most).then_some(now.at),
            Kind::Ceiling(ceiling) => Some(now.instant(ceiling.opens_ms(now))),
        }
    }
}

/// The declared limits. A bucket or window of nothing limits nothing; the configuration refuses both.
fn declared(plan: &plan::Budget, now: Moment) -> Vec<Limit> {
    let all = |label: String, kind| Limit { label: label.into(), of: None, kind };
    let per = |requests: u64, per: Duration| format!("{requests} per {per:?}");
    let mut limits = vec![all(format!("{} at once", plan.concurrency), Kind::Concurrency(plan.concurrency.max(1), 0))];
    for bucket in &plan.buckets {
        let kind = Bucket::new(bucket, now).map(Kind::Bucket);
        limits.extend(kind.map(|kind| all(per(bucket.requests.into(), bucket.per), kind)));
    }
    for window in plan.windows.iter().filter(|window| window.requests > 0) {
        let label = format!("window of {}", per(window.requests.into(), window.per));
        limits.push(all(label, Kind::Window(Window::new(window))));
    }
    for daily in &plan.daily {
        limits.push(all(format!("{} a day", daily.requests), Kind::Daily(Daily::new(daily))));
    }
    for points in &plan.points {
        limits.push(all(format!("{} points", points.max), Kind::Points(Points::new(points, now))));
    }
    for tier in &plan.tiers {
        let of = Some((Arc::from(tier.connector.as_str()), tier.calls.clone()));
        let names = tier.calls.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let own = |label: String, kind| Limit { label: format!("{names}: {label}").into(), of: of.clone(), kind };
        if let Some(bucket) = &tier.bucket {
            let kind = Bucket::new(bucket, now).map(Kind::Bucket);
            limits.extend(kind.map(|kind| own(per(bucket.requests.into(), bucket.per), kind)));
        }
        if let Some(most) = tier.concurrency {
            limits.push(own(format!("{most} at once"), Kind::Concurrency(most.max(1), 0)));
        }
    }
    limits
}
