//! The world: two systems, their tokens, their quotas and the account of both. One request in, one answer out, and
//! nothing else decides: no socket, no clock, no chance but the seed.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Method, Request, Response, StatusCode};

use super::{
    account::{Account, Counters, Effect, Entry, Outcome},
    call::{Call, error, not_found, set},
    config::{App, WorldConfig},
    control,
    crm::{Crm, Keyed},
    faults::{FaultKind, FaultPlan},
    gone,
    lead::Lead,
    listing,
    oauth::Oauth,
    people::Customer,
    quota::Bucket,
    report::{Fit, Report},
    rotation::SignIns,
    route::Route,
    shelf,
    shop::Shop,
};

/// The shop and the CRM.
#[derive(Debug)]
pub struct World {
    config: WorldConfig,
    now: DateTime<Utc>,
    oauth: Oauth,
    shop: Shop,
    crm: Crm,
    shop_bucket: Option<Bucket>,
    crm_bucket: Option<Bucket>,
    account: Account,
    faults: FaultPlan,
    dice: fastrand::Rng,
}

impl World {
    pub fn new(config: WorldConfig) -> Self {
        Self {
            now: DateTime::<Utc>::MIN_UTC,
            oauth: Oauth::new(config.seed),
            shop: Shop::new(&config),
            crm: Crm::new(config.leads_max),
            shop_bucket: config.shop_quota.map(Bucket::new),
            crm_bucket: config.crm_quota.map(Bucket::new),
            account: Account::new(config.entries_max),
            faults: FaultPlan::none(),
            dice: fastrand::Rng::with_seed(config.seed ^ 0xfa_017),
            config,
        }
    }

    /// Answers a request, control routes included. A `now` before that of an earlier call counts as the earlier one.
    pub fn handle(&mut self, now: DateTime<Utc>, request: Request<Bytes>) -> Response<Bytes> {
        self.handle_slowly(now, request, Duration::ZERO)
    }

    /// Answers like [`handle`](Self::handle), for a server that will send the answer only after `takes`. Until then the
    /// request is in flight: its idempotency key answers 409.
    pub fn handle_slowly(&mut self, now: DateTime<Utc>, request: Request<Bytes>, takes: Duration) -> Response<Bytes> {
        self.now = self.now.max(now);
        self.shop.tick(self.now, &self.config);
        let (parts, body) = request.into_parts();
        let authority = parts.uri.authority();
        let call = Call {
            now: self.now,
            takes,
            method: &parts.method,
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            body: &body,
            authority: authority.map(|host| (parts.uri.scheme_str().unwrap_or("http"), host.as_str())),
        };
        let route = Route::of(call.path);
        let mut answer = if route.app() == App::Control {
            control::control(self, &call)
        } else {
            let outcome = self.admit(&call, &route);
            self.account.enter(&call, &route, outcome.deeds);
            outcome.answer
        };
        set(&mut answer, "date", &http_date(self.now));
        answer
    }

    /// What the shop shows and the CRM holds agree on, by the rule of [`Fit::of`].
    pub fn report(&self) -> Report {
        self.report_by(&Fit::of)
    }

    /// The report by a rule of the caller's, for a pipeline that maps in its own way.
    pub fn report_by(&self, fits: &dyn Fn(&Customer, Option<&Lead>) -> Fit) -> Report {
        let mut report = Report::of(self.shop.visible(), &self.crm.leads, self.account.counters.clone(), fits);
        report.linger(self.shop.gone(), &self.crm.leads);
        report
    }

    pub fn counters(&self) -> &Counters {
        &self.account.counters
    }

    /// The account's entries after this number, oldest first, as far as they are kept.
    pub fn entries(&self, after: u64) -> impl Iterator<Item = &Entry> {
        self.account.after(after)
    }

    /// The customers that a client can see now.
    pub fn customers(&self) -> impl Iterator<Item = &Customer> {
        self.shop.visible()
    }

    pub fn leads(&self) -> Vec<&Lead> {
        self.crm.leads.all().map(|(_, lead)| lead).collect()
    }

    /// The leads with this `external_id`: more than one is a double.
    pub fn leads_of(&self, external_id: &str) -> impl Iterator<Item = &Lead> {
        self.crm.leads.with_external_id(external_id)
    }

    /// Changes `count` customers; about a third of them are new. Returns how many were updated and created.
    pub fn change(&mut self, now: DateTime<Utc>, count: usize) -> (usize, usize) {
        self.now = self.now.max(now);
        self.shop.tick(self.now, &self.config);
        self.shop.change(self.now, &self.config, count)
    }

    /// Deletes the customers with these ids, and brings those back that were deleted. Returns how many there are.
    pub fn delete(&mut self, now: DateTime<Utc>, ids: &[String]) -> usize {
        self.now = self.now.max(now);
        self.shop.tick(self.now, &self.config);
        self.shop.turn_all(self.now, &self.config, ids)
    }

