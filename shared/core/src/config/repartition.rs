//! Jobs that rewrite a table into a given number of files, or partitioned by columns.

mod choice;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::choice::{Choice, NamedColumn};
use super::{
    Csv, Encryption, InputFormat, Limits, Output, OutputFormat, Pattern, Policy,
    mistake::Problems,
    output,
    size::{S3Uri, Size, SourceText, TableText},
    stored,
};
use crate::{catalog::TableName, hive_type, location::Location, nearest::meant};

/// The smallest `task_size`: with a smaller one, writing the ledger's entries would take longer than writing the rows.
const MIN_TASK_SIZE: Size = Size::mib(1);

/// The most files of a job.
const MAX_FILES: u32 = 100_000;

/// A job that rewrites a table, or the objects under a prefix, into a given number of files or partitioned by columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of its own in the file"
)]
pub struct Repartition {
    /// The job's name in reports, metrics and alarms, and in its ledger.
    pub name: String,
    /// The source: a Glue table, as `database.table`, or a prefix such as `s3://bucket/prefix/`.
    #[schemars(with = "SourceText")]
    pub source: Source,
    /// For a partitioned table: the partitions to read, as an expression of Glue's `GetPartitions`, such as `year =
    /// 2020 and month = 5`. By default, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// For a table whose location the deployment does not know: whether the job's functions may read every bucket of
    /// the account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_any_source: bool,
    /// For a prefix: the format of its objects. The compression is detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<InputFormat>,
    /// How CSV is read. For a table, it replaces the settings of the table's SerDe, for example if a crawler registered
    /// quoted values with a SerDe that does not support quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<Csv>,
    /// How lines are read, with `format = "regex"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<Pattern>,
    /// The prefix to write under, ending with `/`. It may be that of the source.
    #[schemars(with = "S3Uri")]
    pub target: Location,
    /// The columns to partition by, in path order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// The number of files, for each partition if there is `partition_by`: a number, or the difference to the number of
    /// the source's splits, such as `"+1"`. By default, as many as there are splits; with `partition_by`, one for each
    /// task that has rows of the partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<FilesText>")]
    pub files: Option<Files>,
    /// What to do with existing data under the target.
    #[serde(default)]
    pub mode: Mode,
    /// With `partition_by`: whether all rows of a partition go into one file, even if several tasks have some of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merge: bool,
    /// The outputs, all written from one read. By default, Parquet with zstd.
    #[serde(default = "default_output")]
    pub output: Vec<Output>,
    /// The columns to write, in this order: names, or `{ name = "a", as = "b", type = "int" }`, also with `constant`, `mask` or `hash`.
    /// By default, all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Choice>,
    /// What to do with a value that does not fit its column's type: `fail`, or `drop` (it becomes null).
    #[serde(default = "fail_policy")]
    pub on_mismatch: Policy,
    /// The Glue table, as `database.table`, of the first output. If it exists, values are converted to the types of its
    /// columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<TableText>")]
    pub table: Option<TableName>,
    /// Whether `table` is created if it does not exist, and updated if it does not match the output.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub manage_table: bool,
    /// Whether to skip objects that an earlier run of this job has committed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bookmark: bool,
    /// Tags of each object that the job writes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The server-side encryption of each object that the job writes. By default, that of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// The approximate number of the source's bytes, as stored in S3, that one task handles.
    #[serde(default = "default_task_size")]
    pub task_size: Size,
    /// Limits on inputs, so that a malformed object cannot crash the function.
    #[serde(default)]
    pub limits: Limits,
}

/// The source of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A table of the data catalog.
    Table(TableName),
    /// The objects under a prefix.
    Prefix(Location),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(table) => table.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
        }
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            let prefix = text.parse().map(Self::Prefix);
            prefix.map_err(|error: crate::location::LocationError| error.to_string())
        } else {
            let table = text.parse().map(Self::Table);
            table.map_err(|error: crate::catalog::TableNameError| error.to_string())
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The number of files to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// This number.
    Exactly(u32),
    /// The number of the source's splits plus this.
    Relative(i32),
}

