//! Records for a drill, made from nothing but the stream's declaration and what the pipeline looks at.
//!
//! The hard idea is that nobody declares what type a field has. So the first guess is made by a field's name, and then the pipeline
//! itself is asked: what its steps, mapping and request refuse is changed field by field until a record gets through. A seed
//! gives the same records each time.

mod kind;
mod wanted;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use self::kind::{Kind, Place};
use super::{leaves::put, rules::Rules};
use crate::{
    config::plan::{CursorFormat, Incremental, Pipeline, Stream},
    model::{Blame, Code, Fault, Path, Step, day, midnight},
};

/// Tries to find a record that gets through.
const TRIES_MAX: usize = 3_000;
/// Of so many records one is made differently, for the filters.
const ODD_ONE: usize = 8;

/// When a state of a record came to be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Stamp {
    pub at: DateTime<Utc>,
    /// Its place in the order of all changes, from 1.
    pub number: i64,
}

/// One field that is filled.
#[derive(Clone, Debug)]
struct Field {
    steps: Vec<Step>,
    kind: Kind,
}

pub struct Forge {
    fields: Vec<Field>,
    literals: Vec<Value>,
    stream: Stream,
    /// Keys are whole numbers.
    counted: bool,
    seed: u64,
}

impl Forge {
    /// Finds out how a record must look to get through the pipeline.
    pub fn new(pipeline: &Pipeline, rules: &Rules, seed: u64) -> Result<Self, Fault> {
        let stream = (*pipeline.from.stream).clone();
        let literals = wanted::literals(pipeline);
        let given: Vec<&Path> = stream.key.iter().chain(&stream.version).chain(cursor(&stream)).collect();
        let paths = wanted::paths(pipeline);
        let paths = paths.into_iter().filter(|steps| !given.iter().any(|path| path.steps().starts_with(steps)));
        let fields = paths.map(|steps| Field { kind: Kind::by_name(&steps), steps }).collect();
        let mut forge = Self { fields, literals, stream, counted: false, seed };
        let mut chance = fastrand::Rng::with_seed(seed);
        let (mut best, mut why) = forge.try_out(rules);
        for _ in 0..TRIES_MAX {
            if best {
                return Ok(forge);
            }
            let before = (forge.fields.clone(), forge.counted);
            forge.mutate(&mut chance);
            let (through, reach) = forge.try_out(rules);
            // What gets as far may be a step on the way, so it is kept too.
            match reach >= why {
                true => (best, why) = (through, reach),
                false => (forge.fields, forge.counted) = before,
            }
        }
        Err(nothing_gets_through(pipeline))
    }

    /// Whether a record gets through, and how far.
    fn try_out(&self, rules: &Rules) -> (bool, usize) {
        let judged = rules.judge(&self.make(0, 0, Stamp { at: DateTime::<Utc>::UNIX_EPOCH, number: 1 }));
        (judged.is_through(), judged.reach)
    }

    fn mutate(&mut self, chance: &mut fastrand::Rng) {
        let number = chance.usize(..self.fields.len() + 1);
        match self.fields.get_mut(number) {
            Some(field) => field.kind = Kind::any(chance, &self.literals),
            None => self.counted = !self.counted,
        }
    }

    /// A state of a record that gets through, or of one that a filter stops, if there is one of that sort.
    pub fn state(&self, rules: &Rules, record: usize, state: usize, stamp: Stamp) -> Value {
        let usual = self.make(record, state, stamp);
        if record % ODD_ONE != ODD_ONE - 1 || self.fields.is_empty() {
            return usual;
        }
        let mut chance = fastrand::Rng::with_seed(self.seed ^ record as u64);
        let odd = (0..300).map(|_| {
            let mut other = Self { fields: self.fields.clone(), literals: self.literals.clone(), ..self.bare() };
            other.mutate(&mut chance);
            other.counted = self.counted;
            other.make(record, state, stamp)
        });
        let is_left_out = |value: &Value| matches!(rules.judge(value).expected, super::book::Expected::Skipped);
        odd.into_iter().find(is_left_out).unwrap_or(usual)
    }

    fn bare(&self) -> Self {
        let stream = self.stream.clone();
        Self { fields: Vec::new(), literals: Vec::new(), stream, counted: self.counted, seed: self.seed }
    }

