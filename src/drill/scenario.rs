//! What can happen in a drill, by name.

use std::str::FromStr;

/// One kind of trouble that a pipeline is led through.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scenario {
    Calm,
    Storm,
    Slow,
    Lost,
    Revoked,
    Drift,
    Skew,
    Crash,
}

impl Scenario {
    pub const ALL: [Self; 8] =
        [Self::Calm, Self::Storm, Self::Slow, Self::Lost, Self::Revoked, Self::Drift, Self::Skew, Self::Crash];

    pub fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Storm => "storm",
            Self::Slow => "slow",
            Self::Lost => "lost-answers",
            Self::Revoked => "revoked",
            Self::Drift => "drift",
            Self::Skew => "skew",
            Self::Crash => "crash",
        }
    }

    /// What happens in it.
    pub fn about(self) -> &'static str {
        match self {
            Self::Calm => "nothing goes wrong: the base line",
            Self::Storm => "429 in bursts, with and without Retry-After",
            Self::Slow => "answers and bodies that take longer than an attempt may",
            Self::Lost => "the connection is cut after the effect and before the answer",
            Self::Revoked => "credentials are refused until there are new ones",
            Self::Drift => "a part of the records has a field renamed or of another type",
            Self::Skew => "servers whose clocks are ten minutes off",
            Self::Crash => "the process is killed with SIGKILL in the middle of its work",
        }
    }
}

impl FromStr for Scenario {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == text).ok_or(())
    }
}

/// How a drill is to be played.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Records at the beginning; a quarter of them changes, and a few more come.
    pub records: usize,
    /// Drives records and troubles.
    pub seed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_found_by_its_name() {
        for scenario in Scenario::ALL {
            assert_eq!(scenario.name().parse(), Ok(scenario));
        }
        assert_eq!("sunny".parse::<Scenario>(), Err(()));
    }
}
