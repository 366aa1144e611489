//! A function's settings from its environment variables, read once.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    path::PathBuf,
};

use bytesize::ByteSize;
use lakewright_core::location::{Location, LocationError};
use serde::de::DeserializeOwned;
use thiserror::Error;
use tracing_subscriber::filter::Targets;

/// The location of `lakewright.toml`: a path (relative to the deployed package), or an `s3://` URI.
pub const CONFIG: &str = "LAKEWRIGHT_CONFIG";
/// The log level, or levels by module such as `info,lakewright_jobs=debug`. The default is `info`.
pub const LOG: &str = "LAKEWRIGHT_LOG";

/// Whether messages hold values of records: `true` or `false`. The default is `false`.
pub const SHOW_VALUES: &str = "LAKEWRIGHT_SHOW_VALUES";

/// The jobs' queues, for rekey's sweep and for `split-plan`: a JSON object of job names and queue URLs. The default is
/// none.
pub const QUEUES: &str = "LAKEWRIGHT_QUEUES";

/// The dead-letter queues that invoke `split-rows`: a JSON list of their ARNs. The default is none.
pub const DEAD_LETTERS: &str = "LAKEWRIGHT_DEAD_LETTERS";

/// The namespace of the function's metrics in CloudWatch. `Lakewright` without it.
pub const NAMESPACE: &str = "LAKEWRIGHT_NAMESPACE";

/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
const MEMORY: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
const TASK_ROOT: &str = "LAMBDA_TASK_ROOT";
const SCRATCH: &str = "TMPDIR";

/// A function's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The location of the configuration.
    pub config: ConfigSource,
    /// The limits of one invocation.
    pub resources: Resources,
    /// The log levels.
    pub log: Targets,
    /// Whether messages hold values of records.
    pub show_values: bool,
    /// The URL of each job's queue, by the job's name.
    pub queues: BTreeMap<String, String>,
    /// The ARNs of the dead-letter queues that invoke the function.
    pub dead_letters: Vec<String>,
    /// The namespace of its metrics.
    pub namespace: String,
}

/// The location of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigSource {
    /// A file of the deployed package.
    File(PathBuf),
    /// An object.
    Object(Location),
}

/// The limits of one invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// The function's memory, in bytes.
    pub memory: u64,
    /// A folder for temporary files.
    pub scratch: PathBuf,
}

/// Memory for the program itself, its threads and its connections. A function that waits for its first invocation uses
/// 15 to 18 MB; the rest is for open connections and the allocator's overhead.
const OWN_MEMORY: u64 = 64 << 20;

impl Resources {
    /// The memory for the work of an invocation, in bytes: at least half of the function's memory.
    pub(crate) fn memory_for_work(&self) -> u64 {
        self.memory.saturating_sub(OWN_MEMORY).max(self.memory / 2)
    }
}

/// An environment variable that is missing or invalid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// It is not set.
    #[error("the environment variable {0} is not set: {about}", about = about(.0))]
    Missing(&'static str),
    /// Its value is invalid.
    #[error("the environment variable {name} is `{value}`: {reason}")]
    Invalid {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// The expected value.
        reason: String,
    },
}

impl Settings {
    /// Reads the variables of an environment.
    ///
    /// # Errors
    /// The first variable that is missing or invalid.
    pub fn from_vars(
        vars: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let vars = Vars(vars.into_iter().collect());
        Ok(Self {
            config: vars.config()?,
            resources: Resources {
                memory: vars.memory()?,
                scratch: vars.path(SCRATCH).unwrap_or_else(|| PathBuf::from("/tmp")),
            },
            log: vars.log()?,
            show_values: vars.flag(SHOW_VALUES)?,
            queues: vars.json(QUEUES)?,
            dead_letters: vars.json(DEAD_LETTERS)?,
            namespace: vars.text(NAMESPACE)?.unwrap_or("Lakewright").to_owned(),
        })
    }
}

/// What a variable holds, with an example.
fn about(name: &str) -> &'static str {
    match name {
        CONFIG => {
            "it says where lakewright.toml is, such as `lakewright.toml` in the deployed package or `s3://bucket/lakewright.toml`"
        }
        _ => "Lambda sets it; elsewhere write the memory in MiB, such as `512`",
    }
}

struct Vars(HashMap<OsString, OsString>);

impl Vars {
    fn config(&self) -> Result<ConfigSource, SettingsError> {
        let path = self.path(CONFIG).ok_or(SettingsError::Missing(CONFIG))?;
        if let Some(uri) = path.to_str().filter(|text| text.starts_with("s3://")) {
            let location: Location = uri
                .parse()
                .map_err(|error: LocationError| invalid(CONFIG, uri, error.to_string()))?;
            if location.key.is_empty() {
                return Err(invalid(CONFIG, uri, "it names a bucket, not an object"));
            }
            return Ok(ConfigSource::Object(location));
        }
        let root = self.path(TASK_ROOT).unwrap_or_default();
        Ok(ConfigSource::File(root.join(path)))
    }

    fn memory(&self) -> Result<u64, SettingsError> {
        let text = self.text(MEMORY)?.ok_or(SettingsError::Missing(MEMORY))?;
        match text.parse::<u32>() {
            Ok(mebibytes) if mebibytes > 0 => Ok(ByteSize::mib(mebibytes.into()).as_u64()),
            _ => Err(invalid(MEMORY, text, "expected a number of MiB")),
        }
    }

