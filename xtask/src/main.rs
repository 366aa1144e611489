//! The developer's commands: `cargo xtask up`, `demo`, `test`, `sim`, `bench`, `status`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these commands talk to the person at the terminal"
)]

mod assembly;
mod bench;
mod cloud;
mod console;
mod demo;
mod environment;
mod helper;
mod prerequisites;
mod process;
mod status;
mod test;
mod up;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Lakewright's developer commands")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Starts the local cloud, deploys the stack on it and waits; Ctrl-C stops all of it.
    Up,
    /// Lands 336,776 flights on the local cloud and shows what became of them.
    Demo {
        /// Leaves the local cloud running until Ctrl-C.
        #[arg(long)]
        keep: bool,
    },
    /// Checks everything that the project asserts.
    Test {
        /// Goes on after a step that failed.
        #[arg(long)]
        keep_going: bool,
        /// Runs these steps only.
        #[arg(long, value_delimiter = ',', value_name = "STEP,…")]
        only: Vec<test::Step>,
    },
    /// Runs the simulation; the arguments are its own.
    Sim {
        /// What the simulation takes: see `cargo xtask sim -- --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Shows how far a job of split is, until it ends, on the cloud that the environment names (as `up` prints it).
    Status {
        /// The job's id: that of its query.
        job: String,
    },
    /// Measures the functions' release builds beside their peers, and writes bench/RESULTS.md.
    Bench {
        /// What is measured.
        benchmark: bench::Benchmark,
        /// What the benchmark takes: see `cargo xtask bench rekey -- --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(code) => code,
        // Ctrl-C is how these commands are meant to be ended; what it tore down is no news.
        Err(_) if process::interrupted() => {
            eprintln!("interrupted: all that was started is stopped");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    process::stop_on_signals()?;
    let workspace = Workspace::find()?;
    match task {
        Task::Up => up::run(&workspace).map(|()| ExitCode::SUCCESS),
        Task::Demo { keep } => demo::run(&workspace, keep).map(|()| ExitCode::SUCCESS),
        Task::Test { keep_going, only } => test::run(&workspace, keep_going, &only),
        Task::Status { job } => status::run(&workspace, job).map(|()| ExitCode::SUCCESS),
        Task::Sim { arguments } => sim(&workspace, &arguments),
        Task::Bench {
            benchmark,
            arguments,
        } => bench::run(&workspace, benchmark, &arguments),
    }
}

fn sim(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    let mut simulation = workspace.test_program("sim")?;
    simulation.args(arguments);
    process::run_shown("the simulation", &mut simulation)
}
