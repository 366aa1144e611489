//! The environment of a terminal for the local cloud: a file to source, and configuration files for boto3, the AWS CLIs
//! and Spark.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    environment::Environment,
    variables::{OTHER_CLOUDS, Variables},
    workspace::Workspace,
};

/// The file of exports. Dropping it removes the file, because the cloud is gone then.
pub(crate) struct Exports {
    path: PathBuf,
}

impl Exports {
    /// Writes the file, and those that it names.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn write(
        workspace: &Workspace,
        environment: &Environment,
        variables: &Variables,
        config: &Path,
    ) -> Result<Self> {
        let state = workspace.state();
        let aws = state.join("aws-config");
        put(&aws, AWS_CONFIG)?;
        let spark = state.join("spark");
        fs::create_dir_all(&spark).with_context(|| format!("cannot make {}", spark.display()))?;
        put(
            &spark.join("spark-defaults.conf"),
            &spark_settings(variables),
        )?;
        let mut exported: Vec<(&str, String)> = variables
            .to_export()
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        exported.extend([
            ("AWS_CONFIG_FILE", aws.display().to_string()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("SPARK_CONF_DIR", spark.display().to_string()),
            ("LAKEWRIGHT_CONFIG", config.display().to_string()),
        ]);
        let path = state.join("env.sh");
        let programs = environment.program("").display().to_string();
        put(&path, &script(&exported, programs.trim_end_matches('/')))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Exports {
    fn drop(&mut self) {
        // Another command may have overwritten it; if the file does not exist, there is nothing to do.
        let _ = fs::remove_file(&self.path);
    }
}

/// Some S3 clients do not recognise an address without a host name as an endpoint without bucket host names.
const AWS_CONFIG: &str = "[default]\ns3 =\n    addressing_style = path\n";

fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Spark's S3A reads no `AWS_ENDPOINT_URL`, and Java trusts a store of its own kind.
/// <https://hadoop.apache.org/docs/stable/hadoop-aws/tools/hadoop-aws/index.html>
fn spark_settings(variables: &Variables) -> String {
    let mut lines = vec![
        format!("spark.hadoop.fs.s3a.endpoint {}", variables.endpoint),
        "spark.hadoop.fs.s3a.path.style.access true".to_owned(),
        "spark.hadoop.fs.s3a.access.key test".to_owned(),
        "spark.hadoop.fs.s3a.secret.key test".to_owned(),
    ];
    if let Some(store) = variables.java_trust() {
        let options = format!(
            "-Djavax.net.ssl.trustStore={} -Djavax.net.ssl.trustStoreType=PKCS12 -Djavax.net.ssl.trustStorePassword=changeit",
            store.display()
        );
        lines.push(format!("spark.driver.extraJavaOptions {options}"));
        lines.push(format!("spark.executor.extraJavaOptions {options}"));
    }
    lines.join("\n") + "\n"
}

/// The file for a POSIX shell to source.
fn script(exported: &[(&str, String)], programs: &str) -> String {
    let mut text = format!(
        "# The local cloud that `cargo xtask` runs.\nunset {}\n",
        OTHER_CLOUDS.join(" ")
    );
    for (name, value) in exported {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "export {name}={}", quoted(value));
    }
    let _ = writeln!(text, "export PATH={}:\"$PATH\"", quoted(programs));
    text
}

/// A word of a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_values_as_they_are() -> Result<()> {
        for value in [
            "https://127.0.0.1:4566",
            "/a folder/it's here",
            "",
            "$HOME `x` \"y\"",
        ] {
            let text = script(&[("VALUE", value.to_owned())], "/a b");
            let output = std::process::Command::new("sh")
                .args([
                    "-c",
                    &format!("{text}printf '%s|%s' \"$VALUE\" \"${{PATH%%:*}}\""),
                ])
                .output()?;
            assert_eq!(String::from_utf8(output.stdout)?, format!("{value}|/a b"));
        }
        Ok(())
    }
}
