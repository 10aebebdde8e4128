//! Short-lived tokens under many streams: as few refreshes as one stream alone would make, and nobody notices them.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use chrono::TimeDelta;
use renkei::{
    auth,
    config::plan::{Auth, Bucket},
    sandbox::{Rotation, Sandbox, SandboxConfig, SignIns, WorldConfig},
    store::Memory,
};
use tokio::time::{Instant, sleep};

use crate::wire::{BASE_URL, PausedClock, Wire, api, calm, client, customers, ground, refreshing};

const LIFE: Duration = Duration::from_secs(5);
const LASTS: Duration = Duration::from_secs(300);
const STREAMS: u64 = 8;

fn world() -> WorldConfig {
    WorldConfig { token_ttl: LIFE, rotation: Rotation::SingleUse, ..calm() }
}

/// What so many streams cost at the token endpoint.
async fn paused(streams: u64, seed: u64) -> SignIns {
    let clock = PausedClock::new(TimeDelta::zero());
    let wire = Wire::new(world(), clock.clone(), Duration::from_millis(40));
    let client = client(refreshing(BASE_URL), &wire, &ground(Memory::new(), clock, seed));
    let end = Instant::now() + LASTS;
    let streams: Vec<_> = (0..streams)
        .map(|stream| {
            let client = client.clone();
            tokio::spawn(async move {
                while Instant::now() < end {
                    client.execute(&customers(BASE_URL)).await.unwrap().accepted().unwrap();
                    sleep(Duration::from_millis(10 + 7 * stream)).await;
                }
            })
        })
        .collect();
    for stream in streams {
        stream.await.unwrap();
    }
    assert_eq!(wire.refused.load(Relaxed), 0, "no request was refused, seed {seed}");
    let seen = wire.world().sign_ins();
    assert_eq!(wire.token_requests.load(Relaxed), seen.refreshes);
    seen
}

#[tokio::test(start_paused = true)]
async fn eight_streams_for_five_minutes_refresh_as_often_as_one_and_nobody_is_refused() {
    for seed in 0..8 {
        let (one, eight) = (paused(1, seed).await, paused(STREAMS, seed).await);
        println!("seed {seed}: {} refreshes for one stream, {} for {STREAMS}", one.refreshes, eight.refreshes);
        assert_eq!((eight.replays, eight.refused), (0, 0), "seed {seed}");
        assert!(eight.refreshes.abs_diff(one.refreshes) <= 1, "seed {seed}: {one:?} {eight:?}");
        // At 80 % of the life, less up to 5 % of it: between 3.75 and 4 seconds each.
        assert!((75..=81).contains(&eight.refreshes), "seed {seed}: {eight:?}");
    }
}

/// Nobody asks for the token in a wait of hours, and yet neither it nor the refresh token behind it may end.
#[tokio::test(start_paused = true)]
async fn a_token_is_kept_fresh_while_a_call_waits_hours_for_quota() {
    let hour = Duration::from_secs(3600);
    let clock = PausedClock::new(TimeDelta::zero());
    let world = WorldConfig { token_ttl: hour, rotation: Rotation::SingleUse, ..calm() };
    let wire = Wire::new(world, clock.clone(), Duration::from_millis(40));
    let mut api = api(BASE_URL, Auth::OAuth2(Box::new(refreshing(BASE_URL))));
    api.budget.buckets = vec![Bucket { requests: 1, per: 5 * hour, burst: 1 }];
    api.budget.wait_max = 24 * hour;
    let client = auth::client_over(&api, wire.clone(), &ground(Memory::new(), clock, 7)).unwrap();
    let began = Instant::now();
    // Nobody knows what was used before, so the first call waits for its place, too.
    client.execute(&customers(BASE_URL)).await.unwrap().accepted().unwrap();
    let waits: Vec<_> = (0..3)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.execute(&customers(BASE_URL)).await.unwrap().accepted().map(drop) })
        })
        .collect();
    for wait in waits {
        wait.await.unwrap().unwrap();
    }
    assert!(began.elapsed() >= 14 * hour, "{:?}", began.elapsed());
    let seen = wire.world().sign_ins();
    let once_an_hour_less_a_minute = (began.elapsed().as_secs_f64() / 3_540.0).round() as u64;
    assert!(seen.refreshes.abs_diff(once_an_hour_less_a_minute) <= 1, "{seen:?} in {:?}", began.elapsed());
    assert_eq!((seen.replays, wire.refused.load(Relaxed)), (0, 0));
}

/// The same in real time over real sockets; for a few seconds unless RENKEI_LONG is set.
#[tokio::test]
async fn over_real_sockets_short_lived_tokens_are_refreshed_without_anybody_being_refused() {
    #[expect(clippy::disallowed_methods, reason = "a test asks its runner how long it may take")]
    let lasts = if std::env::var("RENKEI_LONG").is_ok() { LASTS } else { Duration::from_secs(3) };
    // The short form has shorter lives, so that it sees several of them.
    let life = if lasts == LASTS { LIFE } else { Duration::from_secs(1) };
    let world = WorldConfig { token_ttl: life, ..world() };
    let sandbox = Sandbox::start(SandboxConfig { world, ..SandboxConfig::default() }).await.unwrap();
    let url = sandbox.url();
    let system = auth::Ground {
        clock: Arc::new(renkei::model::SystemClock),
        ..ground(Memory::new(), PausedClock::new(TimeDelta::zero()), 7)
    };
    let client = auth::client(&api(&url, Auth::OAuth2(Box::new(refreshing(&url)))), &system).unwrap();
    let end = Instant::now() + lasts;
    let streams: Vec<_> = (0..STREAMS)
        .map(|_| {
            let (client, url) = (client.clone(), url.clone());
            tokio::spawn(async move {
                let mut calls = 0_u64;
                while Instant::now() < end {
                    let answer = client.execute(&customers(&url)).await.unwrap().accepted().unwrap();
                    assert_eq!(answer.attempts, 1);
                    calls += 1;
                    sleep(Duration::from_millis(5)).await;
                }
                calls
            })
        })
        .collect();
    let mut calls = 0;
    for stream in streams {
        calls += stream.await.unwrap();
    }
    let seen = sandbox.world().sign_ins();
    println!("{calls} calls in {lasts:?}, token life {life:?}: {seen:?}");
    assert_eq!((seen.replays, seen.refused), (0, 0));
    let unauthorized = sandbox.world().counters().unauthorized;
    assert_eq!(unauthorized, 0, "no call was refused");
    let (least, most) = (
        (lasts.as_secs_f64() / life.as_secs_f64() / 0.8) as u64,
        (lasts.as_secs_f64() / life.as_secs_f64() / 0.75) as u64 + 1,
    );
    assert!((least..=most + 1).contains(&seen.refreshes), "{least} to {most} were to be expected: {seen:?}");
}
