//! The shop's customers and how they change: what a client can see, what is committed but not yet visible, and the
//! drift that happens while a listing is read.
//!
//! The hard idea is late visibility. A change gets its `updated_at` when it begins and shows only when it commits, up
//! to `late` afterwards, so a client that has read past that moment never meets it unless it reads with an overlap.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound::{Excluded, Unbounded},
};

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;

use super::{
    call::{Answer, Call, Refusal, bad_parameter, bytes, error, later},
    config::WorldConfig,
    people::{Customer, Edit},
    shelf::{Change, Orders},
    token::PageToken,
};

/// Customers that share one `updated_at` at the start, as after an import.
const IMPORT_GROUP: usize = 4;
/// The span of time before the epoch in which the first customers came.
const HISTORY_SECONDS: i64 = 30 * 24 * 3600;

#[derive(Debug)]
struct Row {
    /// The newest version, visible or not.
    latest: Customer,
    visible: Option<Shown>,
    /// When the newest version becomes visible; an older one never does later.
    visible_at: DateTime<Utc>,
}

#[derive(Debug)]
struct Shown {
    customer: Customer,
    /// Written when it is first read: a simulation makes thousands of worlds and reads few of their records.
    json: OnceCell<String>,
    place: i64,
}

impl Shown {
    fn json(&self) -> &str {
        self.json.get_or_init(|| self.customer.to_json())
    }
}

#[derive(Debug)]
pub(super) struct Shop {
    rng: fastrand::Rng,
    rows: Vec<Row>,
    /// The visible customers in the order of the listing: place, then index.
    order: BTreeSet<(i64, usize)>,
    /// Versions that are committed later, by the moment they show.
    waiting: BTreeMap<(DateTime<Utc>, u64), (usize, Customer)>,
    committed: u64,
    /// Customers that were flipped and will flip back.
    flipped: VecDeque<usize>,
    drifted: usize,
    quiet: bool,
    pub log: VecDeque<Change>,
    pub orders: Orders,
}

impl Shop {
    pub fn new(config: &WorldConfig) -> Self {
        let mut shop = Self {
            rng: fastrand::Rng::with_seed(config.seed ^ 0x5e_ed0f),
            rows: Vec::with_capacity(config.customers),
            order: BTreeSet::new(),
            waiting: BTreeMap::new(),
            committed: 0,
            flipped: VecDeque::new(),
            drifted: 0,
            quiet: false,
            log: VecDeque::new(),
            orders: Orders::default(),
        };
        let groups = (config.customers / IMPORT_GROUP + 1) as i64;
        let step_ms = (HISTORY_SECONDS * 1000 / groups).clamp(1, 60_000);
        for index in 0..config.customers {
            let age = TimeDelta::milliseconds(step_ms * (groups - (index / IMPORT_GROUP) as i64));
            shop.insert(config.epoch - age, config, false);
        }
        shop
    }

    pub fn visible(&self) -> impl Iterator<Item = &Customer> {
        self.rows.iter().filter_map(|row| row.visible.as_ref()).map(|shown| &shown.customer)
    }

    /// Shows every version whose transaction has committed by `now`.
    pub fn tick(&mut self, now: DateTime<Utc>, config: &WorldConfig) {
        while self.waiting.first_key_value().is_some_and(|((at, _), _)| *at <= now) {
            if let Some((_, (index, version))) = self.waiting.pop_first() {
                self.show(index, version, config);
            }
        }
    }

    /// Changes `count` customers; about a third of them are new. Returns how many were updated and created.
    pub fn change(&mut self, now: DateTime<Utc>, config: &WorldConfig, count: usize) -> (usize, usize) {
        let mut created = 0;
        for _ in 0..count {
            if self.rows.is_empty() || self.rng.u8(..3) == 0 {
                self.insert(now, config, true);
                created += 1;
            } else {
                let index = self.rng.usize(..self.rows.len());
                self.edit_somehow(now, config, index);
            }
        }
        (count - created, created)
    }

