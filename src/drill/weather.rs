//! Which trouble meets which request, by the scenario and a seed. Pure, and bounded: after so many strikes it clears up, because a
//! drill asks whether a pipeline gets over trouble and not how long it can stand it.

use super::scenario::Scenario;

/// What meets one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strike {
    Nothing,
    /// 429, with this Retry-After.
    Throttle(Option<u32>),
    /// The answer comes later than an attempt waits.
    Late,
    /// Its head comes, and its body later than an attempt waits.
    SlowBody,
    /// The connection is cut after the effect.
    Cut,
    /// The credentials are taken back first.
    Revoke,
    /// The process that asks is killed after the effect.
    Kill,
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    Read,
    Write,
    /// Signing in.
    Token,
}

pub struct Weather {
    scenario: Scenario,
    chance: fastrand::Rng,
    /// Requests of this phase.
    seen: u32,
    /// Requests of this phase's present run.
    of_run: u32,
    /// The request of the present run at which it is killed.
    kill_at: u32,
    struck: u32,
    clear: bool,
}

/// Strikes of one phase at the most.
const SLOW_MAX: u32 = 4;
const CUTS_MAX: u32 = 14;
const KILLS_MAX: u32 = 3;
/// Requests before which a burst of refusals begins; and how long a burst is.
const BURSTS: [u32; 2] = [0, 12];
const BURST: u32 = 3;
/// Requests before which credentials are taken back.
const REVOKED: [u32; 2] = [0, 25];

impl Weather {
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        let mut weather = Self {
            scenario,
            chance: fastrand::Rng::with_seed(seed),
            seen: 0,
            of_run: 0,
            kill_at: 0,
            struck: 0,
            clear: false,
        };
        weather.next_run();
        weather
    }

    /// Another phase of the scenario begins, with trouble of its own.
    pub fn next_phase(&mut self) {
        (self.seen, self.struck, self.clear) = (0, 0, false);
    }

    /// Another run begins.
    pub fn next_run(&mut self) {
        self.of_run = 0;
        // The first run of a phase may be short.
        let latest = if self.seen == 0 { 4 } else { 16 };
        self.kill_at = self.chance.u32(1..latest);
    }

    /// Nothing strikes any more in this phase.
    pub fn clear_up(&mut self) {
        self.clear = true;
    }

    pub fn scenario(&self) -> Scenario {
        self.scenario
    }

    /// What meets the next request.
    pub fn strike(&mut self, purpose: Purpose) -> Strike {
        if self.clear || purpose == Purpose::Token {
            return Strike::Nothing;
        }
        self.seen += 1;
        self.of_run += 1;
        let strike = match self.scenario {
            Scenario::Calm | Scenario::Drift | Scenario::Skew => Strike::Nothing,
            Scenario::Storm => self.storm(),
            Scenario::Slow => self.slow(purpose),
            Scenario::Lost => self.cut(purpose),
            Scenario::Revoked if REVOKED.iter().any(|after| self.seen == 1 + after) => Strike::Revoke,
            Scenario::Crash if self.struck < KILLS_MAX && self.of_run == self.kill_at => Strike::Kill,
            Scenario::Revoked | Scenario::Crash => Strike::Nothing,
        };
        self.struck += u32::from(strike != Strike::Nothing);
        strike
    }

    fn storm(&self) -> Strike {
        let place = BURSTS.iter().find_map(|begin| self.seen.checked_sub(1 + begin).filter(|at| *at < BURST));
        match place {
            Some(0) => Strike::Throttle(Some(1)),
            Some(_) => Strike::Throttle(None),
            None => Strike::Nothing,
        }
    }

    fn slow(&mut self, purpose: Purpose) -> Strike {
        if self.struck >= SLOW_MAX || !self.chooses(purpose, 5) {
            return Strike::Nothing;
        }
        if self.chance.bool() { Strike::Late } else { Strike::SlowBody }
    }

    fn cut(&mut self, purpose: Purpose) -> Strike {
        let strikes = self.struck < CUTS_MAX && self.chooses(purpose, 3);
        if strikes { Strike::Cut } else { Strike::Nothing }
    }

    /// One in so many, and the first request for sure: a listing may have one page. Writes are met more often, because what
    /// they lose cannot be read again.
    fn chooses(&mut self, purpose: Purpose, one_in: u32) -> bool {
        let one_in = if purpose == Purpose::Write { one_in } else { 2 * one_in };
        self.seen == 1 || self.chance.u32(..one_in) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(scenario: Scenario, seed: u64) -> Vec<Strike> {
        let mut weather = Weather::new(scenario, seed);
        (0..400).map(|_| weather.strike(Purpose::Write)).filter(|strike| *strike != Strike::Nothing).collect()
    }

    #[test]
    fn every_scenario_strikes_and_clears_up_by_itself_and_one_seed_gives_one_weather() {
        for seed in 0..40 {
            for scenario in Scenario::ALL {
                let strikes = phase(scenario, seed);
                assert_eq!(strikes, phase(scenario, seed), "{scenario:?} seed {seed}");
                let by_data = matches!(scenario, Scenario::Calm | Scenario::Drift | Scenario::Skew);
                assert_eq!(strikes.is_empty(), by_data, "{scenario:?} seed {seed}");
                assert!(strikes.len() <= 14, "{scenario:?} seed {seed}: {strikes:?}");
            }
        }
        let storm = phase(Scenario::Storm, 1);
        assert!(storm.contains(&Strike::Throttle(Some(1))) && storm.contains(&Strike::Throttle(None)));
    }

    #[test]
    fn weather_that_was_cleared_up_strikes_no_more_and_signing_in_is_left_alone() {
        let mut weather = Weather::new(Scenario::Lost, 1);
        assert!((0..100).all(|_| weather.strike(Purpose::Token) == Strike::Nothing));
        weather.clear_up();
        assert!((0..100).all(|_| weather.strike(Purpose::Write) == Strike::Nothing));
        weather.next_phase();
        assert!((0..100).any(|_| weather.strike(Purpose::Write) == Strike::Cut));
    }
}
