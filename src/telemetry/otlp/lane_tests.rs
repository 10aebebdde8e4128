//! A collector that hangs, refuses, asks for patience, takes a part, and is gone, by a paused clock.

use std::sync::Mutex;

use tokio::task::JoinHandle;

use super::*;
use crate::{
    model::{BoxFuture, SystemEntropy},
    telemetry::otlp::{Sampler, Settings},
};

/// Answers as it was told, then takes everything.
#[derive(Default)]
struct Collector {
    answers: Mutex<Vec<Answer>>,
    /// When each request came, and its items.
    asked: Mutex<Vec<(Instant, Vec<u8>)>>,
}

#[derive(Clone)]
enum Answer {
    Status(u16, Option<u64>),
    Partial(u64),
    Gone,
    Hangs,
}

impl Post for Collector {
    fn post(&self, _: Signal, body: Bytes) -> BoxFuture<'_, Result<Reply, String>> {
        self.asked.lock().unwrap().push((Instant::now(), body.to_vec()));
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.is_empty() { Answer::Status(200, None) } else { answers.remove(0) };
        Box::pin(async move {
            let reply = |status, after: Option<u64>, body: &[u8]| {
                Ok(Reply { status, after: after.map(Duration::from_secs), body: Bytes::copy_from_slice(body) })
            };
            match answer {
                Answer::Status(status, after) => reply(status, after, b""),
                Answer::Partial(count) => reply(200, None, &[0x0a, 2, 0x08, count as u8]),
                Answer::Gone => Err("refused".to_owned()),
                Answer::Hangs => std::future::pending().await,
            }
        })
    }
}

struct Rig {
    collector: Arc<Collector>,
    counts: Arc<Counts>,
    queue: mpsc::Sender<u8>,
    limit: watch::Sender<Option<Instant>>,
    lane: JoinHandle<()>,
}

impl Rig {
    fn new(answers: &[Answer]) -> Self {
        let collector = Arc::new(Collector { answers: Mutex::new(answers.to_vec()), ..Collector::default() });
        let counts = Arc::new(Counts::default());
        let (limit, ends) = watch::channel(None);
        let (queue, items) = mpsc::channel(2_000);
        let entropy = Arc::new(SystemEntropy::seeded(1));
        let pace = Pace { post: collector.clone(), counts: counts.clone(), entropy, ends };
        let settings = Settings {
            service: "test".into(),
            resource: Vec::new(),
            sampler: Sampler::Never,
            spans_max: 1,
            traces: true,
            logs: true,
        };
        let encode: Encode<u8> = |_, items| items.to_vec();
        let lane = Lane::new(Signal::Traces, items, Arc::new(Resource::new(&settings)), encode, pace);
        Self { collector, counts, queue, limit, lane: tokio::spawn(lane.run()) }
    }

    fn put(&self, items: impl IntoIterator<Item = u8>) {
        items.into_iter().for_each(|item| self.queue.try_send(item).unwrap());
    }

    /// Waits until so many requests came.
    async fn asked(&self, count: usize) -> Vec<(Instant, Vec<u8>)> {
        loop {
            let asked = self.collector.asked.lock().unwrap().clone();
            if asked.len() >= count {
                return asked;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Ends within a time, and tells what was sent and dropped and how long it took.
    async fn end(self, within: Duration) -> (u64, u64, Duration) {
        let began = Instant::now();
        self.limit.send_replace(Some(began + within));
        self.lane.await.unwrap();
        (self.counts.sent(Signal::Traces), self.counts.dropped(Signal::Traces), began.elapsed())
    }
}

#[tokio::test(start_paused = true)]
async fn items_leave_together_after_a_while_or_as_soon_as_a_request_is_full() {
    let rig = Rig::new(&[]);
    let began = Instant::now();
    rig.put(0..3);
    let asked = rig.asked(1).await;
    assert_eq!((&asked[0].1[..], asked[0].0 - began >= Duration::from_secs(5)), (&[0, 1, 2][..], true));
    let then = Instant::now();
    rig.put((0..=255).cycle().take(BATCH + 1));
    let asked = rig.asked(2).await;
    assert_eq!((asked[1].1.len(), asked[1].0 - then < Duration::from_millis(10)), (BATCH, true));
    let (sent, dropped, took) = rig.end(Duration::from_secs(3)).await;
    assert_eq!((sent, dropped, took < Duration::from_millis(10)), (BATCH as u64 + 4, 0, true));
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_asks_for_patience_gets_exactly_that_and_then_the_same_again() {
    let rig = Rig::new(&[Answer::Status(429, Some(17)), Answer::Status(503, Some(100_000))]);
    rig.put([7]);
    let asked = rig.asked(3).await;
    assert!(asked.iter().all(|(_, items)| items == &[7]), "{asked:?}");
    let waits = [asked[1].0 - asked[0].0, asked[2].0 - asked[1].0];
    assert!(waits[0] >= Duration::from_secs(17) && waits[0] < Duration::from_millis(17_010), "{waits:?}");
    assert!(waits[1] >= AFTER_MAX && waits[1] < AFTER_MAX + Duration::from_millis(10), "{waits:?}");
    assert_eq!(rig.end(Duration::from_secs(1)).await.0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_or_is_gone_is_asked_ever_more_slowly_and_a_batch_is_given_up() {
    let mut answers = vec![Answer::Hangs, Answer::Gone, Answer::Status(502, None), Answer::Status(504, None)];
    answers.extend([Answer::Gone, Answer::Hangs]);
    let rig = Rig::new(&answers);
    rig.put([1]);
    rig.asked(6).await;
    rig.put([2]);
    let asked = rig.asked(7).await;
    let gaps: Vec<u64> = asked.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs()).collect();
    assert!((11..=11).contains(&gaps[0]) && (2..=3).contains(&gaps[1]) && (4..=6).contains(&gaps[2]), "{gaps:?}");
    assert_eq!(asked[6].1, [2], "the next batch is sent as if nothing had been");
    let (sent, dropped, _) = rig.end(Duration::from_secs(1)).await;
    assert_eq!((sent, dropped), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_a_collector_refuses_or_takes_in_part_is_counted_and_not_sent_again() {
    let rig = Rig::new(&[Answer::Status(400, None), Answer::Partial(2)]);
    rig.put([1]);
    rig.asked(1).await;
    rig.put([2, 3, 4]);
    rig.asked(2).await;
    let (sent, dropped, _) = rig.end(Duration::from_secs(1)).await;
    assert_eq!((sent, dropped), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_in_time_whatever_the_collector_does() {
    for answer in [Answer::Hangs, Answer::Gone, Answer::Status(503, Some(60))] {
        let rig = Rig::new(&vec![answer; 100]);
        rig.put([1]);
        rig.asked(1).await;
        rig.put([2]);
        let (sent, dropped, took) = rig.end(Duration::from_secs(2)).await;
        assert_eq!((sent, dropped), (0, 2));
        assert!(took <= Duration::from_millis(2_010), "{took:?}");
    }
}
