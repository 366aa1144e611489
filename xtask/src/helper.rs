//! Runs the Python helpers, which talk to the cloud. Each writes its progress and its result as JSON lines.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    console::Step, environment::Environment, process, variables::Variables, workspace::Workspace,
};

/// One line of a helper's standard output.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line {
    Progress {
        done: u64,
        total: u64,
        message: String,
    },
    Result {
        value: Value,
    },
    Error {
        message: String,
    },
}

/// Runs helpers against one cloud.
pub(crate) struct Helpers<'a> {
    /// Where they are.
    pub(crate) workspace: &'a Workspace,
    /// What runs them.
    pub(crate) environment: &'a Environment,
    /// Which cloud they work on.
    pub(crate) to: To<'a>,
}

/// The cloud that helpers work on.
#[derive(Clone, Copy)]
pub(crate) enum To<'a> {
    /// None, or the one in the terminal's environment.
    Terminal,
    /// The local one.
    Local(&'a Variables),
    /// The account of a profile of the AWS CLI.
    Account {
        /// The profile.
        profile: &'a str,
        /// To which file the requests are added.
        counted: &'a Path,
    },
}

/// Variables that would take precedence over a profile.
const OVER_PROFILES: [&str; 5] = [
    "AWS_DEFAULT_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
];

impl To<'_> {
    fn apply(self, command: &mut Command) {
        match self {
            Self::Terminal => {}
            Self::Local(variables) => variables.apply(command),
            Self::Account { profile, counted } => {
                for name in OVER_PROFILES {
                    command.env_remove(name);
                }
                command
                    .env("AWS_PROFILE", profile)
                    .env("LAKEWRIGHT_COUNTED", counted);
            }
        }
    }
}

impl Helpers<'_> {
    /// Runs a module until it returns a result, and shows its progress in `step`.
    ///
    /// # Errors
    /// The helper reported an error, or it crashed and the error has the end of its log.
    pub(crate) fn run<T: DeserializeOwned>(
        &self,
        module: &str,
        arguments: &[(&str, String)],
        step: &Step,
    ) -> Result<T> {
        let mut command = Command::new(self.environment.program("python"));
        command
            .args(["-m", module])
            .current_dir(self.workspace.root())
            .env("PYTHONPATH", self.workspace.python_helpers());
        for (name, value) in arguments {
            command.arg(format!("--{name}")).arg(value);
        }
        self.to.apply(&mut command);
        let log = self.workspace.log(&module.replace('.', "-"));
        let mut result = None;
        let mut message = None;
        let ended = process::run_lines(module, &mut command, &log, |line| {
            match serde_json::from_str(line)
                .with_context(|| format!("{module} printed an invalid line: {line}"))?
            {
                Line::Progress {
                    done,
                    total,
                    message,
                } => step.progress(done, total, &message),
                Line::Result { value } => result = Some(value),
                Line::Error { message: text } => message = Some(text),
            }
            Ok(())
        });
        if let Some(message) = message {
            bail!(message);
        }
        ended?;
        let value = result.with_context(|| format!("{module} gave no result"))?;
        serde_json::from_value(value)
            .with_context(|| format!("{module}'s result has another shape than expected"))
    }
}