    fn make(&self, record: usize, state: usize, stamp: Stamp) -> Value {
        let mut value = json!({});
        for (at, field) in self.fields.iter().enumerate() {
            if let Some(made) = field.kind.value(&field.steps, Place { field: at, record, state, seed: self.seed }) {
                put(&mut value, &field.steps, made);
            }
        }
        if let Some(version) = &self.stream.version {
            put(&mut value, version.steps(), json!(format!("v{}", state + 1)));
        }
        for (at, path) in self.stream.key.iter().enumerate() {
            put(&mut value, path.steps(), self.key(at, record));
        }
        if let Some(Incremental::Field(field)) = &self.stream.incremental {
            put(&mut value, field.field.steps(), written(field.format, stamp));
        }
        value
    }

    /// The part of a record's key at a place.
    pub fn key(&self, part: usize, record: usize) -> Value {
        let number = 7_000_001 + 1_000_003 * part as u64 + record as u64 + 1_000 * (self.seed % 1_000);
        match self.counted {
            true => json!(number),
            false => json!(format!("rec{number}")),
        }
    }

    /// How many fields name a record.
    pub fn key_parts(&self) -> usize {
        self.stream.key.len()
    }

    /// A change of a record keeps its key. Where the key is the cursor, there are only new records.
    pub fn can_change(&self) -> bool {
        cursor(&self.stream).is_none_or(|cursor| !self.stream.key.contains(cursor))
    }

    /// A field that a vendor could rename or write otherwise: one that the pipeline looks at, and that neither names the record
    /// nor places it.
    pub fn drift(&self, value: &mut Value, record: usize) {
        let Some(field) = self.fields.get(record % self.fields.len().max(1)) else { return };
        let old = super::leaves::take(value, &field.steps);
        let Some(old) = old else { return };
        match record % 3 {
            0 => {
                let mut renamed = field.steps.clone();
                if let Some(Step::Field(name)) = renamed.last_mut() {
                    name.push_str("_v2");
                }
                put(value, &renamed, old);
            }
            1 => put(value, &field.steps, json!({ "value": old })),
            _ => put(value, &field.steps, json!([old])),
        }
    }
}

fn cursor(stream: &Stream) -> Option<&Path> {
    match &stream.incremental {
        Some(Incremental::Field(field)) => Some(&field.field),
        Some(Incremental::Token { .. }) | None => None,
    }
}

/// A cursor's value as the vendor writes it.
pub fn written(format: CursorFormat, stamp: Stamp) -> Value {
    match format {
        CursorFormat::Rfc3339 => json!(stamp.at.to_rfc3339_opts(SecondsFormat::Secs, true)),
        CursorFormat::EpochSeconds => json!(stamp.at.timestamp()),
        CursorFormat::EpochMillis => json!(stamp.at.timestamp_millis()),
        CursorFormat::Integer => json!(stamp.number),
        CursorFormat::Date(zone) => json!(day(stamp.at, zone)),
    }
}

/// The time or number that a bound of a window names.
pub fn read(format: CursorFormat, text: &str) -> Option<i64> {
    match format {
        CursorFormat::Rfc3339 => DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp()),
        CursorFormat::EpochSeconds | CursorFormat::Integer => text.parse().ok(),
        CursorFormat::Date(zone) => midnight(text, zone).map(|at| at.timestamp()),
        CursorFormat::EpochMillis => text.parse::<i64>().ok().map(|ms| ms.div_euclid(1_000)),
    }
}

/// Seconds apart from each other, so that no two records have one cursor.
pub fn later(stamp: Stamp, seconds: i64) -> Stamp {
    Stamp { at: stamp.at + TimeDelta::seconds(seconds), number: stamp.number + 1 }
}

fn nothing_gets_through(pipeline: &Pipeline) -> Fault {
    let message =
        format!("no record could be made up that gets through the steps and the mapping of {}", pipeline.name);
    Fault::halt(Code::DrillNoRecord, Blame::Config, message).help(
        "Nothing outside of the drill was touched. The drill guesses what fields hold by their names and by the values that \
         your expressions compare them with; a step that wants more than that (a text in a format of its own, a value out of \
         two others) cannot be drilled.",
    )
}
