//! `cargo xtask test`: runs everything that checks the project, step by step.

use std::{
    env,
    fmt::{self, Display, Formatter},
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde::Serialize;

use crate::{
    assembly::{self, Beside},
    cloud::{Cloud, Transport},
    console::{self, Step as Shown},
    environment::Environment,
    lock::Lock,
    prerequisites::{self, Spark},
    process,
    summary::Audience,
    workspace::Workspace,
};

/// The steps, in order: the fast and pure ones first.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// rustfmt.
    Format,
    /// clippy with the workspace's lints; a warning is an error.
    Clippy,
    /// Unit, property and simulation tests of the workspace.
    Rust,
    /// The instructions of small pieces of work, compared with those that are kept (on x86-64).
    Instructions,
    /// Files from other writers, read by the project and by other readers.
    Readers,
    /// The CDK app: types, assertions, cdk-nag.
    Infra,
    /// cfn-lint over the synthesized template.
    CfnLint,
    /// The behaviour of the local cloud that the project relies on.
    LocalCloud,
    /// The conformance suite of stores, over the local cloud's S3, with TLS and without.
    Conformance,
    /// The real functions on the deployed stack, and reading back their output.
    EndToEnd,
    /// The commands `up`, `try`, `status` and `test --aws`, run as from a terminal, on separate local clouds.
    FirstHour,
}

/// The result of a step.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Passed,
    Failed,
    NotRun,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::NotRun => "not run",
        }
    }
}

/// What was checked.
#[derive(Serialize)]
struct Checked {
    steps: Vec<StepChecked>,
    passed: usize,
    failed: usize,
}

/// A step that was checked.
#[derive(Serialize)]
struct StepChecked {
    step: &'static str,
    result: Outcome,
    seconds: f64,
}

impl Display for Checked {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let header = ["step", "result", "seconds"].map(str::to_owned);
        let rows = self.steps.iter().map(|step| {
            let seconds = format!("{:.1}", step.seconds);
            vec![step.step.to_owned(), step.result.name().to_owned(), seconds]
        });
        let table = console::table_of("What was checked", &header, &rows.collect::<Vec<_>>());
        write!(
            f,
            "{table}\n\n{} passed, {} failed",
            self.passed, self.failed
        )
    }
}

/// Runs the steps, shows a table of them, and ends with how many passed and failed.
pub(crate) fn run(
    workspace: &Workspace,
    audience: Audience,
    keep_going: bool,
    only: &[Step],
) -> Result<ExitCode> {
    let chosen = |step: &Step| step.is_possible() && (only.is_empty() || only.contains(step));
    let spark = Step::value_variants()
        .iter()
        .any(|step| chosen(step) && step.reads_with_spark());
    let spark = if spark { Spark::Runs } else { Spark::StaysAway };
    if chosen(&Step::LocalCloud) {
        prerequisites::browser()?;
    }
    if chosen(&Step::Instructions) {
        prerequisites::valgrind()?;
    }
    let mut bench = Bench {
        workspace,
        environment: Environment::prepare(workspace, spark)?,
        assembly: None,
        cloud: None,
        lock: None,
    };
    let mut steps: Vec<StepChecked> = Vec::new();
    for &step in Step::value_variants().iter().filter(|step| chosen(step)) {
        let started = console::now();
        let has_failed = steps.iter().any(|step| step.result == Outcome::Failed);
        let result = if has_failed && !keep_going {
            Outcome::NotRun
        } else {
            match bench.run(step) {
                Ok(()) => Outcome::Passed,
                Err(error) if process::interrupted() => return Err(error),
                Err(error) => {
                    eprintln!("✗ {}: {error:#}", step.name());
                    Outcome::Failed
                }
            }
        };
        steps.push(StepChecked {
            step: step.name(),
            result,
            seconds: started.elapsed().as_secs_f64(),
        });
    }
    drop(bench);
    let with = |result| steps.iter().filter(|step| step.result == result).count();
    let checked = Checked {
        passed: with(Outcome::Passed),
        failed: with(Outcome::Failed),
        steps,
    };
    audience.show(&checked)?;
    Ok(if checked.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Step {
    /// The instructions that are kept are those of one kind of processor.
    fn is_possible(self) -> bool {
        !matches!(self, Self::Instructions) || cfg!(target_arch = "x86_64")
    }

    /// Whether Spark is among the readers.
    fn reads_with_spark(self) -> bool {
        matches!(self, Self::Readers | Self::EndToEnd)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Clippy => "clippy",
            Self::Rust => "rust",
            Self::Instructions => "instructions",
            Self::Readers => "readers",
            Self::Infra => "infra",
            Self::CfnLint => "cfn-lint",
            Self::LocalCloud => "local-cloud",
            Self::Conformance => "conformance",
            Self::EndToEnd => "end-to-end",
            Self::FirstHour => "first-hour",
        }
    }
}

/// Whether a real bucket is configured for the conformance suite.
#[expect(
    clippy::disallowed_methods,
    reason = "what the person's environment says is read here, once"
)]
fn names_a_bucket() -> bool {
    env::var_os("LAKEWRIGHT_S3_BUCKET").is_some()
}

