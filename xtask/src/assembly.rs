//! From source to what is deployed: the functions' zips, and the CDK assembly that names them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{
    console::Step,
    environment::{Environment, VirtualEnvironment},
    prerequisites, process,
    workspace::Workspace,
};

/// The stack's name on the local cloud.
pub(crate) const STACK: &str = "lakewright";
/// How many of a function run at a time on the local cloud.
const CONCURRENCY: u32 = 4;

/// Builds every function as Lambda runs it, with cargo-lambda.
pub(crate) fn build_functions(workspace: &Workspace, python: &VirtualEnvironment) -> Result<()> {
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
        .arg(workspace.function_zips())
        .current_dir(workspace.root())
        .env("PATH", python.path()?)
        .env("CARGO_TARGET_DIR", workspace.target())
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "100");
    let log = workspace.log("cargo-lambda");
    process::run_watched("cargo lambda build", &mut build, &log, |line| {
        if let Some((done, total, message)) = cargo_progress(line) {
            step.progress(done, total, message);
        }
    })?;
    step.done(&format!("release, {architecture}"));
    Ok(())
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
        ("prebuilt", workspace.function_zips().display().to_string()),
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
