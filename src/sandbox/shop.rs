//! The shop's customers and how they change: what a client can see, what is committed but not yet visible, and the
//! drift that happens while a listing is read.
//!
//! The hard idea is late visibility. A change gets its `updated_at` when it begins and shows only when it commits, up
//! to `late` afterwards, so a client that has read past that moment never meets it unless it reads with an overlap.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    call::later,
    config::WorldConfig,
    people::{Customer, Edit},
    shelf::{Change, Orders},
};

/// Customers that share one `updated_at` at the start, as after an import.
const IMPORT_GROUP: usize = 4;
/// The span of time before the epoch in which the first customers came.
const HISTORY_SECONDS: i64 = 30 * 24 * 3600;
/// A shop that is full changes its customers and takes no new ones.
const CUSTOMERS_MAX: usize = 1_000_000;

/// Where a customer stands in the listing: the moment of its change (or a number drawn for it, in a listing without
/// order), then its index.
pub(super) type Place = (i64, usize);

/// A customer as the listing shows it.
pub(super) struct Listed<'a> {
    pub place: Place,
    pub updated_at: DateTime<Utc>,
    pub deleted: bool,
    pub json: &'a str,
}

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
    /// The visible customers in the order of the listing.
    order: BTreeSet<Place>,
    /// Deletions that have become visible, in the order of their times. One that was taken back stays in the list.
    pub tombstones: BTreeSet<Place>,
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
        let customers = config.customers.min(CUSTOMERS_MAX);
        let mut shop = Self {
            rng: fastrand::Rng::with_seed(config.seed ^ 0x5e_ed0f),
            rows: Vec::with_capacity(customers),
            order: BTreeSet::new(),
            tombstones: BTreeSet::new(),
            waiting: BTreeMap::new(),
            committed: 0,
            flipped: VecDeque::new(),
            drifted: 0,
            quiet: false,
            log: VecDeque::new(),
            orders: Orders::default(),
        };
        let groups = (customers / IMPORT_GROUP + 1) as i64;
        let step_ms = (HISTORY_SECONDS * 1000 / groups).clamp(1, 60_000);
        for index in 0..customers {
            let age = TimeDelta::milliseconds(step_ms * (groups - (index / IMPORT_GROUP) as i64));
            shop.insert(config.epoch - age, config, false);
        }
        shop
    }

    pub fn visible(&self) -> impl Iterator<Item = &Customer> {
        self.shown().filter(|customer| !customer.deleted)
    }

    /// The customers that a client can see no more.
    pub fn gone(&self) -> impl Iterator<Item = &Customer> {
        self.shown().filter(|customer| customer.deleted)
    }

    fn shown(&self) -> impl Iterator<Item = &Customer> {
        self.rows.iter().filter_map(|row| row.visible.as_ref()).map(|shown| &shown.customer)
    }

    /// The visible customer of an index, unless it is deleted.
    pub fn at(&self, index: usize) -> Option<&Customer> {
        let shown = self.rows.get(index)?.visible.as_ref()?;
        Some(&shown.customer).filter(|customer| !customer.deleted)
    }

    /// How many customers there ever were.
    pub fn rows(&self) -> usize {
        self.rows.len()
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
            if self.deletes_or_restores(now, config) {
                continue;
            }
            let wanted = self.rows.is_empty() || self.rng.u8(..3) == 0;
            if wanted && self.rows.len() < CUSTOMERS_MAX {
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

    /// The visible customers after a place in the listing, in its order.
    pub fn listed(&self, after: Bound<Place>) -> impl Iterator<Item = Listed<'_>> {
        self.order.range((after, Bound::Unbounded)).filter_map(|&place| {
            let shown = self.rows[place.1].visible.as_ref()?;
            let Customer { updated_at, deleted, .. } = shown.customer;
            Some(Listed { place, updated_at, deleted, json: shown.json() })
        })
    }

    /// Changes some customers, maybe, as happens between two pages.
    pub fn drift(&mut self, now: DateTime<Utc>, config: &WorldConfig) {
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
            if self.deletes_or_restores(now, config) {
                continue;
            }
            match self.rng.u8(..10) {
                // Most are new and never touched again: nothing later covers up for a client that missed one.
                0..=5 if self.rows.len() < CUSTOMERS_MAX => self.insert(now, config, true),
                _ if self.rows.is_empty() => {}
                ..=7 => {
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

    /// Maybe deletes a customer, or brings a deleted one back with the content it had. Says whether it did.
    fn deletes_or_restores(&mut self, now: DateTime<Utc>, config: &WorldConfig) -> bool {
        if config.deletions == 0.0 || self.rows.is_empty() || self.rng.f64() >= config.deletions {
            return false;
        }
        let index = self.rng.usize(..self.rows.len());
        self.turn(now, config, index);
        true
    }

    /// Deletes the customers with these ids, and brings those back that were deleted. Says how many there are.
    pub fn turn_all(&mut self, now: DateTime<Utc>, config: &WorldConfig, ids: &[String]) -> usize {
        let found = |row: &Row| ids.contains(&row.latest.id);
        let places: Vec<usize> = (0..self.rows.len()).filter(|index| found(&self.rows[*index])).collect();
        places.iter().for_each(|index| self.turn(now, config, *index));
        places.len()
    }

    fn turn(&mut self, now: DateTime<Utc>, config: &WorldConfig, index: usize) {
        let mut version = self.rows[index].latest.clone();
        version.deleted = !version.deleted;
        version.updated_at = after(&version, grain(now, config));
        self.commit(index, version, now, config);
    }

    fn edit_somehow(&mut self, now: DateTime<Utc>, config: &WorldConfig, index: usize) {
        let edits = [Edit::Name, Edit::Name, Edit::Phone, Edit::Phone, Edit::Company, Edit::Value];
        let edit = edits[self.rng.usize(..edits.len())];
        self.edit(now, config, index, edit);
    }

    fn edit(&mut self, now: DateTime<Utc>, config: &WorldConfig, index: usize, edit: Edit) {
        let mut version = self.rows[index].latest.clone();
        edit.apply(&mut version, &mut self.rng);
        version.updated_at = match std::mem::take(&mut version.deleted) {
            true => after(&version, grain(now, config)),
            // It may have come back a moment ago, ahead of a coarse clock.
            false => grain(now, config).max(version.updated_at),
        };
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
        let kind = match self.rows[index].visible {
            _ if customer.deleted => "customer.deleted",
            Some(_) => "customer.updated",
            None => "customer.created",
        };
        if customer.deleted {
            self.tombstones.insert((customer.updated_at.timestamp_micros(), index));
        }
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

/// A deletion and what it deletes or is taken back by are never of one moment, however coarse the clock.
fn after(version: &Customer, at: DateTime<Utc>) -> DateTime<Utc> {
    at.max(version.updated_at + TimeDelta::milliseconds(1))
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
    use crate::sandbox::probe::{Probe, calm};

    fn text<'a>(records: &'a [Value], field: &str) -> Vec<&'a str> {
        records.iter().map(|record| record[field].as_str().unwrap()).collect()
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
        let config = WorldConfig { customers: 500, drift: 1.0, drift_changes_max: 200, ..calm() };
        let mut probe = Probe::new(config);
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for _ in 0..200 {
            probe.later(500);
            probe.get("/shop/customers?limit=1");
            for customer in probe.world.customers() {
                let seen = names.entry(customer.id.clone()).or_default();
                if seen.last() != Some(&customer.name) {
                    seen.push(customer.name.clone());
                }
            }
        }
        let untouched = names.iter().filter(|(id, seen)| id.as_str() > "cus_000500" && seen.len() == 1).count();
        assert!(names.len() > 560 && untouched > 50, "{} customers, {untouched} untouched", names.len());
        let back = names.values().filter(|seen| seen.windows(3).any(|run| run[0] == run[2])).count();
        assert!(back > 10, "by chance alone one or two would flip back: {back}");
        let before = probe.get("/shop/customers");
        assert_eq!(before.body(), probe.get("/shop/customers").body(), "drift ends at its bound");
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
