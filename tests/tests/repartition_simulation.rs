//! repartition under the simulation: random histories, every crash point, and protocols that are broken on purpose.

#![expect(
    clippy::print_stdout,
    reason = "what was run and what was found is worth seeing with --nocapture"
)]

use lakewright_tests::{
    semantics::stated,
    sim::repartition::{crash, history, mutant::Mutant, scene::Scene},
};

/// Seeds of random histories.
const SEEDS: u64 = 200;

/// Seeds within which a broken protocol must be found, if no crash point shows it.
const MUTANT_SEEDS: u64 = 60;

#[test]
fn histories() {
    stated(
        "Killed anywhere, made again, and by twins at once, a run ends with exactly the new data under the target.",
    );
    stated(
        "Until a run is committed, everything that was under the target stays; a reader by manifest sees the old rows or the new ones, all of them, at any moment.",
    );
    let mut injected = lakewright_model::FaultCounts::default();
    for seed in 0..SEEDS {
        let run = history::run(seed, None);
        assert!(run.violation.is_none(), "seed {seed}: {:?}", run.violation);
        injected.merge(&run.injected);
    }
    println!("{SEEDS} histories; {injected}");
}

fn crash_points(scene: Scene) {
    let report = crash::enumerate(scene, None);
    assert!(report.violation.is_none(), "{:?}", report.violation);
    assert!(report.points > 100, "{}", report.points);
    // A file can only be brought back if runs remove the files of earlier ones.
    assert_eq!(report.brought_back > 0, scene != Scene::Bookmark);
    println!(
        "{scene:?}: {} crash points, {} files brought back",
        report.points, report.brought_back
    );
}

#[test]
fn crash_points_by_column() {
    crash_points(Scene::ByColumn);
}

#[test]
fn crash_points_of_files() {
    crash_points(Scene::Files);
}

#[test]
fn crash_points_in_place() {
    crash_points(Scene::InPlace);
}

#[test]
fn crash_points_with_bookmark_and_table() {
    stated(
        "With `bookmark` a run reads exactly the objects, by key and ETag, that no earlier run of the job has committed, whatever their age.",
    );
    crash_points(Scene::Bookmark);
}

#[test]
fn crash_points_of_rows_brought_together() {
    crash_points(Scene::Together);
}

#[test]
fn crash_points_of_files_that_are_united() {
    crash_points(Scene::United);
}

#[test]
fn broken_protocols_are_found() {
    for mutant in Mutant::ALL {
        // The last scenes show most of them at once.
        let by_crash = Scene::ALL
            .iter()
            .rev()
            .find_map(|scene| crash::enumerate(*scene, Some(*mutant)).violation);
        let found = by_crash.map(|(what, violation)| format!("{what}: {}", violation.message));
        let found = found.or_else(|| {
            (0..MUTANT_SEEDS).find_map(|seed| {
                let violation = history::run(seed, Some(*mutant)).violation?;
                Some(format!("seed {seed}: {}", violation.message))
            })
        });
        let Some(found) = found else {
            panic!("{mutant:?} goes unnoticed");
        };
        println!("{mutant:?}: {found}");
        let breaks = mutant.breaks().iter();
        assert!(
            breaks
                .into_iter()
                .any(|invariant| found.contains(&format!("{invariant}:"))),
            "{mutant:?} breaks {:?}, but what was seen is: {found}",
            mutant.breaks()
        );
    }
}
