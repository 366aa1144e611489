//! The developer's commands: `cargo xtask up`, `demo`, `try`, `check`, `package`, `test`, `sim`, `bench`, `status`, `report`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these commands talk to the person at the terminal"
)]

mod account;
mod assembly;
mod bench;
mod check;
mod cloud;
mod console;
mod demo;
mod documents;
mod environment;
mod exports;
mod helper;
mod lock;
mod log;
mod operate;
mod package;
mod prerequisites;
mod process;
mod report;
mod stamp;
mod status;
mod summary;
mod test;
mod trial;
mod up;
mod variables;
mod workspace;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{summary::Audience, workspace::Workspace};

const HELP: &str = "\
Examples:
  cargo xtask demo                                  a year of flights, before and after
  cargo xtask try trips.csv.gz                      your own files: a job is proposed, and run
  cargo xtask up                                    all four jobs, with data for every payload in events/
  cargo xtask up --config my.toml --land my-files   your own configuration, tables and files
  cargo xtask status                                what became of all that landed
  cargo xtask report                                the same as one HTML file, with charts
  cargo xtask doctor --config my.toml               what of a deployment will fail, in an account
  cargo xtask cost --config my.toml                 what it costs in a month
  cargo xtask check my.toml                         every mistake in a configuration, with its line
  cargo xtask package                               the functions as zips, for `--functions` and `cdk deploy`

