//! `cargo xtask package`: builds the functions as they are deployed, as zips with checksums.

use std::{
    fmt::{self, Display, Formatter, Write as _},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    assembly,
    environment::VirtualEnvironment,
    prerequisites,
    summary::{Audience, size},
    workspace::Workspace,
};

/// In the format of `sha256sum --check`.
const SUMS: &str = "SHA256SUMS";

/// What functions run on.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Architecture {
    /// What the stack deploys by default.
    Arm64,
    /// Also called amd64.
    #[value(name = "x86_64")]
    X86,
}

impl Architecture {
    fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86 => "x86_64",
        }
    }

    /// Rust's name of it.
    fn target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-gnu",
            Self::X86 => "x86_64-unknown-linux-gnu",
        }
    }
}

/// The zips of one architecture.
#[derive(Serialize)]
struct Package {
    architecture: &'static str,
    folder: PathBuf,
    functions: usize,
    bytes: u64,
}

/// The zips that were built, and those that could not be.
#[derive(Serialize)]
struct Packages {
    made: Vec<Package>,
    missing: Vec<String>,
}

impl Display for Packages {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for package in &self.made {
            writeln!(
                f,
                "{}: {} functions, {}, with {SUMS}, in {}",
                package.architecture,
                package.functions,
                size(package.bytes),
                package.folder.display()
            )?;
        }
        for how in &self.missing {
            writeln!(f, "{how}")?;
        }
        write!(f, "\nDeploy them, from infra/:")?;
        for package in &self.made {
            write!(
                f,
                "\n  npx cdk deploy -c config=../lakewright.toml -c architecture={} -c prebuilt={}",
                package.architecture,
                package.folder.display()
            )?;
        }
        Ok(())
    }
}

/// Builds the zips for these architectures, by default for those whose target is installed.
///
/// # Errors
/// A target that was asked for is not installed, or a build fails.
pub(crate) fn run(workspace: &Workspace, audience: Audience, asked: &[Architecture]) -> Result<()> {
    let libraries = installed_targets()?;
    let installed = |architecture: &Architecture| libraries.join(architecture.target()).is_dir();
    let all = [Architecture::Arm64, Architecture::X86];
    let wanted = if asked.is_empty() { &all } else { asked };
    let (present, absent): (Vec<_>, Vec<_>) = wanted.iter().copied().partition(installed);
    let missing: Vec<_> = absent.into_iter().map(how_to_install).collect();
    if !asked.is_empty() && !missing.is_empty() || present.is_empty() {
        bail!(missing.join("\n"));
    }
    let python = VirtualEnvironment::of_commands(workspace, &prerequisites::python()?)?;
    let mut made = Vec::new();
    for architecture in present {
        let folder = workspace.packages().join(architecture.name());
        assembly::release_functions(workspace, &python, architecture.name(), &folder)?;
        made.push(sealed(architecture.name(), folder)?);
    }
    audience.show(&Packages { made, missing })
}

fn how_to_install(architecture: Architecture) -> String {
    format!(
        "{}: its target is not installed; install it with `rustup target add {}`",
        architecture.name(),
        architecture.target()
    )
}

/// The toolchain's targets.
fn installed_targets() -> Result<PathBuf> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .context("cannot run rustc")?;
    let sysroot = String::from_utf8(output.stdout).context("rustc's sysroot is not UTF-8")?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib"))
}

/// Writes the checksums of the zips of a folder.
fn sealed(architecture: &'static str, folder: PathBuf) -> Result<Package> {
    let entries =
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        if entry.path().join("bootstrap.zip").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    let (mut sums, mut bytes) = (String::new(), 0);
    for name in &names {
        let zip = folder.join(name).join("bootstrap.zip");
        let content = fs::read(&zip).with_context(|| format!("cannot read {}", zip.display()))?;
        bytes += content.len() as u64;
        for byte in Sha256::digest(&content) {
            // Writing to a string cannot fail.
            let _ = write!(sums, "{byte:02x}");
        }
        let _ = writeln!(sums, "  {name}/bootstrap.zip");
    }
    let file = folder.join(SUMS);
    fs::write(&file, sums).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Package {
        architecture,
        folder,
        functions: names.len(),
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_sha256sum() -> Result<()> {
        let folder = tempfile::tempdir()?;
        for name in ["rekey", "compact-plan"] {
            fs::create_dir(folder.path().join(name))?;
            fs::write(folder.path().join(name).join("bootstrap.zip"), name)?;
        }
        fs::write(folder.path().join("notes"), "no zip")?;
        let package = sealed("arm64", folder.path().to_owned())?;
        assert_eq!((package.functions, package.bytes), (2, 17));
        let check = Command::new("sha256sum")
            .args(["--check", "--strict", SUMS])
            .current_dir(folder.path())
            .output()?;
        assert!(check.status.success(), "{check:?}");
        Ok(())
    }
}
