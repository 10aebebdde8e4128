//! Tells a stray refusal from one that is about everybody. Some servers refuse one call in a hundred for reasons of their
//! own. If a hundred callers waited for each of those, nobody would do anything else; and if the pace were halved for each,
//! little of it would be left. So a refusal that names no time is the refused call's own business while such refusals are
//! few. This is the one count of them: what it calls stray neither begins a pause nor costs pace.

/// Refusals are stray ones up to this part of the calls that were taken.
const SHARE: f64 = 0.04;
/// So many calls are thought to have been taken before the first one: the first refusal of all is no sign yet.
const TAKEN_BEFORE: u32 = 25;
/// So many in a row are never stray ones.
const IN_A_ROW: u32 = 3;
/// Calls that are remembered.
const TAKEN_MAX: u32 = 500;

/// How calls went lately, the older ones at half their weight.
#[derive(Clone, Copy, Default)]
pub struct Strays {
    taken: u32,
    refused: u32,
    in_a_row: u32,
}

impl Strays {
    /// A call was not refused for its pace.
    pub fn taken(&mut self) {
        self.taken += 1;
        self.in_a_row = 0;
        if self.taken >= TAKEN_MAX {
            (self.taken, self.refused) = (self.taken / 2, self.refused / 2);
        }
    }

    /// A call was refused without a time. Whether that may be chance.
    pub fn refused(&mut self) -> bool {
        self.refused = self.refused.saturating_add(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.in_a_row < IN_A_ROW && f64::from(self.refused) <= f64::from(self.taken + TAKEN_BEFORE) * SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_in_fifty_is_a_stray_one_for_ever_and_the_third_in_a_row_is_not() {
        let mut strays = Strays::default();
        for round in 0..1_000 {
            assert!(strays.refused(), "round {round}");
            (0..49).for_each(|_| strays.taken());
        }
        assert_eq!([strays.refused(), strays.refused(), strays.refused()], [true, true, false]);
    }

    #[test]
    fn one_refusal_in_ten_is_about_everybody_from_the_second_on() {
        let mut strays = Strays::default();
        let stray = (0..1_000).filter(|_| {
            let is_stray = strays.refused();
            (0..9).for_each(|_| strays.taken());
            is_stray
        });
        assert_eq!(stray.count(), 1);
    }
}