Exit codes: 0 it is done; 1 it failed, a file has mistakes, or of some file nothing was written; 2 the arguments mean nothing;
130 it was interrupted, and all that it started is stopped.";

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Lakewright's developer commands",
    after_help = HELP
)]
struct Arguments {
    /// Prints the result as one line of JSON on standard output; progress goes to standard error.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Starts the local cloud, deploys a configuration on it and waits; Ctrl-C stops everything.
    #[command(
        after_help = "Examples:\n  cargo xtask up\n  cargo xtask up --config my.toml --land my-files\n  cargo xtask up --config my.toml --land trips=trips.csv --land visits=visits/"
    )]
    Up {
        /// The configuration; by default, all four jobs with data for every payload in events/.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Files that land for the job, or for one of several; tables are created from them.
        #[arg(long, value_name = "[JOB=]PATH", requires = "config")]
        land: Vec<String>,
        /// A folder of functions that `cargo xtask package` made, instead of building them.
        #[arg(long, value_name = "DIR")]
        functions: Option<PathBuf>,
    },
    /// Lands 336,776 flights on the local cloud, and shows the result in five lines and a report.
    #[command(
        after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo --keep\n  cargo xtask demo --window 60"
    )]
    Demo {
        /// Leaves the local cloud running until Ctrl-C.
        #[arg(long)]
        keep: bool,
        /// The seconds that what landed waits for more: `batch.window`. By default, 10.
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(0..=300))]
        window: Option<u16>,
        /// A folder of functions that `cargo xtask package` made, instead of building them.
        #[arg(long, value_name = "DIR")]
        functions: Option<PathBuf>,
    },
    /// Proposes a job for your own files, runs it on the local cloud, and shows the output.
    #[command(
        after_help = "Examples:\n  cargo xtask try events.jsonl.gz\n  cargo xtask try trips/ --timestamp pickup --timestamp-format '%d/%m/%Y %H:%M' --zone Europe/Berlin\n  cargo xtask try people.csv --job repartition --partition-by country --output parquet,json"
    )]
    Try(trial::Trial),
    /// Says every mistake in a configuration: its line, column and key, what was found, and what to write.
    #[command(
        after_help = "Examples:\n  cargo xtask check\n  cargo xtask check my.toml\n  cargo xtask check my.toml --json\n\nExit codes: 0 it has no mistakes; 1 it has."
    )]
    Check {
        /// The configuration.
        #[arg(value_name = "FILE", default_value = "lakewright.toml")]
        config: PathBuf,
    },
    /// Builds zips of the functions with checksums and a bill of materials, as they are deployed; with a configuration, also what
    /// is deployed without the CDK: a CloudFormation template and a Terraform module.
    #[command(
        after_help = "Examples:\n  cargo xtask package\n  cargo xtask package --config lakewright.toml -c create-buckets=acme-lake\n  cargo xtask demo --functions target/package\n  (cd infra && npx cdk deploy -c config=../lakewright.toml -c prebuilt=../target/package/arm64)"
    )]
    Package {
        /// The architectures; by default those whose target is installed.
        #[arg(long, value_enum, value_delimiter = ',', value_name = "ARCHITECTURE,…")]
        architecture: Vec<package::Architecture>,
        /// The configuration of the template.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// A context of the template, as `cdk deploy` takes it.
        #[arg(short, long, value_name = "NAME=VALUE", requires = "config")]
        context: Vec<String>,
        /// A folder of zips that this command made before, instead of building them.
        #[arg(long, value_name = "DIR", requires = "config")]
        functions: Option<PathBuf>,
    },
    /// Runs all checks and tests of the project.
    #[command(
        after_help = "Examples:\n  cargo xtask test\n  cargo xtask test --only rust,infra\n  cargo xtask test --aws sandbox"
    )]
    Test {
        /// Continues after a step that failed.
        #[arg(long)]
        keep_going: bool,
        /// Runs only these steps.
        #[arg(long, value_delimiter = ',', value_name = "STEP,…")]
        only: Vec<test::Step>,
        /// Runs only the end-to-end tests, in the account of this profile of the AWS CLI: deploys a separate stack,
        /// destroys it, and reports the cost.
        #[arg(long, value_name = "PROFILE", conflicts_with_all = ["only", "keep_going"])]
        aws: Option<String>,
        /// For tests in an account: runs only those that match this expression, in the syntax of pytest's `-k`.
        #[arg(long, value_name = "EXPRESSION", requires = "aws")]
        select: Option<String>,
        /// A folder of functions that `cargo xtask package` made, instead of building them for the account.
        #[arg(long, value_name = "DIR", requires = "aws")]
        functions: Option<PathBuf>,
    },
    /// Runs the simulation with these arguments.
    #[command(
        after_help = "Examples:\n  cargo xtask sim -- --minutes 5\n  cargo xtask sim -- --replay 4711"
    )]
    Sim {
        /// The simulation's arguments: see `cargo xtask sim -- --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Shows the result for everything that landed, for each job of a configuration, where landed objects are, or the progress
    /// of one split job, on the cloud in the environment (as `up` writes it to .lakewright/env.sh).
    #[command(
        after_help = "Examples:\n  cargo xtask status\n  cargo xtask status s3://acme-landing/anpr/2026/05/01/13/x.gz\n  cargo xtask status 7f1c3a52-0d5e-4f0b-9a57-3b1f0c2d4e6a --config lakewright.toml"
    )]
    Status {
        /// Landed objects, as `s3://bucket/key`; or the id of a split job, which is that of its query. The command follows it
        /// until it ends.
        #[arg(value_name = "OBJECT|JOB")]
        of: Vec<String>,
        /// The configuration.
        #[arg(long, value_name = "FILE", env = "LAKEWRIGHT_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Writes an HTML file about what landed and the lake that was made of it: sizes, lateness, rows over time, quarantine, small
    /// files, requests and dollars. It asks for nothing from the network when it is viewed.
    #[command(
        after_help = "Examples:\n  cargo xtask report --config lakewright.toml\n  cargo xtask report s3://acme-lake/anpr/ --output anpr.html\n  . .lakewright/env.sh && cargo xtask report        # the local cloud of `cargo xtask up`"
    )]
    Report(report::Report),
    /// Says before a deployment what of it will fail, in the account of the environment's credentials. It changes nothing; the
    /// exit code is 1 if anything will fail.
    #[command(
        after_help = "Examples:\n  cargo xtask doctor --config lakewright.toml\n  cargo xtask doctor --config lakewright.toml -c create-buckets=acme-lake"
    )]
    Doctor {
        /// The configuration.
        #[arg(long, value_name = "FILE", env = "LAKEWRIGHT_CONFIG")]
        config: PathBuf,
        /// A context of the deployment, as `cdk deploy` takes it.
        #[arg(short, long, value_name = "NAME=VALUE")]
        context: Vec<String>,
        /// The synthesized template, to look at quotas too.
        #[arg(long, value_name = "FILE")]
        template: Option<PathBuf>,
    },
    /// Estimates what a configuration costs in a month, beside Glue and Firehose.
    #[command(
        after_help = "Examples:\n  cargo xtask cost --config lakewright.toml\n  cargo xtask cost --config lakewright.toml --set gb_per_day=200 --set object_mb=64"
    )]
    Cost {
        /// The configuration.
        #[arg(long, value_name = "FILE", env = "LAKEWRIGHT_CONFIG")]
        config: PathBuf,
        /// What lands: `gb_per_day=10`, `object_mb=5`, `late=0.01` and others, which an unknown name lists.
        #[arg(long, value_name = "NAME=VALUE")]
        set: Vec<String>,
        /// A TOML file of prices that take the place of the published ones (xtask/python/account/prices.toml).
        #[arg(long, value_name = "FILE")]
        prices: Option<PathBuf>,
    },
    /// Pauses a job of the deployed stack: its queues feed no function, and its schedule starts nothing.
    #[command(after_help = "Examples:\n  cargo xtask pause anpr")]
    Pause {
        /// The job, by its name; a compact job, by its table or target.
        job: String,
    },
    /// Resumes a job that was paused.
    #[command(after_help = "Examples:\n  cargo xtask resume anpr")]
    Resume {
        /// The job, by its name; a compact job, by its table or target.
        job: String,
    },
    /// Lists the objects of a rekey job that are given up because they always fail, and sends them once more.
    #[command(
        after_help = "Examples:\n  cargo xtask redrive anpr --dry-run\n  cargo xtask redrive anpr --error RecordTooLong"
    )]
    Redrive(operate::Redrive),
    /// Counts the quarantined records of a rekey job by reason, shows them, or replays a file of them once.
    #[command(
        after_help = "Examples:\n  cargo xtask quarantine anpr --config lakewright.toml\n  cargo xtask quarantine anpr --config lakewright.toml --read --reason bad_timestamp"
    )]
    Quarantine(operate::Quarantine),
    /// Makes what of docs/ is made by programs: reference.md from the schema and the tables of errors; the README's pictures from the
    /// figures of the last demo, if there was one, and from bench/RESULTS.md.
    #[command(after_help = "Examples:\n  cargo xtask docs\n  cargo xtask demo && cargo xtask docs")]
    Docs,
    /// Counts the instructions of small pieces of work under valgrind, and fails if they differ by more than 3% from those that
    /// are kept in tests/instructions.json.
    #[command(
        after_help = "Examples:\n  cargo xtask instructions\n  cargo xtask instructions --update"
    )]
    Instructions {
        /// Keeps today's counts in place of the earlier ones.
        #[arg(long)]
        update: bool,
    },
    /// Benchmarks the functions' release builds and their peers, and writes bench/RESULTS.md.
    #[command(
        after_help = "Examples:\n  cargo xtask bench --quick\n  cargo xtask bench rekey\n  cargo xtask bench split -- --help"
    )]
    Bench {
        /// Runs every job once beside its fastest peers, and writes a table and the README's chart of it to
        /// .lakewright/bench/quick.
        #[arg(long, conflicts_with = "benchmark")]
        quick: bool,
        /// The benchmark.
        #[arg(required_unless_present = "quick")]
        benchmark: Option<bench::Benchmark>,
        /// The benchmark's arguments: see `cargo xtask bench rekey -- --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let audience = if arguments.json {
        Audience::Programs
    } else {
        Audience::People
    };
    match run(arguments.command, audience) {
        Ok(code) => code,
        // Ctrl-C is the normal end of these commands, so its consequences are not reported.
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

fn run(task: Task, audience: Audience) -> Result<ExitCode> {
    process::stop_on_signals()?;
    let workspace = Workspace::find()?;
    let done = |()| ExitCode::SUCCESS;
    match task {
        Task::Up {
            config,
            land,
            functions,
        } => up::run(
            &workspace,
            audience,
            config.as_deref(),
            &land,
            functions.as_deref(),
        )
        .map(done),
        Task::Demo {
            keep,
            window,
            functions,
        } => demo::run(&workspace, audience, keep, window, functions.as_deref()).map(done),
        Task::Try(trial) => trial::run(&workspace, audience, &trial),
        Task::Check { config } => check::run(&workspace, audience, &config),
        Task::Package {
            architecture,
            config,
            context,
            functions,
        } => {
            let plain = config.map(|config| package::Plain {
                config,
                context,
                functions,
            });
            package::run(&workspace, audience, &architecture, plain.as_ref()).map(done)
        }
        Task::Test {
            aws: Some(profile),
            select,
            functions,
            ..
        } => account::run(
            &workspace,
            audience,
            &profile,
            select.as_deref(),
            functions.as_deref(),
        ),
        Task::Test {
            keep_going, only, ..
        } => test::run(&workspace, audience, keep_going, &only),
        Task::Status { of, config } => status::run(&workspace, audience, of, config.as_deref()),
        Task::Report(given) => report::run(&workspace, audience, &given),
        Task::Doctor {
            config,
            context,
            template,
        } => operate::doctor(&workspace, audience, &config, &context, template.as_deref()),
        Task::Cost {
            config,
            set,
            prices,
        } => operate::cost(&workspace, audience, &config, &set, prices.as_deref()),
        Task::Pause { job } => operate::switch(&workspace, audience, job, false),
        Task::Resume { job } => operate::switch(&workspace, audience, job, true),
        Task::Redrive(given) => operate::redrive(&workspace, audience, given).map(done),
        Task::Quarantine(given) => operate::quarantine(&workspace, audience, given),
        Task::Docs => documents::run(&workspace, audience).map(done),
        Task::Sim { arguments } => sim(&workspace, audience, &arguments),
        Task::Instructions { update } => instructions(&workspace, audience, update),
        Task::Bench {
            benchmark: Some(benchmark),
            arguments,
            ..
        } => bench::run(&workspace, audience, benchmark, &arguments),
        Task::Bench {
            benchmark: None, ..
        } => bench::quick(&workspace, audience).map(done),
    }
}

fn sim(workspace: &Workspace, audience: Audience, arguments: &[String]) -> Result<ExitCode> {
    let mut simulation = workspace.test_program("sim")?;
    if audience == Audience::Programs {
        simulation.arg("--json");
    }
    simulation.args(arguments);
    process::run_shown("the simulation", &mut simulation)
}

fn instructions(workspace: &Workspace, audience: Audience, update: bool) -> Result<ExitCode> {
    prerequisites::valgrind()?;
    let mut program = workspace.test_program("instructions")?;
    let flags = [
        (update, "--update"),
        (audience == Audience::Programs, "--json"),
    ];
    program.args(
        flags
            .iter()
            .filter(|(given, _)| *given)
            .map(|(_, flag)| flag),
    );
    process::run_shown("the instructions", &mut program)
}
