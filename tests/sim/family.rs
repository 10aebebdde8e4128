//! A vendor that lists children by their parents, and both change while somebody reads: parents appear with children that are old,
//! vanish with them, and come back; children are made and changed, also of parents that nobody sees, and some show late.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use fastrand::Rng;
use serde_json::{Value, json};

/// Records of one page. Of parents more than are read at once, so that a crash may come between two of a page.
const PARENTS: usize = 5;
const CHILDREN: usize = 2;
/// The first children were changed within so many hours before the beginning.
const HOURS: u64 = 72;

/// What a seed decides of a vendor.
#[derive(Clone, Debug)]
pub struct Nature {
    pub parents: usize,
    /// The chance that something changes before a page is read.
    pub drift: f64,
    /// It changes so often at the most.
    pub changes: usize,
    pub late: Duration,
    /// Children are listed in an order that has nothing to do with their times.
    pub unordered: bool,
    /// A page token that is older than this is answered 410.
    pub token_ttl: Option<Duration>,
}

pub struct Parent {
    pub id: String,
    /// Its listing shows it, and its children can be asked for.
    pub is_there: bool,
    updated_at: DateTime<Utc>,
    name: u32,
    pub children: Vec<Child>,
}

pub struct Child {
    pub number: usize,
    /// All versions, each with the moment from which on it shows.
    versions: Vec<(Version, DateTime<Utc>)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    pub updated_at: DateTime<Utc>,
    pub text: String,
}

pub struct Family {
    rng: Rng,
    nature: Nature,
    pub parents: Vec<Parent>,
    changed: usize,
    quiet: bool,
}

impl Parent {
    pub fn name(&self) -> u32 {
        self.name
    }
}

impl Child {
    /// What a client can see of it.
    pub fn shown(&self, now: DateTime<Utc>) -> Option<&Version> {
        self.versions.iter().rev().find(|(_, shows)| *shows <= now).map(|(version, _)| version)
    }
}

impl Family {
    pub fn new(seed: u64, nature: Nature, epoch: DateTime<Utc>) -> Self {
        let (rng, parents) = (Rng::with_seed(seed), Vec::new());
        let mut family = Self { rng, nature, parents, changed: 0, quiet: false };
        (0..family.nature.parents).for_each(|_| family.appear(epoch));
        family
    }

    /// Nothing changes any more, and all that has changed shows.
    pub fn quiet(&mut self) {
        self.quiet = true;
        let children = self.parents.iter_mut().flat_map(|parent| &mut parent.children);
        children.flat_map(|child| &mut child.versions).for_each(|(_, shows)| *shows = DateTime::<Utc>::MIN_UTC);
    }

    /// A parent that is new here, and its children are not.
    fn appear(&mut self, now: DateTime<Utc>) {
        let id = format!("p{:03}", self.parents.len());
        let mut parent = Parent { id, is_there: true, updated_at: now, name: 0, children: Vec::new() };
        for number in 0..self.rng.usize(..5) {
            let at = now - TimeDelta::seconds(self.rng.i64(60..HOURS as i64 * 3600));
            let version = Version { updated_at: at, text: format!("old {number}") };
            parent.children.push(Child { number, versions: vec![(version, at)] });
        }
        self.parents.push(parent);
    }

    /// Changes something.
    pub fn change(&mut self, now: DateTime<Utc>) {
        self.changed += 1;
        let what = self.rng.u8(..10);
        if self.parents.is_empty() || what == 0 {
            return self.appear(now);
        }
        let late = self.nature.late.mul_f64(self.rng.f64());
        let index = self.rng.usize(..self.parents.len());
        let parent = &mut self.parents[index];
        // Whoever changes a child touches its parent, and one that comes back was touched.
        parent.updated_at = now;
        match what {
            1 => parent.is_there = !parent.is_there,
            2 => parent.is_there = true,
            3 => parent.name += 1,
            4..=6 => parent.children.push(Child { number: parent.children.len(), versions: Vec::new() }),
            _ => {}
        }
        let number = match (what, parent.children.len()) {
            (..=3, _) | (_, 0) => return,
            (4..=6, count) => count - 1,
            (_, count) => self.rng.usize(..count),
        };
        let child = &mut parent.children[number];
        let (earlier, text) = (child.versions.last().map(|(_, shows)| *shows), format!("change {}", self.changed));
        // The second writer of a row waits for the first.
        let shows = earlier.unwrap_or(now).max(now + TimeDelta::from_std(late).unwrap());
        child.versions.push((Version { updated_at: now, text }, shows));
    }

