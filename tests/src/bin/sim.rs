//! Runs the simulation for a chosen time: `cargo xtask sim`.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use lakewright_tests::{
    model::FaultCounts,
    sim::{
        crash::{self, CASES},
        history::{self, Scale},
    },
};

/// Runs random histories and all crash points of rekey, and checks its invariants.
#[derive(Parser)]
struct Arguments {
    /// How many histories to run.
    #[arg(long, conflicts_with_all = ["minutes", "replay"])]
    seeds: Option<u64>,
    /// How long to run histories.
    #[arg(long, conflicts_with = "replay")]
    minutes: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Leave the crash points out.
    #[arg(long)]
    only_histories: bool,
    /// Run this one history and print it step by step.
    #[arg(long)]
    replay: Option<u64>,
}

/// How many seeds run between two lines of progress.
const PROGRESS: u64 = 250;

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.replay {
        return replay(seed);
    }
    let (mut injected, mut points) = (FaultCounts::default(), 0);
    let cases = if arguments.only_histories { &[] } else { CASES };
    for case in cases {
        let report = crash::enumerate(case, arguments.from, None);
        points += report.points;
        injected.merge(&report.injected);
        if let Some((what, violation)) = report.violation {
            println!("crash point {what}: {violation}");
            return ExitCode::FAILURE;
        }
        println!(
            "{} crash points: {} ({} uploads left unfinished by the dead)",
            report.points, case.name, report.uploads_left
        );
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "how long to run is real time; nothing in a history depends on it"
    )]
    let begun = Instant::now();
    let limit = arguments
        .minutes
        .map(|minutes| Duration::from_secs(60 * minutes));
    let seeds = match (arguments.seeds, limit) {
        (Some(seeds), _) => seeds,
        (None, Some(_)) => u64::MAX,
        (None, None) => 1_000,
    };
    let (mut histories, mut invocations, mut sources) = (0, 0, 0);
    for seed in arguments.from..arguments.from.saturating_add(seeds) {
        if limit.is_some_and(|limit| begun.elapsed() >= limit) {
            break;
        }
        let run = history::run(seed, Scale::Small, None);
        if let Some(violation) = run.violation {
            println!("seed {seed}: {violation}\nreplay it with `cargo xtask sim --replay {seed}`");
            return ExitCode::FAILURE;
        }
        histories += 1;
        invocations += run.invocations;
        sources += run.sources;
        injected.merge(&run.injected);
        if histories % PROGRESS == 0 {
            println!(
                "{histories} histories in {} s, up to seed {seed}: {invocations} invocations for {sources} objects",
                begun.elapsed().as_secs()
            );
        }
    }
    println!(
        "{histories} histories ({invocations} invocations for {sources} objects) and {points} crash points: every invariant held\nfaults: {injected}"
    );
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn replay(seed: u64) -> ExitCode {
    let run = history::run(seed, Scale::Small, None);
    for line in &run.lines {
        println!("{line}");
    }
    println!("faults: {}", run.injected);
    match run.violation {
        None => {
            println!("seed {seed}: every invariant held");
            ExitCode::SUCCESS
        }
        Some(violation) => {
            println!("seed {seed}: {violation}");
            ExitCode::FAILURE
        }
    }
}
