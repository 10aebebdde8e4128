//! What the history keeps of a delivered batch: what each record was, masked, and how it was answered. Of what a file or a table
//! took it keeps the record's name alone: they hold the record themselves, and are read faster than anything could be written
//! about each line. Pure.

use serde_json::{Map, Value, value::RawValue};

use crate::{
    model::{Fields, KeyHash, Verdict},
    sink::Durability,
    store::{Hop, Item, Passed, Sendings, Staged, Why},
    transform::masked,
};

/// Of the masked fields of one record.
const FIELDS_BYTES_MAX: usize = 4 << 10;

/// Hops and passes of the items of a batch, given their verdicts in their order and the requests that left for them.
pub fn of(
    staged: &Staged,
    verdicts: &[Verdict],
    mut sent: Sendings,
    durability: Durability,
) -> (Vec<(KeyHash, Hop)>, Passed) {
    let (mut hops, mut passed) = (Vec::new(), Passed::default());
    for (at, (item, verdict)) in staged.items().iter().zip(verdicts).enumerate() {
        match taken(verdict).filter(|_| durability != Durability::Outbox) {
            Some(why) => passed.add(&why, &item.key),
            None => {
                let sent = sent.remove(&at).unwrap_or_default();
                hops.push((KeyHash::of(&item.key), Hop { sent, ..hop(item, verdict) }));
            }
        }
    }
    (hops, passed)
}

/// How a file or a table took a record; nothing where it did not.
fn taken(verdict: &Verdict) -> Option<Why> {
    match verdict {
        Verdict::Created(_) => Some(Why::Created),
        Verdict::Updated(_) => Some(Why::Updated),
        Verdict::Unchanged => Some(Why::Held),
        Verdict::Deleted | Verdict::Skipped | Verdict::Rejected(_) | Verdict::Parked(_) => None,
    }
}

fn hop(item: &Item, verdict: &Verdict) -> Hop {
    Hop {
        deed: item.deed,
        version: item.version.clone(),
        generation: item.generation,
        sink_id: item.sink_id.clone(),
        name: item.idempotency_key.clone(),
        fields: shown(&item.fields),
        ..Hop::of(verdict.clone())
    }
}

/// The fields, masked; of very many or very long ones the first.
fn shown(fields: &Fields) -> Option<Box<RawValue>> {
    let all = masked(fields);
    let whole = serde_json::value::to_raw_value(&all).ok()?;
    let Value::Object(all) = all else { return Some(whole) };
    if whole.get().len() <= FIELDS_BYTES_MAX {
        return Some(whole);
    }
    let (mut shown, mut bytes, count) = (Map::new(), 0, all.len());
    for (name, value) in all {
        // With its quotes, colon and comma.
        bytes += name.len() + value.to_string().len() + 4;
        if bytes > FIELDS_BYTES_MAX {
            break;
        }
        shown.insert(name, value);
    }
    let left_out = format!("{} of {count} fields are not kept", count - shown.len());
    shown.insert("...".to_owned(), left_out.into());
    serde_json::value::to_raw_value(&shown).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str) -> Value {
        serde_json::from_str(shown(&Fields::parse(text.as_bytes()).unwrap()).unwrap().get()).unwrap()
    }

    #[test]
    fn a_hop_keeps_what_a_plan_would_show_and_of_a_long_record_the_first_fields() {
        let small = kept(r#"{"id":"cus_1","email":"a@b.example","n":7}"#);
        assert_eq!(small, serde_json::json!({"id": "cus_1", "email": "***", "n": 7}));
        let many: Map<String, Value> = (0..2_000).map(|n| (format!("field_{n}"), n.into())).collect();
        let kept = kept(&Value::from(many).to_string());
        let left_out = kept["..."].as_str().unwrap();
        assert!(kept.to_string().len() < FIELDS_BYTES_MAX + 1_000 && kept["field_0"] == 0, "{kept}");
        assert!(left_out.ends_with(" of 2000 fields are not kept"), "{left_out}");
    }
}
