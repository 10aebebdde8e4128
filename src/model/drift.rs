//! What records had that their contracts do not say: a bounded table of plain rows, with counts. A row holds a value only as it
//! may be shown.

use serde::{Deserialize, Serialize};

/// Rows that are kept of one run.
pub const DRIFT_ROWS_MAX: usize = 100;
/// Characters of a row's texts that are kept.
const TEXT_CHARS_MAX: usize = 160;

/// How a record differs from its schema.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// A field that the schema does not describe.
    NewField,
    /// A field that must be there is not.
    MissingField,
    /// A value of another type.
    TypeChange,
    /// A value that is none of those listed.
    EnumValue,
    /// Any other rule of the schema: a length, a bound, a pattern, a format, alternatives.
    BrokenRule,
}

impl DriftKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::NewField => "new_field",
            Self::MissingField => "missing_field",
            Self::TypeChange => "type_change",
            Self::EnumValue => "enum_value",
            Self::BrokenRule => "broken_rule",
        }
    }
}

/// Which contract it is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The stream's: records as they are read.
    Read,
    /// The operation's: records as they are to be sent.
    Sent,
}

impl End {
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Sent => "sent",
        }
    }
}

/// One difference, and how many records had it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DriftRow {
    pub end: End,
    pub kind: DriftKind,
    /// Where in the record, such as `lines[].price`.
    pub path: String,
    /// What the schema says: types, or the rule that is broken. Empty for a field that it does not describe.
    pub expected: String,
    /// The type of what was there; empty where nothing was.
    pub found: String,
    /// The first value that was met, as it may be shown. Empty where nothing was.
    pub sample: String,
    pub records: u64,
}

impl DriftRow {
    fn is_like(&self, other: &Self) -> bool {
        (self.end, self.kind, &self.path, &self.found, &self.expected)
            == (other.end, other.kind, &other.path, &other.found, &other.expected)
    }

    fn bounded(self) -> Self {
        let cut = |text: String| match text.char_indices().nth(TEXT_CHARS_MAX) {
            Some((at, _)) => format!("{}..", &text[..at]),
            None => text,
        };
        Self {
            path: cut(self.path),
            expected: cut(self.expected),
            found: cut(self.found),
            sample: cut(self.sample),
            ..self
        }
    }
}

/// The differences of one run, in the order in which they were met.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Drift {
    pub rows: Vec<DriftRow>,
    /// Differences of records for which there was no row left.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Drift {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Counts a difference. The first sample stays.
    pub fn add(&mut self, row: DriftRow) {
        let row = row.bounded();
        match self.rows.iter().position(|known| known.is_like(&row)) {
            Some(at) => self.rows[at].records += row.records,
            None if self.rows.len() < DRIFT_ROWS_MAX => self.rows.push(row),
            None => self.left_out += row.records,
        }
    }

    /// Adds another table's counts.
    pub fn merge(&mut self, more: Self) {
        more.rows.into_iter().for_each(|row| self.add(row));
        self.left_out += more.left_out;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str) -> DriftRow {
        DriftRow {
            end: End::Read,
            kind: DriftKind::NewField,
            path: path.to_owned(),
            expected: String::new(),
            found: "text".to_owned(),
            sample: "a".to_owned(),
            records: 1,
        }
    }

    #[test]
    fn differences_are_counted_by_place_the_first_sample_stays_and_the_table_is_bounded() {
        let mut drift = Drift::default();
        drift.add(row("a"));
        drift.add(DriftRow { sample: "b".to_owned(), records: 2, ..row("a") });
        assert_eq!(drift.rows, [DriftRow { records: 3, ..row("a") }]);
        (0..2 * DRIFT_ROWS_MAX).for_each(|n| drift.add(row(&format!("field{n}"))));
        assert_eq!((drift.rows.len(), drift.left_out), (DRIFT_ROWS_MAX, DRIFT_ROWS_MAX as u64 + 1));
        let mut sum = Drift::default();
        sum.merge(drift.clone());
        assert_eq!(sum, drift);
    }

    #[test]
    fn a_long_text_is_cut() {
        let mut drift = Drift::default();
        drift.add(row(&"あ".repeat(1_000)));
        assert_eq!(drift.rows[0].path.chars().count(), TEXT_CHARS_MAX + 2);
    }
}
