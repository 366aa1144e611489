//! `cargo xtask up`: the local cloud, with a configuration deployed on it, until Ctrl-C.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::{
    assembly::{self, Beside},
    check,
    cloud::{Cloud, Stack, Transport},
    console::{self, Step},
    environment::Environment,
    exports::Exports,
    helper::{Helpers, To},
    lock::Lock,
    prerequisites::{self, Spark},
    summary::{Audience, Outcome, grouped},
    workspace::{Workspace, absolute},
};

/// What to deploy.
pub(crate) enum Deployment {
    /// One of the project's own configurations.
    BuiltIn {
        /// The configuration.
        config: PathBuf,
        /// The functions of its jobs.
        functions: Vec<String>,
        /// The longest seconds that what landed waits for more; by default, as the local cloud has it.
        longest_window: Option<u16>,
    },
    /// Your own configuration, and the files that land for its jobs: `PATH` or `JOB=PATH`.
    Own {
        /// The configuration.
        config: PathBuf,
        /// What lands.
        land: Vec<String>,
    },
}

impl Deployment {
    /// The configuration.
    pub(crate) fn config(&self) -> &Path {
        match self {
            Self::BuiltIn { config, .. } | Self::Own { config, .. } => config,
        }
    }
}

/// The result of checking a configuration and its files before anything is built.
#[derive(Deserialize, Default)]
struct Survey {
    functions: Vec<String>,
    table_locations: String,
    files: u64,
    notes: Vec<String>,
}

/// A local cloud with a stack on it.
pub(crate) struct Running {
    /// The tools.
    pub(crate) environment: Environment,
    /// The cloud.
    pub(crate) cloud: Cloud,
    /// What is deployed on it.
    pub(crate) stack: Stack,
    exports: Exports,
    config: PathBuf,
    survey: Survey,
    // The last to go.
    _lock: Lock,
}

/// Starts a deployment: installs, builds and synthesizes what has changed, starts the local cloud and deploys.
///
/// # Errors
/// Another local cloud of this workspace runs, something is missing or refused, or a step fails.
pub(crate) fn bring_up(
    workspace: &Workspace,
    command: &str,
    deployment: &Deployment,
    functions: Option<&Path>,
) -> Result<Running> {
    let lock = Lock::take(workspace, command)?;
    prerequisites::check(Spark::StaysAway)?;
    prerequisites::architecture()?;
    ahead(workspace, functions);
    let (environment, survey) = match deployment {
        Deployment::BuiltIn {
            functions: names, ..
        } => {
            let environment = if functions.is_some() {
                Environment::prepare(workspace, Spark::StaysAway)?
            } else {
                side_by_side(workspace, names)?
            };
            let survey = Survey {
                functions: names.clone(),
                ..Survey::default()
            };
            (environment, survey)
        }
        Deployment::Own { config, land } => {
            check::require(workspace, config)?;
            let environment = Environment::prepare(workspace, Spark::StaysAway)?;
            let survey = look_at(workspace, &environment, config, land)?;
            if functions.is_none() {
                assembly::build_local_functions(workspace, Beside::Nothing, &survey.functions)?;
            }
            (environment, survey)
        }
    };
    let zips = if let Some(folder) = functions {
        assembly::given_functions(workspace, &environment, folder, &survey.functions)?
    } else {
        assembly::pack_local_functions(workspace, &environment, &survey.functions)?;
        workspace.local_zips()
    };
    // It starts while the assembly is built.
    let longest_window = match deployment {
        Deployment::BuiltIn { longest_window, .. } => *longest_window,
        Deployment::Own { .. } => None,
    };
    let mut cloud = Cloud::start(workspace, &environment, Transport::Tls, longest_window)?;
    let config = deployment.config();
    let assembly = assembly::synthesize(
        workspace,
        &environment,
        config,
        &zips,
        &survey.table_locations,
    )?;
    let stack = cloud.deploy(workspace, &environment, &assembly)?;
    let exports = Exports::write(workspace, &environment, cloud.variables(), config)?;
    Ok(Running {
        environment,
        cloud,
        stack,
        exports,
        config: config.to_owned(),
        survey,
        _lock: lock,
    })
}

