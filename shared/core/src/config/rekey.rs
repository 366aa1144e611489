mod route;

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use self::route::inside;
pub use self::route::{Destination, Route};
use super::{
    Batch, Csv, Encryption, InputFormat, Limits, Operation, OperationKind, Output, OutputFormat,
    PathStyle, Pattern, Policy, Sweep, TimestampRule, UnknownPolicy,
    mistake::Problems,
    operation, output,
    size::{S3Uri, TableText},
    stored,
};
use crate::{
    catalog::TableName,
    json::{Envelope, PathError},
    location::Location,
    naming,
    partition::{self, Partitioner},
    time::TimestampReader,
};

/// A job that rewrites every object that lands under `source` into Hive partitions of `target`, by each
/// record's own timestamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rekey {
    /// The job's name in reports, metrics and alarms.
    pub name: String,
    /// The prefix that Firehose writes under, ending with `/`.
    #[schemars(with = "S3Uri")]
    pub source: Location,
    /// Firehose's error prefix, if it is inside `source`: objects below it are not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<S3Uri>")]
    pub error_prefix: Option<Location>,
    /// The format of the objects. The compression is detected.
    #[serde(default)]
    pub format: InputFormat,
    /// How CSV is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<Csv>,
    /// How lines are read, with `format = "regex"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<Pattern>,
    /// Where the objects of JSON are envelopes: the path of the list whose elements are the records, such as `Records`, with
    /// dots between keys and `*` for each element of a list, such as `resourceLogs.*.scopeLogs.*.logRecords`. Or
    /// `cloudwatch-logs`: each event of a subscription to CloudWatch Logs is a record, with the fields of its envelope, and those
    /// of its message where that is a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<String>,
    /// The fields of an envelope that go into each of its records, by their paths from its outside. They must come before
    /// the records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// The column with a record's time, and how to parse it.
    pub timestamp: TimestampRule,
    /// The prefix to write the partitions under, ending with `/`.
    #[schemars(with = "S3Uri")]
    pub target: Location,
    /// Time parts (`year`, `month`, `day`, `hour`, `minute`, `date`) and columns, in path order.
    #[serde(default = "default_partition_by")]
    pub partition_by: Vec<String>,
    /// How the numbers of time parts are written in the path.
    #[serde(default)]
    pub path_style: PathStyle,
    /// The Glue table, as `database.table`, that gives the schema and in which new partitions are registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<TableText>")]
    pub table: Option<TableName>,
    /// What happens to columns on their way from the records into the files: each entry has one operation for one column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub column: Vec<Operation>,
    /// What to do with a field that has no column in the table.
    #[serde(default = "drop_policy")]
    pub on_unknown: UnknownPolicy,
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
    /// Which of several targets and tables each record goes to, by the value of one of its fields. The job's own `target`
    /// then has only the ledger, and what it says about partitions, columns and outputs is the default of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// Tags of each object that the job writes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The server-side encryption of each object that the job writes. By default, that of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// What is planned together: how long the queue waits for more objects, and how many and how much of them become one set
    /// of files. By default, what lands within 60 seconds, up to 1000 objects of 256 MiB.
    #[serde(default, skip_serializing_if = "Batch::is_default")]
    pub batch: Batch,
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

fn drop_policy() -> UnknownPolicy {
    UnknownPolicy::Drop
}

fn quarantine_policy() -> Policy {
    Policy::Quarantine
}

impl Rekey {
    /// The prefix of the job's ledger. Its name is hidden from Hive, Spark, Trino, Athena and `DuckDB`'s usual globs.
    pub fn ledger(&self) -> Location {
        self.target.join("_lakewright/")
    }

    /// The jobs that it consists of: itself or, with `route`, one for each value, in the order of the values. These have the
    /// target, the table and the settings of the value, but not its ledger.
    pub fn destinations(&self) -> Vec<Self> {
        match &self.route {
            None => vec![self.clone()],
            Some(route) => {
                let destinations = route.tables.values();
                destinations
                    .map(|destination| destination.of(self))
                    .collect()
            }
        }
    }

    /// The prefixes that it writes under.
    pub fn targets(&self) -> impl Iterator<Item = &Location> {
        let others = self.route.iter().flat_map(|route| route.tables.values());
        std::iter::once(&self.target).chain(others.map(|destination| &destination.target))
    }

