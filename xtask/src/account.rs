//! `cargo xtask test --aws`: runs the end-to-end tests in an AWS account, and leaves nothing behind.

use std::{
    fmt::{self, Display, Formatter},
    fs,
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    assembly::{self, Apart},
    console::Step,
    environment::Environment,
    helper::{Helpers, To},
    prerequisites::{self, Spark},
    process,
    summary::{Audience, grouped},
    test::END_TO_END,
    workspace::{self, Workspace},
};

/// How the tests ended, when they passed.
const PASSED: &str = "passed";

/// The result of a run.
#[derive(Deserialize, Serialize)]
struct Ended {
    run: String,
    /// The outcome of the tests.
    tests: String,
    /// The end of their output.
    tail: Vec<String>,
    /// Absent if nothing could be counted.
    cost: Option<Cost>,
    /// The resources that could not be destroyed, and why.
    left: Vec<String>,
}

/// An estimate.
#[derive(Deserialize, Serialize)]
struct Cost {
    /// In US dollars.
    usd: f64,
    /// The date of the prices.
    prices: String,
    lines: Vec<Line>,
    /// The costs that are not included.
    missing: Vec<String>,
}

/// A quantity.
#[derive(Deserialize, Serialize)]
struct Line {
    what: String,
    count: f64,
    usd: f64,
}

impl Display for Ended {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.tests != PASSED {
            for line in &self.tail {
                writeln!(f, "  {line}")?;
            }
        }
        writeln!(f, "run {}: {}", self.run, self.tests)?;
        match &self.cost {
            Some(cost) => writeln!(f, "\n{cost}")?,
            None => writeln!(f, "\nWhat it cost cannot be said: there was no stack.")?,
        }
        if self.left.is_empty() {
            return write!(f, "Destroyed: all that the run has made.");
        }
        write!(f, "NOT destroyed; remove it yourself, or it costs more:")?;
        for left in &self.left {
            write!(f, "\n  {left}")?;
        }
        Ok(())
    }
}

impl Display for Cost {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "It cost about ${:.2}, an estimate by the prices of us-east-1 of {}:",
            self.usd, self.prices
        )?;
        for Line { what, count, usd } in &self.lines {
            // Counts are integers; memory by time is shown without its fraction.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count is not negative, and far below 2^53"
            )]
            let count = grouped(count.round() as u64);
            writeln!(f, "  {count:>14} {what:<28} ${usd:.4}")?;
        }
        for missing in &self.missing {
            writeln!(f, "  {missing}")?;
        }
        Ok(())
    }
}

/// Deploys a stack in the account of a profile, runs the tests there, and destroys everything, even after a failure or
/// Ctrl-C.
///
/// # Errors
/// The functions cannot be built, or nothing can be deployed. If tests fail or resources could not be destroyed, the
/// exit code is 1; after Ctrl-C it is 130.
pub(crate) fn run(
    workspace: &Workspace,
    audience: Audience,
    profile: &str,
    select: Option<&str>,
    functions: Option<&Path>,
) -> Result<ExitCode> {
    let environment = Environment::prepare(workspace, Spark::Runs)?;
    let here = Helpers {
        workspace,
        environment: &environment,
        to: To::Terminal,
    };
    let names = assembly::every_function(workspace)?;
    let zips = if let Some(folder) = functions {
        assembly::given_functions(
            workspace,
            &environment,
            &workspace::absolute(folder)?,
            &names,
        )?
    } else {
        let architecture = prerequisites::architecture()?;
        let zips = workspace.packages().join(architecture);
        assembly::release_functions(workspace, environment.python(), architecture, &zips)?;
        zips
    };
    let tests = workspace.python_tests();
    let step = Step::begin("Names");
    let apart: Apart = here.run(
        "account.prepare",
        &[
            (
                "config",
                tests.join("lakewright.toml").display().to_string(),
            ),
            (
                "folder",
                workspace.state().join("aws").display().to_string(),
            ),
        ],
        &step,
    )?;
    step.done(&format!("run {}", apart.run));
    let assembly = assembly::synthesize_apart(workspace, &environment, &apart, &zips)?;
    let step = Step::begin(&format!("Account of {profile}"));
    let counted = apart.folder.join("requests.jsonl");
    let ran = Helpers {
        to: To::Account {
            profile,
            counted: &counted,
        },
        ..here
    }
    .run::<Ended>(
        "account.run",
        &[
            ("run", apart.run.clone()),
            ("assembly", assembly.display().to_string()),
            ("tests", tests.display().to_string()),
            ("suite", END_TO_END.join(",")),
            ("select", select.unwrap_or_default().to_owned()),
        ],
        &step,
    );
    // Copies of all zips.
    fs::remove_dir_all(&apart.folder)
        .with_context(|| format!("cannot remove {}", apart.folder.display()))?;
    let run = ran?;
    step.done(&run.tests);
    audience.show(&run)?;
    Ok(if process::interrupted() {
        ExitCode::from(130)
    } else if run.tests == PASSED && run.left.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
