//! rekey under the simulation: random histories, every crash point, and protocols that are broken on purpose.
//!
//! `cargo xtask sim` runs more of these, for a chosen time.

#![expect(
    clippy::print_stdout,
    reason = "what was run and what was found is worth seeing with --nocapture"
)]

use lakewright_tests::{
    semantics::stated,
    sim::{
        crash::{self, CASES},
        history::{self, Scale},
        mutant::Mutant,
    },
};

/// Seeds of each shard of random histories.
const SEEDS: u64 = 3_000;

/// Seeds of histories of a large object, which take longer.
const LARGE_SEEDS: u64 = 40;

/// Seeds within which a broken protocol must be found: fewer than a sound one is tried with.
const MUTANT_SEEDS: u64 = 200;

/// The same for one that shows rarely.
const RARE_SEEDS: u64 = 8_000;

fn histories(shard: u64) {
    stated(
        "Delivered any number of times, in any order and in any company, and killed anywhere, an object's rows exist exactly once after the last retry.",
    );
    let mut injected = lakewright_model::FaultCounts::default();
    for seed in shard * SEEDS..(shard + 1) * SEEDS {
        let run = history::run(seed, Scale::Small, None);
        assert!(
            run.violation.is_none(),
            "{}\nreplay it step by step with `cargo xtask sim --replay {seed}`",
            run.violation
                .map(|violation| violation.to_string())
                .unwrap_or_default()
        );
        injected.merge(&run.injected);
    }
    println!("{SEEDS} histories; {injected}");
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
fn histories_shard_2() {
    histories(2);
}

#[test]
fn histories_shard_3() {
    histories(3);
}

#[test]
fn histories_of_large_objects() {
    for seed in 0..LARGE_SEEDS {
        let run = history::run(seed, Scale::Large, None);
        assert!(
            run.violation.is_none(),
            "large object, seed {seed}: {run:?}"
        );
    }
}

#[test]
fn every_kind_of_fault_is_injected() {
    use lakewright_model::Fault as F;
    let mut injected = lakewright_model::FaultCounts::default();
    for seed in 0..400 {
        injected.merge(&history::run(seed, Scale::Small, None).injected);
    }
    for fault in [
        F::Slow,
        F::SlowDown,
        F::InternalBefore,
        F::InternalAfter,
        F::ResetBefore,
        F::ResetAfter,
        F::LandsLate,
        F::Truncated,
        F::Conflict,
        F::PartialBatch,
        F::KilledBefore,
        F::KilledAfter,
        F::LostInFlight,
        F::SleptToDeadline,
        F::Twin,
        F::Triplet,
        F::LostEvent,
        F::DuplicateDelivery,
        F::LateRedelivery,
        F::SourceRemoved,
        F::SourceReplaced,
        F::SourceBack,
        F::Poisoned,
        F::ManyInOne,
        F::Dissolved,
    ] {
        assert!(injected.0.contains_key(&fault), "{fault}: {injected}");
    }
}

#[test]
fn a_seed_has_one_history() {
    for seed in 0..12 {
        let (one, again) = (
            history::run(seed, Scale::Small, None),
            history::run(seed, Scale::Small, None),
        );
        assert_eq!(one.lines, again.lines, "seed {seed}");
        assert_eq!(one.digest, again.digest, "seed {seed}");
        assert!(one.lines.len() > 20, "seed {seed}: {:?}", one.lines);
        let other = history::run(seed + 1, Scale::Small, None);
        assert_ne!(one.digest, other.digest, "seeds {seed} and {}", seed + 1);
    }
}

fn crash_points(case: usize) {
    let report = crash::enumerate(&CASES[case], 1, None);
    assert!(report.violation.is_none(), "{:?}", report.violation);
    assert!(report.points > 20, "{}", report.points);
    println!("{}: {} crash points", CASES[case].name, report.points);
}

#[test]
fn crash_points_of_one_partition() {
    crash_points(0);
}

#[test]
fn crash_points_of_a_table_with_quarantine() {
    crash_points(1);
}

#[test]
fn crash_points_of_a_table_that_gets_columns() {
    stated(
        "Whatever number of functions bring a column, and wherever each is killed, the table has it once, with the type that `columns/<name>` in the ledger says, and no column of a record that is set aside.",
    );
    crash_points(2);
}

#[test]
fn crash_points_of_quarantine_alone() {
    crash_points(3);
}

#[test]
fn crash_points_of_several_partitions() {
    crash_points(4);
}

#[test]
fn crash_points_of_multipart_uploads() {
    crash_points(5);
}

#[test]
fn crash_points_of_spooled_rows() {
    crash_points(6);
}

#[test]
fn crash_points_of_an_unreadable_object() {
    crash_points(7);
}

#[test]
fn crash_points_of_a_vanishing_object() {
    crash_points(8);
}

#[test]
fn crash_points_of_a_vanishing_object_of_cut_files() {
    crash_points(9);
}

#[test]
fn crash_points_of_two_tables() {
    crash_points(10);
}

#[test]
fn every_case_is_run() {
    assert_eq!(CASES.len(), 11);
}

#[test]
fn broken_protocols_are_found() {
    for mutant in Mutant::ALL {
        let in_histories = |mut seeds: std::ops::Range<u64>| {
            seeds.find_map(|seed| {
                let run = history::run(seed, Scale::Small, Some(*mutant));
                Some((format!("seed {seed}"), run.violation?))
            })
        };
        // Few histories have an object that vanishes from a partition of several files when it matters.
        let most = if *mutant == Mutant::CutsByWriter {
            RARE_SEEDS
        } else {
            MUTANT_SEEDS
        };
        let found = in_histories(0..most);
        let Some((place, violation)) = found else {
            panic!("{mutant:?} went unnoticed in {most} histories");
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
