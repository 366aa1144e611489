//! Builds what is deployed: the functions' zips, and the CDK assembly that refers to them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{
    console::Step,
    environment::{Environment, VirtualEnvironment},
    helper::{Helpers, To},
    prerequisites, process,
    stamp::{Ingredients, Stamp},
    summary::size,
    workspace::Workspace,
};

/// The stack's name on the local cloud.
pub(crate) const STACK: &str = "lakewright";
/// The maximum concurrency of a function on the local cloud.
const CONCURRENCY: u32 = 4;

/// What else is built in the same target directory. Cargo unifies a dependency's features over everything that one
/// command builds, so building only the functions would build many dependencies a second time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Nothing: only the functions are needed.
    Nothing,
    /// The tests of the whole workspace.
    Tests,
}

/// The names of all functions.
///
/// # Errors
/// Their folder cannot be read.
pub(crate) fn every_function(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.function_sources();
    let entries = fs::read_dir(&folder)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<io::Result<Vec<_>>>()
        })
        .with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names: Vec<_> = entries
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Builds these functions for this machine. The local cloud runs them as processes of this machine, so they need no
/// cross linker, and share their dependencies with the tests. This takes minutes less than a release build, and checks
/// for overflow.
///
/// # Errors
/// The build fails: then the error carries the end of its log.
pub(crate) fn build_local_functions(
    workspace: &Workspace,
    beside: Beside,
    names: &[String],
) -> Result<()> {
    let step = Step::begin("Functions");
    let mut build = Command::new("cargo");
    build.arg("build");
    match beside {
        Beside::Nothing => {
            build.args(["--package", "lakewright-functions"]);
            build.args(names.iter().flat_map(|name| ["--bin", name]));
        }
        Beside::Tests => {
            build.args(["--workspace", "--bins", "--tests"]);
        }
    }
    build_watched(workspace, build, "cargo build", &step)?;
    step.done(&format!("{} built", names.len()));
    Ok(())
}

/// Packages the binaries as Lambda requires, unless the zips are up to date.
///
/// # Errors
/// A program or a zip cannot be read or written.
pub(crate) fn pack_local_functions(
    workspace: &Workspace,
    environment: &Environment,
    names: &[String],
) -> Result<()> {
    let step = Step::begin("Zips");
    let Packed { packed, bytes } = Helpers {
        workspace,
        environment,
        to: To::Terminal,
    }
    .run(
        "localcloud.package",
        &[
            ("names", names.join(",")),
            ("programs", workspace.programs().display().to_string()),
            ("zips", workspace.local_zips().display().to_string()),
        ],
        &step,
    )?;
    step.done(&match packed {
        0 => "unchanged".to_owned(),
        _ => format!("{packed} packed, {} in all", size(bytes)),
    });
    Ok(())
}

/// Checks a folder of zips against its checksums and this machine's architecture.
///
/// # Errors
/// A zip is missing, damaged, or for another architecture.
pub(crate) fn given_functions(
    workspace: &Workspace,
    environment: &Environment,
    folder: &Path,
    names: &[String],
) -> Result<PathBuf> {
    let step = Step::begin("Functions");
    let checked: Checked = Helpers {
        workspace,
        environment,
        to: To::Terminal,
    }
    .run(
        "localcloud.zips",
        &[
            ("folder", folder.display().to_string()),
            ("names", names.join(",")),
            ("architecture", prerequisites::architecture()?.to_owned()),
        ],
        &step,
    )?;
    step.done(&format!(
        "{} taken from {}{}",
        names.len(),
        checked.folder.display(),
        if checked.sums {
            ", checksums agree"
        } else {
            ", which has no checksums"
        }
    ));
    Ok(checked.folder)
}

/// The helper's findings in a folder of zips.
#[derive(Deserialize)]
struct Checked {
    folder: PathBuf,
    sums: bool,
}

/// The helper's packages.
#[derive(Deserialize)]
struct Packed {
    packed: u64,
    bytes: u64,
}