impl Files {
    /// The number of files for a source with this many splits; at least one.
    pub fn of(self, splits: u64) -> u64 {
        match self {
            Self::Exactly(files) => files.into(),
            Self::Relative(more) => splits.saturating_add_signed(more.into()),
        }
        .max(1)
    }
}

/// The serialised form of [`Files`].
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum FilesText {
    Exactly(u32),
    Relative(String),
}

impl Serialize for Files {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Exactly(files) => FilesText::Exactly(files),
            Self::Relative(more) => FilesText::Relative(format!("{more:+}")),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match FilesText::deserialize(deserializer)? {
            FilesText::Exactly(files) => return Ok(Self::Exactly(files)),
            FilesText::Relative(text) => text,
        };
        let more = text.starts_with(['+', '-']).then(|| text.parse().ok());
        more.flatten().map(Self::Relative).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "files = \"{text}\": write a number, or one with its sign in quotes, such as \"+1\""
            ))
        })
    }
}

/// What to do with existing data under the target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is removed once all new data is written.
    #[default]
    Overwrite,
    /// It is kept.
    Append,
    /// If there is any, the job fails and writes nothing.
    Fail,
}

fn default_output() -> Vec<Output> {
    vec![Output::new(OutputFormat::Parquet)]
}

fn fail_policy() -> Policy {
    Policy::Fail
}

fn default_task_size() -> Size {
    Size::mib(512)
}

impl Repartition {
    /// The prefix of the job's ledger, hidden from query engines.
    pub fn ledger(&self) -> Location {
        self.target
            .join(&format!("_lakewright/repartition/{}/", self.name))
    }

    /// The prefix for rows that are being processed, also hidden. It is outside the ledger, so that a role that may
    /// delete below it cannot delete ledger entries.
    pub fn rows_at_work(&self) -> Location {
        self.target.join(&format!("_repartitioning/{}/", self.name))
    }

    /// The prefix of the files of one of the job's outputs.
    pub fn directory(&self, output: &Output) -> Location {
        output::directory(&self.target, output, self.output.len())
    }

    /// Reports what is wrong with it.
    pub(super) fn check(&self, problems: &mut Problems) {
        let in_a_key =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if self.name.is_empty() || self.name.starts_with('.') || !self.name.bytes().all(in_a_key) {
            problems.say(
                "name",
                "name must be of letters, digits, `-`, `_` and `.`, because it is part of the ledger's keys",
            );
        }
        problems.prefix("target", Some(&self.target));
        self.check_source(problems);
        self.check_shape(problems);
        self.check_columns(problems);
        output::check(&self.output, problems);
        self.limits.check(problems);
        stored::check(&self.tags, self.encryption.as_ref(), problems);
    }

    fn check_source(&self, problems: &mut Problems) {
        Pattern::check(self.regex.as_ref(), self.format, problems);
        match (&self.source, self.format) {
            (Source::Prefix(prefix), None) => problems.say(
                "format",
                format!("format is missing: write what the objects under {prefix} hold, json, csv, parquet, orc, avro or regex"),
            ),
            (Source::Table(table), Some(_)) => problems.say(
                "format",
                format!("format has no meaning with a table: {table} defines it"),
            ),
            (Source::Prefix(prefix), Some(_)) => {
                problems.prefix("source", Some(prefix));
                if self.allow_any_source {
                    problems.say(
                        "allow_any_source",
                        format!("allow_any_source has no meaning with a prefix: only {prefix} is read"),
                    );
                }
                if self.expression.is_some() {
                    problems.say("expression", "expression has no meaning without a table");
                }
                if self.mode == Mode::Append && prefix.contains(&self.target) {
                    problems.say("mode", format!(
                        "mode = \"append\" below the source itself would read its own rows again: choose a target outside {prefix}"
                    ));
                }
            }
            (Source::Table(_), None) => {}
        }
        if let Some(csv) = &self.csv {
            if matches!(self.format, None | Some(InputFormat::Csv)) {
                csv.check(self.format.is_none(), problems);
            } else {
                problems.say("csv", "csv has no meaning where format is not \"csv\"");
            }
        }
    }

