//! compact under the simulation: random histories beside rekey, every crash point, and protocols that are broken on
//! purpose.

#![expect(
    clippy::print_stdout,
    reason = "what was run and what was found is worth seeing with --nocapture"
)]

use lakewright_model::{Fault, FaultCounts};
use lakewright_tests::{
    semantics::stated,
    sim::compact::{crash, history, mutant::Mutant},
};

/// Seeds of each shard of random histories.
const SEEDS: u64 = 100;

/// Seeds within which a broken protocol must be found.
const MUTANT_SEEDS: u64 = 50;

fn histories(shard: u64) {
    stated(
        "Whoever reads a table through the catalog sees no row twice while it is compacted, whatever was killed, and a row whose source is committed, once visible, stays visible.",
    );
    stated(
        "After the last retry every row exists exactly once, and nothing is left of earlier generations.",
    );
    let mut injected = FaultCounts::default();
    let (mut moves, mut deletions, mut invocations) = (0, 0, 0);
    for seed in shard * SEEDS..(shard + 1) * SEEDS {
        let run = history::run(seed, None);
        assert!(
            run.violation.is_none(),
            "seed {seed}: {:?}\n{}",
            run.violation,
            run.lines.join("\n")
        );
        injected.merge(&run.injected);
        invocations += run.invocations;
        moves += run.moves;
        deletions += run.deletions;
    }
    println!(
        "{SEEDS} histories, {invocations} invocations, {moves} moves, {deletions} deletions; {injected}"
    );
    assert!(moves > SEEDS && deletions > SEEDS, "{moves} {deletions}");
    for fault in [
        Fault::SlowDown,
        Fault::InternalAfter,
        Fault::ResetAfter,
        Fault::LandsLate,
        Fault::Truncated,
        Fault::Conflict,
        Fault::DeleteKey,
        Fault::PartialBatch,
        Fault::KilledBefore,
        Fault::KilledAfter,
        Fault::SleptToDeadline,
        Fault::Twin,
    ] {
        assert!(injected.0.contains_key(&fault), "{fault}: {injected}");
    }
}

#[test]
fn histories_shard_0() {
    histories(0);
}

#[test]
fn histories_shard_1() {
    histories(1);
}

#[test]
fn a_seed_has_one_history() {
    for seed in 0..4 {
        let (one, again) = (history::run(seed, None), history::run(seed, None));
        assert_eq!(one.lines, again.lines, "seed {seed}");
        assert_eq!(one.digest, again.digest, "seed {seed}");
    }
}

#[test]
fn crash_points() {
    let report = crash::enumerate(None);
    assert!(report.violation.is_none(), "{:?}", report.violation);
    assert!(report.points > 200, "{}", report.points);
    println!("{} crash points", report.points);
}

#[test]
fn broken_protocols_are_found() {
    for mutant in Mutant::ALL {
        let in_history = (0..MUTANT_SEEDS).find_map(|seed| {
            let violation = history::run(seed, Some(*mutant)).violation?;
            Some((format!("seed {seed}"), violation))
        });
        let found = in_history.or_else(|| crash::enumerate(Some(*mutant)).violation);
        let Some((place, violation)) = found else {
            panic!("{mutant:?} went unnoticed");
        };
        println!("{mutant:?}: {place}: {violation}");
        let invariant = violation.message.get(..2).unwrap_or_default();
        assert!(
            mutant.breaks().contains(&invariant),
            "{mutant:?} breaks {:?}, but what was seen is: {violation}",
            mutant.breaks()
        );
    }
}
