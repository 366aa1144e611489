//! The local cloud: MiniStack on a loopback port, with the synthesized stack deployed on it.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use tempfile::TempDir;

use crate::{
    assembly::STACK,
    console::Step,
    environment::Environment,
    helper::{Helpers, To},
    log::Log,
    process::{self, Group},
    variables::Variables,
    workspace::Workspace,
};

/// The default port of MiniStack; another one if it is in use.
const USUAL_PORT: u16 = 4566;
/// How clients connect to the local cloud.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// With TLS, as to AWS. A stack is only deployed on such a cloud, because its buckets and queues refuse anything
    /// else.
    Tls,
    /// Without TLS.
    Plain,
}

/// A deployed stack.
#[derive(Deserialize)]
pub(crate) struct Stack {
    /// The number of its resources.
    pub(crate) resources: u64,
    /// Its outputs, by their keys.
    pub(crate) outputs: BTreeMap<String, String>,
}

/// A running local cloud. Dropping it stops it and removes its data.
pub(crate) struct Cloud {
    // Ends before its data goes.
    ministack: Group,
    log: Log,
    variables: Variables,
    _data: TempDir,
}

impl Cloud {
    /// Starts an empty local cloud, which verifies signatures and enforces permissions. Call
    /// [`Cloud::wait_until_ready`] or [`Cloud::deploy`] before other requests. `longest_window`: the seconds that a queue may
    /// wait for more messages, whatever is deployed; by default, a few.
    pub(crate) fn start(
        workspace: &Workspace,
        environment: &Environment,
        transport: Transport,
        longest_window: Option<u16>,
    ) -> Result<Self> {
        let port = free_port()?;
        let data = tempfile::Builder::new()
            .prefix("cloud-")
            .tempdir_in(workspace.state())
            .context("cannot make a directory for the local cloud's data")?;
        let (name, scheme) = match transport {
            Transport::Tls => ("ministack", "https"),
            Transport::Plain => ("ministack-plain", "http"),
        };
        let endpoint = format!("{scheme}://{}:{port}", Ipv4Addr::LOCALHOST);
        let certificates = (transport == Transport::Tls)
            .then(|| Certificates::make(workspace, environment, data.path()))
            .transpose()?;
        let variables = Variables {
            endpoint,
            trust: certificates
                .as_ref()
                .map(|made| made.file("trust.pem").display().to_string()),
        };
        let objects = data.path().join("objects");
        fs::create_dir(&objects).with_context(|| format!("cannot make {}", objects.display()))?;
        let log = workspace.log(name);
        let file = log.create()?;
        let mut command = Command::new(environment.program("python"));
        variables.apply(&mut command);
        command
            .args(["-m", "localcloud.serve"])
            .env("PYTHONPATH", workspace.python_helpers())
            .env("BIND_HOST", Ipv4Addr::LOCALHOST.to_string())
            .env("MINISTACK_HOST", Ipv4Addr::LOCALHOST.to_string())
            .env("GATEWAY_PORT", port.to_string())
            // Both would open additional ports.
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            .env("AUTH", "true")
            .env("S3_DATA_DIR", &objects)
            .current_dir(data.path())
            .stdout(file.try_clone()?)
            .stderr(file);
        if let Some(seconds) = longest_window {
            command.env("LAKEWRIGHT_LONGEST_WINDOW_SECONDS", seconds.to_string());
        }
        if let Some(certificates) = &certificates {
            command
                .env("LAKEWRIGHT_DECISIONS", workspace.decisions())
                .env("USE_SSL", "1")
                .env("MINISTACK_SSL_CERT", certificates.file("server.pem"))
                .env("MINISTACK_SSL_KEY", certificates.file("server.key"));
        }
        Ok(Self {
            ministack: Group::spawn("MiniStack", &mut command)?,
            log,
            variables,
            _data: data,
        })
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// MiniStack does not come up.
    pub(crate) fn wait_until_ready(
        &mut self,
        workspace: &Workspace,
        environment: &Environment,
    ) -> Result<()> {
        let step = Step::begin("Local cloud");
        let ready = self
            .helpers(workspace, environment)
            .run::<()>("localcloud.ready", &[], &step);
        self.look_after(ready)?;
        step.done(&format!("empty, at {}", self.variables.endpoint));
        Ok(())
    }

    /// The result of a helper that works on the cloud. If the cloud ended meanwhile, that is the error, because it made
    /// the helper fail.
    fn look_after<T>(&mut self, worked: Result<T>) -> Result<T> {
        let Some(status) = self.ministack.try_wait()? else {
            return worked;
        };
        if process::interrupted() {
            bail!("interrupted");
        }
        let tail = self.log.tail();
        Err(anyhow!("MiniStack ended by itself: {status}\n{tail}"))
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
        let stack = self.look_after(deployed)?;
        let outputs = workspace.stack_outputs();
        fs::write(&outputs, serde_json::to_vec_pretty(&stack.outputs)?)
            .with_context(|| format!("cannot write {}", outputs.display()))?;
        step.done(&format!(
            "{} resources at {}",
            stack.resources, self.variables.endpoint
        ));
        Ok(stack)
    }

    /// The helpers for this cloud.
    pub(crate) fn helpers<'a>(
        &'a self,
        workspace: &'a Workspace,
        environment: &'a Environment,
    ) -> Helpers<'a> {
        Helpers {
            workspace,
            environment,
            to: To::Local(&self.variables),
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

/// A certificate for the local cloud, and the authority that signed it.
struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes them in a folder of `parent`.
    fn make(workspace: &Workspace, environment: &Environment, parent: &Path) -> Result<Self> {
        let folder = parent.join("certificates");
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut make = Command::new(environment.program("python"));
        make.args(["-m", "localcloud.certificate", "--folder"])
            .arg(&folder)
            .env("PYTHONPATH", workspace.python_helpers());
        process::run(
            "localcloud.certificate",
            &mut make,
            &workspace.log("localcloud-certificate"),
        )?;
        Ok(Self { folder })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The default port if it is free, otherwise any free port.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, USUAL_PORT))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}
