//! The shop's customers and how they change: what a client can see, what is committed but not yet visible, and the
//! drift that happens while a listing is read.
//!
//! The hard idea is late visibility. A change gets its `updated_at` when it begins and shows only when it commits, up
//! to `late` afterwards, so a client that has read past that moment never meets it unless it reads with an overlap.

use std::{
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
    json: String,
    place: i64,
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
            body.push_str(&shown.json);
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
        let json = customer.to_json();
        if let Some(old) = self.rows[index].visible.replace(Shown { customer, json, place }) {
            self.order.remove(&(old.place, index));
        }
        self.order.insert((place, index));
    }

    /// The JSON of a visible customer.
    pub fn json_of(&self, index: usize) -> &str {
        self.rows.get(index).and_then(|row| row.visible.as_ref()).map_or("null", |shown| &shown.json)
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
    let age_ms = now.timestamp_millis() - token.issued_ms;
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
