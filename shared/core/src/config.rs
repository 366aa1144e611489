//! `lakewright.toml`, the file that both the functions and the CDK app read.
//!
//! It is parsed strictly: every mistake is an error that names its line and key, and all mistakes are reported at once
//! ([`ConfigError`]). Its JSON Schema is derived from these structs ([`json_schema`]).

mod batch;
mod check;
mod compact;
mod input;
mod limits;
mod mistake;
mod operation;
mod output;
mod rekey;
mod repartition;
mod schedule;
mod secret;
mod shape;
mod size;
mod split;
mod stored;
mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    batch::Batch,
    compact::{Compact, CompactCompression, CompactMode},
    input::{Csv, InputFormat, Pattern, Ranged},
    limits::Limits,
    mistake::{ConfigError, Mistake},
    operation::{Constant, EventValue, Hash, KeyPart, Mask, Operation, OperationKind},
    output::{Compression, Output, OutputFormat},
    rekey::{Destination, Rekey, Route},
    repartition::{Choice, Files, Mode, NamedColumn, Repartition, Source},
    schedule::{Schedule, Sweep},
    secret::{SecretName, SecretService},
    size::Size,
    split::{Split, Unload, UnloadFormat},
    stored::Encryption,
    words::{EpochUnit, OnCollision, PathStyle, ResultColumn, RowFormat, TimestampRule, Types},
};
use crate::location::Location;

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Jobs that rewrite landed objects into partitions by event time.
    #[serde(default)]
    pub rekey: Vec<Rekey>,
    /// Jobs that write each row of a query's result as a separate object.
    #[serde(default)]
    pub split: Vec<Split>,
    /// Jobs that merge many small Parquet files into few large ones.
    #[serde(default)]
    pub compact: Vec<Compact>,
    /// Jobs that rewrite a table into a given number of files, or partitioned by columns.
    #[serde(default)]
    pub repartition: Vec<Repartition>,
}

/// What to do with a field or value that does not fit the table's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The record is quarantined.
    Quarantine,
    /// The field or value is left out (null), and the record is kept.
    Drop,
    /// The whole object is refused before anything is written.
    Fail,
}

/// What to do with a field that has no column in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownPolicy {
    /// The record is quarantined.
    Quarantine,
    /// The field is left out, and the record is kept.
    Drop,
    /// The whole object is refused before anything is written.
    Fail,
    /// The field becomes a column of the table. A record with one that cannot is quarantined.
    Add,
}

impl UnknownPolicy {
    /// The policy for fields that do not become columns.
    pub fn policy(self) -> Policy {
        match self {
            Self::Quarantine | Self::Add => Policy::Quarantine,
            Self::Drop => Policy::Drop,
            Self::Fail => Policy::Fail,
        }
    }
}

impl From<Policy> for UnknownPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Quarantine => Self::Quarantine,
            Policy::Drop => Self::Drop,
            Policy::Fail => Self::Fail,
        }
    }
}

impl Config {
    /// Parses and checks a `lakewright.toml`.
    ///
    /// # Errors
    /// All mistakes, with their positions.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        check::parse(text).map(|mut config| {
            config.settle_compact();
            config
        })
    }

    /// Parses and checks the bytes of a `lakewright.toml`.
    ///
    /// # Errors
    /// As for [`Self::parse`]; or they are not UTF-8, as TOML must be.
    pub fn read(bytes: &[u8]) -> Result<Self, ConfigError> {
        match str::from_utf8(bytes) {
            Ok(text) => Self::parse(text),
            Err(error) => Err(ConfigError::not_utf8(bytes, error.valid_up_to())),
        }
    }

    /// The split job of this name.
    pub fn split_named(&self, name: &str) -> Option<&Split> {
        self.split.iter().find(|job| job.name == name)
    }

    /// The repartition job of this name.
    pub fn repartition_named(&self, name: &str) -> Option<&Repartition> {
        self.repartition.iter().find(|job| job.name == name)
    }

    /// The rekey job that an object belongs to, by its source prefix.
    pub fn rekey_of(&self, object: &Location) -> Option<&Rekey> {
        self.rekey.iter().find(|job| job.source.contains(object))
    }
}

