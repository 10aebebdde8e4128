//! A rotated refresh token is not lost: at every commit and every answer that a process can be cut off at, what comes
//! after is either recovered, or one refusal and then silence.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use chrono::TimeDelta;
use renkei::{
    auth::Ground,
    model::{Code, Fault},
    sandbox::{Rotation, WorldConfig},
    store::{Memory, PowerLoss},
};

use crate::wire::{Fate, PausedClock, Wire, calm, client, customers, ground, refreshing};

const BASE_URL: &str = crate::wire::BASE_URL;

struct Stage {
    wire: Arc<Wire>,
    store: Memory,
}

impl Stage {
    fn new(rotation: Rotation) -> Self {
        let clock = PausedClock::new(TimeDelta::zero());
        let wire = Wire::new(WorldConfig { rotation, ..calm() }, clock, Duration::from_millis(20));
        Self { wire, store: Memory::new() }
    }

    fn ground(&self) -> Ground {
        ground(self.store.clone(), self.wire.clock.clone(), 7)
    }

    /// One call of a new process. It may end half way.
    async fn call(&self) -> Result<(), Fault> {
        let client = client(refreshing(BASE_URL), &self.wire, &self.ground());
        client.execute(&customers(BASE_URL)).await.map(drop)
    }

    /// The process is gone; the next one finds what is durable.
    fn restart(&mut self) {
        self.store.disarm();
        self.store = self.store.reopen();
    }

    /// The access token is over, so that the next call needs a refresh.
    fn end_access(&self) {
        self.wire.world().revoke_tokens();
    }

    fn token_requests(&self) -> u64 {
        self.wire.token_requests.load(Relaxed)
    }
}

/// A refresh makes two commits: that it begins, and what came of it.
const COMMITS: u64 = 2;

async fn cut_off_at(rotation: Rotation, commit: u64, how: PowerLoss) -> Result<(), Fault> {
    let mut stage = Stage::new(rotation);
    stage.call().await.unwrap();
    stage.end_access();
    stage.restart();
    stage.store.lose_power_at(stage.store.operations() + commit, how);
    let cut = stage.call().await.unwrap_err();
    assert_eq!(cut.exit_code(), 6, "the store died: {cut}");
    stage.restart();
    let before = stage.token_requests();
    let ended = stage.call().await;
    if let Err(fault) = &ended {
        assert_eq!((fault.code, fault.exit_code()), (Code::SignInAgain, 4), "{fault}");
        assert!(fault.message.contains("tried 2 times") && fault.message.contains("may have been lost"), "{fault}");
        assert_eq!(stage.token_requests(), before + 1, "the old token is tried once");
        for _ in 0..5 {
            stage.restart();
            assert_eq!(stage.call().await.unwrap_err().code, Code::SignInAgain);
        }
        assert_eq!(stage.token_requests(), before + 1, "and never again");
    }
    ended
}

#[tokio::test(start_paused = true)]
async fn where_the_old_token_overlaps_no_cut_at_any_commit_loses_the_grant() {
    for commit in 1..=COMMITS {
        for how in [PowerLoss::Before, PowerLoss::After] {
            cut_off_at(Rotation::Overlap, commit, how)
                .await
                .unwrap_or_else(|fault| panic!("{commit} {how:?}: {fault}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_token_is_of_single_use_only_a_cut_between_answer_and_disk_parks_the_connection() {
    for (commit, how, lost) in [
        (1, PowerLoss::Before, false),
        (1, PowerLoss::After, false),
        (2, PowerLoss::Before, true),
        (2, PowerLoss::After, false),
    ] {
        let ended = cut_off_at(Rotation::SingleUse, commit, how).await;
        assert_eq!(ended.is_err(), lost, "commit {commit} {how:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_and_a_lost_answer_end_as_the_server_allows() {
    for (rotation, fate, lost) in [
        (Rotation::Overlap, Fate::LostBefore, false),
        (Rotation::Overlap, Fate::LostAfter, false),
        (Rotation::SingleUse, Fate::LostBefore, false),
        (Rotation::SingleUse, Fate::LostAfter, true),
    ] {
        // Lost once: the same call sends the old token again.
        let stage = Stage::new(rotation);
        stage.wire.fare(&[fate], Fate::Arrives);
        let ended = stage.call().await;
        assert_eq!(ended.as_ref().err().map(|fault| fault.code), lost.then_some(Code::SignInAgain), "{fate:?}");
        if let Err(fault) = ended {
            assert!(fault.message.contains("an answer before may have been lost"), "{fault}");
        }
        // Lost as often as one call tries: a later process sends it again.
        let mut stage = Stage::new(rotation);
        stage.wire.fare(&[], fate);
        assert_eq!(stage.call().await.unwrap_err().code, Code::Timeout);
        stage.restart();
        stage.wire.fare(&[], Fate::Arrives);
        let ended = stage.call().await;
        assert_eq!(ended.err().map(|fault| fault.code), lost.then_some(Code::SignInAgain), "{rotation:?} {fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_while_a_token_is_refreshed_parks_nothing() {
    let mut stage = Stage::new(Rotation::SingleUse);
    for _ in 0..4 {
        stage.wire.fare(&[], Fate::LostBefore);
        assert_eq!(stage.call().await.unwrap_err().code, Code::Timeout);
        stage.restart();
    }
    stage.wire.fare(&[], Fate::Arrives);
    stage.call().await.unwrap();
    assert_eq!(stage.wire.world().sign_ins().replays, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_came_with_a_useless_access_token_is_kept() {
    let mut stage = Stage::new(Rotation::SingleUse);
    stage.wire.spoiled.store(1, Relaxed);
    let fault = stage.call().await.unwrap_err();
    assert_eq!((fault.code, fault.exit_code()), (Code::TokenAnswer, 5), "{fault}");
    stage.restart();
    stage.call().await.unwrap();
    let seen = stage.wire.world().sign_ins();
    assert_eq!((seen.refreshes, seen.replays), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn withdrawn_consent_parks_the_connection_and_is_not_asked_about_again() {
    let mut stage = Stage::new(Rotation::SingleUse);
    stage.call().await.unwrap();
    stage.end_access();
    stage.wire.world().revoke_refresh_tokens();
    stage.restart();
    for _ in 0..3 {
        let fault = stage.call().await.unwrap_err();
        assert_eq!((fault.code, fault.exit_code()), (Code::SignInAgain, 4));
        assert!(!fault.message.contains("lost"), "nothing was lost here: {fault}");
        assert!(fault.help.contains("auth login"), "{}", fault.help);
        stage.restart();
    }
    assert_eq!(stage.token_requests(), 2);
}
