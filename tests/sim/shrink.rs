//! From a history that breaks a promise to a short one that still does: one thing after another is left out, and what the
//! promise breaks without stays out.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chrono::TimeDelta;
use renkei::config::Plan;

use crate::history::{Broken, Script};

/// One thing less that can go wrong.
const SIMPLER: [fn(&mut Script); 15] = [
    |script| script.may_go_back = false,
    |script| script.may_lose_power = false,
    |script| script.may_be_killed = false,
    |script| script.weather.lost_before = 0.0,
    |script| script.weather.lost_after = 0.0,
    |script| script.weather.cut = 0.0,
    |script| script.weather.revoked = 0.0,
    |script| script.skew = TimeDelta::zero(),
    |script| script.world.drift = 0.0,
    |script| script.world.late = Duration::ZERO,
    |script| script.world.page_token_ttl = None,
    |script| script.world.shop_quota = None,
    |script| script.world.crm_quota = None,
    |script| script.world.token_ttl = Duration::from_secs(3_600),
    |script| script.still = true,
];

/// The shortest history so far that breaks a promise.
struct Shortest<'p> {
    plan: &'p Arc<Plan>,
    script: Script,
    broken: Broken,
}

impl Shortest<'_> {
    /// Leaves something out, if a promise is still broken then.
    fn without(&mut self, simpler: impl Fn(&mut Script)) -> bool {
        let mut script = self.script.clone();
        simpler(&mut script);
        let Some(broken) = breaks(self.plan, &script) else { return false };
        (self.script, self.broken) = (script, broken);
        true
    }
}

/// The shortest history that is found to break a promise as `script` does. Nothing, when that breaks none.
pub fn shrink(plan: &Arc<Plan>, script: Script) -> Option<(Script, Broken)> {
    let broken = breaks(plan, &script)?;
    let mut shortest = Shortest { plan, script, broken };
    // Twice, because a short history may not need what the long one did.
    for _ in 0..2 {
        for simpler in SIMPLER {
            shortest.without(simpler);
        }
        while shortest.script.lives > 1 && shortest.without(|script| script.lives -= 1) {}
        while shortest.script.world.customers > 1 && shortest.without(|script| script.world.customers -= 1) {}
    }
    Some((shortest.script, shortest.broken))
}

/// How a script breaks a promise. A panic is another failure than the one that is looked for.
fn breaks(plan: &Arc<Plan>, script: &Script) -> Option<Broken> {
    std::panic::catch_unwind(AssertUnwindSafe(|| crate::live(plan, script.clone()))).ok()?.err()
}

/// A change that shows after settle and overlap have passed is lost, as is documented: a broken history for the asking.
#[test]
fn a_broken_history_shrinks_to_a_short_one_that_tells_what_happened() {
    let plan = crate::plan();
    let too_late = |seed| {
        let mut script = Script::of(seed);
        script.world.late = Duration::from_secs(3_000);
        script
    };
    let long = |script: &Script| script.lives > 2 && script.world.customers > 5;
    let broken =
        (0..2_000).map(too_late).filter(long).find_map(|script| Some((script.clone(), shrink(&plan, script)?)));
    let (before, (after, broken)) = broken.expect("some history loses what shows too late");
    let (lives, customers) = (after.lives, after.world.customers);
    assert!(
        lives <= before.lives && customers < before.world.customers,
        "{lives} lives, {customers} customers: {broken}"
    );
    assert!(after.world.late > Duration::ZERO && after.weather.lost_after == 0.0, "{broken}");
    assert!(broken.what.contains("behind") || broken.what.contains("lost"), "{broken}");
    assert!(broken.story.iter().any(|event| event.starts_with("life 1")), "{broken}");
}
