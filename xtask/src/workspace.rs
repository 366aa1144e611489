//! The paths of the workspace, and of the commands' outputs in it.

use std::{
    env, fs,
    path::{self, Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{log::Log, process};

/// The paths of the workspace that this program was built from.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// The workspace of this program's source.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the package xtask lies in no workspace")?
            .to_owned();
        // This program is <target>/<profile>/xtask; so `CARGO_TARGET_DIR` and cargo's configuration are followed.
        let program = env::current_exe().context("cannot find this program's path")?;
        let target = program
            .ancestors()
            .nth(2)
            .with_context(|| format!("{} lies in no target directory", program.display()))?
            .to_owned();
        let workspace = Self { root, target };
        for directory in [workspace.state(), workspace.logs()] {
            fs::create_dir_all(&directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        Ok(workspace)
    }

    /// The workspace's root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The CDK app.
    pub(crate) fn infra(&self) -> PathBuf {
        self.root.join("infra")
    }

    /// The tests in Python.
    pub(crate) fn python_tests(&self) -> PathBuf {
        self.root.join("tests/python")
    }

    /// The helpers in Python.
    pub(crate) fn python_helpers(&self) -> PathBuf {
        self.root.join("xtask/python")
    }

    /// The benchmarks.
    pub(crate) fn benchmarks(&self) -> PathBuf {
        self.root.join("bench")
    }

    /// The configuration that `demo` deploys.
    pub(crate) fn demo_config(&self) -> PathBuf {
        self.root.join("xtask/demo/lakewright.toml")
    }

    /// The figures of the last demo.
    pub(crate) fn demo_figures(&self) -> PathBuf {
        self.state().join("demo.json")
    }

    /// The program that draws the README's pictures.
    pub(crate) fn pictures(&self) -> PathBuf {
        self.root.join("xtask/pictures/draw.mjs")
    }

    /// The configuration that `up` deploys: all four jobs, by the names that the payloads in events/ use.
    pub(crate) fn up_config(&self) -> PathBuf {
        self.root.join("xtask/up/lakewright.toml")
    }

    /// The pinned Python packages.
    pub(crate) fn requirements(&self) -> PathBuf {
        self.python_tests().join("requirements.txt")
    }

    /// The pinned packages of Spark.
    pub(crate) fn spark_requirements(&self) -> PathBuf {
        self.python_tests().join("requirements-spark.txt")
    }

    /// The package of mdBook, which only a test needs.
    pub(crate) fn book_requirements(&self) -> PathBuf {
        self.python_tests().join("requirements-book.txt")
    }

    /// Cargo's target directory.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The functions' source: one file for each.
    pub(crate) fn function_sources(&self) -> PathBuf {
        self.root.join("functions/src/bin")
    }

    /// Where cargo puts the programs of a build that is not a release.
    pub(crate) fn programs(&self) -> PathBuf {
        self.target.join("debug")
    }

    /// Where the zips of the functions for the local cloud are: `<name>/bootstrap.zip`.
    pub(crate) fn local_zips(&self) -> PathBuf {
        self.target.join("lambda-local")
    }

    /// Where the zips of the functions as they are deployed are: `<name>/bootstrap.zip`.
    pub(crate) fn release_zips(&self) -> PathBuf {
        self.target.join("lambda")
    }

    /// A program of the test bed. The build of the tests builds it; a separate build would build every dependency a
    /// second time, with slightly different features.
    ///
    /// # Errors
    /// If it cannot be built.
    pub(crate) fn test_program(&self, name: &str) -> Result<Command> {
        let mut build = Command::new("cargo");
        build
            .args(["test", "--workspace", "--no-run", "--quiet"])
            .current_dir(&self.root);
        process::run(
            "cargo test --no-run",
            &mut build,
            &self.log("test-programs"),
        )?;
        Ok(Command::new(self.programs().join(name)))
    }

    /// The files that the commands keep between runs; all of them can be regenerated.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.join(".lakewright")
    }

    /// Where `package` puts the functions: a folder for each architecture.
    pub(crate) fn packages(&self) -> PathBuf {
        self.target.join("package")
    }

    /// The objects to land, and their tables.
    pub(crate) fn landing_plan(&self) -> PathBuf {
        self.state().join("landing.json")
    }

    /// The file with the deployed stack's outputs.
    pub(crate) fn stack_outputs(&self) -> PathBuf {
        self.state().join("outputs.json")
    }

    /// The file in which the local cloud records what it allowed and denied each role.
    pub(crate) fn decisions(&self) -> PathBuf {
        self.state().join("decisions.jsonl")
    }

    fn logs(&self) -> PathBuf {
        self.state().join("logs")
    }

    /// The log file of this name; each run truncates it.
    pub(crate) fn log(&self, name: &str) -> Log {
        Log::new(self.logs().join(format!("{name}.log")))
    }
}

/// An absolute path, because helpers have another working directory.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    path::absolute(path).with_context(|| format!("{} is not a path", path.display()))
}
