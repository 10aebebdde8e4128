//! What the next process knows: a pause goes on, and what was used of windows and days is not forgotten.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use renkei::{
    config::plan::{Budget, Daily, LeftHeader, Window},
    http::{Accounts, Client, Priority, Request, Response, SendError, Transport, standing},
    model::{BoxFuture, Clock, Code},
    store::{Memory, StateStore},
};
use tokio::time::Instant;

use crate::load::{SECOND, api, call, client_over};

/// Answers everything with what was last said.
struct Saying(Mutex<(u16, Vec<(&'static str, String)>)>, Mutex<usize>);

impl Saying {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new((200, Vec::new())), Mutex::default()))
    }

    fn says(&self, status: u16, headers: &[(&'static str, &str)]) {
        *self.0.lock().unwrap() = (status, headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect());
    }

    fn asked(&self) -> usize {
        *self.1.lock().unwrap()
    }
}

impl Transport for Saying {
    fn send(&self, _: Request) -> BoxFuture<'_, Result<Response, SendError>> {
        *self.1.lock().unwrap() += 1;
        let (status, headers) = self.0.lock().unwrap().clone();
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let response = Response { status: StatusCode::from_u16(status).unwrap(), headers, body: Bytes::new() };
        Box::pin(async move { Ok(response) })
    }
}

/// The machine's time of day, which goes with the paused clock until somebody sets it.
#[derive(Clone)]
struct Wall(Instant, Arc<Mutex<TimeDelta>>);

impl Wall {
    fn new() -> Self {
        Self(Instant::now(), Arc::default())
    }

    fn set(&self, by: TimeDelta) {
        *self.1.lock().unwrap() += by;
    }
}

impl Clock for Wall {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + self.0.elapsed() + *self.1.lock().unwrap()
    }
}

struct World {
    store: Arc<dyn StateStore>,
    wall: Wall,
    server: Arc<Saying>,
    budget: Budget,
}

impl World {
    fn new(budget: Budget) -> Self {
        Self { store: Arc::new(Memory::new()), wall: Wall::new(), server: Saying::new(), budget }
    }

    /// A process that begins: nothing is known but what the store knows.
    fn process(&self) -> (Client, Accounts) {
        let accounts = Accounts::new(self.store.clone(), Arc::new(self.wall.clone()));
        let api = api(self.budget.clone());
        (client_over(&api, self.server.clone()).sharing(accounts.of(&api), Arc::default()), accounts)
    }

    async fn call(&self, client: &Client) -> Result<(), Code> {
        let api = api(self.budget.clone());
        client.execute(&call(&api, "orders")).await.map(drop).map_err(|fault| fault.code)
    }
}