/// Announces the steps, and about how long they take on two cores.
fn ahead(workspace: &Workspace, functions: Option<&Path>) {
    let mut steps = Vec::new();
    if !Environment::is_ready(workspace) {
        steps.push("installs its tools in .lakewright and infra (about a minute)".to_owned());
    }
    match functions {
        Some(folder) => steps.push(format!("takes the functions from {}", folder.display())),
        None if workspace.programs().join("rekey").exists() => {
            steps.push("builds what has changed of the functions".to_owned());
        }
        None => steps.push("builds the functions (5 to 10 minutes, the first time)".to_owned()),
    }
    steps.push(
        "starts a local cloud on 127.0.0.1 and deploys the stack on it (about half a minute)"
            .to_owned(),
    );
    console::say(&format!("This {}.", steps.join(", ")));
}

/// Installs the tools while cargo builds.
fn side_by_side(workspace: &Workspace, names: &[String]) -> Result<Environment> {
    thread::scope(|scope| {
        let building =
            scope.spawn(|| assembly::build_local_functions(workspace, Beside::Nothing, names));
        let environment = Environment::prepare(workspace, Spark::StaysAway);
        let done = building.join().map_err(|_| anyhow!("the build panicked"))?;
        let environment = environment?;
        done?;
        Ok(environment)
    })
}

fn look_at(
    workspace: &Workspace,
    environment: &Environment,
    config: &Path,
    land: &[String],
) -> Result<Survey> {
    let step = Step::begin("Configuration");
    let helpers = Helpers {
        workspace,
        environment,
        to: To::Terminal,
    };
    let survey: Survey = helpers.run(
        "landing.survey",
        &[
            ("config", config.display().to_string()),
            ("land", serde_json::to_string(land)?),
            ("plan", workspace.landing_plan().display().to_string()),
        ],
        &step,
    )?;
    step.done(&format!(
        "{} functions, {} files to land",
        survey.functions.len(),
        grouped(survey.files)
    ));
    Ok(survey)
}

/// The result of the helper that lands files.
#[derive(Deserialize)]
struct Prepared {
    tables: Vec<String>,
    files: u64,
}

/// The result of all landings.
#[derive(Deserialize)]
struct Outcomes {
    jobs: Vec<Outcome>,
}

impl Running {
    /// Creates the tables and lands the files that the survey found. Returns the result.
    ///
    /// # Errors
    /// A helper fails.
    pub(crate) fn land(&self, workspace: &Workspace) -> Result<Vec<Outcome>> {
        let helpers = self.cloud.helpers(workspace, &self.environment);
        let plan = ("plan", workspace.landing_plan().display().to_string());
        let step = Step::begin("Files land");
        let prepared: Prepared =
            helpers.run("landing.prepare", std::slice::from_ref(&plan), &step)?;
        let tables = match prepared.tables.as_slice() {
            [] => "no table made".to_owned(),
            tables => format!("tables: {}", tables.join(", ")),
        };
        step.done(&format!("{} files, {tables}", grouped(prepared.files)));
        if prepared.files == 0 {
            return Ok(Vec::new());
        }
        let step = Step::begin("Jobs run");
        let outputs = ("outputs", workspace.stack_outputs().display().to_string());
        let outcomes: Outcomes = helpers.run("landing.outcome", &[plan, outputs], &step)?;
        step.done("all that landed is through");
        Ok(outcomes.jobs)
    }

    /// How to use it.
    pub(crate) fn summary(&self, outcomes: Vec<Outcome>) -> Up {
        Up {
            endpoint: self.cloud.variables().endpoint.clone(),
            exports: self.exports.path().to_owned(),
            config: self.config.clone(),
            outputs: self.stack.outputs.clone(),
            notes: self.survey.notes.clone(),
            outcomes,
        }
    }