    /// The location of the commit of the batch `bid`.
    pub fn commit(&self, bid: &str) -> Location {
        naming::commit(&self.ledger(), bid)
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

    /// Where the records are in the objects of JSON, if these are envelopes.
    ///
    /// # Errors
    /// `records` or `keep` has no path.
    pub fn envelope(&self) -> Result<Option<Envelope>, PathError> {
        let records = self.records.as_ref();
        records
            .map(|records| Envelope::new(records, &self.keep))
            .transpose()
    }

    /// The names that `partition_by` needs: the fields that its columns are made of, and parts of the record's time.
    pub fn fields_of_path(&self) -> Vec<String> {
        let field = |name: &String| {
            let makes = |operation: &&Operation| {
                operation.kind() != OperationKind::Drop
                    && operation.name.to_lowercase() == name.to_lowercase()
            };
            match self.column.iter().find(makes) {
                None => Some(name.clone()),
                Some(operation) => {
                    let is_of_field = operation.kind().is_of_field();
                    is_of_field.then(|| operation.field().to_owned())
                }
            }
        };
        self.partition_by.iter().filter_map(field).collect()
    }

    /// The fields that the operations name.
    pub fn fields_of_columns(&self) -> impl Iterator<Item = &str> {
        let of_field = self.column.iter();
        let of_field = of_field.filter(|operation| operation.kind().is_of_field());
        of_field.map(Operation::field)
    }

    fn check_envelope(&self, problems: &mut Problems) {
        if self.records.is_some() && self.format != InputFormat::Json {
            problems.say(
                "records",
                "records has no meaning where format is not \"json\"",
            );
        }
        if self.records.is_none() && !self.keep.is_empty() {
            problems.say(
                "keep",
                "keep has no meaning without records, the path of the list whose elements are the records",
            );
        }
        if let Err(error) = self.envelope() {
            problems.say(error.key, &error);
        }
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        if self.name.is_empty() {
            problems.say("name", "name is empty");
        }
        problems.prefix("source", Some(&self.source));
        problems.prefix("target", Some(&self.target));
        problems.bucket("error_prefix", self.error_prefix.as_ref());
        output::check(&self.output, problems);
        self.limits.check(problems);
        self.batch.check(problems);
        if let Err(message) = self.sweep.check() {
            problems.say("sweep", message);
        }
        stored::check(&self.tags, self.encryption.as_ref(), problems);
        if let Some(csv) = &self.csv {
            if self.format == InputFormat::Csv {
                csv.check(self.table.is_some(), problems);
            } else {
                problems.say("csv", "csv has no meaning where format is not \"csv\"");
            }
        }
        Pattern::check(self.regex.as_ref(), Some(self.format), problems);
        if self.on_unknown == UnknownPolicy::Add {
            let csv = self.csv.as_ref();
            if self.route.is_some() {
                problems.say(
                    "on_unknown",
                    "on_unknown = \"add\" adds the columns to the table of the job, and with route there are several: leave one of them out",
                );
            } else if self.table.is_none() {
                problems.say(
                    "on_unknown",
                    "on_unknown = \"add\" has no meaning without table, to which the columns are added",
                );
            } else if csv.is_some_and(|csv| !csv.header && csv.columns.is_empty()) {
                problems.say(
                    "on_unknown",
                    "on_unknown = \"add\" has no meaning where the fields of CSV are the table's columns: name them in csv.columns",
                );
            }
        }
        self.check_envelope(problems);
        self.check_columns(problems);
        if let Some(route) = &self.route {
            route.check(self, problems);
        }
        if let Some(csv) = &self.csv
            && !csv.header
            && csv.columns.is_empty()
            && self.table.is_some()
            && !self.column.is_empty()
        {
            problems.say(
                "csv.columns",
                "csv.header = false: with column, the fields need not be the table's columns: name them in csv.columns",
            );
        }
        // The instant does not affect whether the rule is valid.
        if let Err(error) = TimestampReader::new(&self.timestamp, Timestamp::UNIX_EPOCH) {
            problems.say(error.key(), error);
        }
    }

    /// Reports what is wrong with the operations on columns and with the path.
    pub(super) fn check_columns(&self, problems: &mut Problems) {
        operation::check(
            &self.column,
            &self.partition_by,
            partition::is_time_part,
            problems,
        );
        let zone = TimestampReader::new(&self.timestamp, Timestamp::UNIX_EPOCH);
        let zone = zone.map_or(TimeZone::UTC, |reader| reader.zone().clone());
        if let Err(error) = Partitioner::new(&self.partition_by, self.path_style, &zone) {
            problems.say("partition_by", error);
        }
    }
}
