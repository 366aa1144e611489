//! `cargo xtask up`: the local cloud, deployed, until Ctrl-C.

use anyhow::Result;
use serde::Deserialize;

use crate::{
    assembly::{self, Beside},
    cloud::{Cloud, Stack, Transport},
    console::Step,
    demo,
    environment::Environment,
    prerequisites::Spark,
    workspace::Workspace,
};

/// Starts the local cloud and deploys the built functions on it, with the demo's configuration.
pub(crate) fn bring_up(workspace: &Workspace, environment: &Environment) -> Result<(Cloud, Stack)> {
    let assembly = assembly::synthesize(workspace, environment, &workspace.demo_config())?;
    let mut cloud = Cloud::start(workspace, environment, Transport::Tls)?;
    let stack = cloud.deploy(workspace, environment, &assembly)?;
    Ok((cloud, stack))
}

/// Brings the local cloud up, says how to use it, and waits.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let environment = Environment::prepare(workspace, Spark::StaysAway)?;
    assembly::local_functions(workspace, &environment, Beside::Nothing)?;
    let (mut cloud, stack) = bring_up(workspace, &environment)?;
    land_sample(workspace, &environment, &cloud)?;
    explain(workspace, &environment, &cloud, &stack);
    wait(&mut cloud)
}

/// Waits until Ctrl-C, and stops all that was started.
pub(crate) fn wait(cloud: &mut Cloud) -> Result<()> {
    println!("\nCtrl-C stops all of it.");
    cloud.wait_for_interrupt()?;
    println!("\nstopped");
    Ok(())
}

#[derive(Deserialize)]
struct Sample {
    source: String,
}

fn land_sample(workspace: &Workspace, environment: &Environment, cloud: &Cloud) -> Result<()> {
    let step = Step::begin("Sample object");
    let sample: Sample = cloud.helpers(workspace, environment).run(
        "localcloud.sample",
        &[
            (
                "event",
                workspace
                    .root()
                    .join("events/rekey-s3.json")
                    .display()
                    .to_string(),
            ),
            ("target", demo::TARGET.to_owned()),
        ],
        &step,
    )?;
    step.done(&sample.source);
    Ok(())
}

/// Prints the environment to export and commands to try.
pub(crate) fn explain(
    workspace: &Workspace,
    environment: &Environment,
    cloud: &Cloud,
    stack: &Stack,
) {
    let endpoint = cloud.variables().endpoint();
    println!("\nThe local cloud is up. In another terminal:\n");
    for (name, value) in cloud.variables().to_export() {
        println!("  export {name}={value}");
    }
    println!("  export PATH={}:$PATH", environment.program("").display());
    println!(
        "  export LAKEWRIGHT_CONFIG={}",
        workspace.demo_config().display()
    );
    println!(
        "
Look around (with the AWS CLI, if you have it):
  aws --endpoint-url {endpoint} s3 ls --recursive s3://lakewright-lake/

Run a function from source, and try it on the sample object:
  cargo lambda watch --invoke-address 127.0.0.1 --ignore-changes
  cargo lambda invoke rekey --invoke-address 127.0.0.1 --data-file events/rekey-s3.json"
    );
    if !stack.outputs.is_empty() {
        println!("\nThe stack's outputs:");
        for (name, value) in &stack.outputs {
            println!("  {name} = {value}");
        }
    }
}