/// State that the steps share. The local cloud starts with the first step that needs it.
struct Bench<'a> {
    workspace: &'a Workspace,
    environment: Environment,
    assembly: Option<PathBuf>,
    cloud: Option<Cloud>,
    lock: Option<Lock>,
}

/// The end-to-end tests, here and in an account. Each marks what needs the local cloud.
pub(crate) const END_TO_END: [&str; 13] = [
    "test_end_to_end.py",
    "test_tables.py",
    "test_read_back.py",
    "test_split.py",
    "test_compact.py",
    "test_repartition.py",
    "test_expressions.py",
    "test_beside_spark.py",
    "test_strict.py",
    "test_denials.py",
    "test_values.py",
    "test_operate.py",
    // Last: finds permissions that no test has used.
    "test_grants.py",
];

impl Bench<'_> {
    fn run(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Format => self.cargo(step, &["fmt", "--all", "--check"]),
            Step::Clippy => self.cargo(
                step,
                &[
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--",
                    "--deny",
                    "warnings",
                ],
            ),
            Step::Rust => self.cargo(step, &["test", "--workspace", "--no-fail-fast"]),
            Step::Instructions => {
                let mut program = self.workspace.test_program("instructions")?;
                self.shown(step, step.name(), &mut program)
            }
            Step::Readers => {
                let read = self.workspace.test_program("read")?;
                let merge = self.workspace.test_program("merge")?;
                let mut pytest = self.python_tests(&[
                    "test_readers.py",
                    "test_merge.py",
                    "test_merge_spark.py",
                ])?;
                pytest.env("LAKEWRIGHT_READ", read.get_program());
                pytest.env("LAKEWRIGHT_MERGE", merge.get_program());
                self.shown(step, step.name(), &mut pytest)
            }
            Step::Infra => {
                let mut types = self.environment.npm(self.workspace);
                types.args(["run", "typecheck"]);
                self.shown(step, "infra-types", &mut types)?;
                let mut tests = self.environment.npm(self.workspace);
                tests.arg("test");
                self.shown(step, "infra-tests", &mut tests)
            }
            Step::CfnLint => {
                let template = self
                    .assembly()?
                    .join(format!("{}.template.json", assembly::STACK));
                let mut lint = Command::new(self.environment.program("cfn-lint"));
                lint.arg("--template").arg(template);
                self.shown(step, "cfn-lint", &mut lint)
            }
            Step::LocalCloud => {
                let tests = [
                    "test_local_cloud.py",
                    "test_local_permissions.py",
                    "test_doctor.py",
                    "test_cost.py",
                    "test_report.py",
                ];
                self.pytest(step, &tests)
            }
            Step::Conformance => {
                let program = self.workspace.test_program("conformance")?;
                self.cloud()?;
                if let Some(cloud) = &self.cloud {
                    self.conforms(step, "conformance", &program, cloud)?;
                }
                // Payloads are signed differently there.
                let mut plain =
                    Cloud::start(self.workspace, &self.environment, Transport::Plain, None)?;
                plain.wait_until_ready(self.workspace, &self.environment)?;
                self.conforms(step, "conformance-plain", &program, &plain)?;
                if !names_a_bucket() {
                    return Ok(());
                }
                let mut real = self.workspace.test_program("conformance")?;
                self.shown(step, "conformance-bucket", &mut real)
            }
            Step::EndToEnd => self.pytest(step, &END_TO_END),
            Step::FirstHour => self.first_hour(step),
        }
    }

    /// These commands take the lock and build their own assembly, so the shared cloud is stopped first.
    fn first_hour(&mut self, step: Step) -> Result<()> {
        let book = self.workspace.book_requirements();
        let python = self.environment.python();
        python.add(self.workspace, "mdBook", &book)?;
        self.functions()?;
        (self.assembly, self.cloud, self.lock) = (None, None, None);
        let mut pytest = self.python_tests(&[
            "test_docs.py",
            "test_up.py",
            "test_plain.py",
            "test_try.py",
            "test_account.py",
        ])?;
        pytest
            // Not `current_exe`: a build of the tests may have replaced the running program.
            .env("LAKEWRIGHT_XTASK", self.workspace.programs().join("xtask"))
            .env("LAKEWRIGHT_FUNCTIONS", self.workspace.local_zips());
        self.shown(step, step.name(), &mut pytest)
    }

    fn shown(&self, step: Step, log: &str, command: &mut Command) -> Result<()> {
        let shown = Shown::begin(log);
        let log = self.workspace.log(&format!("test-{log}"));
        process::run_watched(step.name(), command, &log, |line| {
            shown.message(line.trim());
        })?;
        shown.done("");
        Ok(())
    }

    fn conforms(&self, step: Step, log: &str, program: &Command, cloud: &Cloud) -> Result<()> {
        let mut conformance = Command::new(program.get_program());
        cloud.variables().apply(&mut conformance);
        conformance.args(["--endpoint", &cloud.variables().endpoint]);
        self.shown(step, log, &mut conformance)
    }

    fn cargo(&self, step: Step, arguments: &[&str]) -> Result<()> {
        let mut cargo = Command::new("cargo");
        cargo.args(arguments).current_dir(self.workspace.root());
        if let Some(cloud) = &self.cloud {
            cloud.variables().apply(&mut cargo);
        }
        self.shown(step, step.name(), &mut cargo)
    }

    fn python_tests(&self, files: &[&str]) -> Result<Command> {
        // The tests share their data with the benchmarks.
        let helpers = [self.workspace.python_helpers(), self.workspace.benchmarks()];
        let mut pytest = Command::new(self.environment.program("python"));
        pytest
            .args(["-m", "pytest"])
            .args(files)
            .current_dir(self.workspace.python_tests())
            .env("PYTHONPATH", env::join_paths(helpers)?)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(pytest)
    }

    fn pytest(&mut self, step: Step, files: &[&str]) -> Result<()> {
        let mut pytest = self.python_tests(files)?;
        pytest.env("LAKEWRIGHT_OUTPUTS", self.workspace.stack_outputs());
        pytest.env("LAKEWRIGHT_DECISIONS", self.workspace.decisions());
        pytest.env(
            "LAKEWRIGHT_CLOUD_LOG",
            self.workspace.log("ministack").path(),
        );
        self.cloud()?.variables().apply(&mut pytest);
        self.shown(step, step.name(), &mut pytest)
    }

    fn functions(&self) -> Result<()> {
        let names = assembly::every_function(self.workspace)?;
        assembly::build_local_functions(self.workspace, Beside::Tests, &names)?;
        assembly::pack_local_functions(self.workspace, &self.environment, &names)
    }

    fn assembly(&mut self) -> Result<PathBuf> {
        if let Some(assembly) = &self.assembly {
            return Ok(assembly.clone());
        }
        // A step that failed to make the assembly has left it to the next one.
        if self.lock.is_none() {
            self.lock = Some(Lock::take(self.workspace, "test")?);
        }
        self.functions()?;
        let config = self.workspace.python_tests().join("lakewright.toml");
        let zips = self.workspace.local_zips();
        let assembly = assembly::synthesize(self.workspace, &self.environment, &config, &zips, "")?;
        self.assembly = Some(assembly.clone());
        Ok(assembly)
    }

    fn cloud(&mut self) -> Result<&Cloud> {
        if self.cloud.is_none() {
            let assembly = self.assembly()?;
            let mut cloud = Cloud::start(self.workspace, &self.environment, Transport::Tls, None)?;
            cloud.deploy(self.workspace, &self.environment, &assembly)?;
            self.cloud = Some(cloud);
        }
        self.cloud.as_ref().context("the local cloud is not there")
    }
}