    fn drift(&mut self, now: DateTime<Utc>) {
        while !self.quiet && self.changed < self.nature.changes && self.rng.f64() < self.nature.drift {
            self.change(now);
        }
    }

    pub fn answer(&mut self, now: DateTime<Utc>, request: &http::Request<Bytes>) -> http::Response<Bytes> {
        self.drift(now);
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
        let of = |name: &str| query.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let (size, all) = match request.uri().path().trim_matches('/').split('/').collect::<Vec<_>>()[..] {
            ["parents"] => (PARENTS, self.listed_parents(of("order") == Some("changed"))),
            ["parents", id, "children"] => {
                match self.parents.iter().find(|parent| parent.id == id && parent.is_there) {
                    Some(parent) => (CHILDREN, self.listed_children(parent, now)),
                    None => return reply(now, 404, &json!({})),
                }
            }
            _ => return reply(now, 500, &json!({})),
        };
        self.page(now, size, all, of)
    }

    /// Parents as they are listed, each with its place.
    fn listed_parents(&self, by_change: bool) -> Vec<(i64, Value)> {
        let there = self.parents.iter().enumerate().filter(|(_, parent)| parent.is_there);
        let shown = there.map(|(index, parent)| {
            let micros = parent.updated_at.timestamp_micros() * 1000 + index as i64;
            let place = if by_change { micros } else { index as i64 };
            (place, json!({"id": parent.id, "name": parent.name, "updated_at": text(parent.updated_at)}))
        });
        shown.collect()
    }

    fn listed_children(&self, parent: &Parent, now: DateTime<Utc>) -> Vec<(i64, Value)> {
        let shown = parent.children.iter().filter_map(|child| {
            let version = child.shown(now)?;
            let micros = version.updated_at.timestamp_micros() * 1000 + child.number as i64;
            let place = if self.nature.unordered { (child.number as i64 * 7 + 3) % 1000 } else { micros };
            let email = format!("{}.{}@example.com", parent.id, child.number);
            let record = json!({"number": child.number, "text": version.text, "email": email, "updated_at": text(version.updated_at)});
            Some((place, record))
        });
        shown.collect()
    }

    /// The page behind a token, which names the place of the last record and when it was given.
    fn page<'q>(
        &self,
        now: DateTime<Utc>,
        size: usize,
        mut all: Vec<(i64, Value)>,
        of: impl Fn(&str) -> Option<&'q str>,
    ) -> http::Response<Bytes> {
        let mut after = i64::MIN;
        if let Some((place, given)) = of("token").and_then(|token| token.split_once('@')) {
            let age = now.timestamp_millis() - given.parse::<i64>().unwrap();
            if self.nature.token_ttl.is_some_and(|ttl| age > ttl.as_millis() as i64) {
                return reply(now, 410, &json!({}));
            }
            after = place.parse().unwrap();
        }
        let at = |name: &str| of(name).map(|bound| bound.parse::<DateTime<Utc>>().unwrap());
        let (since, until) = (at("since"), at("until"));
        all.sort_by_key(|(place, _)| *place);
        all.retain(|(place, record)| {
            let at: DateTime<Utc> = record["updated_at"].as_str().unwrap().parse().unwrap();
            *place > after && since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until)
        });
        let next = all.get(size).map(|_| format!("{}@{}", all[size - 1].0, now.timestamp_millis()));
        let data: Vec<Value> = all.into_iter().take(size).map(|(_, record)| record).collect();
        reply(now, 200, &json!({"data": data, "next": next}))
    }
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn reply(now: DateTime<Utc>, status: u16, body: &Value) -> http::Response<Bytes> {
    let date = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let answer =
        http::Response::builder().status(status).header("date", date).header("content-type", "application/json");
    answer.body(Bytes::from(body.to_string())).unwrap()
}
