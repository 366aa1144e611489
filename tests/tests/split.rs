//! split under the simulation: random histories, every crash point, and protocols that are broken on purpose.

#![expect(
    clippy::print_stdout,
    reason = "what was run and what was found is worth seeing with --nocapture"
)]

use std::collections::BTreeMap;

use lakewright_model::{Fault, FaultCounts};
use lakewright_tests::sim::split::{
    crash::{self, CASES},
    history,
    mutant::Mutant,
};

/// Seeds of each shard of random histories.
const SEEDS: u64 = 2_000;

/// Seeds within which a broken protocol must be found: fewer than a sound one is tried with.
const MUTANT_SEEDS: u64 = 300;

fn histories(shard: u64) {
    let mut injected = FaultCounts::default();
    let mut endings: BTreeMap<String, u64> = BTreeMap::new();
    for seed in shard * SEEDS..(shard + 1) * SEEDS {
        let run = history::run(seed, None);
        assert!(
            run.violation.is_none(),
            "seed {seed}: {:?}\n{}",
            run.violation,
            run.lines.join("\n")
        );
        injected.merge(&run.injected);
        for ending in run.endings {
            *endings.entry(ending).or_default() += 1;
        }
    }
    println!("{SEEDS} histories; {injected}; {endings:?}");
    for ending in [
        "Success",
        "Lakewright.ChunkFailed",
        "Lakewright.Cancelled",
        "Lakewright.KeyTaken",
    ] {
        assert!(endings.contains_key(ending), "{ending}: {endings:?}");
    }
    for fault in [
        Fault::SlowDown,
        Fault::InternalAfter,
        Fault::ResetAfter,
        Fault::LandsLate,
        Fault::Truncated,
        Fault::Conflict,
        Fault::SendFailure,
        Fault::KilledBefore,
        Fault::KilledAfter,
        Fault::SleptToDeadline,
        Fault::Twin,
        Fault::DuplicateDelivery,
        Fault::DeadLetter,
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
    for seed in 0..6 {
        let (one, again) = (history::run(seed, None), history::run(seed, None));
        assert_eq!(one.lines, again.lines, "seed {seed}");
        assert_eq!(one.digest, again.digest, "seed {seed}");
    }
}

#[test]
fn crash_points() {
    for case in CASES {
        let report = crash::enumerate(case, None);
        assert!(report.violation.is_none(), "{:?}", report.violation);
        assert!(report.points > 40, "{}: {}", case.name, report.points);
        println!("{}: {} crash points", case.name, report.points);
    }
}

#[test]
fn broken_protocols_are_found() {
    for mutant in Mutant::ALL {
        let found = (0..MUTANT_SEEDS)
            .find_map(|seed| Some((seed, history::run(seed, Some(*mutant)).violation?)));
        let Some((seed, violation)) = found else {
            panic!("{mutant:?} went unnoticed in {MUTANT_SEEDS} histories");
        };
        println!("{mutant:?}: seed {seed}: {violation}");
        let invariant = violation.message.get(..2).unwrap_or_default();
        assert!(
            mutant.breaks().contains(&invariant),
            "{mutant:?} breaks {:?}, but what was seen is: {violation}",
            mutant.breaks()
        );
    }
}
