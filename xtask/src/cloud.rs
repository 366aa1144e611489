//! The local cloud: MiniStack on a loopback port, with the synthesized stack deployed on it.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use tempfile::TempDir;

use crate::{
    assembly::STACK,
    console::Step,
    environment::Environment,
    helper::Helpers,
    process::{self, Group},
    workspace::Workspace,
};

/// The port that MiniStack's own documentation uses; another where it is taken.
const USUAL_PORT: u16 = 4566;
/// The region of everything on the local cloud.
pub(crate) const REGION: &str = "us-east-1";

/// The environment with which clients reach the local cloud, and nothing but it.
pub(crate) struct Variables {
    endpoint: String,
}

impl Variables {
    /// The local cloud's address.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What a person exports.
    pub(crate) fn to_export(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", REGION),
        ]
    }

    /// Gives a child the local cloud, and takes from it every way to a real account.
    pub(crate) fn apply(&self, command: &mut Command) {
        for name in [
            "AWS_PROFILE",
            "AWS_DEFAULT_PROFILE",
            "AWS_SESSION_TOKEN",
            "AWS_ENDPOINT_URL_S3",
            "AWS_ENDPOINT_URL_SQS",
            "AWS_ENDPOINT_URL_GLUE",
            "AWS_ENDPOINT_URL_LAMBDA",
            "AWS_ENDPOINT_URL_ATHENA",
            "AWS_ENDPOINT_URL_SFN",
        ] {
            command.env_remove(name);
        }
        command
            .envs(self.to_export())
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true");
    }
}

/// A stack that stands.
#[derive(Deserialize)]
pub(crate) struct Stack {
    /// How many resources it has.
    pub(crate) resources: u64,
    /// Its outputs, by their keys.
    pub(crate) outputs: BTreeMap<String, String>,
}

/// A running local cloud. Dropping it stops it and removes its data.
pub(crate) struct Cloud {
    // Ends before its data goes.
    ministack: Group,
    variables: Variables,
    _data: TempDir,
}

impl Cloud {
    /// Starts an empty local cloud. It answers once [`Cloud::deploy`] has seen it answer.
    pub(crate) fn start(workspace: &Workspace, environment: &Environment) -> Result<Self> {
        let port = free_port()?;
        let variables = Variables {
            endpoint: format!("http://{}:{port}", Ipv4Addr::LOCALHOST),
        };
        let data = tempfile::Builder::new()
            .prefix("cloud-")
            .tempdir_in(workspace.state())
            .context("cannot make a directory for the local cloud's data")?;
        let log = workspace.log("ministack");
        let file = log.create()?;
        let mut command = Command::new(environment.program("ministack"));
        variables.apply(&mut command);
        command
            .env("BIND_HOST", Ipv4Addr::LOCALHOST.to_string())
            .env("MINISTACK_HOST", Ipv4Addr::LOCALHOST.to_string())
            .env("GATEWAY_PORT", port.to_string())
            // Both would open ports of their own.
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            .env("S3_DATA_DIR", data.path())
            .current_dir(data.path())
            .stdout(file.try_clone()?)
            .stderr(file);
        Ok(Self {
            ministack: Group::spawn("MiniStack", &mut command)?,
            variables,
            _data: data,
        })
    }

    /// Deploys a synthesized assembly.
    ///
    /// # Errors
    /// MiniStack does not come up, or the stack does not: then the failed resources are named.
    pub(crate) fn deploy(
        &mut self,
        workspace: &Workspace,
        environment: &Environment,
        assembly: &Path,
    ) -> Result<Stack> {
        let step = Step::begin("Local cloud");
        let deployed = self.helpers(workspace, environment).run::<Stack>(
            "localcloud.deploy",
            &[
                ("assembly", assembly.display().to_string()),
                ("stack", STACK.to_owned()),
            ],
            &step,
        );
        if let Some(status) = self.ministack.try_wait()? {
            if process::interrupted() {
                bail!("interrupted");
            }
            let tail = workspace.log("ministack").tail();
            return Err(anyhow!("MiniStack ended by itself: {status}\n{tail}"));
        }
        let stack = deployed?;
        let outputs = workspace.stack_outputs();
        fs::write(&outputs, serde_json::to_vec_pretty(&stack.outputs)?)
            .with_context(|| format!("cannot write {}", outputs.display()))?;
        step.done(&format!(
            "{} resources at {}",
            stack.resources, self.variables.endpoint
        ));
        Ok(stack)
    }

    /// The helpers, at work on this cloud.
    pub(crate) fn helpers<'a>(
        &'a self,
        workspace: &'a Workspace,
        environment: &'a Environment,
    ) -> Helpers<'a> {
        Helpers {
            workspace,
            environment,
            variables: Some(&self.variables),
        }
    }

    /// The environment that reaches it.
    pub(crate) fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Waits until Ctrl-C.
    ///
    /// # Errors
    /// MiniStack ended by itself.
    pub(crate) fn wait_for_interrupt(&mut self) -> Result<()> {
        self.ministack.wait_for_interrupt()
    }
}

/// The usual port if nothing listens there, else any that is free.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, USUAL_PORT))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}