    /// Ends the drift and makes everything visible.
    pub fn quiet(&mut self, config: &WorldConfig) {
        self.quiet = true;
        self.tick(DateTime::<Utc>::MAX_UTC, config);
    }

    /// `GET /shop/customers`
    pub fn list(&mut self, call: &Call, config: &WorldConfig) -> Result<Answer, Refusal> {
        let limit = call.page_size("limit", config.page_size, config.page_size_max)?;
        let (since, before) = (instant(call, "updated_since")?, instant(call, "updated_before")?);
        let from = match call.parameter("cursor") {
            None => PageToken { at: i64::MIN, id: 0, since, before, issued_ms: 0 },
            Some(text) => go_on(&text, since, before, call.now, config)?,
        };
        self.drift(call.now, config);
        Ok(self.page(&from, limit, call.now, config))
    }

    fn page(&self, from: &PageToken, limit: usize, now: DateTime<Utc>, config: &WorldConfig) -> Answer {
        let mut body = String::from(r#"{"data":["#);
        let (mut count, mut last, mut next) = (0, (from.at, from.id), None);
        // In the ordered listing the place is the instant itself, so the filter is a range and no row is looked at twice.
        let start = match (config.unordered, from.since) {
            (false, Some(since)) if since > from.at => Excluded((since - 1, usize::MAX)),
            _ if from.at == i64::MIN => Unbounded,
            _ => Excluded((from.at, from.id)),
        };
        for &(place, index) in self.order.range((start, Unbounded)) {
            let Some(shown) = &self.rows[index].visible else { continue };
            let updated = shown.customer.updated_at.timestamp_micros();
            if !config.unordered && from.before.is_some_and(|before| updated >= before) {
                break;
            }
            if from.since.is_some_and(|since| updated < since) || from.before.is_some_and(|before| updated >= before) {
                continue;
            }
            if count == limit {
                let (at, id) = last;
                next = Some(PageToken { at, id, issued_ms: now.timestamp_millis(), ..from.clone() }.write());
                break;
            }
            if count > 0 {
                body.push(',');
            }
            body.push_str(shown.json());
            (count, last) = (count + 1, (place, index));
        }
        match next {
            Some(next) => body.push_str(&format!(r#"],"next_cursor":"{next}","has_more":true}}"#)),
            None => body.push_str(r#"],"next_cursor":null,"has_more":false}"#),
        }
        bytes(StatusCode::OK, body.into_bytes())
    }

    fn drift(&mut self, now: DateTime<Utc>, config: &WorldConfig) {
        if self.quiet || self.rng.f64() >= config.drift || self.drifted >= config.drift_changes_max {
            return;
        }
        if self.rng.bool()
            && let Some(index) = self.flipped.pop_front()
        {
            self.edit(now, config, index, Edit::Flip);
            self.drifted += 1;
        }
        for _ in 0..self.rng.usize(1..=3) {
            self.drifted += 1;
            match self.rng.u8(..10) {
                // Most are new and never touched again: nothing later covers up for a client that missed one.
                0..=5 => self.insert(now, config, true),
                _ if self.rows.is_empty() => {}
                6..=7 => {
                    let index = self.rng.usize(..self.rows.len());
                    self.edit_somehow(now, config, index);
                }
                _ => {
                    let index = self.rng.usize(..self.rows.len());
                    self.edit(now, config, index, Edit::Flip);
                    self.flipped.push_back(index);
                }
            }
        }
    }

    fn edit_somehow(&mut self, now: DateTime<Utc>, config: &WorldConfig, index: usize) {
        let edits = [Edit::Name, Edit::Name, Edit::Phone, Edit::Phone, Edit::Company, Edit::Value];
        let edit = edits[self.rng.usize(..edits.len())];
        self.edit(now, config, index, edit);
    }

    fn edit(&mut self, now: DateTime<Utc>, config: &WorldConfig, index: usize, edit: Edit) {
        let mut version = self.rows[index].latest.clone();
        edit.apply(&mut version, &mut self.rng);
        version.updated_at = grain(now, config);
        self.commit(index, version, now, config);
    }

    fn insert(&mut self, now: DateTime<Utc>, config: &WorldConfig, may_be_late: bool) {
        let index = self.rows.len();
        let customer = Customer::born(config.seed, index + 1, grain(now, config), config.bad_email);
        self.orders.add(&customer, config.seed);
        self.rows.push(Row { latest: customer.clone(), visible: None, visible_at: now });
        if may_be_late {
            self.commit(index, customer, now, config);
        } else {
            self.show(index, customer, config);
        }
    }

    fn commit(&mut self, index: usize, version: Customer, now: DateTime<Utc>, config: &WorldConfig) {
        let late = config.late.mul_f64(self.rng.f64());
        let row = &mut self.rows[index];
        row.latest = version.clone();
        // The second writer of a row waits for the first, so versions of one row never overtake each other.
        row.visible_at = row.visible_at.max(if self.quiet { now } else { later(now, late) });
        if row.visible_at <= now {
            self.show(index, version, config);
        } else {
            self.committed += 1;
            self.waiting.insert((row.visible_at, self.committed), (index, version));
        }
    }

    fn show(&mut self, index: usize, customer: Customer, config: &WorldConfig) {
        let place = if config.unordered {
            (fastrand::Rng::with_seed(config.seed ^ index as u64).u64(..) >> 1) as i64
        } else {
            customer.updated_at.timestamp_micros()
        };
        let kind = if self.rows[index].visible.is_some() { "customer.updated" } else { "customer.created" };
        let id = self.log.back().map_or(1, |change| change.id + 1);
        self.log.push_back(Change { id, kind, customer: index, at: customer.updated_at });
        if self.log.len() > config.events_max {
            self.log.pop_front();
        }
        let shown = Shown { customer, json: OnceCell::new(), place };
        if let Some(old) = self.rows[index].visible.replace(shown) {
            self.order.remove(&(old.place, index));
        }
        self.order.insert((place, index));
    }

    /// The JSON of a visible customer.
    pub fn json_of(&self, index: usize) -> &str {
        self.rows.get(index).and_then(|row| row.visible.as_ref()).map_or("null", Shown::json)
    }
}

/// Reads the token and checks it against the filters, which may be left out because the token knows them.
fn go_on(
    text: &str,
    since: Option<i64>,
    before: Option<i64>,
    now: DateTime<Utc>,
    config: &WorldConfig,
) -> Result<PageToken, Refusal> {
    let Some(token) = PageToken::read(text) else {
        return Err(error(StatusCode::BAD_REQUEST, "invalid_cursor", "the cursor is not one of ours"));
    };
    let fits = |given: Option<i64>, known: Option<i64>| given.is_none() || given == known;
    if !fits(since, token.since) || !fits(before, token.before) {
        return Err(error(
            StatusCode::BAD_REQUEST,
            "cursor_mismatch",
            "the cursor belongs to a listing with other filters",
        ));
    }
    let age_ms = now.timestamp_millis().saturating_sub(token.issued_ms);
    match config.page_token_ttl {
        Some(ttl) if age_ms > i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX) => {
            Err(error(StatusCode::GONE, "cursor_expired", "start the listing again"))
        }
        _ => Ok(token),
    }
}

/// Microseconds of an RFC 3339 parameter.
fn instant(call: &Call, name: &str) -> Result<Option<i64>, Refusal> {
    match call.parameter(name) {
        None => Ok(None),
        Some(text) => match DateTime::parse_from_rfc3339(&text) {
            Ok(at) => Ok(Some(at.timestamp_micros())),
            Err(_) => Err(bad_parameter(name, "is not an RFC 3339 time (is a + written as %2B?)")),
        },
    }
}

fn grain(at: DateTime<Utc>, config: &WorldConfig) -> DateTime<Utc> {
    let grain = i64::try_from(config.clock_grain.as_millis()).unwrap_or(1).max(1);
    let ms = at.timestamp_millis();
    DateTime::from_timestamp_millis(ms - ms.rem_euclid(grain)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use serde_json::Value;

    use super::*;
    use crate::sandbox::probe::{Probe, calm, json};

    fn text<'a>(records: &'a [Value], field: &str) -> Vec<&'a str> {
        records.iter().map(|record| record[field].as_str().unwrap()).collect()
    }

    fn ids(records: &[Value]) -> HashSet<&str> {
        text(records, "id").into_iter().collect()
    }

    #[test]
    fn pages_hold_every_customer_once_in_the_order_of_their_change() {
        let mut probe = Probe::new(calm());
        for limit in [1, 3, 7, 20, 200] {
            let all = probe.walk(&format!("limit={limit}"));
            let times = text(&all, "updated_at");
            assert!(times.is_sorted(), "{times:?}");
            assert_eq!((all.len(), ids(&all).len()), (20, 20), "limit {limit}");
        }
        let all = probe.walk("");
        assert_eq!(all[0]["updated_at"], all[3]["updated_at"], "an import gives many records one time");
    }

    #[test]
    fn a_window_is_half_open() {
        let mut probe = Probe::new(calm());
        let all = probe.walk("");
        let (from, to) = (all[4]["updated_at"].as_str().unwrap(), all[12]["updated_at"].as_str().unwrap());
        for limit in [1, 3, 50] {
            let window = probe.walk(&format!("updated_since={from}&updated_before={to}&limit={limit}"));
            assert_eq!(window, all[4..12], "limit {limit}");
        }
    }

    #[test]
    fn a_cursor_knows_its_filters_and_fits_no_others() {
        let mut probe = Probe::new(calm());
        let all = probe.walk("");
        let since = all[4]["updated_at"].as_str().unwrap();
        let first = probe.read(&format!("/shop/customers?limit=4&updated_since={since}"));
        let cursor = first["next_cursor"].as_str().unwrap();
        let rest = probe.read(&format!("/shop/customers?limit=200&cursor={cursor}"));
        assert_eq!(rest["data"].as_array().unwrap()[..], all[8..]);
        let other = probe.get(&format!("/shop/customers?cursor={cursor}&updated_since=2020-01-01T00:00:00Z"));
        assert_eq!((other.status().as_u16(), json(&other)["error"].as_str()), (400, Some("cursor_mismatch")));
        let damaged = probe.get(&format!("/shop/customers?cursor=x{cursor}"));
        assert_eq!((damaged.status().as_u16(), json(&damaged)["error"].as_str()), (400, Some("invalid_cursor")));
    }

    #[test]
    fn an_old_cursor_is_gone_when_tokens_expire() {
        let mut probe = Probe::new(WorldConfig { page_token_ttl: Some(Duration::from_secs(10)), ..calm() });
        let first = probe.read("/shop/customers?limit=4");
        let path = format!("/shop/customers?cursor={}", first["next_cursor"].as_str().unwrap());
        probe.later(10_000);
        assert_eq!(probe.get(&path).status(), 200);
        probe.later(1);
        let gone = probe.get(&path);
        assert_eq!((gone.status().as_u16(), json(&gone)["error"].as_str()), (410, Some("cursor_expired")));
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused_and_large_pages_are_cut() {
        let mut probe = Probe::new(WorldConfig { page_size_max: 5, ..calm() });
        assert_eq!(probe.read("/shop/customers?limit=1000")["data"].as_array().unwrap().len(), 5);
        for query in
            ["limit=0", "limit=-1", "limit=x", "updated_since=yesterday", "updated_since=2026-01-01T00:00:00+09:00"]
        {
            assert_eq!(probe.get(&format!("/shop/customers?{query}")).status(), 400, "{query}");
        }
        assert_eq!(probe.walk("updated_since=2000-01-01T00:00:00%2B09:00").len(), 20);
    }

    #[test]
    fn an_unordered_listing_is_complete_and_its_pages_say_nothing_about_the_rest() {
        let mut probe = Probe::new(WorldConfig { unordered: true, ..calm() });
        let all = probe.walk("limit=3");
        assert_eq!(ids(&all).len(), 20);
        assert!(!text(&all, "updated_at").is_sorted());
        let since = "2025-12-31T23:57:00.000Z";
        let late = all.iter().filter(|record| record["updated_at"].as_str().unwrap() >= since).count();
        assert!(late > 0 && late < 20);
        assert_eq!(probe.walk(&format!("limit=3&updated_since={since}")).len(), late);
    }

    #[test]
    fn the_same_seed_and_calls_give_the_same_world() {
        let run = |seed| {
            let wild = WorldConfig { seed, drift: 0.5, late: Duration::from_secs(2), ..calm() };
            let mut probe = Probe::new(wild);
            let mut pages = Vec::new();
            for _ in 0..30 {
                probe.later(500);
                pages.push(probe.get("/shop/customers?limit=50").into_body());
            }
            pages
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
    }

    #[test]
    fn drift_adds_customers_that_nobody_touches_again_and_flips_some_there_and_back() {
        let mut probe = Probe::new(WorldConfig { drift: 1.0, drift_changes_max: 300, ..calm() });
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for _ in 0..400 {
            probe.later(500);
            for record in probe.walk("limit=200") {
                let name = record["name"].as_str().unwrap().to_owned();
                let seen = names.entry(record["id"].as_str().unwrap().into()).or_default();
                if seen.last() != Some(&name) {
                    seen.push(name);
                }
            }
        }
        assert!(names.len() > 100, "{} customers", names.len());
        assert!(names.values().filter(|seen| seen.len() == 1).count() > names.len() / 2);
        assert!(names.values().any(|seen| seen.windows(3).any(|run| run[0] == run[2])), "no flip came back");
        let before = probe.walk("limit=200");
        assert_eq!(before, probe.walk("limit=200"), "drift ends at its bound");
    }

    #[test]
    fn a_late_change_shows_with_the_time_at_which_it_began() {
        let mut probe = Probe::new(WorldConfig { late: Duration::from_secs(10), ..calm() });
        let began = probe.now;
        probe.world.change(began, 40);
        let recent = format!("updated_since={}", began.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
        let at_once = probe.walk(&recent).len();
        probe.later(5_000);
        let half_way = probe.walk(&recent).len();
        probe.later(5_000);
        let all = probe.walk(&recent);
        assert!(at_once < half_way && half_way < all.len(), "{at_once} {half_way} {}", all.len());
        let times: HashSet<_> = text(&all, "updated_at").into_iter().collect();
        assert_eq!(times.len(), 1, "what shows late is dated back: {times:?}");
    }

    #[test]
    fn versions_of_one_customer_never_overtake_each_other() {
        let config = WorldConfig { customers: 1, late: Duration::from_secs(10), ..calm() };
        let mut probe = Probe::new(config.clone());
        for _ in 0..50 {
            probe.later(100);
            probe.world.change(probe.now, 1);
        }
        let mut last = String::new();
        for _ in 0..200 {
            probe.later(100);
            let customer = probe.world.customers().next().map(|first| first.updated_at.to_rfc3339()).unwrap();
            probe.get("/shop/products");
            assert!(customer >= last, "{customer} after {last}");
            last = customer;
        }
    }

    #[test]
    fn quiet_shows_everything_and_ends_the_drift() {
        let mut probe = Probe::new(WorldConfig { drift: 1.0, late: Duration::from_secs(3600), ..calm() });
        probe.world.change(probe.now, 30);
        assert!(probe.walk("limit=200").len() < 25);
        probe.world.quiet();
        let all = probe.walk("limit=200");
        assert!(all.len() > 25, "{}", all.len());
        assert_eq!(all, probe.walk("limit=200"));
        let (updated, created) = probe.world.change(probe.now, 9);
        assert_eq!((updated + created, probe.walk("limit=200").len()), (9, all.len() + created));
    }

    #[test]
    fn a_coarse_clock_cuts_the_time_of_a_change() {
        let mut probe = Probe::new(WorldConfig { clock_grain: Duration::from_secs(60), ..calm() });
        probe.later(59_999);
        probe.world.change(probe.now, 1);
        let newest = probe.walk("").pop().unwrap();
        assert_eq!(newest["updated_at"], "2026-01-01T01:00:00.000Z");
    }
}
