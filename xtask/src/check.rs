//! `cargo xtask check`: the functions' own rules, applied to a configuration before anything is built or deployed.

use std::{
    fmt::{self, Display, Formatter},
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{
    console::Step,
    process,
    summary::Audience,
    workspace::{self, Workspace},
};

/// One mistake, as the checker says it.
#[derive(Deserialize, Serialize)]
struct Mistake {
    line: u64,
    column: u64,
    key: String,
    message: String,
}

/// What the rules say of a configuration.
#[derive(Serialize)]
pub(crate) struct Verdict {
    file: PathBuf,
    mistakes: Vec<Mistake>,
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        for mistake in &self.mistakes {
            writeln!(
                f,
                "{file}:{}:{}: {}",
                mistake.line, mistake.column, mistake.message
            )?;
        }
        match self.mistakes.len() {
            0 => write!(f, "{file}: no mistakes"),
            1 => write!(f, "1 mistake"),
            many => write!(f, "{many} mistakes"),
        }
    }
}

/// Checks a configuration by the rules of the functions.
///
/// # Errors
/// The checker cannot be built, or the file cannot be read.
pub(crate) fn verdict(workspace: &Workspace, config: &Path) -> Result<Verdict> {
    fs::metadata(config).with_context(|| format!("{} cannot be read", config.display()))?;
    let mut build = Command::new("cargo");
    build
        .args([
            "build",
            "--workspace",
            "--quiet",
            "--bin",
            "lakewright-check",
        ])
        .current_dir(workspace.root());
    let log = workspace.log("checker");
    process::run("cargo build", &mut build, &log)?;
    let mut checker = Command::new(workspace.programs().join("lakewright-check"));
    checker.arg("--json").arg(config);
    let mut mistakes = None;
    let ended = process::run_lines("the checker", &mut checker, &log, |line| {
        mistakes =
            Some(serde_json::from_str(line).context("the checker said no list of mistakes")?);
        Ok(())
    });
    let Some(mistakes) = mistakes else {
        ended?;
        bail!("the checker said nothing");
    };
    Ok(Verdict {
        file: config.to_owned(),
        mistakes,
    })
}

/// Refuses a configuration with mistakes, and says them all.
///
/// # Errors
/// As for [`verdict`]; or there are mistakes.
pub(crate) fn require(workspace: &Workspace, config: &Path) -> Result<()> {
    let step = Step::begin("Rules");
    let verdict = verdict(workspace, config)?;
    if !verdict.mistakes.is_empty() {
        bail!("the configuration is refused\n{verdict}");
    }
    step.done("no mistakes");
    Ok(())
}

/// Shows the mistakes of a configuration; with any, the exit code is 1.
///
/// # Errors
/// As for [`verdict`].
pub(crate) fn run(workspace: &Workspace, audience: Audience, config: &Path) -> Result<ExitCode> {
    let config = workspace::absolute(config)?;
    let verdict = verdict(workspace, &config)?;
    audience.show(&verdict)?;
    Ok(if verdict.mistakes.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