    fn log(&self) -> Result<Targets, SettingsError> {
        let text = self.text(LOG)?.unwrap_or("info");
        text.parse().map_err(|_| {
            invalid(
                LOG,
                text,
                "expected error, warn, info, debug or trace, or such levels by module",
            )
        })
    }

    fn flag(&self, name: &'static str) -> Result<bool, SettingsError> {
        let text = self.text(name)?.unwrap_or("false");
        text.parse()
            .map_err(|_| invalid(name, text, "expected true or false"))
    }

    /// Parses a variable as JSON. The default if it is not set.
    fn json<T: DeserializeOwned + Default>(&self, name: &'static str) -> Result<T, SettingsError> {
        let Some(text) = self.text(name)? else {
            return Ok(T::default());
        };
        serde_json::from_str(text).map_err(|error| invalid(name, text, error.to_string()))
    }

    /// An empty variable counts as unset.
    fn path(&self, name: &'static str) -> Option<PathBuf> {
        let value = self
            .0
            .get(&OsString::from(name))
            .filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    }

    fn text(&self, name: &'static str) -> Result<Option<&str>, SettingsError> {
        let value = self
            .0
            .get(&OsString::from(name))
            .filter(|value| !value.is_empty());
        value
            .map(|value| {
                let lossy = || invalid(name, &value.to_string_lossy(), "it is not UTF-8");
                value.to_str().ok_or_else(lossy)
            })
            .transpose()
    }
}

fn invalid(name: &'static str, value: &str, reason: impl Into<String>) -> SettingsError {
    SettingsError::Invalid {
        name,
        value: value.to_owned(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter;

    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::from_vars(vars.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn defaults() {
        let settings = read(&[(CONFIG, "lakewright.toml"), (MEMORY, "512"), (LOG, "")]).unwrap();
        let expected = Settings {
            config: ConfigSource::File("lakewright.toml".into()),
            resources: Resources {
                memory: 512 << 20,
                scratch: "/tmp".into(),
            },
            log: Targets::new().with_default(LevelFilter::INFO),
            show_values: false,
            queues: BTreeMap::new(),
            dead_letters: Vec::new(),
            namespace: "Lakewright".to_owned(),
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn everything_can_be_said() {
        let settings = read(&[
            (CONFIG, "s3://conf/lakewright.toml"),
            (MEMORY, "128"),
            (SCRATCH, "/scratch"),
            (LOG, "warn,lakewright_jobs=debug"),
            (QUEUES, r#"{"anpr": "https://sqs/anpr"}"#),
            (DEAD_LETTERS, r#"["arn:aws:sqs:us-east-1:1:dead"]"#),
            (NAMESPACE, "Lakewright/dev"),
        ])
        .unwrap();
        assert_eq!(settings.namespace, "Lakewright/dev");
        assert_eq!(settings.queues["anpr"], "https://sqs/anpr");
        assert_eq!(settings.dead_letters, ["arn:aws:sqs:us-east-1:1:dead"]);
        assert_eq!(
            settings.config,
            ConfigSource::Object(Location::new("conf", "lakewright.toml"))
        );
        assert_eq!(
            settings.resources,
            Resources {
                memory: 128 << 20,
                scratch: "/scratch".into()
            }
        );
        assert!(
            settings
                .log
                .would_enable("lakewright_jobs::rekey", &tracing::Level::DEBUG)
        );
        assert!(!settings.log.would_enable("hyper", &tracing::Level::INFO));
    }

    #[test]
    fn paths_start_at_the_deployed_package() {
        for (path, found) in [
            ("conf/l.toml", "/var/task/conf/l.toml"),
            ("/opt/l.toml", "/opt/l.toml"),
        ] {
            let settings =
                read(&[(CONFIG, path), (MEMORY, "128"), (TASK_ROOT, "/var/task")]).unwrap();
            assert_eq!(settings.config, ConfigSource::File(found.into()));
        }
    }

    #[test]
    fn refusals_name_the_variable() {
        for (vars, name) in [
            (&[(MEMORY, "128")][..], CONFIG),
            (&[(CONFIG, ""), (MEMORY, "128")], CONFIG),
            (&[(CONFIG, "s3://bucket"), (MEMORY, "128")], CONFIG),
            (&[(CONFIG, "c")], MEMORY),
            (&[(CONFIG, "c"), (MEMORY, "0")], MEMORY),
            (&[(CONFIG, "c"), (MEMORY, "a lot")], MEMORY),
            (&[(CONFIG, "c"), (MEMORY, "128"), (LOG, "a=b=c")], LOG),
            (
                &[(CONFIG, "c"), (MEMORY, "128"), (SHOW_VALUES, "yes")],
                SHOW_VALUES,
            ),
            (&[(CONFIG, "c"), (MEMORY, "128"), (QUEUES, "q")], QUEUES),
            (
                &[(CONFIG, "c"), (MEMORY, "128"), (DEAD_LETTERS, "q")],
                DEAD_LETTERS,
            ),
        ] {
            let error = read(vars).unwrap_err().to_string();
            assert!(error.contains(name), "{error} should name {name}");
        }
    }
}
