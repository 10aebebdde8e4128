//! Personal values in the clear, for the sink that was declared to need them: opened here, the moment before they are written, and
//! nowhere else. What is stored of a record, and what is said about it, stays protected.
//!
//! The hard idea is the record that cannot be opened. It is held back by itself, and its batch goes on; and where an earlier run may
//! have sent it, its outcome is as unknown as before.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use secrecy::SecretString;

use crate::{
    http::without,
    model::{Code, Fault, Reason, Verdict},
    store::{Deed, Item},
    transform::Personal,
};

/// What one sink gets in the clear. By default nothing.
#[derive(Clone, Default, Debug)]
pub struct Clear(Arc<Personal>);

/// A batch's items as they are written.
pub struct Opened<'b> {
    items: Cow<'b, [Item]>,
    held: BTreeMap<usize, Reason>,
}

impl Clear {
    pub fn new(personal: Arc<Personal>) -> Self {
        Self(personal)
    }

    /// Opens what is needed of some items.
    pub fn open<'b>(&self, items: &'b [Item]) -> Opened<'b> {
        let mut held = BTreeMap::new();
        if !self.0.opens() {
            return Opened { items: Cow::Borrowed(items), held };
        }
        let mut opened = items.to_vec();
        for (at, item) in opened.iter_mut().enumerate() {
            match self.0.open(&item.fields, item.deed == Deed::Delete) {
                Ok(fields) => item.fields = fields,
                Err(reason) => drop(held.insert(at, reason)),
            }
        }
        Opened { items: Cow::Owned(opened), held }
    }

    /// The values of opened items that nothing may repeat.
    pub fn hides<'i>(&self, opened: impl IntoIterator<Item = &'i Item>) -> Vec<SecretString> {
        if !self.0.opens() {
            return Vec::new();
        }
        let of = |item: &Item| self.0.opened_values(&item.fields, item.deed == Deed::Delete);
        opened.into_iter().flat_map(of).map(SecretString::from).collect()
    }

    /// A verdict about an opened item, in words that do not repeat its values.
    pub fn hushed(&self, verdict: Verdict, opened: &Item) -> Verdict {
        let hush = |reason: Reason| match self.0.opens() {
            true => Reason { message: without(&reason.message, &self.hides([opened])), ..reason },
            false => reason,
        };
        match verdict {
            Verdict::Rejected(reason) => Verdict::Rejected(hush(reason)),
            Verdict::Parked(reason) => Verdict::Parked(hush(reason)),
            other => other,
        }
    }

    /// A fault in words that do not repeat the values of opened items.
    pub fn hushed_fault(&self, fault: Fault, opened: &[Item]) -> Fault {
        match self.0.opens() {
            true => Fault { message: without(&fault.message, &self.hides(opened)), ..fault },
            false => fault,
        }
    }
}

impl Opened<'_> {
    /// All items in their places. Those that are held back are still protected and must not be written.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Why the item at this place is held back, if it is.
    pub fn held(&self, at: usize) -> Option<&Reason> {
        self.held.get(&at)
    }

    /// The items that can be written, in their order, and how their verdicts become those of all.
    pub fn writable(&self) -> (Cow<'_, [Item]>, Answered) {
        let held = self.held.iter().map(|(at, reason)| (*at, held_back(reason.clone()))).collect();
        if self.held.is_empty() {
            return (Cow::Borrowed(&self.items), Answered(held));
        }
        let free = self.items.iter().enumerate().filter(|(at, _)| !self.held.contains_key(at));
        (free.map(|(_, item)| item.clone()).collect(), Answered(held))
    }
}

/// The verdicts of held back items, by place.
pub struct Answered(BTreeMap<usize, Verdict>);

impl Answered {
    /// The verdicts of all items.
    pub fn with(mut self, written: Vec<Verdict>) -> Vec<Verdict> {
        let mut written = written.into_iter();
        let count = written.len() + self.0.len();
        (0..count).filter_map(|at| self.0.remove(&at).or_else(|| written.next())).collect()
    }
}

/// A key may come back; a value that was changed does not.
pub fn held_back(reason: Reason) -> Verdict {
    match reason.code {
        Code::ProtectedValue => Verdict::Rejected(reason),
        _ => Verdict::Parked(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_back_items_get_their_verdicts_in_their_places() {
        let held = Verdict::Skipped;
        let all = |places: &[usize], written: usize| {
            let answered = Answered(places.iter().map(|at| (*at, held.clone())).collect());
            let all = answered.with(vec![Verdict::Deleted; written]);
            all.iter().map(|verdict| if *verdict == held { 'h' } else { 'w' }).collect::<String>()
        };
        assert_eq!(
            (all(&[], 2), all(&[0, 2], 2), all(&[1, 2], 1), all(&[0], 0)),
            ("ww".into(), "hwhw".into(), "whh".into(), "h".into())
        );
    }
}
