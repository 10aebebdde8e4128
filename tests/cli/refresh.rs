//! Real SIGKILLs inside a token refresh: between the 401 that asks for it and the first use of what came. Where the server
//! keeps the old token good until the new one is used, no grant is ever lost; where it does not, a lost one ends in one
//! refusal, exit code 4, and silence.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use renkei::{
    model::{Entropy, SystemEntropy},
    sandbox::{FaultPlan, Rotation, SignIns, WorldConfig},
};

use crate::harness::{Ran, Stage, fast};

const KILLS: u32 = 6;
const KILLS_LONG: u32 = 200;

const AUTH: &str = "{ oauth2: { grant: { refresh_token: {} }, token_url: /oauth/token, client_id: demo } }";
const ACCOUNT: &str =
    "{ oauth2: { client_secret: \"${SHOP_SECRET}\", grant: { refresh_token: { token: \"${SHOP_REFRESH}\" } } } }";

struct Account {
    stage: Stage,
    /// The refresh token that the configuration holds.
    configured: String,
    consents: u32,
}

impl Account {
    fn new(rotation: Rotation) -> Self {
        let faults = FaultPlan { latency: 1.0, latency_ms: 8, ..FaultPlan::none() };
        let stage = Stage::products(WorldConfig { rotation, ..fast(5) }, faults, AUTH, ACCOUNT);
        Self { stage, configured: "demo-refresh".to_owned(), consents: 0 }
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = self.stage.command(args);
        command.env("SHOP_SECRET", "demo-secret").env("SHOP_REFRESH", &self.configured);
        command
    }

    fn renkei(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    fn run(&self) -> Ran {
        self.renkei(&["run", "--log-level", "off"])
    }

    fn seen(&self) -> SignIns {
        self.stage.world(|world| world.sign_ins())
    }

    fn token_requests(&self) -> u64 {
        let counters = self.stage.counters();
        counters.tokens + self.seen().refused
    }

    /// Starts a run whose access token is over, and kills it at a moment of its refresh. False where it was too early or
    /// too late.
    fn killed_in_refresh(&self, dice: &dyn Entropy) -> bool {
        self.stage.world(|world| world.revoke_tokens());
        let (reads, refused, refreshes) = self.numbers();
        let mut child = self.command(&["run", "--log-level", "off"]);
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = || self.numbers().1 > refused || self.numbers().2 > refreshes;
        let effective = || self.numbers().2 > refreshes;
        let after_effect = !dice.bits().is_multiple_of(3);
        while child.try_wait().unwrap().is_none() && !(if after_effect { effective() } else { begun() }) {
            std::thread::yield_now();
        }
        let delay = Duration::from_micros(dice.bits() % 14_000);
        #[expect(clippy::disallowed_methods, reason = "the moment of a kill is real time")]
        let at = Instant::now();
        while at.elapsed() < delay {
            std::thread::yield_now();
        }
        let running = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        // A read that was answered carried the new token: then the refresh was over.
        running && self.numbers().0 == reads
    }

    /// Reads answered, calls refused for their token, refresh tokens taken.
    fn numbers(&self) -> (u64, u64, u64) {
        let counters = self.stage.counters();
        (counters.reads, counters.unauthorized, self.seen().refreshes)
    }

    fn consent(&mut self) {
        self.consents += 1;
        self.configured = format!("consent-{}", self.consents);
        let token = self.configured.clone();
        self.stage.world(|world| world.consent(&token));
    }
}

fn start(what: &str) -> (u32, SystemEntropy) {
    #[expect(clippy::disallowed_methods, reason = "a test asks its runner how long it may take")]
    let (long, seed) = (std::env::var("RENKEI_LONG").is_ok(), std::env::var("RENKEI_SEED"));
    let seed = seed.ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| SystemEntropy::new().bits() % 1_000_000);
    println!("{what}: RENKEI_SEED={seed}");
    (if long { KILLS_LONG } else { KILLS }, SystemEntropy::seeded(seed))
}

