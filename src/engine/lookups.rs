//! Fetches what steps look up: for a page one request for as many values as it takes, several at a time, and each value once a run.
//! The account's budget holds here as everywhere.
//!
//! The hard idea is the refusal. A vendor that refuses a list of values does not say which of them it dislikes, and one bad value
//! must not stop a pipeline for good. So a refused list is halved until the value stands alone, and then only its records are
//! rejected. When every value is refused the request is at fault, and that stops the run.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use tokio::sync::Mutex;

use crate::{
    config::plan::{Asks, Lookup},
    http::Client,
    model::{Blame, BoxFuture, Checkpoint, Code, Fault, Fields, Path},
    source::{ApiSource, Source},
    transform::{Found, Personal, Table},
};

/// Requests under way at once.
const AT_ONCE: usize = 8;
/// Of what is remembered.
const BYTES_MAX: usize = 64 << 20;

/// One step's look-ups in one run.
pub struct Lookups {
    plan: Arc<Lookup>,
    client: Client,
    personal: Arc<Personal>,
    known: Mutex<Known>,
}

/// What was found so far. The oldest goes first, and is asked for again when it is needed.
#[derive(Default)]
struct Known {
    found: HashMap<String, Found>,
    order: VecDeque<String>,
    bytes: usize,
    /// All there is was read.
    is_whole: bool,
}

impl Lookups {
    pub fn new(plan: &Arc<Lookup>, client: Client) -> Self {
        let personal = Arc::new(Personal::new(&plan.personal));
        Self { plan: plan.clone(), client, personal, known: Mutex::default() }
    }

    /// What is found for each of the values.
    pub fn table<'s>(&'s self, values: &'s [String]) -> BoxFuture<'s, Result<Table, Fault>> {
        Box::pin(self.look_up(values))
    }

    async fn look_up(&self, values: &[String]) -> Result<Table, Fault> {
        if values.is_empty() {
            return Ok(Table::new());
        }
        let mut known = self.known.lock().await;
        let per_request = match self.plan.asks {
            Asks::Many(batch) => batch,
            Asks::One => 1,
            Asks::All => {
                if !known.is_whole {
                    known.found = self.read(&[]).await?;
                    known.is_whole = true;
                }
                let found = |value: &String| (value.clone(), known.found.get(value).cloned().unwrap_or(Found::Nothing));
                return Ok(values.iter().map(found).collect());
            }
        };
        let (mut table, mut needed) = (Table::new(), Vec::new());
        for value in values {
            match known.found.get(value) {
                Some(found) => drop(table.insert(value.clone(), found.clone())),
                None => needed.push(value.clone()),
            }
        }
        let fetch = |part: &[String]| -> BoxFuture<'_, _> { Box::pin(self.fetch(part.to_vec())) };
        let parts: Vec<_> = needed.chunks(per_request).map(fetch).collect();
        let parts: Vec<Vec<(String, Found)>> = stream::iter(parts).buffer_unordered(AT_ONCE).try_collect().await?;
        let fetched: Vec<(String, Found)> = parts.into_iter().flatten().collect();
        if let Some(fault) = self.all_refused(&fetched) {
            return Err(fault);
        }
        for (value, found) in fetched {
            known.keep(&value, &found, self.plan.max);
            table.insert(value, found);
        }
        Ok(table)
    }

    /// Asks for some values, and for ever fewer while the vendor refuses them together.
    async fn fetch(&self, values: Vec<String>) -> Result<Vec<(String, Found)>, Fault> {
        let (mut open, mut all) = (vec![values], Vec::new());
        while let Some(mut values) = open.pop() {
            match self.read(&values).await {
                Ok(mut found) => all.extend(values.into_iter().map(|value| {
                    let found = found.remove(&value).unwrap_or(Found::Nothing);
                    (value, found)
                })),
                Err(fault) if !matches!(fault.code, Code::Refused | Code::NotFound) => return Err(fault),
                Err(_) if values.len() > 1 => {
                    let rest = values.split_off(values.len() / 2);
                    open.extend([rest, values]);
                }
                Err(fault) => {
                    let found = match fault.code {
                        Code::NotFound => Found::Nothing,
                        _ => Found::Refused(fault.message),
                    };
                    all.extend(values.into_iter().map(|value| (value, found.clone())));
                }
            }
        }
        Ok(all)
    }

