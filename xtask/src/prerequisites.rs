//! Checks the programs that must be installed, and reports missing ones with the command that installs them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// The oldest Node.js that supports the CDK app.
const NODE: (u32, u32) = (20, 0);
/// The oldest Python that supports the pinned packages.
const PYTHON: (u32, u32) = (3, 11);
/// The oldest Java that supports Spark.
const JAVA: (u32, u32) = (17, 0);

/// How packages are installed here.
#[derive(Clone, Copy)]
enum Installer {
    Debian,
    Fedora,
    Homebrew,
    Unknown,
}

/// A prerequisite, and its name for each installer.
struct Requirement {
    what: &'static str,
    debian: &'static str,
    fedora: &'static str,
    homebrew: &'static str,
}

const NODE_AND_NPM: Requirement = Requirement {
    what: "node ≥ 20 with npm",
    debian: "sudo apt-get install nodejs npm   # older than 20? https://nodejs.org/en/download",
    fedora: "sudo dnf install nodejs npm",
    homebrew: "brew install node",
};
const PYTHON_AND_VENV: Requirement = Requirement {
    what: "python3 ≥ 3.11 with its venv module",
    debian: "sudo apt-get install python3 python3-venv",
    fedora: "sudo dnf install python3",
    homebrew: "brew install python",
};
const C_COMPILER: Requirement = Requirement {
    what: "a C compiler (cc)",
    debian: "sudo apt-get install build-essential",
    fedora: "sudo dnf install gcc",
    homebrew: "xcode-select --install",
};
const JAVA_RUNTIME: Requirement = Requirement {
    what: "java ≥ 17, for Spark, which the tests and the benchmarks compare with",
    debian: "sudo apt-get install default-jre-headless   # older than 17? openjdk-17-jre-headless",
    fedora: "sudo dnf install java-21-openjdk-headless",
    homebrew: "brew install --cask temurin@21",
};

const BROWSER: Requirement = Requirement {
    what: "Chromium or Google Chrome, in which the tests look at the report",
    debian: "sudo apt-get install chromium",
    fedora: "sudo dnf install chromium",
    homebrew: "brew install --cask chromium   # and put a link to it, named chromium, on the PATH",
};

const VALGRIND: Requirement = Requirement {
    what: "valgrind, which counts the instructions of what must not become slower",
    debian: "sudo apt-get install valgrind",
    fedora: "sudo dnf install valgrind",
    homebrew: "use a Linux machine",
};

/// The browser's programs: tests/python/chrome.py looks for the same.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

impl Requirement {
    fn hint(&self, installer: Installer) -> String {
        let command = match installer {
            Installer::Debian => self.debian,
            Installer::Fedora => self.fedora,
            Installer::Homebrew => self.homebrew,
            Installer::Unknown => "install it with the system's package manager",
        };
        format!("  {}\n      {command}", self.what)
    }
}

/// The programs that were found.
pub(crate) struct Prerequisites {
    /// `npm`.
    pub(crate) npm: PathBuf,
    /// `npx`.
    pub(crate) npx: PathBuf,
    /// `python3`, with the venv module.
    pub(crate) python: PathBuf,
}

/// Whether Spark is to run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spark {
    Runs,
    StaysAway,
}

/// Finds what the commands need, and Java too where Spark is to run.
///
/// # Errors
/// All that is missing, each with the command that installs it.
pub(crate) fn check(spark: Spark) -> Result<Prerequisites> {
    let node = found("node", NODE);
    let npm = which::which("npm").ok();
    let npx = which::which("npx").ok();
    let python = usable_python();
    let compiler = which::which("cc").ok();

    let mut missing = Vec::new();
    if node.is_none() || npm.is_none() || npx.is_none() {
        missing.push(&NODE_AND_NPM);
    }
    if python.is_none() {
        missing.push(&PYTHON_AND_VENV);
    }
    if compiler.is_none() {
        missing.push(&C_COMPILER);
    }
    if spark == Spark::Runs && found("java", JAVA).is_none() {
        missing.push(&JAVA_RUNTIME);
    }
    if let (Some(npm), Some(npx), Some(python), true) = (npm, npx, python, missing.is_empty()) {
        return Ok(Prerequisites { npm, npx, python });
    }
    bail!(advice(&missing))
}

/// Finds Python alone.
///
/// # Errors
/// As for [`check`].
pub(crate) fn python() -> Result<PathBuf> {
    usable_python().with_context(|| advice(&[&PYTHON_AND_VENV]))
}

