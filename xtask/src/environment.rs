//! Installs the commands' tools in the workspace: a Python virtual environment and the CDK app's packages. A stamp of
//! the requirements avoids a second installation.

use std::{
    env,
    ffi::OsString,
    iter,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    console::Step,
    prerequisites::{self, Prerequisites, Spark},
    process,
    stamp::Stamp,
    workspace::Workspace,
};

/// The tools, installed.
pub(crate) struct Environment {
    python: VirtualEnvironment,
    prerequisites: Prerequisites,
}

/// A Python virtual environment with pinned packages.
pub(crate) struct VirtualEnvironment {
    folder: PathBuf,
}

impl Environment {
    /// Checks the prerequisites of the machine, and installs everything else unless it is installed. Spark is large, so
    /// it is only installed if it is used.
    pub(crate) fn prepare(workspace: &Workspace, spark: Spark) -> Result<Self> {
        let prerequisites = prerequisites::check(spark)?;
        let environment = Self {
            python: VirtualEnvironment::of_commands(workspace, &prerequisites.python)?,
            prerequisites,
        };
        if spark == Spark::Runs {
            environment
                .python
                .add(workspace, "Spark", &workspace.spark_requirements())?;
        }
        environment.install_node_packages(workspace)?;
        Ok(environment)
    }

    /// Whether all of it is installed, so that [`Self::prepare`] has little to do.
    pub(crate) fn is_ready(workspace: &Workspace) -> bool {
        workspace.state().join("venv/requirements.stamp").exists()
            && workspace
                .infra()
                .join("node_modules/.package-lock.stamp")
                .exists()
    }

    /// The virtual environment.
    pub(crate) fn python(&self) -> &VirtualEnvironment {
        &self.python
    }

    /// A program of the virtual environment.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.python.program(name)
    }

    /// A command in the CDK app's directory.
    pub(crate) fn npm(&self, workspace: &Workspace) -> Command {
        let mut command = Command::new(&self.prerequisites.npm);
        command.current_dir(workspace.infra());
        command
    }

    /// A tool of the CDK app's packages.
    pub(crate) fn npx(&self, workspace: &Workspace) -> Command {
        let mut command = Command::new(&self.prerequisites.npx);
        command.current_dir(workspace.infra());
        command
    }

    fn install_node_packages(&self, workspace: &Workspace) -> Result<()> {
        let infra = workspace.infra();
        let stamp = Stamp::of_file(
            infra.join("node_modules/.package-lock.stamp"),
            &infra.join("package-lock.json"),
        )?;
        if stamp.is_current() {
            return Ok(());
        }
        let step = Step::begin("CDK packages");
        let mut install = self.npm(workspace);
        install.args(["ci", "--no-audit", "--no-fund"]);
        process::run("npm ci", &mut install, &workspace.log("npm"))?;
        stamp.write()?;
        step.done("infra/node_modules");
        Ok(())
    }
}

impl VirtualEnvironment {
    /// The one that holds the commands' own tools, such as cargo-lambda and MiniStack.
    ///
    /// # Errors
    /// As for [`Self::prepare`].
    pub(crate) fn of_commands(workspace: &Workspace, python: &Path) -> Result<Self> {
        let folder = workspace.state().join("venv");
        Self::prepare(workspace, python, &folder, &workspace.requirements())
    }

    /// Creates the environment in `folder` with the packages that the file `requirements` pins, unless it exists.
    ///
    /// # Errors
    /// It cannot be made, or a package not installed: then the error carries the end of the log.
    pub(crate) fn prepare(
        workspace: &Workspace,
        python: &Path,
        folder: &Path,
        requirements: &Path,
    ) -> Result<Self> {
        let environment = Self {
            folder: folder.to_owned(),
        };
        let stamp = environment.stamp("requirements", requirements)?;
        if stamp.is_current() {
            return Ok(environment);
        }
        let step = Step::begin("Python environment");
        let mut create = Command::new(python);
        create.args(["-m", "venv", "--clear"]).arg(folder);
        process::run("python3 -m venv", &mut create, &workspace.log("venv"))?;
        environment.install(workspace, requirements, step)?;
        stamp.write()?;
        Ok(environment)
    }

    /// Adds the packages that the file `requirements` pins, unless they are installed.
    ///
    /// # Errors
    /// As for [`Self::prepare`].
    pub(crate) fn add(&self, workspace: &Workspace, name: &str, requirements: &Path) -> Result<()> {
        let stamp = self.stamp(name, requirements)?;
        if stamp.is_current() {
            return Ok(());
        }
        self.install(workspace, requirements, Step::begin(name))?;
        stamp.write()
    }

    /// The requirements are copied into the environment.
    fn stamp(&self, name: &str, requirements: &Path) -> Result<Stamp> {
        let file = self
            .folder
            .join(name.to_lowercase())
            .with_extension("stamp");
        Stamp::of_file(file, requirements)
    }

    fn install(&self, workspace: &Workspace, requirements: &Path, step: Step) -> Result<()> {
        let mut install = Command::new(self.program("python"));
        install
            .args(["-m", "pip", "install", "--disable-pip-version-check"])
            .args(["--no-input", "--no-deps", "--requirement"])
            .arg(requirements);
        process::run_watched("pip install", &mut install, &workspace.log("pip"), |line| {
            if line.starts_with("Collecting") || line.starts_with("Installing") {
                step.message(line);
            }
        })?;
        let shown = self.folder.strip_prefix(workspace.root());
        step.done(&shown.unwrap_or(&self.folder).display().to_string());
        Ok(())
    }

    /// A program of the environment.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin().join(name)
    }

    fn bin(&self) -> PathBuf {
        self.folder.join("bin")
    }

    /// The search path with the environment's programs first.
    pub(crate) fn path(&self) -> Result<OsString> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the tools find each other on the search path"
        )]
        let inherited = env::var_os("PATH").unwrap_or_default();
        let directories = iter::once(self.bin()).chain(env::split_paths(&inherited));
        env::join_paths(directories).context("the search path cannot be extended")
    }
}
