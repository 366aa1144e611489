//! `cargo xtask package`: builds the functions as they are deployed, as zips with checksums and a bill of materials; and what is
//! deployed without the CDK, a template and a Terraform module.

use std::{
    fmt::{self, Display, Formatter, Write as _},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    assembly, check,
    console::Step,
    environment::Environment,
    helper::{Helpers, To},
    operate,
    prerequisites::Spark,
    summary::{Audience, size},
    workspace::{self, Workspace},
};

/// In the format of `sha256sum --check`.
const SUMS: &str = "SHA256SUMS";
/// In the format `CycloneDX`.
const BILL: &str = "lakewright.cdx.json";

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
    /// Of the bill of materials.
    components: usize,
}

/// What is deployed without the CDK.
pub(crate) struct Plain {
    /// The configuration.
    pub(crate) config: PathBuf,
    /// Contexts of the CDK app.
    pub(crate) context: Vec<String>,
    /// Zips that were made before.
    pub(crate) functions: Option<PathBuf>,
}

/// A folder with a template, and what its parameters find.
#[derive(Serialize)]
struct Bundle {
    folder: PathBuf,
    files: usize,
    bytes: u64,
}

/// What the helper put there.
#[derive(Deserialize)]
struct Filled {
    files: usize,
    bytes: u64,
}

/// The helper's bill of materials.
#[derive(Deserialize)]
struct Bill {
    components: usize,
}

/// The zips that were built, and those that could not be; and what is deployed with them.
#[derive(Serialize)]
struct Packages {
    made: Vec<Package>,
    missing: Vec<String>,
    bundles: Vec<Bundle>,
}

