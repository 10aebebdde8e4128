//! An account's allowance: the connector's limits and the connection's hold together, and connections that name the same
//! account share one allowance. Limits that can never let a call through are refused here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::HeaderName;

use super::{
    check::Check,
    compile_connector::Connector,
    diagnostic::Problem,
    fill::HOLE,
    plan::{Breaker, Bucket, Budget, Connection, Daily, LeftHeader, Points, Tier, Window},
    raw_budget::{RawBreaker, RawBucket, RawBudgetRule, RawDaily, RawPoints, RawTier, RawWindow},
    shape::Spanned,
    source::Span,
    units::{Share, Time},
};
use crate::model::Code;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// No bucket or window is longer.
const PER_MAX: Duration = Duration::from_secs(31 * 86_400);
const REQUESTS_MAX: u64 = 1_000_000_000;

impl Check<'_> {
    /// The connection's limits hold besides the connector's; the smaller concurrency and wait count.
    pub fn budget(&self, connector: &Connector, connection: &[RawBudgetRule]) -> Budget {
        let mut budget = Budget::default();
        let (mut concurrency, mut wait_max, mut reserve) = (None::<u64>, None::<Duration>, None::<&Spanned<Share>>);
        let declared = connector.raw.budget.iter().map(|rule| (rule, false));
        for (rule, own) in declared.chain(connection.iter().map(|rule| (rule, true))) {
            match rule {
                RawBudgetRule::Bucket(raw) => budget.buckets.push(self.bucket(&raw.value)),
                RawBudgetRule::Window(raw) => budget.windows.push(self.window(&raw.value)),
                RawBudgetRule::Daily(raw) => budget.daily.push(self.daily(&raw.value)),
                RawBudgetRule::Points(raw) => budget.points.push(self.points(&raw.value)),
                RawBudgetRule::Tier(raw) => budget.tiers.extend(self.tier(raw, connector)),
                RawBudgetRule::Concurrency(number) => {
                    let number = self.number(Some(number), 8, 1..=1000);
                    concurrency = Some(concurrency.map_or(number, |least| least.min(number)));
                }
                RawBudgetRule::WaitMax(time) => {
                    let time = self.time(Some(time), 900 * SECOND, MS..=DAY);
                    wait_max = Some(wait_max.map_or(time, |least| least.min(time)));
                }
                RawBudgetRule::Reserve(share) => reserve = Some(share),
                RawBudgetRule::Account(name) => self.account(name, own, &mut budget),
            }
        }
        budget.concurrency = concurrency.and_then(|number| u32::try_from(number).ok()).unwrap_or(budget.concurrency);
        budget.wait_max = wait_max.unwrap_or(budget.wait_max);
        if let Some(share) = reserve {
            self.reserve_all(share, &mut budget);
        }
        self.can_wait(connector, connection, &budget);
        budget
    }

    fn account(&self, name: &Spanned<String>, own: bool, budget: &mut Budget) {
        if !own {
            let help = "say it in the connection, because a connector does not know whose account is used";
            self.conflict(name.span, "`account` belongs to a connection", help);
        }
        self.name("account", name);
        budget.account = Some(name.value.clone());
    }

    fn reserve_all(&self, share: &Spanned<Share>, budget: &mut Budget) {
        if budget.daily.is_empty() {
            let help = "declare the quota first: `daily: { requests: .. }`";
            self.contradiction(share.span, "`reserve` is a part of a daily quota, and none is declared", help);
        }
        let part = self.reserve(Some(share));
        budget.daily.iter_mut().for_each(|daily| daily.reserve = part);
    }

    fn bucket(&self, raw: &RawBucket) -> Bucket {
        self.paced(&raw.requests, &raw.per, raw.burst.as_ref())
    }

    fn paced(&self, requests: &Spanned<u64>, per: &Spanned<Time>, burst: Option<&Spanned<u64>>) -> Bucket {
        let requests = self.number(Some(requests), 1, 1..=REQUESTS_MAX);
        let per = self.time(Some(per), MS, MS..=PER_MAX);
        let burst = self.number(burst, 1, 1..=requests);
        Bucket { requests: small(requests), per, burst: small(burst) }
    }

    fn window(&self, raw: &RawWindow) -> Window {
        let left = self.left(raw.remaining_header.as_ref(), raw.used_header.as_ref());
        if let (Some(reset), None) = (&raw.reset_header, &left) {
            let help = "name the header that tells how many are left, too, or remove this one";
            self.contradiction(reset.span, "`reset_header` says when, and nothing says how many", help);
        }
        Window {
            requests: small(self.number(Some(&raw.requests), 1, 1..=REQUESTS_MAX)),
            per: self.time(Some(&raw.per), SECOND, SECOND..=PER_MAX),
            left,
            reset: raw.reset_header.as_ref().and_then(|name| self.header(name)),
        }
    }

    fn daily(&self, raw: &RawDaily) -> Daily {
        Daily {
            requests: self.number(Some(&raw.requests), 1, 1..=REQUESTS_MAX),
            left: self.left(raw.remaining_header.as_ref(), raw.used_header.as_ref()),
            reserve: self.reserve(raw.reserve.as_ref()),
        }
    }

    fn reserve(&self, share: Option<&Spanned<Share>>) -> f64 {
        let Some(share) = share else { return 0.0 };
        if share.value.0 >= 1.0 && !self.sources.slice(share.span).contains(HOLE) {
            self.contradiction(share.span, "a reserve of everything leaves no request", "keep less than 100% back");
            return 0.0;
        }
        share.value.0
    }

    fn left(&self, remaining: Option<&Spanned<String>>, used: Option<&Spanned<String>>) -> Option<LeftHeader> {
        let header = |name: &Spanned<String>| -> Option<HeaderName> { self.header(name) };
        match (remaining, used) {
            (Some(_), Some(used)) => {
                let message = "two headers tell how many are left";
                self.contradiction(used.span, message, "keep one of `remaining_header` and `used_header`");
                None
            }
            (Some(name), None) => header(name).map(LeftHeader::Remaining),
            (None, Some(name)) => header(name).map(LeftHeader::Used),
            (None, None) => None,
        }
    }

    fn points(&self, raw: &RawPoints) -> Points {
        let max = self.number(Some(&raw.max), 1, 1..=REQUESTS_MAX);
        let cost = self.number(raw.cost.as_ref(), 1, 1..=REQUESTS_MAX);
        if let Some(given) = raw.cost.as_ref().filter(|_| cost > max) {
            let message = format!("a call costs {cost} of a bucket that holds {max}");
            self.contradiction(given.span, message, "no call could ever be sent; lower `cost` or raise `max`");
        }
        Points {
            max: small(max),
            per_second: small(self.number(Some(&raw.per_second), 1, 1..=REQUESTS_MAX)),
            cost: small(cost),
            available: self.maybe_path(raw.available.as_ref()),
            requested: self.maybe_path(raw.requested.as_ref()),
            maximum: self.maybe_path(raw.maximum.as_ref()),
            restore: self.maybe_path(raw.restore.as_ref()),
        }
    }

    fn tier(&self, raw: &Spanned<RawTier>, connector: &Connector) -> Option<Tier> {
        let (span, raw) = (raw.span, &raw.value);
        let names = || connector.raw.streams.names().into_iter().chain(connector.raw.operations.names());
        for name in &raw.calls.0 {
            let broken = || [connector.raw.streams.dropped(), connector.raw.operations.dropped()].concat();
            if !names().any(|known| known == name.value) && !broken().contains(&name.value) {
                let lead = format!("the streams and operations of the connector `{}` are", connector.name);
                let known: Vec<&str> = names().collect();
                self.unknown("stream or operation", name, known.into_iter(), &lead);
            }
        }
        let bucket = match (&raw.requests, &raw.per) {
            (Some(requests), Some(per)) => Some(self.paced(requests, per, raw.burst.as_ref())),
            (Some(_), None) => return self.missing_part(span, "per"),
            (None, Some(_)) => return self.missing_part(span, "requests"),
            (None, None) if raw.concurrency.is_none() => return self.missing_part(span, "requests"),
            (None, None) => None,
        };
        Some(Tier {
            connector: connector.name.clone(),
            calls: raw.calls.0.iter().map(|name| name.value.clone()).collect(),
            bucket,
            concurrency: raw.concurrency.as_ref().map(|number| small(self.number(Some(number), 1, 1..=1000))),
        })
    }

    fn missing_part(&self, span: Span, key: &str) -> Option<Tier> {
        self.missing_key(span, span, key, "a tier has `requests` and `per`, or `concurrency`, or all three");
        None
    }

    /// A pace so slow that no call waits for its turn.
    fn can_wait(&self, connector: &Connector, connection: &[RawBudgetRule], budget: &Budget) {
        for rule in connector.raw.budget.iter().chain(connection) {
            let RawBudgetRule::Bucket(raw) = rule else { continue };
            let apart = raw.value.per.value.0.div_f64(raw.value.requests.value.max(1) as f64);
            if apart > budget.wait_max {
                let message = format!("two requests are {apart:?} apart, and no call waits that long");
                let help = format!("a call waits {:?}; raise `wait_max`, or expect runs to stop here", budget.wait_max);
                self.report(Problem::new(Code::LimitConflict, raw.span, message).help(help).warning());
            }
        }
    }

    fn contradiction(&self, at: Span, message: impl Into<String>, help: &str) {
        self.report(Problem::new(Code::LimitConflict, at, message).help(help));
    }

    pub fn breaker(&self, connection: Option<&RawBreaker>, connector: Option<&RawBreaker>) -> Breaker {
        let default = Breaker::default();
        let time = |get: fn(&RawBreaker) -> Option<&Spanned<Time>>, default| {
            self.time(connection.and_then(get).or(connector.and_then(get)), default, SECOND..=HOUR)
        };
        let of = connection.and_then(|raw| raw.of.as_ref()).or(connector.and_then(|raw| raw.of.as_ref()));
        let failures =
            connection.and_then(|raw| raw.failures.as_ref()).or(connector.and_then(|raw| raw.failures.as_ref()));
        if let Some(none) = failures.filter(|share| share.value.0 == 0.0) {
            let help = "write a share above 0%; 100% opens only when every attempt fails";
            self.contradiction(none.span, "a breaker that opens without a failure lets nothing through", help);
        }
        Breaker {
            failures: failures.map_or(default.failures, |share| share.value.0),
            of: small(self.number(of, u64::from(default.of), 1..=10_000)),
            within: time(|raw| raw.within.as_ref(), default.within),
            pause: time(|raw| raw.pause.as_ref(), default.pause),
        }
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Gives the connections of one account one allowance: every limit that any of them declares holds for all their
/// requests together. How long a call waits stays each connection's own.
pub fn share_accounts(connections: &mut BTreeMap<String, Option<Connection>>) {
    let mut accounts: BTreeMap<String, Budget> = BTreeMap::new();
    for budget in budgets(connections) {
        let Some(account) = &budget.account else { continue };
        let shared = accounts.entry(account.clone()).or_insert_with(|| budget.clone());
        add(&mut shared.buckets, &budget.buckets);
        add(&mut shared.windows, &budget.windows);
        add(&mut shared.daily, &budget.daily);
        add(&mut shared.points, &budget.points);
        add(&mut shared.tiers, &budget.tiers);
        shared.concurrency = shared.concurrency.min(budget.concurrency);
    }
    for budget in budgets(connections) {
        if let Some(shared) = budget.account.as_ref().and_then(|account| accounts.get(account)) {
            *budget = Budget { wait_max: budget.wait_max, ..shared.clone() };
        }
    }
}

fn budgets(connections: &mut BTreeMap<String, Option<Connection>>) -> impl Iterator<Item = &mut Budget> {
    connections.values_mut().filter_map(|connection| match connection {
        // Nobody else holds a connection before the pipelines are compiled.
        Some(Connection::Api(api)) => Arc::get_mut(api).map(|api| &mut api.budget),
        _ => None,
    })
}

/// The same limit of two connections is one limit.
fn add<T: Clone + PartialEq>(all: &mut Vec<T>, more: &[T]) {
    for limit in more {
        if !all.contains(limit) {
            all.push(limit.clone());
        }
    }
}