fn daily(requests: u64, header: Option<&str>, reserve: f64) -> Budget {
    let left = header.map(|name| LeftHeader::Remaining(name.parse().unwrap()));
    Budget { daily: vec![Daily { requests, left, reserve }], wait_max: 60 * SECOND, ..Budget::default() }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_was_asked_for_goes_on_in_the_next_process() {
    let world = World::new(Budget { wait_max: 60 * SECOND, ..Budget::default() });
    world.server.says(429, &[("retry-after", "1800")]);
    let (client, _) = world.process();
    assert_eq!(world.call(&client).await, Err(Code::Throttled));
    // The process is killed here: nothing is said goodbye to.
    world.server.says(200, &[]);
    let (client, _) = world.process();
    assert_eq!(world.call(&client).await, Err(Code::QuotaWait));
    assert_eq!(world.server.asked(), 1, "nothing was sent before its time");
    tokio::time::advance(1745 * SECOND).await;
    let (client, _) = world.process();
    let began = Instant::now();
    assert_eq!(world.call(&client).await, Ok(()));
    assert!(began.elapsed() >= 54 * SECOND && began.elapsed() <= 56 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_saved_pause_is_bounded_however_the_clock_was_set_meanwhile() {
    for (set, within) in [(-TimeDelta::days(400), 3600), (-TimeDelta::minutes(10), 3600), (TimeDelta::minutes(10), 1)] {
        let world = World::new(Budget { wait_max: 7200 * SECOND, ..Budget::default() });
        world.server.says(429, &[("retry-after", "300")]);
        let (client, _) = world.process();
        let api = api(world.budget.clone());
        let calling = call(&api, "orders");
        let gave_up = tokio::time::timeout(SECOND, client.execute(&calling)).await;
        assert!(gave_up.is_err(), "it waits");
        world.server.says(200, &[]);
        world.wall.set(set);
        let (client, _) = world.process();
        let began = Instant::now();
        assert_eq!(world.call(&client).await, Ok(()));
        assert!(began.elapsed() <= within * SECOND, "{set}: {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_days_quota_is_counted_over_restarts_and_comes_back_call_by_call() {
    let world = World::new(daily(10, None, 0.0));
    for round in 0..2 {
        let (client, accounts) = world.process();
        for _ in 0..5 {
            assert_eq!(world.call(&client).await, Ok(()), "round {round}");
        }
        accounts.keep().await;
        tokio::time::advance(3600 * SECOND).await;
    }
    let (client, _) = world.process();
    assert_eq!(world.call(&client).await, Err(Code::QuotaWait));
    assert_eq!(world.server.asked(), 10);
    // Twenty-four hours after the first five.
    tokio::time::advance(22 * 3600 * SECOND + 900 * SECOND).await;
    for _ in 0..5 {
        assert_eq!(world.call(&client).await, Ok(()));
    }
    assert_eq!(world.call(&client).await, Err(Code::QuotaWait));
}

#[tokio::test(start_paused = true)]
async fn the_reserve_is_left_to_others_and_to_those_who_wait_for_an_answer() {
    let world = World::new(daily(10, None, 0.2));
    let (client, _) = world.process();
    for _ in 0..8 {
        assert_eq!(world.call(&client).await, Ok(()));
    }
    assert_eq!(world.call(&client).await, Err(Code::QuotaWait));
    let interactive = client.at(Priority::Interactive);
    for _ in 0..2 {
        assert_eq!(world.call(&interactive).await, Ok(()));
    }
    assert_eq!(world.call(&interactive).await, Err(Code::QuotaWait));
}

#[tokio::test(start_paused = true)]
async fn what_others_used_of_the_day_is_known_from_the_answers_and_asked_for_again_now_and_then() {
    let world = World::new(daily(1000, Some("x-daily-left"), 0.1));
    let (client, accounts) = world.process();
    world.server.says(200, &[("x-daily-left", "90")]);
    assert_eq!(world.call(&client).await, Ok(()));
    assert_eq!(world.call(&client).await, Err(Code::QuotaWait), "90 are left, and 100 are not ours");
    accounts.keep().await;
    let (client, _) = world.process();
    assert_eq!(world.call(&client).await, Err(Code::QuotaWait), "the next process knows it too");
    assert_eq!(world.server.asked(), 1);
    world.server.says(200, &[("x-daily-left", "950")]);
    tokio::time::advance(15 * 60 * SECOND).await;
    assert_eq!(world.call(&client).await, Ok(()));
    assert_eq!(world.call(&client).await, Ok(()), "the others' day ended");
}

#[tokio::test(start_paused = true)]
async fn a_window_that_was_used_up_is_not_begun_again_by_the_next_process() {
    let window = Window { requests: 5, per: 600 * SECOND, left: None, reset: None };
    let budget = Budget { windows: vec![window], wait_max: 60 * SECOND, ..Budget::default() };
    let world = World::new(budget);
    let (client, accounts) = world.process();
    for _ in 0..5 {
        assert_eq!(world.call(&client).await, Ok(()));
    }
    accounts.keep().await;
    let (client, _) = world.process();
    assert_eq!(world.call(&client).await, Err(Code::QuotaWait));
    tokio::time::advance(615 * SECOND).await;
    assert_eq!(world.call(&client).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn connections_of_one_account_spend_one_allowance_and_others_their_own() {
    let world = World::new(Budget { account: Some("shop".to_owned()), ..daily(3, None, 0.0) });
    let (one, accounts) = world.process();
    let mut other = api(world.budget.clone());
    other.name = "second".to_owned();
    let two = client_over(&other, world.server.clone()).sharing(accounts.of(&other), Arc::default());
    other.budget.account = None;
    let apart = client_over(&other, world.server.clone()).sharing(accounts.of(&other), Arc::default());
    assert_eq!(world.call(&one).await, Ok(()));
    assert_eq!(world.call(&two).await, Ok(()));
    assert_eq!(world.call(&one).await, Ok(()));
    assert_eq!(world.call(&two).await, Err(Code::QuotaWait));
    assert_eq!(world.call(&apart).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_shown_without_a_client() {
    let world = World::new(daily(1000, None, 0.1));
    let (client, accounts) = world.process();
    for _ in 0..7 {
        world.call(&client).await.unwrap();
    }
    world.server.says(429, &[("retry-after", "600")]);
    assert_eq!(world.call(&client).await, Err(Code::Throttled));
    accounts.keep().await;
    let now = world.wall.now();
    let shown = standing(Some(&*world.store), &api(world.budget.clone()), now).await.unwrap();
    let day = shown.limits.iter().find(|limit| limit.limit == "1000 a day").unwrap();
    assert_eq!((day.left, day.of, day.reserve), (Some(992), Some(1000), Some(100)));
    let until = shown.blocked_until.unwrap() - now;
    assert!((600..=601).contains(&until.num_seconds()), "{until}");
    let nothing = standing(None, &api(world.budget.clone()), now).await.unwrap();
    assert!(nothing.known_at.is_none() && nothing.blocked_until.is_none());
}
