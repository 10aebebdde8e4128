//! What happens, for whoever listens live: a ring of the newest events, each with a number.
//!
//! Nobody has a queue of their own. A listener asks for what came after the number it has; one that fell behind the ring is told how
//! many it lost. So a slow listener costs nothing and holds up nobody, and one that comes back goes on where it was.

use std::{
    collections::VecDeque,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::watch;

/// Events that are kept for those who come back.
const KEPT_MAX: usize = 1_000;

/// Names an event: when this process began, and its number in it. So one of an earlier process is never taken for one of this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventId {
    began_ms: i64,
    number: u64,
}

impl EventId {
    pub fn before(self) -> Self {
        Self { number: self.number.saturating_sub(1), ..self }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.began_ms, self.number)
    }
}

impl FromStr for EventId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (began, number) = text.split_once('-').ok_or(())?;
        Ok(Self { began_ms: began.parse().map_err(|_| ())?, number: number.parse().map_err(|_| ())? })
    }
}

#[derive(Debug)]
pub struct Event {
    pub id: EventId,
    pub kind: &'static str,
    pub data: Value,
}

pub struct Events {
    began_ms: i64,
    ring: Mutex<Ring>,
    /// The number of the last one.
    last: watch::Sender<u64>,
}

#[derive(Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    last: u64,
}

/// What a listener gets.
#[derive(Debug)]
pub struct News {
    /// So many were there and are not any more.
    pub lost: u64,
    pub events: Vec<Arc<Event>>,
}

impl Events {
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { began_ms: now.timestamp_millis(), ring: Mutex::default(), last: watch::Sender::new(0) }
    }

    /// Tells everybody. `data` is an object; it gets the time.
    pub fn tell(&self, kind: &'static str, now: DateTime<Utc>, mut data: Value) {
        data["at"] = serde_json::json!(now);
        let mut ring = self.ring();
        ring.last += 1;
        let id = EventId { began_ms: self.began_ms, number: ring.last };
        if ring.events.len() >= KEPT_MAX {
            ring.events.pop_front();
        }
        ring.events.push_back(Arc::new(Event { id, kind, data }));
        self.last.send_replace(ring.last);
    }

    /// Where one begins who wants to hear what comes from now on.
    pub fn now(&self) -> EventId {
        EventId { began_ms: self.began_ms, number: self.ring().last }
    }

    /// What came after an event, at once where something did. An event of another process stands for the beginning of this one.
    pub async fn after(&self, seen: EventId) -> News {
        let number = if seen.began_ms == self.began_ms { seen.number } else { 0 };
        let mut last = self.last.subscribe();
        // The sender lives as long as this does.
        let _ = last.wait_for(|last| *last > number).await;
        let ring = self.ring();
        let first = ring.events.front().map_or(ring.last + 1, |event| event.id.number);
        let fresh = ring.events.iter().filter(|event| event.id.number > number);
        News { lost: first.saturating_sub(number + 1), events: fresh.cloned().collect() }
    }

    /// Those that are kept, the oldest first.
    pub fn kept(&self) -> Vec<Arc<Event>> {
        self.ring().events.iter().cloned().collect()
    }

    /// Whether anybody listens.
    pub fn is_heard(&self) -> bool {
        self.last.receiver_count() > 0
    }

    /// How many events there were.
    pub fn count(&self) -> u64 {
        self.ring().last
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[tokio::test]
    async fn a_listener_goes_on_where_it_was_and_hears_what_it_lost() {
        let events = Events::new(at(7));
        let start = events.now();
        (0..3).for_each(|n| events.tell("run_ended", at(8), json!({ "n": n })));
        let news = events.after(start).await;
        assert_eq!((news.lost, news.events.len()), (0, 3));
        assert_eq!((news.events[2].id.to_string(), &news.events[2].data["n"]), ("7000-3".to_owned(), &json!(2)));
        let second = "7000-2".parse().unwrap();
        assert_eq!(events.after(second).await.events.len(), 1);
        (0..KEPT_MAX).for_each(|n| events.tell("run_ended", at(9), json!({ "n": n })));
        let news = events.after(second).await;
        assert_eq!((news.lost, news.events.len()), (1, KEPT_MAX));
        let of_another_process = events.after("1-99".parse().unwrap()).await;
        assert_eq!((of_another_process.lost, of_another_process.events.len()), (3, KEPT_MAX));
    }

    #[tokio::test]
    async fn who_has_heard_everything_waits() {
        let events = Arc::new(Events::new(at(7)));
        let waits = tokio::spawn({
            let (events, now) = (events.clone(), events.now());
            async move { events.after(now).await }
        });
        while !events.is_heard() {
            tokio::task::yield_now().await;
        }
        assert!(!waits.is_finished());
        events.tell("paused", at(8), json!({}));
        assert_eq!(waits.await.unwrap().events[0].kind, "paused");
    }
}
