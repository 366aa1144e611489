//! `cargo xtask demo`: a year of flights lands on the local cloud, and is shown before and after.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{
    assembly::{self, Beside},
    cloud::Stack,
    console::{self, Step},
    environment::Environment,
    prerequisites::Spark,
    up,
    workspace::Workspace,
};

// As `xtask/demo/lakewright.toml` says; the deployed function refuses what lies outside.
const SOURCE: &str = "s3://lakewright-landing/flights/";
pub(crate) const TARGET: &str = "s3://lakewright-lake/flights/";
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
    rows_in: u64,
    rows_out: u64,
    rows_quarantined: u64,
    outputs: u64,
    output_bytes: u64,
}

#[derive(Deserialize)]
struct Report {
    tables: Vec<Table>,
    differences: Vec<String>,
}

#[derive(Deserialize)]
struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Runs the demo; with `keep` the local cloud stays until Ctrl-C.
///
/// # Errors
/// A step fails, or the rows do not reconcile.
pub(crate) fn run(workspace: &Workspace, keep: bool) -> Result<()> {
    let environment = Environment::prepare(workspace, Spark::StaysAway)?;
    assembly::local_functions(workspace, &environment, Beside::Nothing)?;
    let started = console::now();
    let (mut cloud, stack) = up::bring_up(workspace, &environment)?;
    let helpers = cloud.helpers(workspace, &environment);
    let manifest = workspace.state().join("landed.json");
    let locations = [
        ("source", SOURCE.to_owned()),
        ("target", TARGET.to_owned()),
        ("manifest", manifest.display().to_string()),
    ];

    let step = Step::begin("Flights land");
    let landed: Landed = helpers.run("flights.land", &locations, &step)?;
    step.done(&format!(
        "{} records in {} objects, {} bytes",
        landed.rows, landed.objects, landed.bytes
    ));

    let step = Step::begin("Rekeyed");
    let dead_letters = ("dead-letters", dead_letters(&stack)?);
    let committed: Committed = helpers
        .run(
            "flights.wait",
            &[locations.as_slice(), &[dead_letters]].concat(),
            &step,
        )
        .with_context(|| workspace.log("ministack").tail())?;
    step.done(&format!(
        "{} objects committed, {} written, {} bytes",
        committed.objects, committed.outputs, committed.output_bytes
    ));

    let step = Step::begin("Read back");
    let committed = ("committed", serde_json::to_string(&committed)?);
    let report: Report = helpers.run(
        "flights.report",
        &[locations.as_slice(), &[committed]].concat(),
        &step,
    )?;
    step.done("both layouts");
    for table in &report.tables {
        console::table(&table.title, &table.header, &table.rows);
    }
    if !report.differences.is_empty() {
        bail!("the rows do not agree:\n{}", report.differences.join("\n"));
    }
    println!(
        "\nAll rows agree. {:.0} s after the build.",
        started.elapsed().as_secs_f64()
    );
    if keep {
        up::explain(workspace, &environment, &cloud, &stack);
        up::wait(&mut cloud)?;
    }
    Ok(())
}

fn dead_letters(stack: &Stack) -> Result<String> {
    stack
        .outputs
        .get(DEAD_LETTERS)
        .cloned()
        .with_context(|| format!("the stack has no output {DEAD_LETTERS}"))
}