/// The JSON Schema of `lakewright.toml`.
pub fn json_schema() -> schemars::Schema {
    schemars::schema_for!(Config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANPR: &str = r#"
        [[rekey]]
        name = "anpr"
        source = "s3://landing/anpr/"
        timestamp = { column = "t" }
        target = "s3://lake/anpr/"
    "#;

    #[test]
    fn defaults() {
        let config = Config::parse(ANPR).unwrap();
        let job = &config.rekey[0];
        assert_eq!(job.partition_by, ["year", "month", "day", "hour"]);
        assert_eq!(job.output, [Output::new(OutputFormat::Parquet)]);
        assert_eq!(job.ledger().to_string(), "s3://lake/anpr/_lakewright/");
        assert_eq!(
            config.rekey_of(&Location::new("landing", "anpr/2026/x")),
            Some(job)
        );
        assert_eq!(config.rekey_of(&Location::new("landing", "anp")), None);
    }

    #[test]
    fn what_is_stored_is_what_was_read() {
        let sizes = "limits = { record_size = \"123456789\" }\noutput = [{ format = \"json\", max_file_size = \"1234567 B\" }]";
        let config = Config::parse(&format!("{ANPR}\nsort_by_time = true\n{sizes}")).unwrap();
        let job = &config.rekey[0];
        assert_eq!(job.limits.longest_record(), 123_456_789);
        let stored = serde_json::to_string(job).unwrap();
        assert_eq!(&serde_json::from_str::<Rekey>(&stored).unwrap(), job);
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let with = |from: &str, to: &str| ANPR.replace(from, to);
        for (text, says) in [
            (with("name", "nam"), "nam"),
            (format!("{ANPR}\nspeling = 1"), "speling"),
            (with("lake/anpr/", "landing/anpr/out/"), "trigger it again"),
            (with("landing/anpr/", "landing/anpr"), "must end with `/`"),
            (with("lake/anpr/", "lake/anpr"), "must end with `/`"),
            (format!("{ANPR}{ANPR}"), "two jobs"),
            (
                format!("{ANPR}{}", with("\"anpr\"", "\"b\"")),
                "overlapping",
            ),
            (format!("{ANPR}\npartition_by = []"), "partition_by"),
            (
                format!("{ANPR}\npartition_by = [\"a\", \"A\"]"),
                "`a` and `A`",
            ),
            (format!("{ANPR}\npartition_by = [\"_a\"]"), "begin with `_`"),
            (
                with("column = \"t\"", "column = \"t\", zone = \"Mars/Base\""),
                "timestamp.zone = \"Mars/Base\"",
            ),
            (
                with("column = \"t\"", "column = \"t\", latest = \"tomorrow\""),
                "timestamp.latest = \"tomorrow\"",
            ),
            (format!("{ANPR}\noutput = []"), "output is empty"),
            (
                format!("{ANPR}\noutput = [{{ format = \"json\", compression = \"snappy\" }}]"),
                "choose none, gzip or zstd",
            ),
            (format!("{ANPR}\ncsv = {{}}"), "csv has no meaning"),
            (
                format!("{ANPR}\nformat = \"csv\"\nrecords = \"a\""),
                "records has no meaning",
            ),
            (
                format!("{ANPR}\nkeep = [\"a\"]"),
                "keep has no meaning without records",
            ),
            (
                format!("{ANPR}\nrecords = \"a.*\""),
                "records: `a.*` ends with `*`",
            ),
            (
                format!("{ANPR}\nrecords = \"a.b\"\nkeep = [\"a\"]"),
                "keep: `a` holds the records",
            ),
            (
                format!("{ANPR}\nlimits = {{ nesting_depth = 65 }}"),
                "limits.nesting_depth = 65",
            ),
            (
                format!("{ANPR}\nlimits = {{ record_size = \"0B\" }}"),
                "limits.record_size is 0",
            ),
            (
                // Such a record fits in no column.
                format!("{ANPR}\nlimits = {{ record_size = \"2GiB\" }}"),
                "limits.record_size is more than 1073741824 bytes",
            ),
            (
                format!("{ANPR}\nformat = \"csv\"\ncsv = {{ header = false }}"),
                "csv.columns",
            ),
        ] {
            let error = Config::parse(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{error} should say {says}");
        }
    }

    #[test]
    fn syntax_errors_name_the_line() {
        let error = Config::parse("[[rekey]]\nname = \"a\"\nbogus = 1\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 3") && error.contains("bogus"),
            "{error}"
        );
    }

    #[test]
    fn the_published_schema_is_current() {
        let current = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
        let published = include_str!("../../../docs/lakewright.schema.json");
        assert!(
            published == current,
            "docs/lakewright.schema.json is not the schema of these structs; it should say:\n{current}"
        );
    }

    #[test]
    fn the_schema_knows_every_job() {
        let schema = serde_json::to_value(json_schema()).unwrap();
        assert!(schema["properties"]["rekey"].is_object());
        assert!(schema["properties"]["split"].is_object());
        assert!(schema["properties"]["compact"].is_object());
        assert!(schema["properties"]["repartition"].is_object());
        assert_eq!(schema["additionalProperties"], false);
    }
}