    /// Ends drift and late visibility, so that a client can catch up.
    pub fn quiet(&mut self) {
        self.shop.quiet(&self.config);
    }

    /// Ends every access token.
    pub fn revoke_tokens(&mut self) {
        self.oauth.revoke_access();
    }

    /// A person consents: this refresh token is good from now on.
    pub fn consent(&mut self, refresh_token: &str) {
        self.oauth.consent(refresh_token);
    }

    /// What the token endpoint saw.
    pub fn sign_ins(&self) -> SignIns {
        self.oauth.seen()
    }

    /// Ends every refresh token, as when a person withdraws consent.
    pub fn revoke_refresh_tokens(&mut self) {
        self.oauth.revoke_refresh();
    }

    pub fn faults(&self) -> &FaultPlan {
        &self.faults
    }

    /// Sets what strikes the requests of a served world. [`handle`](Self::handle) itself never fails on purpose.
    pub fn set_faults(&mut self, plan: FaultPlan) {
        self.faults = plan;
    }

    /// Draws what happens to the request with this path, and enters it.
    pub(super) fn draw_fault(&mut self, path: &str) -> Option<FaultKind> {
        if Route::of(path).app() == App::Control {
            return None;
        }
        let kind = self.faults.draw(&mut self.dice)?;
        self.account.note_fault(kind);
        Some(kind)
    }

    /// A number below `below` for the details of a fault.
    pub(super) fn draw_below(&mut self, below: u64) -> u64 {
        self.dice.u64(..below.max(1))
    }

