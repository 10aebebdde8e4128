//! The file of a plan: which pipeline it is of, and every write by its name. It holds hashes and no record, so it can be passed
//! on for review.
//!
//! ```text
//!   {"renkei_plan":1,"pipeline":"leads","stream":"customers","target":"crm/create_lead",..}
//!   <hash of key> <hash of content> <generation>        one line per write, in ascending order
//!   end <number of writes> <hash of all lines above>
//! ```

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::forecast::{Forecast, Write};
use crate::{
    model::{Blame, Code, ContentHash, Fault, KeyHash},
    store::Item,
};

const FORMAT: u32 = 1;

/// What a plan is of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlanHead {
    #[serde(rename = "renkei_plan")]
    format: u32,
    pub pipeline: String,
    pub stream: String,
    /// Connection and operation.
    pub target: String,
    pub full_refresh: bool,
    pub made_at: DateTime<Utc>,
}

/// A plan that may be applied.
#[derive(Debug)]
pub struct Planned {
    pub head: PlanHead,
    pub writes: HashSet<Write>,
}

impl Planned {
    pub fn new(
        pipeline: &str,
        stream: &str,
        target: String,
        full_refresh: bool,
        made_at: DateTime<Utc>,
        writes: HashSet<Write>,
    ) -> Self {
        let (pipeline, stream) = (pipeline.to_owned(), stream.to_owned());
        Self { head: PlanHead { format: FORMAT, pipeline, stream, target, full_refresh, made_at }, writes }
    }

    /// Refuses items that the plan does not name: the source or the store moved since it was made.
    pub fn allows(&self, items: &[Item]) -> Result<(), Fault> {
        let is_planned = |item: &Item| Write::of(item).is_some_and(|write| self.writes.contains(&write));
        match items.iter().filter(|item| !is_planned(item)).count() {
            0 => Ok(()),
            other => Err(moved(&format!("{other} records would be written that are not as they were"))
                .help("what was written until now was planned, and has its verdict; make the plan again")),
        }
    }

    /// Refuses what would be written now where it is not the plan, record for record.
    pub fn is_still(&self, now: &Forecast) -> Result<(), Fault> {
        let none = HashSet::new();
        let now = now.writes.as_ref().unwrap_or(&none);
        let (more, less) = (now.difference(&self.writes).count(), self.writes.difference(now).count());
        if more == 0 && less == 0 {
            return Ok(());
        }
        let message = format!("{more} writes would be others than planned, and {less} planned ones are not needed");
        Err(moved(&message).help("nothing was written; make the plan again and look at it"))
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        let head = serde_json::to_string(&self.head).unwrap_or_default();
        let hex = |bytes: [u8; 16]| format!("{:032x}", u128::from_be_bytes(bytes));
        let line = |write: &Write| format!("{} {} {}", hex(write.key.0), hex(write.content.0), write.generation);
        let mut lines: Vec<String> = self.writes.iter().map(line).collect();
        lines.sort_unstable();
        lines.insert(0, head);
        let text = lines.join("\n") + "\n";
        format!("{text}end {} {}\n", self.writes.len(), sum(&text))
    }

    /// Reads the text of a file. What is not whole, or of another version, is refused.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let (lines, end) = text.trim_end().rsplit_once('\n').ok_or_else(|| unusable("it is no plan"))?;
        let above = format!("{lines}\n");
        let mut lines = lines.lines();
        let head = lines.next().unwrap_or_default();
        let format = serde_json::from_str::<serde_json::Value>(head).ok().and_then(|head| head["renkei_plan"].as_u64());
        match format {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => return Err(unusable(&format!("it has format {format}, and this renkei reads {FORMAT}"))),
            None => return Err(unusable("it is no plan")),
        }
        let head: PlanHead = serde_json::from_str(head).map_err(|_| unusable("its first line cannot be read"))?;
        let writes: Option<HashSet<Write>> = lines.map(write).collect();
        let writes = writes.ok_or_else(|| unusable("a line of it is no write"))?;
        if end != format!("end {} {}", writes.len(), sum(&above)) {
            return Err(unusable("it was changed or cut short"));
        }
        Ok(Self { head, writes })
    }
}

fn write(line: &str) -> Option<Write> {
    let mut parts = line.split(' ');
    let mut hash = || Some(u128::from_str_radix(parts.next()?, 16).ok()?.to_be_bytes());
    let (key, content) = (KeyHash(hash()?), ContentHash(hash()?));
    let generation = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some(Write { key, content, generation })
}

fn sum(text: &str) -> String {
    Sha256::digest(text.as_bytes())[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn moved(how: &str) -> Fault {
    Fault::halt(Code::PlanMoved, Blame::Remote, format!("the world moved since the plan was made: {how}"))
}

pub fn unusable(why: &str) -> Fault {
    Fault::halt(Code::PlanFile, Blame::Config, format!("the plan file cannot be used: {why}"))
        .help("nothing was read or written; make the plan again with renkei plan PIPELINE --out FILE")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned() -> Planned {
        let write = |n: u8| Write { key: KeyHash([n; 16]), content: ContentHash([9; 16]), generation: n.into() };
        let at = DateTime::from_timestamp(0, 0).unwrap();
        Planned::new("leads", "customers", "crm/create".into(), false, at, [write(1), write(2)].into())
    }

    #[test]
    fn a_plan_comes_back_as_it_was_written() {
        let read = Planned::parse(&planned().to_text()).unwrap();
        assert_eq!((read.head, read.writes), (planned().head, planned().writes));
    }

    #[test]
    fn a_plan_that_is_cut_changed_or_of_another_version_is_refused() {
        let text = planned().to_text();
        let lines: Vec<&str> = text.lines().collect();
        for wrong in [
            String::new(),
            "{}\n".to_owned(),
            lines[..3].join("\n"),
            [lines[0], lines[1], lines[3]].join("\n"),
            text.replace("crm/create", "crm/delete"),
            text.replace(" 2\n", " 3\n"),
            text.replace("\"renkei_plan\":1", "\"renkei_plan\":2"),
        ] {
            let fault = Planned::parse(&wrong).unwrap_err();
            assert_eq!(fault.code, Code::PlanFile, "{wrong}");
        }
    }
}
