//! A list inside an item becomes texts of records, each of which holds what is kept of the item. So a record can be read again by
//! itself, and its key made anew, wherever it went meanwhile.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::edit;
use crate::{
    config::plan::Expand,
    expr::{Entry, object},
    model::{Code, Reason, Step, entries},
};

/// Why an item has no records.
#[derive(Debug)]
pub enum Unexpanded {
    /// It does not fit.
    Refused(Reason),
    /// The records would be larger than there is room.
    TooLarge,
}

/// The records of an item's list, which take their size from the room. An absent, null or empty list has none.
pub fn parts(item: &str, by: &Expand, room: &mut usize) -> Result<Vec<String>, Unexpanded> {
    let refused = |message: String| Unexpanded::Refused(Reason::new(Code::StepUnfit, message));
    let raw = match by.list.find(item).map(RawValue::get) {
        None | Some("null") => return Ok(Vec::new()),
        Some(raw) if raw.starts_with('[') => raw,
        Some(_) => return Err(refused(format!("the field {} is no list, so it holds no records", by.list))),
    };
    let items: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
    let kept = match &by.keep {
        None => edit::drop(item, by.list.steps()).map_or(Cow::Borrowed(item), |(rest, _)| Cow::Owned(rest)),
        Some(keep) => {
            let steps: Vec<&[Step]> = keep.iter().map(|path| path.steps()).collect();
            edit::keep(item, &steps).unwrap_or(Cow::Borrowed("{}"))
        }
    };
    let mut all = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let mut fields: Vec<Entry<'_>> = match item.get().starts_with('{') {
            true => entries(item.get()).into_iter().map(|(name, raw)| (name, Cow::Borrowed(raw.get()))).collect(),
            false => vec![(Cow::Borrowed("value"), Cow::Borrowed(item.get()))],
        };
        let own = [Some(by.parent.as_str()), by.place.as_deref()];
        if let Some(taken) = own.into_iter().flatten().find(|own| fields.iter().any(|(name, _)| name == own)) {
            let help = "give it another name in the connector or step";
            return Err(refused(format!("an item of {} has a field {taken} of its own; {help}", by.list)));
        }
        fields.push((Cow::Borrowed(&by.parent), Cow::Borrowed(&kept)));
        if let Some(place) = &by.place {
            fields.push((Cow::Borrowed(place), Cow::Owned((at + 1).to_string())));
        }
        let text = object(&fields);
        *room = room.checked_sub(text.len()).ok_or(Unexpanded::TooLarge)?;
        all.push(text);
    }
    Ok(all)
}