    fn admit(&mut self, call: &Call, route: &Route) -> Outcome {
        if call.body.len() > self.config.body_bytes_max {
            return Outcome::refused(error(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is too large"));
        }
        if *route == Route::Unknown {
            return Outcome::refused(not_found());
        }
        if !route.allows(call.method) {
            return Outcome::refused(error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "not this method"));
        }
        if route.app() == App::Oauth {
            return self.oauth.answer(call, route, &self.config);
        }
        if let Err(refusal) = self.oauth.admits(call, &self.config) {
            return Outcome::plain(Effect::Unauthorized, *refusal);
        }
        let bucket = if route.app() == App::Crm { &mut self.crm_bucket } else { &mut self.shop_bucket };
        let allowance = bucket.as_mut().map(|bucket| bucket.take(call.now));
        let mut outcome = match &allowance {
            Some(spent) if !spent.granted => {
                Outcome::plain(Effect::Throttled, spent.refusal(call.now, self.config.retry_after_date))
            }
            _ => self.work(call, route),
        };
        if let Some(allowance) = allowance {
            allowance.label(&mut outcome.answer);
        }
        outcome
    }

    fn work(&mut self, call: &Call, route: &Route) -> Outcome {
        let config = &self.config;
        self.crm.leads.now = call.now;
        match route {
            Route::Customers => Outcome::read(listing::customers(&mut self.shop, call, config)),
            Route::CustomersDeleted => Outcome::read(gone::tombstones(&mut self.shop, call, config)),
            Route::CustomerIds => Outcome::read(gone::ids(&mut self.shop, call, config)),
            Route::Orders => Outcome::read(shelf::orders(&self.shop.orders, call, config)),
            Route::Events => Outcome::read(shelf::events(&self.shop, call, config)),
            Route::Products => Outcome::read(shelf::products(call, config)),
            Route::Changes => Outcome::read(shelf::changes(&self.shop, call, config)),
            Route::Leads if call.method == Method::GET => Outcome::read(self.crm.list(call, config)),
            Route::Leads => self.crm.keyed(call, config, Keyed::Create),
            Route::Batch => self.crm.keyed(call, config, Keyed::Batch),
            Route::BatchUpsert => self.crm.keyed(call, config, Keyed::BatchUpsert),
            Route::BatchAtomic => self.crm.keyed(call, config, Keyed::Atomic),
            Route::Rpc => self.crm.keyed(call, config, Keyed::Rpc),
            Route::Jobs => self.crm.keyed(call, config, Keyed::Job),
            Route::Job(id) => Outcome::read(self.crm.jobs.state(id, config.job_polls)),
            Route::JobFile(id, file) => Outcome::read(self.crm.jobs.file(id, file, config.job_polls)),
            Route::Plain => self.crm.plain(call),
            Route::Once => self.crm.keyed(call, config, Keyed::Once),
            Route::Search => Outcome::read(self.crm.search(call, config)),
            Route::Lead(id) => {
                let meddles = config.meddle > 0.0 && self.dice.f64() < config.meddle;
                self.crm.one(call, id, meddles)
            }
            Route::LeadByExternalId(external_id) => self.crm.upsert(call, external_id.clone()),
            Route::Token | Route::Authorize | Route::Device | Route::Login | Route::Control | Route::Unknown => {
                Outcome::refused(not_found())
            }
        }
    }
}

fn http_date(at: DateTime<Utc>) -> String {
    let seconds = u64::try_from(at.timestamp()).unwrap_or(0);
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;
    use crate::sandbox::{
        Quota,
        probe::{Probe, calm, json},
    };

    #[test]
    fn a_path_or_method_that_does_not_exist_is_refused_and_entered() {
        let mut probe = Probe::new(calm());
        assert_eq!(probe.get("/crm/deals").status(), 404);
        assert_eq!(probe.send("PUT", "/crm/leads/lead_000001", &[], "").status(), 405);
        assert_eq!(probe.get("/oauth/token").status(), 405);
        assert_eq!(probe.world.counters().refused, 3);
        assert_eq!(probe.get("/sandbox/nothing").status(), 404);
    }

    #[test]
    fn every_answer_carries_the_world_s_time() {
        let mut probe = Probe::new(calm());
        for path in ["/shop/customers", "/crm/deals", "/sandbox/account"] {
            assert_eq!(probe.get(path).headers()["date"], "Thu, 01 Jan 2026 01:00:00 GMT");
        }
    }

    #[test]
    fn each_app_has_its_own_quota_and_a_throttled_write_has_no_effect() {
        let slow = Some(Quota { per_second: 1, burst: 1 });
        let mut probe = Probe::new(WorldConfig { shop_quota: slow, crm_quota: slow, ..calm() });
        let lead = json!({ "email": "a@b" });
        assert_eq!(probe.create("k", &lead).status(), 201);
        assert_eq!(probe.get("/shop/customers").status(), 200);
        let refused = probe.create("l", &lead);
        assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "1"));
        assert_eq!(refused.headers()["x-ratelimit-limit"], "1");
        assert_eq!(refused.headers()["x-ratelimit-remaining"], "0");
        assert_eq!(refused.headers()["x-ratelimit-reset"], "1");
        assert_eq!((probe.world.leads().len(), probe.world.counters().throttled), (1, 1));
        probe.later(1000);
        assert_eq!(probe.create("l", &lead).status(), 201);
    }

    #[test]
    fn a_clock_that_goes_back_does_not_bring_an_expired_token_back() {
        let mut probe = Probe::new(calm());
        probe.later(300_000);
        assert_eq!(probe.get("/shop/customers").status(), 401);
        probe.now -= TimeDelta::seconds(200);
        let refused = probe.get("/shop/customers");
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.headers()["date"], "Thu, 01 Jan 2026 01:05:00 GMT", "windows are cut by this date");
    }

    #[test]
    fn the_account_tells_what_was_done_under_which_key() {
        let mut probe = Probe::new(calm());
        let lead = json!({ "email": "a@b", "external_id": "x" });
        probe.create("k", &lead);
        probe.create("k", &lead);
        let page = probe.read("/sandbox/account/entries?after=1");
        let entry = &page["entries"][0];
        assert_eq!((&entry["effect"], &entry["idempotency_key"]), (&json!("created"), &json!("k")));
        assert_eq!((&entry["external_id"], &entry["lead_id"]), (&json!("x"), &json!("lead_000001")));
        assert_eq!((&entry["route"], &entry["app"], &entry["seq"]), (&json!("/crm/leads"), &json!("crm"), &json!(2)));
        assert_eq!(page["entries"][1]["effect"], "replayed");
    }

    #[test]
    fn the_control_routes_change_the_world_and_are_not_in_the_account() {
        let mut probe = Probe::new(calm());
        let (_, changed) = probe.write("POST", "/sandbox/change", &json!({ "count": 12 }));
        let created = changed["created"].as_u64().unwrap();
        assert_eq!(changed["updated"].as_u64().unwrap() + created, 12);
        assert_eq!(probe.read("/sandbox/account")["customers"], 20 + created);
        let (_, plan) = probe.write("POST", "/sandbox/faults", &json!({ "preset": "harsh" }));
        assert_eq!(plan["reset_after"], 0.03);
        assert_eq!(probe.world.faults(), &FaultPlan::harsh());
        for wrong in [json!({ "preset": "kind" }), json!({ "preset": "mild", "stall": 1 }), json!({ "stall": 2.0 })] {
            assert_eq!(probe.write("POST", "/sandbox/faults", &wrong).0, 400, "{wrong}");
        }
        assert_eq!(probe.write("POST", "/sandbox/change", &json!({ "count": 1_000_000 })).0, 400);
        assert_eq!(probe.send("POST", "/sandbox/revoke", &[], "").status(), 200);
        assert_eq!(probe.get("/shop/customers").status(), 401);
        assert_eq!(json(&probe.get("/sandbox/account"))["counters"]["requests"], 2);
    }
}
