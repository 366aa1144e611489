//! Runs the simulation for a chosen time: `cargo xtask sim`.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use lakewright_model::FaultCounts;
use lakewright_tests::sim::{
    crash::{self, CASES},
    history::{self, Scale},
};
use serde::Serialize;

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
    /// Print the outcome as one line of JSON on standard output; progress goes to standard error.
    #[arg(long)]
    json: bool,
}

/// How many seeds run between two lines of progress.
const PROGRESS: u64 = 250;

/// What was run, and what came of it.
#[derive(Default, Serialize)]
struct Outcome {
    histories: u64,
    invocations: u64,
    sources: usize,
    crash_points: u64,
    /// By their names.
    faults: BTreeMap<String, u64>,
    /// Of a replay.
    steps: Vec<String>,
    violation: Option<Violation>,
}

/// An invariant that did not hold.
#[derive(Serialize)]
struct Violation {
    /// The seed or the crash point.
    at: String,
    says: String,
}

impl Outcome {
    fn with(mut self, injected: &FaultCounts, violation: Option<Violation>) -> Self {
        let faults = injected.0.iter();
        self.faults = faults
            .map(|(fault, count)| (fault.to_string(), *count))
            .collect();
        self.violation = violation;
        self
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        if let Some(Violation { at, says }) = &self.violation {
            return write!(f, "{at}: {says}");
        }
        let faults = self.faults.iter();
        let faults = faults
            .map(|(fault, count)| format!("{fault} {count}"))
            .collect::<Vec<_>>();
        write!(
            f,
            "{} histories ({} invocations for {} objects) and {} crash points: every invariant held\nfaults: {}",
            self.histories,
            self.invocations,
            self.sources,
            self.crash_points,
            faults.join(", ")
        )
    }
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is what it is for"
)]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    let outcome = run(&arguments, |progress| {
        if json {
            eprintln!("{progress}");
        } else {
            println!("{progress}");
        }
    });
    match serde_json::to_string(&outcome) {
        Ok(line) if json => println!("{line}"),
        Err(error) if json => eprintln!("{error}"),
        _ => println!("{outcome}"),
    }
    if outcome.violation.is_some() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn run(arguments: &Arguments, progress: impl Fn(&str)) -> Outcome {
    if let Some(seed) = arguments.replay {
        return replay(seed);
    }
    let (mut injected, mut outcome) = (FaultCounts::default(), Outcome::default());
    let cases = if arguments.only_histories { &[] } else { CASES };
    for case in cases {
        let report = crash::enumerate(case, arguments.from, None);
        outcome.crash_points += report.points;
        injected.merge(&report.injected);
        if let Some((what, violation)) = report.violation {
            let at = format!("crash point {what}");
            let says = violation.to_string();
            return outcome.with(&injected, Some(Violation { at, says }));
        }
        progress(&format!(
            "{} crash points: {} ({} uploads left unfinished by the dead)",
            report.points, case.name, report.uploads_left
        ));
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
    for seed in arguments.from..arguments.from.saturating_add(seeds) {
        if limit.is_some_and(|limit| begun.elapsed() >= limit) {
            break;
        }
        let run = history::run(seed, Scale::Small, None);
        injected.merge(&run.injected);
        if let Some(violation) = run.violation {
            let at = format!("seed {seed}");
            let says = format!("{violation}\nreplay it with `cargo xtask sim --replay {seed}`");
            return outcome.with(&injected, Some(Violation { at, says }));
        }
        outcome.histories += 1;
        outcome.invocations += run.invocations;
        outcome.sources += run.sources;
        if outcome.histories % PROGRESS == 0 {
            progress(&format!(
                "{} histories in {} s, up to seed {seed}: {} invocations for {} objects",
                outcome.histories,
                begun.elapsed().as_secs(),
                outcome.invocations,
                outcome.sources
            ));
        }
    }
    outcome.with(&injected, None)
}

fn replay(seed: u64) -> Outcome {
    let run = history::run(seed, Scale::Small, None);
    let outcome = Outcome {
        histories: 1,
        invocations: run.invocations,
        sources: run.sources,
        steps: run.lines,
        ..Outcome::default()
    };
    let violation = run.violation.map(|violation| Violation {
        at: format!("seed {seed}"),
        says: violation.to_string(),
    });
    outcome.with(&run.injected, violation)
}