/// Builds every function for Lambda, with cargo-lambda.
///
/// # Errors
/// The build fails: then the error carries the end of its log.
pub(crate) fn release_functions(
    workspace: &Workspace,
    python: &VirtualEnvironment,
    architecture: &str,
    zips: &Path,
) -> Result<()> {
    let step = Step::begin(&format!("Functions for {architecture}"));
    let mut build = Command::new("cargo");
    build
        // Without this flag, cargo-lambda makes a panic abort, and one bad message would fail the others of its batch.
        .args(["lambda", "build", "--release", "--disable-optimizations"])
        .arg(match architecture {
            "arm64" => "--arm64",
            _ => "--x86-64",
        })
        .args(["--package", "lakewright-functions"])
        .args(["--output-format", "zip", "--lambda-dir"])
        .arg(zips)
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

/// The state of cargo's progress bar: units done, all units, and current units.
fn cargo_progress(line: &str) -> Option<(u64, u64, &str)> {
    let (_, after) = line.split_once("Building [")?;
    let (_, counts) = after.split_once("] ")?;
    let (counts, message) = counts.split_once(':').unwrap_or((counts, ""));
    let (done, total) = counts.trim().split_once('/')?;
    let total = total.trim().split(' ').next()?;
    Some((done.parse().ok()?, total.parse().ok()?, message.trim()))
}

/// Where the assembly of a configuration is. Each of the project's own has a folder of its own, so that `demo`, `up` and the tests
/// find theirs again; all others share one.
fn folder(workspace: &Workspace, config: &Path) -> PathBuf {
    let name = match config.strip_prefix(workspace.root()) {
        Ok(own) if own.starts_with("xtask") || own.starts_with("tests") => own
            .with_extension("")
            .to_string_lossy()
            .replace(['/', '\\'], "-"),
        _ => "own".to_owned(),
    };
    workspace.state().join("cdk.out").join(name)
}

/// What an assembly is made from.
fn stamp(
    workspace: &Workspace,
    assembly: &Path,
    zips: &Path,
    context: &[(&str, String)],
) -> Result<Stamp> {
    let mut ingredients = Ingredients::new();
    for (key, value) in context {
        ingredients.text(key);
        ingredients.text(value);
    }
    let infra = workspace.infra();
    for source in [
        "bin",
        "lib",
        "cdk.json",
        "package-lock.json",
        "tsconfig.json",
    ] {
        ingredients.contents(&infra.join(source))?;
    }
    ingredients.contents(&workspace.root().join("docs/lakewright.schema.json"))?;
    for (key, value) in context {
        if *key == "config" {
            ingredients.contents(Path::new(value))?;
        }
    }
    ingredients.times(zips)?;
    Ok(Stamp::new(
        assembly.with_extension("stamp"),
        ingredients.hash(),
    ))
}

/// Synthesizes the CDK app with `config` and the functions' zips, unless the assembly is up to date. Returns the
/// assembly's directory. `tables`: the locations of tables that no job writes, in the CDK app's notation.
///
/// # Errors
/// The configuration is refused, or something cannot be read.
pub(crate) fn synthesize(
    workspace: &Workspace,
    environment: &Environment,
    config: &Path,
    zips: &Path,
    tables: &str,
) -> Result<PathBuf> {
    let step = Step::begin("CDK assembly");
    let assembly = folder(workspace, config);
    let context = [
        ("config", config.display().to_string()),
        ("prebuilt", zips.display().to_string()),
        ("architecture", prerequisites::architecture()?.to_owned()),
        ("create-buckets", "*".to_owned()),
        // MiniStack has neither anomaly detection nor math of metrics.
        ("lull-alarm", "false".to_owned()),
        ("late-alarm", "false".to_owned()),
        // Each invocation runs as a process of this machine.
        ("max-concurrency", CONCURRENCY.to_string()),
        ("backfill-concurrency", 2.to_string()),
        ("compact-concurrency", CONCURRENCY.to_string()),
        ("stack", STACK.to_owned()),
        ("table-locations", tables.to_owned()),
    ];
    let stamp = stamp(workspace, &assembly, zips, &context)?;
    if stamp.is_current() && assembly.join("manifest.json").exists() {
        step.done("unchanged");
        return Ok(assembly);
    }
    stamp.remove()?;
    synth(workspace, environment, &assembly, &context)?;
    stamp.write()?;
    let shown = assembly.strip_prefix(workspace.root());
    step.done(&shown.unwrap_or(&assembly).display().to_string());
    Ok(assembly)
}

/// Synthesizes the CDK app as a template that is deployed without the CDK. Returns the assembly's directory.
///
/// # Errors
/// The configuration or a context is refused, or a zip is for another architecture.
pub(crate) fn synthesize_plain(
    workspace: &Workspace,
    environment: &Environment,
    config: &Path,
    context: &BTreeMap<&str, &str>,
    architecture: &str,
    zips: &Path,
) -> Result<PathBuf> {
    let step = Step::begin("CDK assembly");
    let assembly = workspace.state().join("cdk-plain.out");
    if assembly.exists() {
        fs::remove_dir_all(&assembly)
            .with_context(|| format!("cannot remove {}", assembly.display()))?;
    }
    let given = context
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    let mut context = given.collect::<Vec<_>>();
    context.extend([
        ("config", config.display().to_string()),
        ("prebuilt", zips.display().to_string()),
        ("architecture", architecture.to_owned()),
        ("plain", true.to_string()),
    ]);
    synth(workspace, environment, &assembly, &context)?;
    step.done(architecture);
    Ok(assembly)
}

/// Synthesizes the CDK app for a run of tests in an account: with unique names, and its assets in a separate bucket.
/// The assembly is in the run's folder.
///
/// # Errors
/// The configuration is refused, or something cannot be read.
pub(crate) fn synthesize_apart(
    workspace: &Workspace,
    environment: &Environment,
    apart: &Apart,
    zips: &Path,
) -> Result<PathBuf> {
    let step = Step::begin("CDK assembly");
    let assembly = apart.folder.join("cdk.out");
    let context = [
        ("config", apart.config.display().to_string()),
        ("prebuilt", zips.display().to_string()),
        ("architecture", prerequisites::architecture()?.to_owned()),
        ("create-buckets", "*".to_owned()),
        // What is usual at an hour is learned in days; the run ends in minutes, and its account may be MiniStack.
        ("lull-alarm", "false".to_owned()),
        ("late-alarm", "false".to_owned()),
        ("max-concurrency", CONCURRENCY.to_string()),
        ("compact-concurrency", CONCURRENCY.to_string()),
        ("stack", apart.stack.clone()),
        ("name-prefix", format!("{}-", apart.stack)),
        ("assets-bucket", apart.assets.clone()),
    ];
    synth(workspace, environment, &assembly, &context)?;
    step.done(&format!("stack {}", apart.stack));
    Ok(assembly)
}

/// The names of a run of tests in an account.
#[derive(Deserialize)]
pub(crate) struct Apart {
    /// The run.
    pub(crate) run: String,
    /// Its stack, and the prefix of the functions' names.
    stack: String,
    /// The bucket of its assets.
    assets: String,
    /// Where its files are, on this machine.
    pub(crate) folder: PathBuf,
    /// Its configuration.
    config: PathBuf,
}

fn synth(
    workspace: &Workspace,
    environment: &Environment,
    assembly: &Path,
    context: &[(&str, String)],
) -> Result<()> {
    let mut synth = environment.npx(workspace);
    synth.args(["cdk", "synth", "--quiet", "--output"]);
    synth.arg(assembly);
    for (key, value) in context {
        // A person's own configuration is checked before anything is built.
        if *key == "config" {
            synth.env("LAKEWRIGHT_CHECKED", value);
        }
        synth.args(["--context", &format!("{key}={value}")]);
    }
    process::run("cdk synth", &mut synth, &workspace.log("cdk-synth"))
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
