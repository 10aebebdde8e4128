//! How many calls left within the last so many seconds. Calls of one slot of time are counted together and forgotten
//! when the whole slot is old enough, so it never forgets too early, and its size does not grow with the number of calls.

use std::{collections::VecDeque, time::Duration};

pub struct Log {
    span_ms: i64,
    slot_ms: i64,
    /// Where each slot ends, and its calls; the oldest first.
    slots: VecDeque<(i64, u64)>,
    sum: u64,
}

impl Log {
    /// Remembers `span`, in about `parts` slots.
    pub fn new(span: Duration, parts: u32) -> Self {
        let span_ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX).max(1);
        Self { span_ms, slot_ms: (span_ms / i64::from(parts.max(1))).max(1), slots: VecDeque::new(), sum: 0 }
    }

    pub fn add(&mut self, now_ms: i64, calls: u64) {
        let end = now_ms.div_euclid(self.slot_ms).saturating_mul(self.slot_ms).saturating_add(self.slot_ms - 1);
        match self.slots.back_mut() {
            Some((last, count)) if *last >= end => *count += calls,
            _ => self.slots.push_back((end, calls)),
        }
        self.sum += calls;
    }

    /// Takes back a call that was added and did not leave.
    pub fn take_back(&mut self) {
        if let Some((_, calls)) = self.slots.iter_mut().rev().find(|(_, calls)| *calls > 0) {
            *calls -= 1;
            self.sum -= 1;
        }
    }

    pub fn span_ms(&self) -> i64 {
        self.span_ms
    }

    /// Calls within the span that ends now.
    pub fn count(&mut self, now_ms: i64) -> u64 {
        while let Some((_, calls)) = self.slots.front().copied().filter(|(end, _)| end + self.span_ms <= now_ms) {
            self.sum -= calls;
            self.slots.pop_front();
        }
        self.sum
    }

    /// When there will be fewer than `below` calls within the span, if none leaves meanwhile.
    pub fn falls_below(&self, below: u64) -> i64 {
        let mut left = self.sum;
        let mut at = i64::MIN;
        for (end, calls) in &self.slots {
            if left < below {
                break;
            }
            left -= calls;
            at = end + self.span_ms;
        }
        at
    }

    /// The slots to be kept over a restart, in at most `most` pieces. A piece counts as long as its youngest call.
    pub fn saved(&self, most: usize) -> Vec<(i64, u64)> {
        let step = self.slots.len().div_ceil(most.max(1)).max(1);
        let slots: Vec<(i64, u64)> = self.slots.iter().copied().collect();
        let piece = |slots: &[(i64, u64)]| Some((slots.last()?.0, slots.iter().map(|(_, calls)| calls).sum()));
        slots.chunks(step).filter_map(piece).collect()
    }

    /// Takes saved slots over. What a clock that was set back makes lie in the future counts as the slot that is now.
    pub fn restore(&mut self, saved: &[(i64, u64)], now_ms: i64) {
        let latest = now_ms.saturating_add(self.slot_ms);
        let mut slots: Vec<(i64, u64)> = saved.iter().map(|(end, calls)| ((*end).min(latest), *calls)).collect();
        slots.sort_unstable();
        self.sum = slots.iter().fold(0, |sum: u64, (_, calls)| sum.saturating_add(*calls));
        self.slots = slots.into();
        self.count(now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_remembered_for_the_span_and_not_much_longer() {
        let mut log = Log::new(Duration::from_secs(10), 1000);
        log.add(5, 1);
        assert_eq!(log.count(5), 1);
        assert_eq!(log.count(10_005), 1, "it left at 5, and the span is closed");
        assert_eq!(log.count(10_019), 0);
    }

    #[test]
    fn it_says_when_enough_calls_are_forgotten() {
        let mut log = Log::new(Duration::from_secs(10), 1000);
        for at in [0, 1000, 2000] {
            log.add(at, 1);
        }
        assert_eq!(log.falls_below(4), i64::MIN, "that is so now");
        for (below, at) in [(3, 10_009), (2, 11_009), (1, 12_009)] {
            assert_eq!(log.falls_below(below), at);
            let mut then = Log::new(Duration::from_secs(10), 1000);
            then.restore(&log.saved(1000), 2000);
            assert!(then.count(at) < below && then.sum == then.slots.len() as u64);
        }
    }

    #[test]
    fn a_million_calls_take_no_more_room_than_a_thousand_slots() {
        let mut log = Log::new(Duration::from_secs(10), 1000);
        (0..1_000_000).for_each(|call| {
            log.add(call / 20, 1);
            log.count(call / 20);
        });
        assert!(log.slots.len() <= 1002, "{}", log.slots.len());
        assert!((200_000..=200_400).contains(&log.count(50_000)));
    }

    #[test]
    fn saved_in_few_pieces_it_forgets_later_and_never_earlier() {
        let mut log = Log::new(Duration::from_secs(10), 1000);
        (0..1000).for_each(|at| log.add(at * 10, 1));
        let saved = log.saved(50);
        assert!(saved.len() <= 50, "{}", saved.len());
        let mut restored = Log::new(Duration::from_secs(10), 1000);
        restored.restore(&saved, 9_990);
        for now in (9_990..21_000).step_by(100) {
            assert!(restored.count(now) >= log.count(now), "at {now}");
        }
        assert_eq!(restored.count(21_000), 0);
    }

    #[test]
    fn what_lies_in_the_future_counts_as_now() {
        let mut log = Log::new(Duration::from_secs(10), 1000);
        log.restore(&[(600_000, 3)], 0);
        assert_eq!((log.count(10_000), log.count(10_010)), (3, 0));
    }
}
