//! Refresh tokens, in the three ways that vendors handle them: one that holds, one that is replaced but holds until its
//! successor is used, and one that is good for a single use and punishes a second one by ending everything that came of
//! the same consent.

use std::collections::BTreeMap;

use serde::Serialize;

/// What becomes of a refresh token that is used.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Rotation {
    /// It holds.
    #[default]
    None,
    /// A new one comes with each answer; the old one holds until the first use of the new one, or of the access token
    /// that came with it.
    Overlap,
    /// A new one comes with each answer and the old one is dead. Using it again ends the whole family.
    SingleUse,
}

/// What the token endpoint saw.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct SignIns {
    /// Refresh tokens that were taken.
    pub refreshes: u64,
    /// Refresh tokens that came again after they were spent.
    pub replays: u64,
    /// Families that ended because of that.
    pub families_ended: u64,
    /// Refresh tokens that were refused, replays included.
    pub refused: u64,
}

/// Tokens that came of one consent.
pub(super) type Family = u64;

/// A refresh token that is remembered: current, or spent with its successor.
#[derive(Debug)]
struct Known {
    family: Family,
    spent: bool,
}

#[derive(Debug, Default)]
pub(super) struct Refresh {
    known: BTreeMap<String, Known>,
    families: Family,
    pub seen: SignIns,
}

/// Refresh tokens that are remembered, dead ones included.
const KNOWN_MAX: usize = 10_000;

impl Refresh {
    /// A new consent with its first token.
    pub fn consent(&mut self, token: String) -> Family {
        self.families += 1;
        self.remember(token, self.families);
        self.families
    }

    fn remember(&mut self, token: String, family: Family) {
        if self.known.len() >= KNOWN_MAX {
            self.known.pop_first();
        }
        self.known.insert(token, Known { family, spent: false });
    }

    /// Takes a token, and gives the one that replaces it (`next` names it); nothing where it is refused. The second value
    /// is the family that ended with the refusal.
    pub fn take(
        &mut self,
        token: &str,
        rotation: Rotation,
        next: impl FnOnce() -> String,
    ) -> Result<(Family, Option<String>), Option<Family>> {
        let Some(known) = self.known.get_mut(token) else {
            self.seen.refused += 1;
            return Err(None);
        };
        let family = known.family;
        if known.spent && rotation == Rotation::SingleUse {
            self.seen.replays += 1;
            self.seen.refused += 1;
            self.seen.families_ended += 1;
            self.known.retain(|_, known| known.family != family);
            return Err(Some(family));
        }
        self.seen.refreshes += 1;
        if rotation == Rotation::None {
            return Ok((family, None));
        }
        // Used again before its successor was: the successor is replaced, and nobody is punished.
        let was_spent = std::mem::replace(&mut known.spent, true);
        if rotation == Rotation::Overlap {
            self.known.retain(|name, known| known.family != family || name == token);
            self.seen.replays += u64::from(was_spent);
        }
        let next = next();
        self.remember(next.clone(), family);
        Ok((family, Some(next)))
    }

    /// A token that came with the family's newest answer is in use: what was before it is dead.
    pub fn used(&mut self, family: Family, rotation: Rotation) {
        if rotation == Rotation::Overlap {
            self.known.retain(|_, known| known.family != family || !known.spent);
        }
    }

    /// Ends all of them, as when people withdraw their consent.
    pub fn revoke(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(refresh: &mut Refresh, token: &str, rotation: Rotation, next: &str) -> bool {
        refresh.take(token, rotation, || next.to_owned()).is_ok()
    }

    #[test]
    fn a_token_of_single_use_is_taken_once_and_the_second_time_ends_the_family() {
        let mut refresh = Refresh::default();
        let family = refresh.consent("a".into());
        assert!(taken(&mut refresh, "a", Rotation::SingleUse, "b"));
        assert_eq!(refresh.take("a", Rotation::SingleUse, || "c".into()), Err(Some(family)));
        assert!(!taken(&mut refresh, "b", Rotation::SingleUse, "c"));
        assert_eq!((refresh.seen.refreshes, refresh.seen.replays, refresh.seen.families_ended), (1, 1, 1));
    }

    #[test]
    fn an_overlapping_token_holds_until_its_successor_is_used() {
        let mut refresh = Refresh::default();
        let family = refresh.consent("a".into());
        assert!(taken(&mut refresh, "a", Rotation::Overlap, "b"));
        assert!(taken(&mut refresh, "a", Rotation::Overlap, "c"), "the answer with b was lost");
        assert!(!taken(&mut refresh, "b", Rotation::Overlap, "x"), "c took its place");
        assert!(taken(&mut refresh, "c", Rotation::Overlap, "d"));
        assert!(!taken(&mut refresh, "a", Rotation::Overlap, "x"), "c was used");
        refresh.used(family, Rotation::Overlap);
        assert!(!taken(&mut refresh, "c", Rotation::Overlap, "x"), "what came with d was used");
        assert!(taken(&mut refresh, "d", Rotation::Overlap, "e"));
    }
}