    /// Waits until Ctrl-C, and stops everything that was started.
    pub(crate) fn wait(&mut self) -> Result<()> {
        console::say("\nCtrl-C stops all of it.");
        self.cloud.wait_for_interrupt()?;
        console::say("\nstopping");
        Ok(())
    }
}

/// A local cloud that is up, for people and for programs.
#[derive(Serialize)]
pub(crate) struct Up {
    endpoint: String,
    exports: PathBuf,
    config: PathBuf,
    outputs: BTreeMap<String, String>,
    notes: Vec<String>,
    outcomes: Vec<Outcome>,
}

impl Display for Up {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "\nnote: {note}")?;
        }
        for outcome in &self.outcomes {
            writeln!(f, "\n{outcome}")?;
        }
        write!(
            f,
            "\nThe local cloud is up at {}, with {}. In another terminal:\n\n  . {}\n",
            self.endpoint,
            self.config.display(),
            self.exports.display()
        )?;
        write!(
            f,
            "
Then boto3, the AWS CLI and Spark work on it, and so do these:
  cargo xtask status
  aws s3 ls --recursive s3://BUCKET/
  cargo lambda invoke FUNCTION --remote --data-file events/NAME.json"
        )?;
        write!(f, "\n\nThe stack's outputs:")?;
        for (name, value) in &self.outputs {
            write!(f, "\n  {name} = {value}")?;
        }
        Ok(())
    }
}

/// Brings up all four jobs with data for each payload in `events/`, or a person's own configuration; waits for Ctrl-C.
///
/// # Errors
/// As for [`bring_up`]; or what landed cannot be followed.
pub(crate) fn run(
    workspace: &Workspace,
    audience: Audience,
    config: Option<&Path>,
    land: &[String],
    functions: Option<&Path>,
) -> Result<()> {
    let deployment = match config {
        None if !land.is_empty() => {
            bail!("--land needs --config: the job that the files land for");
        }
        None => Deployment::BuiltIn {
            config: workspace.up_config(),
            functions: assembly::every_function(workspace)?,
            longest_window: None,
        },
        Some(config) => Deployment::Own {
            config: absolute(config)?,
            land: land
                .iter()
                .map(|text| landing(text))
                .collect::<Result<_>>()?,
        },
    };
    let functions = functions.map(absolute).transpose()?;
    let mut running = bring_up(workspace, "up", &deployment, functions.as_deref())?;
    let outcomes = match &deployment {
        Deployment::BuiltIn { .. } => {
            running.put_sample(workspace)?;
            Vec::new()
        }
        Deployment::Own { .. } => running.land(workspace)?,
    };
    audience.show(&running.summary(outcomes))?;
    running.wait()
}

/// The result of the helper that creates the sample data.
#[derive(Deserialize)]
struct Sample {
    objects: u64,
}

impl Running {
    /// Creates the objects that the payloads in `events/` name.
    pub(crate) fn put_sample(&self, workspace: &Workspace) -> Result<()> {
        let step = Step::begin("Sample data");
        let helpers = self.cloud.helpers(workspace, &self.environment);
        let sample: Sample = helpers.run("localcloud.sample", &[], &step)?;
        step.done(&format!(
            "{} objects, for every payload in events/",
            sample.objects
        ));
        Ok(())
    }
}

/// `PATH` or `JOB=PATH`, with the path absolute.
fn landing(text: &str) -> Result<String> {
    match text.split_once('=') {
        Some((job, path)) if !Path::new(text).exists() => {
            Ok(format!("{job}={}", absolute(Path::new(path))?.display()))
        }
        _ => Ok(absolute(Path::new(text))?.display().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn landings_are_absolute() -> Result<()> {
        let here = std::env::current_dir()?.display().to_string();
        assert_eq!(landing("data")?, format!("{here}/data"));
        assert_eq!(landing("job=data")?, format!("job={here}/data"));
        assert_eq!(landing("job=/data")?, "job=/data");
        Ok(())
    }
}
