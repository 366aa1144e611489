//! From source to what is deployed: the functions' zips, and the CDK assembly that names them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use serde::Deserialize;

use crate::{
    console::Step,
    environment::{Environment, VirtualEnvironment},
    helper::Helpers,
    prerequisites, process,
    workspace::Workspace,
};

/// The stack's name on the local cloud.
pub(crate) const STACK: &str = "lakewright";
/// How many of a function run at a time on the local cloud.
const CONCURRENCY: u32 = 4;

/// What else is built in the same target directory. Cargo chooses a dependency's features for everything that one
/// command builds, so a build of the functions alone would make many dependencies a second time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Nothing: only the functions are needed.
    Nothing,
    /// The tests of the whole workspace.
    Tests,
}

/// Builds every function for this machine and packs it as Lambda wants it. The local cloud runs them as processes of
/// this machine, so they need no other linker, and share their dependencies with the tests: minutes less than a release
/// build, with checks for overflow.
pub(crate) fn local_functions(
    workspace: &Workspace,
    environment: &Environment,
    beside: Beside,
) -> Result<()> {
    let step = Step::begin("Functions");
    let mut build = Command::new("cargo");
    build.arg("build").args(match beside {
        Beside::Nothing => ["--package", "lakewright-functions", "--bins"].as_slice(),
        Beside::Tests => ["--workspace", "--bins", "--tests"].as_slice(),
    });
    build_watched(workspace, build, "cargo build", &step)?;
    step.message("packing");
    let Packed { functions, bytes } = Helpers {
        workspace,
        environment,
        variables: None,
    }
    .run(
        "localcloud.package",
        &[
            (
                "sources",
                workspace.function_sources().display().to_string(),
            ),
            ("programs", workspace.programs().display().to_string()),
            ("zips", workspace.local_zips().display().to_string()),
        ],
        &step,
    )?;
    step.done(&format!("{functions}, {} MiB", bytes >> 20));
    Ok(())
}

/// What the helper packed.
#[derive(Deserialize)]
struct Packed {
    functions: u64,
    bytes: u64,
}

/// Builds every function as Lambda runs it, with cargo-lambda.
pub(crate) fn release_functions(workspace: &Workspace, python: &VirtualEnvironment) -> Result<()> {
    let step = Step::begin("Functions");
    let architecture = match prerequisites::architecture()? {
        "arm64" => "--arm64",
        _ => "--x86-64",
    };
    let mut build = Command::new("cargo");
    build
        // Without this flag cargo-lambda makes a panic abort, and one poisonous message would take its neighbours along.
        .args(["lambda", "build", "--release", "--disable-optimizations"])
        .arg(architecture)
        .args(["--package", "lakewright-functions"])
        .args(["--output-format", "zip", "--lambda-dir"])
        .arg(workspace.release_zips())
        .env("PATH", python.path()?);
    build_watched(workspace, build, "cargo lambda build", &step)?;
    step.done(&format!("release, {architecture}"));
    Ok(())
}

/// Runs a build, with cargo's progress shown.
fn build_watched(workspace: &Workspace, mut build: Command, name: &str, step: &Step) -> Result<()> {
    build
        .current_dir(workspace.root())
        .env("CARGO_TARGET_DIR", workspace.target())
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "100");
    let log = workspace.log(&name.replace(' ', "-"));
    process::run_watched(name, &mut build, &log, |line| {
        if let Some((done, total, message)) = cargo_progress(line) {
            step.progress(done, total, message);
        }
    })
}

/// What cargo's progress bar says: units done, units in all, and those that it is at.
fn cargo_progress(line: &str) -> Option<(u64, u64, &str)> {
    let (_, after) = line.split_once("Building [")?;
    let (_, counts) = after.split_once("] ")?;
    let (counts, message) = counts.split_once(':').unwrap_or((counts, ""));
    let (done, total) = counts.trim().split_once('/')?;
    let total = total.trim().split(' ').next()?;
    Some((done.parse().ok()?, total.parse().ok()?, message.trim()))
}

/// Synthesizes the CDK app with `config` and the functions' zips; answers with the assembly's directory.
pub(crate) fn synthesize(
    workspace: &Workspace,
    environment: &Environment,
    config: &Path,
) -> Result<PathBuf> {
    let step = Step::begin("CDK assembly");
    let assembly = workspace.state().join("cdk.out");
    let mut synth = environment.npx(workspace);
    synth.args(["cdk", "synth", "--quiet", "--output"]);
    synth.arg(&assembly);
    for (key, value) in [
        ("config", config.display().to_string()),
        ("prebuilt", workspace.local_zips().display().to_string()),
        ("architecture", prerequisites::architecture()?.to_owned()),
        // Each runs as a process of this machine.
        ("max-concurrency", CONCURRENCY.to_string()),
        ("stack", STACK.to_owned()),
    ] {
        synth.args(["--context", &format!("{key}={value}")]);
    }
    process::run("cdk synth", &mut synth, &workspace.log("cdk-synth"))?;
    step.done(".lakewright/cdk.out");
    Ok(assembly)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_s_progress_is_understood() {
        for (line, expected) in [
            (
                "    Building [=====>       ] 12/345: serde, tokio(build)",
                Some((12, 345, "serde, tokio(build)")),
            ),
            ("    Building [======>] 344/345", Some((344, 345, ""))),
            ("   Compiling serde v1.0.0", None),
            ("    Building [", None),
        ] {
            assert_eq!(cargo_progress(line), expected, "{line}");
        }
    }
}
