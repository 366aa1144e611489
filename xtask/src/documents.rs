//! `cargo xtask docs`: makes what of docs/ is made by programs.

use std::{
    fmt::{self, Display, Formatter},
    path::PathBuf,
    process::Command,
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::{
    console::Step,
    environment::Environment,
    helper::{Helpers, To},
    prerequisites::Spark,
    process,
    summary::Audience,
    workspace::Workspace,
};

/// What a helper has written.
#[derive(Deserialize)]
struct Page {
    file: PathBuf,
}

/// What was made.
#[derive(Serialize)]
struct Made {
    reference: PathBuf,
    pictures: PathBuf,
    /// Whether the picture of before and after is of the last demo; without one it stays as it was.
    of_the_demo: bool,
}

impl Display for Made {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let reference = self.reference.display();
        write!(f, "{reference}\n{}", self.pictures.display())?;
        if self.of_the_demo {
            return Ok(());
        }
        write!(
            f,
            " (that of before and after is as it was: `cargo xtask demo` measures it)"
        )
    }
}

/// Makes the reference and the pictures.
///
/// # Errors
/// Something is missing, or cannot be written.
pub(crate) fn run(workspace: &Workspace, audience: Audience) -> Result<()> {
    let environment = Environment::prepare(workspace, Spark::StaysAway)?;
    let helpers = Helpers {
        workspace,
        environment: &environment,
        to: To::Terminal,
    };
    let step = Step::begin("Reference");
    let page: Page = helpers.run("docsite.reference", &[], &step)?;
    step.done("docs/reference.md");
    let step = Step::begin("Pictures");
    let figures = workspace.demo_figures();
    let mut draw = Command::new("node");
    draw.arg(workspace.pictures())
        .arg(workspace.benchmarks().join("RESULTS.md"))
        .arg(workspace.root().join("docs/pictures"))
        .arg(&figures);
    process::run("draw.mjs", &mut draw, &workspace.log("pictures"))?;
    step.done("docs/pictures");
    audience.show(&Made {
        reference: page.file,
        pictures: workspace.root().join("docs/pictures"),
        of_the_demo: figures.exists(),
    })
}