    fn check_shape(&self, problems: &mut Problems) {
        match self.files {
            Some(Files::Exactly(0)) => problems.say("files", "files = 0: write at least one"),
            Some(Files::Exactly(files)) if files > MAX_FILES => {
                problems.say("files", format!("files = {files}: at most {MAX_FILES}"));
            }
            Some(Files::Relative(_)) if !self.partition_by.is_empty() => problems.say(
                "files",
                "files: with partition_by, it counts the files of each partition, which has no splits: write a number",
            ),
            _ => {}
        }
        if self.merge && (self.partition_by.is_empty() || self.files.is_some()) {
            problems.say(
                "merge",
                "merge has no meaning without partition_by, nor with files, which sets their number",
            );
        }
        for (index, output) in self.output.iter().enumerate() {
            if output.max_file_size.is_some() || output.min_file_size.is_some() {
                problems.say(
                    &format!("output[{index}]"),
                    "output: max_file_size and min_file_size have no meaning here: files sets their number",
                );
            }
        }
        if self.bookmark && self.mode != Mode::Append {
            problems.say(
                "bookmark",
                "bookmark needs mode = \"append\": any other would lose what earlier runs wrote",
            );
        }
        if self.manage_table && self.table.is_none() {
            problems.say("manage_table", "manage_table has no meaning without table");
        }
        if self.on_mismatch == Policy::Quarantine {
            problems.say(
                "on_mismatch",
                "on_mismatch = \"quarantine\": a table is rewritten whole or not at all: write fail or drop",
            );
        }
        if self.task_size < MIN_TASK_SIZE {
            problems.say(
                "task_size",
                format!("task_size must be at least {MIN_TASK_SIZE}"),
            );
        }
    }

    fn check_columns(&self, problems: &mut Problems) {
        let mut names = BTreeSet::new();
        for name in &self.partition_by {
            if name.is_empty() || name.starts_with(['_', '.']) {
                problems.say("partition_by", format!(
                    "partition_by names `{name}`: readers skip directories that begin with `_` or `.`, and none may be empty"
                ));
            }
            if !names.insert(name.to_lowercase()) {
                problems.say("partition_by", format!("partition_by names `{name}` twice"));
            }
        }
        let mut written = BTreeSet::new();
        for (index, column) in self.columns.iter().enumerate() {
            let key = format!("columns[{index}]");
            if column.name().is_empty() || column.written().is_empty() {
                problems.say(&key, "columns has an empty name");
            }
            let is_hidden = column.mask().is_some() || column.secret().is_some();
            if column.constant().is_some() && (column.is_renamed() || is_hidden) {
                problems.say(
                    &key,
                    format!(
                        "columns: `{}`: constant goes together with type alone",
                        column.name()
                    ),
                );
            }
            if column.mask().is_some() && column.secret().is_some() {
                problems.say(
                    &key,
                    format!("columns: `{}` has both mask and hash", column.name()),
                );
            }
            if !written.insert(column.written().to_lowercase()) {
                problems.say(&key, format!("columns writes `{}` twice", column.written()));
            }
            if let Some(text) = column.hive_type()
                && let Err(error) = hive_type::parse_field(column.written(), text)
            {
                problems.say(
                    &key,
                    format!("columns: `{}`: type = \"{text}\": {error}", column.name()),
                );
            }
        }
        if self.columns.is_empty() {
            return;
        }
        let all = || self.columns.iter().map(Choice::written);
        let lost = |name: &&String| !written.contains(&name.to_lowercase());
        for name in self.partition_by.iter().filter(lost) {
            problems.say(
                "partition_by",
                format!(
                    "partition_by names `{name}`, which columns does not write{}",
                    meant(name, all())
                ),
            );
        }
        if written == names {
            problems.say(
                "columns",
                "every column is in partition_by: none is left for the files",
            );
        }
    }
}