/// Finds the browser of the tests.
///
/// # Errors
/// As for [`check`].
pub(crate) fn browser() -> Result<()> {
    if BROWSERS.iter().any(|name| which::which(name).is_ok()) {
        return Ok(());
    }
    bail!(advice(&[&BROWSER]))
}

/// Finds valgrind.
///
/// # Errors
/// As for [`check`].
pub(crate) fn valgrind() -> Result<()> {
    match which::which("valgrind") {
        Ok(_) => Ok(()),
        Err(_) => bail!(advice(&[&VALGRIND])),
    }
}

fn advice(missing: &[&Requirement]) -> String {
    let installer = installer();
    let hints: Vec<_> = missing
        .iter()
        .map(|requirement| requirement.hint(installer))
        .collect();
    format!(
        "this is missing, or too old; install it and run the command again:\n{}",
        hints.join("\n")
    )
}

fn usable_python() -> Option<PathBuf> {
    found("python3", PYTHON).filter(|python| has_venv(python))
}

/// The architecture of the functions that run on the local cloud: MiniStack starts them as processes of this machine.
///
/// # Errors
/// This machine cannot run what Lambda runs.
pub(crate) fn architecture() -> Result<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok("x86_64"),
        ("linux", "aarch64") => Ok("arm64"),
        (os, architecture) => bail!(
            "the local cloud runs the functions' Linux binaries as processes, which {os} on {architecture} cannot: use a Linux machine, virtual machine or container"
        ),
    }
}

fn found(program: &str, oldest: (u32, u32)) -> Option<PathBuf> {
    let path = which::which(program).ok()?;
    let output = Command::new(&path).arg("--version").output().ok()?;
    let version = version(&String::from_utf8_lossy(&output.stdout))?;
    (output.status.success() && version >= oldest).then_some(path)
}

/// Debian has `venv` without `ensurepip` unless python3-venv is there; both are needed.
fn has_venv(python: &Path) -> bool {
    Command::new(python)
        .args(["-c", "import venv, ensurepip"])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Major and minor of the first version in a text such as `v20.20.2`, `Python 3.11.7` or `openjdk 21 2023-09-19`.
fn version(text: &str) -> Option<(u32, u32)> {
    let number = text
        .split_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let mut parts = number.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let major = parts.next()?.ok()?;
    Some((major, parts.next().and_then(Result::ok).unwrap_or(0)))
}

fn installer() -> Installer {
    if cfg!(target_os = "macos") {
        return Installer::Homebrew;
    }
    let release = fs::read_to_string("/etc/os-release")
        .context("no /etc/os-release")
        .unwrap_or_default();
    installer_of(&release)
}

/// By the `ID` and `ID_LIKE` of <https://www.freedesktop.org/software/systemd/man/latest/os-release.html>.
fn installer_of(release: &str) -> Installer {
    let ids: Vec<_> = release
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| matches!(*key, "ID" | "ID_LIKE"))
        .flat_map(|(_, value)| value.trim_matches('"').split(' '))
        .collect();
    if ids.iter().any(|id| matches!(*id, "debian" | "ubuntu")) {
        Installer::Debian
    } else if ids.iter().any(|id| matches!(*id, "fedora" | "rhel")) {
        Installer::Fedora
    } else {
        Installer::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, expected) in [
            ("v20.20.2\n", Some((20, 20))),
            ("Python 3.11.7\n", Some((3, 11))),
            ("Python 3.14.0rc1", Some((3, 14))),
            ("v9.1.0", Some((9, 1))),
            (
                "openjdk 17.0.15 2025-04-15\nOpenJDK Runtime Environment (build 17.0.15+6)\n",
                Some((17, 0)),
            ),
            ("openjdk 21 2023-09-19", Some((21, 0))),
            ("java 25-ea 2025-09-16\n", Some((25, 0))),
            ("", None),
            ("unknown", None),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
    }

    #[test]
    fn hints_name_the_system_s_own_command() {
        for (release, says) in [
            ("ID=debian\n", "apt-get"),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "apt-get"),
            ("ID=fedora\n", "dnf"),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "dnf"),
            ("ID=nixos\n", "package manager"),
            ("", "package manager"),
        ] {
            let hint = C_COMPILER.hint(installer_of(release));
            assert!(hint.contains(says), "{release}: {hint}");
        }
    }
}