#[test]
fn kills_inside_a_refresh_lose_no_grant_where_the_old_token_overlaps() {
    let (kills, dice) = start("overlap");
    let account = Account::new(Rotation::Overlap);
    assert_eq!(account.run().code, 0);
    let (mut struck, mut runs) = (0, 0);
    // Until one of them struck between the effect and the disk.
    while struck < kills || account.seen().replays == 0 {
        struck += u32::from(account.killed_in_refresh(&dice));
        runs += 1;
        assert!(runs < 20 * kills, "only {struck} of {runs} kills struck a refresh");
    }
    let ran = account.run();
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let seen = account.seen();
    println!("{struck} kills inside a refresh in {runs} runs: {seen:?}");
    assert_eq!((seen.refused, seen.families_ended), (0, 0), "no grant was lost");
}

#[test]
fn kills_inside_a_refresh_park_the_connection_where_a_token_is_of_single_use() {
    let (kills, dice) = start("single use");
    let mut account = Account::new(Rotation::SingleUse);
    assert_eq!(account.run().code, 0);
    let (mut struck, mut runs, mut parked) = (0, 0, 0);
    while struck < kills {
        let is_struck = account.killed_in_refresh(&dice);
        runs += 1;
        assert!(runs < 20 * kills, "only {struck} of {runs} kills struck a refresh");
        struck += u32::from(is_struck);
        let before = account.token_requests();
        let ran = account.run();
        if ran.code == 0 {
            continue;
        }
        parked += 1;
        assert_eq!(ran.code, 4, "{}", ran.transcript());
        assert!(ran.stderr.contains("RK0605") && ran.stderr.contains("may have been lost"), "{}", ran.transcript());
        assert_eq!(account.token_requests(), before + 1, "the old token is tried once");
        for _ in 0..2 {
            assert_eq!(account.run().code, 4);
        }
        assert_eq!(account.token_requests(), before + 1, "and never again");
        account.consent();
        assert_eq!(account.run().code, 0, "a new refresh token in the configuration is the way on");
    }
    let seen = account.seen();
    println!("{struck} kills inside a refresh in {runs} runs, {parked} parked: {seen:?}");
    assert_eq!((seen.replays, seen.refused), (parked, parked), "each lost grant cost one refusal and no more");
}

#[test]
fn a_parked_connection_says_so_and_no_command_shows_a_token() {
    let account = Account::new(Rotation::SingleUse);
    let mut shown = String::new();
    let status = |account: &Account| account.renkei(&["auth", "status", "shop", "--output", "json"]).json()[0].clone();
    assert_eq!(status(&account)["standing"], "no_token", "looking makes no store");
    assert!(!account.stage.path().join("state").exists());
    assert_eq!(account.run().code, 0);
    let signed_in = status(&account);
    assert_eq!((&signed_in["standing"], &signed_in["refresh_token"]), (&"signed_in".into(), &true.into()));
    assert_eq!(signed_in["kind"], "oauth2/refresh_token");
    assert!(signed_in["access_ends_at"].is_string() && signed_in["refresh_at"].is_string());
    let refreshed = account.renkei(&["auth", "refresh"]);
    assert_eq!((refreshed.code, refreshed.stdout.as_str()), (0, "refreshed shop\n"), "{}", refreshed.transcript());
    assert_eq!(account.seen().refreshes, 2);

    account.stage.world(|world| {
        world.revoke_refresh_tokens();
        world.revoke_tokens();
    });
    assert_eq!(account.run().code, 4);
    let parked = status(&account);
    assert_eq!((&parked["standing"], &parked["parked"]["code"]), (&"sign_in_again".into(), &"RK0605".into()));
    for args in [&["auth", "status"][..], &["auth", "status", "--output", "json"], &["auth", "refresh", "shop"]] {
        let ran = account.renkei(&[args, &["--log-level", "trace"]].concat());
        shown += &ran.transcript();
    }
    assert!(shown.contains("sign in again") && shown.contains("exit 4"), "{shown}");
    assert_eq!(account.seen().refused, 2, "a person may try the old token once more");
    let forgotten = account.renkei(&["auth", "logout", "shop", "--output", "json"]);
    assert_eq!(forgotten.json()["forgotten"], true);
    assert_eq!(status(&account)["standing"], "no_token");
    for secret in ["sbr_", "sbx_", "demo-refresh", "demo-secret", "ZGVtbzp"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn a_connection_that_is_not_there_or_has_no_sign_in_is_told_so() {
    let account = Account::new(Rotation::None);
    let ran = account.renkei(&["auth", "status", "shpo"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("did you mean `shop`?"), "{}", ran.transcript());
    assert_eq!(account.renkei(&["auth", "refresh", "files"]).code, 2);
}
