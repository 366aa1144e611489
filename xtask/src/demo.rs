//! `cargo xtask demo`: a year of flights lands on the local cloud, and is shown before and after.

use std::{
    fmt::{self, Display, Formatter},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cloud::Stack,
    console::{self, Step},
    report::{self, Written},
    summary::{Audience, grouped, size},
    up::{self, Deployment},
    workspace::{self, Workspace},
};

// As in `xtask/demo/lakewright.toml`; the deployed function refuses other prefixes.
const SOURCE: &str = "s3://lakewright-landing/flights/";
const TARGET: &str = "s3://lakewright-lake/flights/";
const WINDOW_SECONDS: u16 = 10;
const WINDOW: &str = "window = \"10s\"";
const DEAD_LETTERS: &str = "RekeyflightsDeadLetterQueueUrl";

#[derive(Deserialize)]
struct Landed {
    objects: u64,
    bytes: u64,
    rows: u64,
}

#[derive(Deserialize, Serialize)]
struct Committed {
    objects: u64,
    batches: u64,
    /// From an object's landing to its commit.
    seconds_median: u64,
    seconds_p95: u64,
    seconds_longest: u64,
    rows_in: u64,
    rows_out: u64,
    rows_quarantined: u64,
    outputs: u64,
    output_bytes: u64,
}

/// What the demo found.
#[derive(Deserialize, Serialize)]
struct Findings {
    /// A summary of five lines.
    lines: Vec<String>,
    /// One day's rows by folder, before and after: for `cargo xtask pictures`.
    picture: Value,
    /// All figures.
    tables: Vec<Table>,
    /// Figures that do not agree; empty unless there is a bug.
    differences: Vec<String>,
}

#[derive(Deserialize, Serialize)]
struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// What the demo shows.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    findings: Findings,
    report: Written,
}

impl Display for Shown {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for line in &self.findings.lines {
            write!(f, "\n{line}")?;
        }
        write!(f, "\n\nThe report: {}", self.report.file.display())
    }
}

/// Runs the demo; with `keep` the local cloud stays until Ctrl-C.
///
/// # Errors
/// A step fails, or the rows do not reconcile.
pub(crate) fn run(
    workspace: &Workspace,
    audience: Audience,
    keep: bool,
    window: Option<u16>,
    functions: Option<&Path>,
) -> Result<()> {
    let config = match window {
        Some(seconds) => with_window(workspace, seconds)?,
        None => workspace.demo_config(),
    };
    let deployment = Deployment::BuiltIn {
        config,
        functions: vec!["rekey".to_owned()],
        longest_window: window,
    };
    let functions = functions.map(workspace::absolute).transpose()?;
    let mut running = up::bring_up(workspace, "demo", &deployment, functions.as_deref())?;
    let started = console::now();
    let helpers = running.cloud.helpers(workspace, &running.environment);
    let manifest = workspace.state().join("landed.json");
    let locations = [
        ("source", SOURCE.to_owned()),
        ("target", TARGET.to_owned()),
        ("manifest", manifest.display().to_string()),
    ];

    let step = Step::begin("Flights land");
    let landed: Landed = helpers.run("flights.land", &locations, &step)?;
    step.done(&format!(
        "{} records in {} objects of {}",
        grouped(landed.rows),
        grouped(landed.objects),
        size(landed.bytes)
    ));

    let step = Step::begin("Rekeyed");
    let dead_letters = ("dead-letters", dead_letters(&running.stack)?);
    let committed: Committed = helpers
        .run(
            "flights.wait",
            &[locations.as_slice(), &[dead_letters]].concat(),
            &step,
        )
        .with_context(|| workspace.log("ministack").tail())?;
    step.done(&format!(
        "{} objects in {} batches committed, {} s after they landed at most, {} files written, {}",
        grouped(committed.objects),
        grouped(committed.batches),
        grouped(committed.seconds_longest),
        grouped(committed.outputs),
        size(committed.output_bytes)
    ));

    let step = Step::begin("Read back");
    let committed = ("committed", serde_json::to_string(&committed)?);
    let findings: Findings = helpers.run(
        "flights.report",
        &[
            locations.as_slice(),
            &[
                committed,
                ("window", window.unwrap_or(WINDOW_SECONDS).to_string()),
            ],
        ]
        .concat(),
        &step,
    )?;
    let seconds = started.elapsed().as_secs_f64();
    step.done(&format!(
        "both layouts; {seconds:.0} s since the deployment"
    ));
    let config = ("config", deployment.config().display().to_string());
    let file = workspace.state().join("demo-report.html");
    let shown = Shown {
        findings,
        report: report::write(&helpers, config, &file)?,
    };
    audience.show(&shown)?;
    let figures = workspace.demo_figures();
    fs::write(&figures, serde_json::to_vec_pretty(&shown)?)
        .with_context(|| format!("cannot write {}", figures.display()))?;
    let differences = &shown.findings.differences;
    if !differences.is_empty() {
        bail!("the rows do not agree:\n{}", differences.join("\n"));
    }
    if keep {
        audience.show(&running.summary(Vec::new()))?;
        running.wait()?;
    }
    Ok(())
}

/// The configuration with another window, in the commands' own folder.
fn with_window(workspace: &Workspace, seconds: u16) -> Result<PathBuf> {
    let usual = workspace.demo_config();
    let text =
        fs::read_to_string(&usual).with_context(|| format!("cannot read {}", usual.display()))?;
    let other = text.replace(WINDOW, &format!("window = \"{seconds}s\""));
    let file = workspace.state().join("demo.toml");
    fs::write(&file, other).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

fn dead_letters(stack: &Stack) -> Result<String> {
    stack
        .outputs
        .get(DEAD_LETTERS)
        .cloned()
        .with_context(|| format!("the stack has no output {DEAD_LETTERS}"))
}