    fn all_refused(&self, fetched: &[(String, Found)]) -> Option<Fault> {
        let mut refusals = fetched.iter().map(|(_, found)| match found {
            Found::Refused(why) => Some(why),
            Found::Nothing | Found::One(_) | Found::Several => None,
        });
        if fetched.len() < 2 || !refusals.clone().all(|refused| refused.is_some()) {
            return None;
        }
        let why = refusals.next().flatten()?;
        let message = format!("every look-up at {} is refused: {why}", self.plan.api.name);
        let help = "Nothing of this page was taken over, and the cursor did not move. Compare the step's request with what the \
                    vendor takes, then run again.";
        Some(Fault::halt(Code::LookUpRefused, Blame::Config, message).help(help))
    }

    /// Reads what one request shows, to the end of its listing.
    async fn read(&self, values: &[String]) -> Result<Table, Fault> {
        let asked = json!({ "values": values, "value": values.first() }).to_string();
        let source = ApiSource::new(self.plan.api.clone(), self.plan.stream.clone(), self.client.clone());
        let source = source.protected(self.personal.clone()).asking(asked);
        let (mut found, mut bytes, mut at) = (Table::new(), 0, Checkpoint::default());
        loop {
            let page = source.read(&at).await?;
            for record in page.records.into_iter().filter(|record| !record.gone) {
                bytes += record.fields.len();
                // A slice would keep its whole page.
                let fields = Fields::from_object(Bytes::copy_from_slice(record.fields.as_bytes()));
                let key = record.key.as_str().to_owned();
                let found_now = match found.remove(&key) {
                    Some(Found::One(other)) if !is_same(&other, &fields, &self.plan.names) => Found::Several,
                    Some(Found::Several) => Found::Several,
                    _ => Found::One(fields),
                };
                found.insert(key, found_now);
            }
            if found.len() > self.plan.max || bytes > BYTES_MAX {
                return Err(self.too_large());
            }
            at = page.next;
            if page.end {
                return Ok(found);
            }
        }
    }

    fn too_large(&self) -> Fault {
        let message = format!(
            "{}/{} shows more than {} records or {} MiB for one look-up",
            self.plan.api.name,
            self.plan.stream.name,
            self.plan.max,
            BYTES_MAX >> 20
        );
        Fault::halt(Code::LookUpTooLarge, Blame::Config, message).help(
            "Nothing of this page was taken over, and the cursor did not move. Ask for the wanted values alone, by `lookup.values` in \
             the step's `query`, or raise `max`. If the step does so, the vendor does not heed that parameter.",
        )
    }
}

/// Whether two records that claim one value are states of one record.
fn is_same(one: &Fields, other: &Fields, names: &[Path]) -> bool {
    let name = |path: &Path| one.get(path).map(|raw| raw.get()) == other.get(path).map(|raw| raw.get());
    one == other || (!names.is_empty() && names.iter().all(name))
}

impl Known {
    fn keep(&mut self, value: &str, found: &Found, max: usize) {
        let bytes = |value: &str, found: &Found| match found {
            Found::One(fields) => value.len() + fields.len(),
            Found::Nothing | Found::Several | Found::Refused(_) => value.len(),
        };
        self.bytes += bytes(value, found);
        self.found.insert(value.to_owned(), found.clone());
        self.order.push_back(value.to_owned());
        while self.order.len() > max || self.bytes > BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(found) = self.found.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(bytes(&oldest, &found));
            }
        }
    }
}
