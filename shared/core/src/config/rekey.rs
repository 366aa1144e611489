use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ConfigError, Csv, Encryption, InputFormat, Limits, Output, OutputFormat, PathStyle, Policy,
    Sweep, TimestampRule, output, stored,
};
use crate::{
    catalog::TableName, location::Location, naming, partition::Partitioner, time::TimestampReader,
};

/// A job that rewrites every object that lands under `source` into Hive partitions of `target`, by each
/// record's own timestamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rekey {
    /// The job's name in reports, metrics and alarms.
    pub name: String,
    /// The prefix that Firehose writes under, ending with `/`.
    #[schemars(with = "String")]
    pub source: Location,
    /// Firehose's error prefix, if it is inside `source`: objects below it are not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub error_prefix: Option<Location>,
    /// The format of the objects. The compression is detected.
    #[serde(default)]
    pub format: InputFormat,
    /// How CSV is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<Csv>,
    /// The column with a record's time, and how to parse it.
    pub timestamp: TimestampRule,
    /// The prefix to write the partitions under, ending with `/`.
    #[schemars(with = "String")]
    pub target: Location,
    /// Time parts (`year`, `month`, `day`, `hour`, `minute`, `date`) and columns, in path order.
    #[serde(default = "default_partition_by")]
    pub partition_by: Vec<String>,
    /// How the numbers of time parts are written in the path.
    #[serde(default)]
    pub path_style: PathStyle,
    /// The Glue table, as `database.table`, that gives the schema and in which new partitions are registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub table: Option<TableName>,
    /// What to do with a field that has no column in the table.
    #[serde(default = "drop_policy")]
    pub on_unknown: Policy,
    /// What to do with a value that does not fit its column's type.
    #[serde(default = "quarantine_policy")]
    pub on_mismatch: Policy,
    /// The outputs, all written in one pass. By default, Parquet with zstd. If there are several, the partitions of the
    /// first one are registered in `table`.
    #[serde(default = "default_output")]
    pub output: Vec<Output>,
    /// Whether the rows of a partition are sorted by their time, to the microsecond, in every output. Rows with equal
    /// times keep their order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sort_by_time: bool,
    /// Tags of each object that the job writes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The server-side encryption of each object that the job writes. By default, that of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// When a sweep looks for objects in the source whose event was lost, and how far back.
    #[serde(default, skip_serializing_if = "Sweep::is_default")]
    pub sweep: Sweep,
    /// Limits on inputs, so that a malformed object cannot crash the function.
    #[serde(default)]
    pub limits: Limits,
}

fn default_partition_by() -> Vec<String> {
    ["year", "month", "day", "hour"].map(String::from).to_vec()
}

fn default_output() -> Vec<Output> {
    vec![Output::new(OutputFormat::Parquet)]
}

fn drop_policy() -> Policy {
    Policy::Drop
}

fn quarantine_policy() -> Policy {
    Policy::Quarantine
}

impl Rekey {
    /// The prefix of the job's ledger. Its name is hidden from Hive, Spark, Trino, Athena and `DuckDB`'s usual globs.
    pub fn ledger(&self) -> Location {
        self.target.join("_lakewright/")
    }

    /// The location of the commit of the source object `sid`.
    pub fn commit(&self, sid: &str) -> Location {
        naming::commit(&self.ledger(), sid)
    }

    /// Whether the job reads an object of this name: one below its source, and not below Firehose's error prefix.
    pub fn reads(&self, object: &Location) -> bool {
        let errors = self.error_prefix.as_ref();
        self.source.contains(object) && !errors.is_some_and(|prefix| prefix.contains(object))
    }

    /// The prefix of the files of one of the job's outputs.
    pub fn directory(&self, output: &Output) -> Location {
        output::directory(&self.target, output, self.output.len())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let invalid = |message: String| {
            Err(ConfigError::Invalid {
                job: self.name.clone(),
                message,
            })
        };
        if self.name.is_empty() {
            return invalid("name is empty".to_owned());
        }
        for (field, location) in [("source", &self.source), ("target", &self.target)] {
            if !location.key.is_empty() && !location.key.ends_with('/') {
                return Err(ConfigError::PrefixWithoutSlash {
                    job: self.name.clone(),
                    field,
                    location: location.clone(),
                });
            }
        }
        if let Err(message) = output::check(&self.output)
            .and_then(|()| self.limits.check())
            .and_then(|()| self.sweep.check())
            .and_then(|()| stored::check(&self.tags, self.encryption.as_ref()))
        {
            return invalid(message);
        }
        if let Some(csv) = &self.csv {
            if self.format != InputFormat::Csv {
                return invalid("csv has no meaning where format is not \"csv\"".to_owned());
            }
            if let Err(message) = csv.check(self.table.is_some()) {
                return invalid(message);
            }
        }
        // Whether the rule is valid does not depend on the instant.
        let reader = match TimestampReader::new(&self.timestamp, Timestamp::UNIX_EPOCH) {
            Ok(reader) => reader,
            Err(error) => return invalid(error.to_string()),
        };
        match Partitioner::new(&self.partition_by, self.path_style, reader.zone()) {
            Ok(_) => Ok(()),
            Err(error) => invalid(error.to_string()),
        }
    }
}
