//! Whose turn it is. First come, first served within a priority, the more urgent priority first, and two rules that keep
//! that fair: a priority that was passed over [`TURNS`] times has the next turn, so nobody starves; and only who waits for
//! a limit of their own lets others by. Who waits for what all share holds up those behind, or a call that needs much
//! would wait for ever while small ones slip past.

use std::{collections::VecDeque, sync::Arc};

use tokio::{sync::oneshot, time::Instant};

use super::gates::{Opening, Taken};
use crate::http::Priority;

/// How often a waiting priority is passed over by more urgent ones.
const TURNS: u32 = 4;

/// What a call wants to be let through as.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Stream or operation of a connector, for limits of some calls only.
    pub connector: Arc<str>,
    pub call: Arc<str>,
    pub priority: Priority,
}

pub struct Waiter {
    pub id: u64,
    pub ask: Ask,
    pub granted: oneshot::Sender<Taken>,
}

#[derive(Default)]
pub struct Queue {
    classes: [VecDeque<Waiter>; 3],
    passed: [u32; 3],
    ids: u64,
}

/// What the queue decides at one moment.
pub enum Turn {
    /// This waiter goes. It has left the queue.
    Goes(Waiter),
    /// Nobody goes before this; nothing: before something changes.
    Nobody(Option<Opening>),
}

impl Queue {
    pub fn push(&mut self, ask: Ask, granted: oneshot::Sender<Taken>) -> u64 {
        self.ids += 1;
        let class = ask.priority as usize;
        self.classes[class].push_back(Waiter { id: self.ids, ask, granted });
        self.ids
    }

    /// Takes a waiter out that gave up. False where it had left the queue already.
    pub fn remove(&mut self, priority: Priority, id: u64) -> bool {
        let class = &mut self.classes[priority as usize];
        // Ids grow, so a class is sorted by them.
        let found = class.binary_search_by_key(&id, |waiter| waiter.id);
        found.is_ok_and(|at| class.remove(at).is_some())
    }

    /// Decides. `opens` says when the limits let a call through.
    pub fn turn(&mut self, now: Instant, mut opens: impl FnMut(&Ask) -> Opening) -> Turn {
        let mut soonest: Option<Opening> = None;
        for class in self.order() {
            for at in 0..self.classes[class].len() {
                let opening = opens(&self.classes[class][at].ask);
                if opening.at.is_some_and(|at| at <= now) {
                    return self.go(class, at);
                }
                let holds_up = opening.is_shared;
                soonest = sooner(soonest, opening);
                if holds_up {
                    return Turn::Nobody(soonest);
                }
            }
        }
        Turn::Nobody(soonest)
    }

    fn go(&mut self, class: usize, at: usize) -> Turn {
        self.passed[class] = 0;
        for less in class + 1..self.classes.len() {
            if !self.classes[less].is_empty() {
                self.passed[less] += 1;
            }
        }
        match self.classes[class].remove(at) {
            Some(waiter) => Turn::Goes(waiter),
            None => Turn::Nobody(None),
        }
    }

    /// The classes in the order of their turns.
    fn order(&self) -> [usize; 3] {
        let mut order = [0, 1, 2];
        order.sort_by_key(|class| (self.passed[*class] < TURNS, *class));
        order
    }
}

/// The opening that comes first. One that only a change brings about comes last.
fn sooner(a: Option<Opening>, b: Opening) -> Option<Opening> {
    match a {
        Some(a) if b.at.is_none() || a.at.is_some_and(|a| b.at.is_some_and(|b| a <= b)) => Some(a),
        _ => Some(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(priority: Priority, call: &str) -> Ask {
        Ask { connector: "shop".into(), call: call.into(), priority }
    }

    fn fill(queue: &mut Queue, priority: Priority, call: &str, calls: usize) {
        (0..calls).for_each(|_| {
            queue.push(ask(priority, call), oneshot::channel().0);
        });
    }

    fn open(now: Instant) -> Opening {
        Opening { at: Some(now), is_shared: true, why: "".into() }
    }

    fn goes(turn: Turn) -> Option<(Priority, u64)> {
        match turn {
            Turn::Goes(waiter) => Some((waiter.ask.priority, waiter.id)),
            Turn::Nobody(_) => None,
        }
    }

    #[test]
    fn the_more_urgent_go_first_and_nobody_is_passed_over_for_ever() {
        let mut queue = Queue::default();
        Priority::ALL.into_iter().for_each(|priority| fill(&mut queue, priority, "orders", 600));
        let now = Instant::now();
        let order: Vec<Priority> = (0..600).map(|_| goes(queue.turn(now, |_| open(now))).unwrap().0).collect();
        for window in order.windows(7) {
            assert!(Priority::ALL.iter().all(|priority| window.contains(priority)), "{window:?}");
        }
        let share = |priority| order.iter().filter(|one| **one == priority).count();
        assert_eq!(Priority::ALL.map(share), [400, 100, 100]);
    }

    #[test]
    fn within_a_priority_nobody_overtakes() {
        let mut queue = Queue::default();
        fill(&mut queue, Priority::Incremental, "orders", 100);
        let now = Instant::now();
        let ids: Vec<u64> = std::iter::from_fn(|| goes(queue.turn(now, |_| open(now)))).map(|(_, id)| id).collect();
        assert_eq!(ids, (1..=100).collect::<Vec<_>>());
    }

    #[test]
    fn who_waits_for_a_limit_of_their_own_lets_others_by_and_who_waits_for_all_does_not() {
        let now = Instant::now();
        let later =
            |is_shared| Opening { at: Some(now + std::time::Duration::from_secs(9)), is_shared, why: "".into() };
        for (is_shared, through) in [(false, true), (true, false)] {
            let mut queue = Queue::default();
            fill(&mut queue, Priority::Incremental, "export", 3);
            fill(&mut queue, Priority::Backfill, "orders", 1);
            let turn = queue.turn(now, |ask| if &*ask.call == "export" { later(is_shared) } else { open(now) });
            assert_eq!(goes(turn).is_some(), through);
        }
    }

    #[test]
    fn who_gives_up_leaves_the_queue_once() {
        let mut queue = Queue::default();
        let id = queue.push(ask(Priority::Backfill, "orders"), oneshot::channel().0);
        assert!(!queue.remove(Priority::Incremental, id));
        assert!(queue.remove(Priority::Backfill, id) && !queue.remove(Priority::Backfill, id));
        assert!(queue.classes.iter().all(VecDeque::is_empty));
    }

    #[test]
    fn the_wait_that_ends_first_is_told_and_one_without_an_end_last() {
        let now = Instant::now();
        let opening = |seconds: Option<u64>| Opening {
            at: seconds.map(|seconds| now + std::time::Duration::from_secs(seconds)),
            is_shared: false,
            why: "".into(),
        };
        let mut queue = Queue::default();
        ["a", "b", "c"].iter().for_each(|call| fill(&mut queue, Priority::Incremental, call, 1));
        let turn = queue.turn(now, |ask| {
            opening(match &*ask.call {
                "a" => None,
                "b" => Some(7),
                _ => Some(3),
            })
        });
        let Turn::Nobody(Some(soonest)) = turn else { panic!() };
        assert_eq!(soonest.at, opening(Some(3)).at);
    }
}
