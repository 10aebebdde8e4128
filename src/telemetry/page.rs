//! What a Prometheus server reads: all families of the table, each with its help, and the samples that were put on the page.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use super::{
    histogram::Histogram,
    table::{FAMILIES, Family, SERIES_LEFT_OUT},
};

/// The type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Samples of a page. A workspace of thousands of pipelines is over it; those that came first stay.
const SAMPLES_MAX: usize = 200_000;

#[derive(Default)]
pub struct Page {
    /// Lines by the name of their family.
    lines: BTreeMap<&'static str, String>,
    samples: usize,
    left_out: usize,
}

impl Page {
    /// Puts a sample on the page. The values of the labels are in the order of the table.
    pub fn put(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        debug_assert_eq!(labels.len(), family.labels.len(), "{}", family.name);
        if self.has_room(1) {
            let line = self.lines_of(family);
            // Writing to a string does not fail.
            let _ = writeln!(line, "{}{} {value}", family.name, Labels(family.labels, labels, None));
        }
    }

    pub fn histogram(&mut self, family: &'static Family, labels: &[&str], histogram: &Histogram) {
        let counts = histogram.cumulative();
        if !self.has_room(counts.len() + 2) {
            return;
        }
        let (name, all) = (family.name, counts.last().map_or(0, |(_, count)| *count));
        let lines = self.lines_of(family);
        for (bound, count) in counts {
            let _ = writeln!(lines, "{name}_bucket{} {count}", Labels(family.labels, labels, Some(bound)));
        }
        let shown = Labels(family.labels, labels, None);
        let _ = writeln!(lines, "{name}_sum{shown} {}\n{name}_count{shown} {all}", histogram.sum_seconds());
    }

    /// The whole text.
    pub fn text(mut self) -> String {
        let left_out = self.left_out as f64;
        self.samples = 0;
        self.put(&SERIES_LEFT_OUT, &[], left_out);
        let mut text = String::new();
        for Family { name, kind, help, .. } in FAMILIES {
            let lines = self.lines.get(name).map_or("", String::as_str);
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {}\n{lines}", kind.name());
        }
        text
    }

    fn has_room(&mut self, samples: usize) -> bool {
        let is_room = self.samples + samples <= SAMPLES_MAX;
        *(if is_room { &mut self.samples } else { &mut self.left_out }) += samples;
        is_room
    }

    fn lines_of(&mut self, family: &'static Family) -> &mut String {
        self.lines.entry(family.name).or_default()
    }
}

/// Names, values, and the bound of a bucket.
#[derive(Clone, Copy)]
struct Labels<'a>(&'a [&'a str], &'a [&'a str], Option<f64>);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(names, values, bound) = self;
        if names.is_empty() && bound.is_none() {
            return Ok(());
        }
        let mut gap = "{";
        for (name, value) in names.iter().zip(*values) {
            write!(f, "{gap}{name}=\"")?;
            for letter in value.chars() {
                match letter {
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    '\n' => f.write_str("\\n")?,
                    letter => f.write_char(letter)?,
                }
            }
            f.write_char('"')?;
            gap = ",";
        }
        match bound {
            Some(bound) if bound.is_infinite() => write!(f, "{gap}le=\"+Inf\"}}"),
            Some(bound) => write!(f, "{gap}le=\"{bound}\"}}"),
            None => f.write_char('}'),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::{DEAD_LETTERS, RECORDS, SCHEDULE_LAG, STORE_BYTES};

    #[test]
    fn samples_stand_under_their_family_and_labels_are_escaped() {
        let mut page = Page::default();
        page.put(&STORE_BYTES, &[], 1_572_864.0);
        page.put(&RECORDS, &["a\"b\\c\nd", "created"], 3.0);
        page.put(&RECORDS, &["leads", "created"], 0.5);
        let text = page.text();
        assert!(text.contains("# TYPE renkei_store_bytes gauge\nrenkei_store_bytes 1572864\n"), "{text}");
        let records = "# TYPE renkei_records_total counter\nrenkei_records_total{pipeline=\"a\\\"b\\\\c\\nd\",verdict=\"created\"} \
            3\nrenkei_records_total{pipeline=\"leads\",verdict=\"created\"} 0.5\n";
        assert!(text.contains(records), "{text}");
        assert!(text.ends_with("renkei_series_left_out 0\n"));
    }

    #[test]
    fn a_histogram_tells_its_buckets_its_sum_and_its_count() {
        let histogram = Histogram::new(&[0.5, 1.0]);
        histogram.observe(Duration::from_millis(250));
        histogram.observe(Duration::from_secs(2));
        let mut page = Page::default();
        page.histogram(&SCHEDULE_LAG, &[], &histogram);
        let name = SCHEDULE_LAG.name;
        let lines = format!(
            "{name}_bucket{{le=\"0.5\"}} 1\n{name}_bucket{{le=\"1\"}} 1\n{name}_bucket{{le=\"+Inf\"}} 2\n{name}_sum 2.25\n{name}_count 2\n"
        );
        assert!(page.text().contains(&lines));
    }

    #[test]
    fn a_page_is_bounded_and_says_what_it_leaves_out() {
        let mut page = Page::default();
        (0..SAMPLES_MAX + 7).for_each(|_| page.put(&DEAD_LETTERS, &["p"], 1.0));
        let text = page.text();
        assert_eq!(text.matches("renkei_dead_letters{").count(), SAMPLES_MAX);
        assert!(text.ends_with("renkei_series_left_out 7\n"));
    }
}