impl Display for Packages {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for package in &self.made {
            writeln!(
                f,
                "{}: {} functions, {}, with {SUMS} and {BILL} ({} packages), in {}",
                package.architecture,
                package.functions,
                size(package.bytes),
                package.components,
                package.folder.display()
            )?;
        }
        for how in &self.missing {
            writeln!(f, "{how}")?;
        }
        for Bundle {
            folder,
            files,
            bytes,
        } in &self.bundles
        {
            let folder = folder.display();
            write!(
                f,
                "\nWithout the CDK: {files} files, {}, in {folder}. By CloudFormation (main.tf there is for Terraform):\n  \
                aws s3 sync {folder}/assets s3://CODE-BUCKET/lakewright/\n  \
                aws cloudformation deploy --stack-name Lakewright --template-file {folder}/lakewright.template.json \
                --s3-bucket CODE-BUCKET --s3-prefix lakewright --capabilities CAPABILITY_NAMED_IAM \
                --parameter-overrides CodeBucket=CODE-BUCKET CodePrefix=lakewright/\n",
                size(*bytes)
            )?;
        }
        if self.made.is_empty() {
            return Ok(());
        }
        write!(f, "\nWith it, from infra/:")?;
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

/// Builds the zips for these architectures, by default for those whose target is installed, and what is deployed with them.
///
/// # Errors
/// A target that was asked for is not installed, a build fails, or the configuration is refused.
pub(crate) fn run(
    workspace: &Workspace,
    audience: Audience,
    asked: &[Architecture],
    plain: Option<&Plain>,
) -> Result<()> {
    let environment = Environment::prepare(workspace, Spark::StaysAway)?;
    if let Some(plain) = plain
        && let Some(zips) = &plain.functions
    {
        let architecture = *asked.first().unwrap_or(&Architecture::Arm64);
        let zips = workspace::absolute(zips)?;
        return audience.show(&Packages {
            made: Vec::new(),
            missing: Vec::new(),
            bundles: vec![bundle(workspace, &environment, plain, architecture, &zips)?],
        });
    }
    let libraries = installed_targets()?;
    let installed = |architecture: &Architecture| libraries.join(architecture.target()).is_dir();
    let all = [Architecture::Arm64, Architecture::X86];
    let wanted = if asked.is_empty() { &all } else { asked };
    let (present, absent): (Vec<_>, Vec<_>) = wanted.iter().copied().partition(installed);
    let missing: Vec<_> = absent.into_iter().map(how_to_install).collect();
    if !asked.is_empty() && !missing.is_empty() || present.is_empty() {
        bail!(missing.join("\n"));
    }
    let (mut made, mut bundles) = (Vec::new(), Vec::new());
    for architecture in present {
        let folder = workspace.packages().join(architecture.name());
        let name = architecture.name();
        assembly::release_functions(workspace, environment.python(), name, &folder)?;
        let components = bill(workspace, &environment, architecture, &folder.join(BILL))?;
        if let Some(plain) = plain {
            let bundle = bundle(workspace, &environment, plain, architecture, &folder)?;
            bundles.push(bundle);
        }
        made.push(sealed(name, folder, components)?);
    }
    audience.show(&Packages {
        made,
        missing,
        bundles,
    })
}

/// Writes what is compiled into the functions. Returns how many packages that is.
fn bill(
    workspace: &Workspace,
    environment: &Environment,
    architecture: Architecture,
    file: &Path,
) -> Result<usize> {
    let step = Step::begin(&format!("Bill of materials for {}", architecture.name()));
    let helpers = Helpers {
        workspace,
        environment,
        to: To::Terminal,
    };
    let arguments = [
        ("root", workspace.root().display().to_string()),
        ("target", architecture.target().to_owned()),
        ("file", file.display().to_string()),
    ];
    let Bill { components } = helpers.run("release.sbom", &arguments, &step)?;
    step.done(&format!("{components} packages"));
    Ok(components)
}

/// Makes the template and all that it finds.
fn bundle(
    workspace: &Workspace,
    environment: &Environment,
    plain: &Plain,
    architecture: Architecture,
    zips: &Path,
) -> Result<Bundle> {
    let name = architecture.name();
    let config = workspace::absolute(&plain.config)?;
    check::require(workspace, &config)?;
    let context = operate::named(&plain.context)?;
    let assembly =
        assembly::synthesize_plain(workspace, environment, &config, &context, name, zips)?;
    let folder = workspace.packages().join(format!("{name}-stack"));
    let step = Step::begin("Template");
    let helpers = Helpers {
        workspace,
        environment,
        to: To::Terminal,
    };
    let terraform = workspace.root().join("xtask/terraform/main.tf");
    let arguments = [
        ("assembly", assembly.display().to_string()),
        ("terraform", terraform.display().to_string()),
        ("folder", folder.display().to_string()),
    ];
    let Filled { files, bytes } = helpers.run("release.bundle", &arguments, &step)?;
    step.done(&folder.display().to_string());
    Ok(Bundle {
        folder,
        files,
        bytes,
    })
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

/// Writes the checksums of the zips of a folder, and of their bill of materials if there is one.
fn sealed(architecture: &'static str, folder: PathBuf, components: usize) -> Result<Package> {
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
        add_sum(&mut sums, &content, &format!("{name}/bootstrap.zip"));
    }
    let bill = folder.join(BILL);
    if bill.is_file() {
        let content = fs::read(&bill).with_context(|| format!("cannot read {}", bill.display()))?;
        add_sum(&mut sums, &content, BILL);
    }
    let file = folder.join(SUMS);
    fs::write(&file, sums).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Package {
        architecture,
        folder,
        functions: names.len(),
        bytes,
        components,
    })
}

/// Adds a line. Writing to a string cannot fail.
fn add_sum(sums: &mut String, content: &[u8], name: &str) {
    for byte in Sha256::digest(content) {
        let _ = write!(sums, "{byte:02x}");
    }
    let _ = writeln!(sums, "  {name}");
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
        fs::write(folder.path().join(BILL), "{}")?;
        let package = sealed("arm64", folder.path().to_owned(), 3)?;
        assert_eq!((package.functions, package.bytes), (2, 17));
        let check = Command::new("sha256sum")
            .args(["--check", "--strict", SUMS])
            .current_dir(folder.path())
            .output()?;
        assert!(check.status.success(), "{check:?}");
        let checked = String::from_utf8(check.stdout)?;
        assert_eq!(checked.lines().count(), 3, "{checked}");
        Ok(())
    }
}
