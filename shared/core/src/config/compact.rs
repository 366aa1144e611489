//! `[[compact]]`: merges the many small Parquet files of a partition into few large ones.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Compression, Config, Encryption, OutputFormat, Rekey, Schedule,
    mistake::Problems,
    size::{DurationText, S3Uri, Size, TableText},
    stored,
};
use crate::{catalog::TableName, location::Location};

/// A job that merges the many small Parquet files of a partition into few large ones, while queries run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compact {
    /// The Glue table, as `database.table`, whose partitions are compacted. With `mode = "catalog"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<TableText>")]
    pub table: Option<TableName>,
    /// The prefix whose directories are compacted, ending with `/`. With `mode = "in_place"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<S3Uri>")]
    pub target: Option<Location>,
    /// How readers are switched from the old files to the new ones.
    #[serde(default)]
    pub mode: CompactMode,
    /// The target size of a file, as the sum of the sizes of the files that are merged into it.
    #[serde(default = "default_target_size")]
    pub target_size: Size,
    /// A partition with fewer small files than this is not compacted.
    #[serde(default = "default_min_files")]
    pub min_files: u32,
    /// A file is small if its size is below this percentage of `target_size`. Other files are not merged.
    #[serde(default = "default_small_below")]
    pub small_below: u32,
    /// The number of files for each partition, whatever their size. With 1, a partition becomes one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u32>,
    /// A partition whose newest file is younger than this is skipped until a later run.
    #[serde(default = "default_quiet_for")]
    #[schemars(with = "DurationText")]
    pub quiet_for: SignedDuration,
    /// The compression of the files.
    #[serde(default)]
    pub compression: CompactCompression,
    /// The size at which a row group ends; 128 MiB by default. Row groups are smaller if the function's memory requires
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_group_size: Option<Size>,
    /// The columns that the rows of a file are sorted by, in any case. By default, rows keep the order of their files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sort_by: Vec<String>,
    /// Columns that get a bloom filter, in any case; `a.b` for a field of a struct.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bloom_filter_columns: Vec<String>,
    /// Tags of each object that the job writes; copies keep their own tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The server-side encryption of each object that the job writes, including copies. By default, that of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// How long the old files are kept after readers were switched to the new ones: longer than the longest query.
    #[serde(default = "default_grace_period")]
    #[schemars(with = "DurationText")]
    pub grace_period: SignedDuration,
    /// The longest time that an invocation of a function which writes the table may run, plus a margin. A file counts
    /// as settled if its source was committed longer ago than this.
    #[serde(default = "default_longest_invocation")]
    #[schemars(with = "DurationText")]
    pub longest_invocation: SignedDuration,
    /// The prefix for new generations of partitions, ending with `/`. By default, the table's own location with
    /// `.generations` after its name. It must be outside the table, because readers may read everything below the
    /// table's location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<S3Uri>")]
    pub generations: Option<Location>,
    /// The prefix of the ledger, ending with `/`. By default, that of the rekey job which writes the table or, if there
    /// is none, `_lakewright/` in the table's location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<S3Uri>")]
    pub ledger: Option<Location>,
    /// The prefix of the ledger that has the commits of the table's files: that of the rekey job that writes the table, which with
    /// `route` is not below the table's own target. `None`: that of `ledger`.
    #[serde(skip)]
    pub commits: Option<Location>,
    /// When EventBridge Scheduler starts the job. By default, once a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Whether the first run of its state machine is a dry run. By default, it is.
    #[serde(
        default = "default_dry_run_first",
        skip_serializing_if = "Clone::clone"
    )]
    pub dry_run_first: bool,
    /// The price of a million PUT, COPY and LIST requests in US dollars: 5 for S3 Standard in us-east-1.
    #[serde(default = "default_usd_per_million_puts")]
    pub usd_per_million_puts: u32,
    /// The price of a billion GET requests in US dollars: 400 for S3 Standard in us-east-1.
    #[serde(default = "default_usd_per_billion_gets")]
    pub usd_per_billion_gets: u32,
}

/// How readers are switched from the old files to the new ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompactMode {
    /// The catalog's partition is pointed at a new directory, so that no reader sees a row twice.
    #[default]
    Catalog,
    /// The new files are copied beside the old ones, which are then deleted: readers see rows twice in between.
    InPlace,
}

/// How the files are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CompactCompression {
    /// Each column keeps its compression, except LZ4, which becomes Snappy.
    #[default]
    Keep,
    /// Uncompressed.
    None,
    /// Snappy.
    Snappy,
    /// Zstandard.
    Zstd,
    /// Gzip.
    Gzip,
}

impl CompactCompression {
    /// The codec. `None` if columns keep theirs.
    pub fn codec(self) -> Option<Compression> {
        match self {
            Self::Keep => None,
            Self::None => Some(Compression::None),
            Self::Snappy => Some(Compression::Snappy),
            Self::Zstd => Some(Compression::Zstd),
            Self::Gzip => Some(Compression::Gzip),
        }
    }

    /// The extension of the files' names, without a leading dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Keep | Self::None => "parquet",
            Self::Snappy => "snappy.parquet",
            Self::Zstd => "zstd.parquet",
            Self::Gzip => "gz.parquet",
        }
    }
}

fn default_dry_run_first() -> bool {
    true
}

fn default_target_size() -> Size {
    Size::mib(256)
}

fn default_min_files() -> u32 {
    5
}

fn default_small_below() -> u32 {
    75
}

fn default_quiet_for() -> SignedDuration {
    SignedDuration::from_hours(1)
}

fn default_grace_period() -> SignedDuration {
    SignedDuration::from_hours(24)
}

/// Lambda's longest timeout, plus five minutes for requests that are still in flight.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
fn default_longest_invocation() -> SignedDuration {
    SignedDuration::from_mins(20)
}

fn default_usd_per_million_puts() -> u32 {
    5
}

fn default_usd_per_billion_gets() -> u32 {
    400
}

/// The name of a compact job: its table or its target.
struct Subject<'a>(&'a Compact);

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0.table, &self.0.target) {
            (Some(table), _) => write!(f, "{table}"),
            (None, Some(target)) => write!(f, "{target}"),
            (None, None) => f.write_str("?"),
        }
    }
}

impl Compact {
    /// The name in reports and errors: the job's table or its target.
    pub fn subject(&self) -> String {
        Subject(self).to_string()
    }

    /// The size in bytes below which a file is small.
    pub fn small_bytes(&self) -> u64 {
        let share = u128::from(self.target_size.as_u64()) * u128::from(self.small_below) / 100;
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// Reports mistakes in the job itself.
    pub(super) fn check(&self, problems: &mut Problems) {
        match (self.mode, &self.table, &self.target) {
            (CompactMode::Catalog, Some(_), None) | (CompactMode::InPlace, None, Some(_)) => {}
            (CompactMode::Catalog, ..) => problems.say(
                "target",
                "write table = \"database.table\" and no target; a prefix without a table needs mode = \"in_place\"",
            ),
            (CompactMode::InPlace, ..) => problems.say(
                "mode",
                "mode = \"in_place\" needs target = \"s3://…/\" and no table: for a table, mode = \"catalog\" never shows rows twice",
            ),
        }
        for (key, location) in [
            ("target", &self.target),
            ("generations", &self.generations),
            ("ledger", &self.ledger),
        ] {
            problems.bucket(key, location.as_ref());
            if let Some(location) = location
                && !location.key.ends_with('/')
            {
                problems.say(key, format!("{key} = \"{location}\" must end with `/`"));
            }
        }
        if self.mode == CompactMode::InPlace && self.generations.is_some() {
            problems.say(
                "generations",
                "generations has no meaning with mode = \"in_place\"",
            );
        }
        if self.target_size == Size(0) {
            problems.say(
                "target_size",
                "target_size is 0: write a size above 0, such as \"256MiB\"",
            );
        }
        if self.row_group_size == Some(Size(0)) {
            problems.say(
                "row_group_size",
                "row_group_size is 0: give a size above 0, or leave it out",
            );
        }
        if self.min_files < 2 {
            problems.say(
                "min_files",
                format!(
                    "min_files = {}: one file is not merged with anything, write 2 or more",
                    self.min_files
                ),
            );
        }
        if !(1..=100).contains(&self.small_below) {
            problems.say(
                "small_below",
                format!(
                    "small_below = {}: write a percentage from 1 to 100",
                    self.small_below
                ),
            );
        }
        if self.files == Some(0) {
            problems.say("files", "files = 0: write 1 or more, or leave it out");
        }
        if self.longest_invocation <= SignedDuration::ZERO {
            problems.say("longest_invocation", "longest_invocation must be above 0");
        }
        if self.quiet_for.is_negative() {
            problems.say("quiet_for", "quiet_for is negative");
        }
        if self.grace_period < self.longest_invocation {
            problems.say(
                "grace_period",
                format!(
                    "grace_period ({:#}) is below longest_invocation ({:#}): running invocations may still read the old files",
                    self.grace_period, self.longest_invocation
                ),
            );
        }
        if let Some(Err(message)) = self.schedule.as_ref().map(Schedule::check) {
            problems.say("schedule", message);
        }
        stored::check(&self.tags, self.encryption.as_ref(), problems);
    }

    /// Reports conflicts with the rekey jobs.
    pub(super) fn check_beside(&self, writers: &[Rekey], problems: &mut Problems) {
        for writer in writers {
            for destination in writer.destinations() {
                if self.table.is_some() && destination.table == self.table {
                    self.check_writer(&destination, problems);
                }
            }
            for (key, prefix) in [("target", &self.target), ("generations", &self.generations)] {
                if let Some(prefix) = prefix
                    && writer.source.contains(prefix)
                {
                    problems.say(
                        key,
                        format!(
                            "{key} {prefix} lies inside the source of rekey `{}`, which would read every file: choose a prefix outside",
                            writer.name
                        ),
                    );
                }
            }
        }
    }

    /// Reports conflicts with a rekey job that writes its table.
    fn check_writer(&self, writer: &Rekey, problems: &mut Problems) {
        if let Some(output) = writer.output.first()
            && output.format != OutputFormat::Parquet
        {
            problems.say(
                "table",
                format!(
                    "rekey `{}` writes {} into the table: only Parquet is compacted",
                    writer.name, output.format
                ),
            );
        }
        if let Some(ledger) = &self.ledger
            && *ledger != writer.ledger()
        {
            problems.say(
                "ledger",
                format!(
                    "ledger = \"{ledger}\" is not that of rekey `{}`, which writes the table: leave it out",
                    writer.name
                ),
            );
        }
        if let Some(generations) = &self.generations
            && writer.target.contains(generations)
        {
            problems.say(
                "generations",
                format!(
                    "generations = \"{generations}\" lies inside {}, where readers of the table would read it",
                    writer.target
                ),
            );
        }
    }
}

impl Config {
    /// The compact job of a table.
    pub fn compact_table(&self, table: &TableName) -> Option<&Compact> {
        let mut jobs = self.compact.iter();
        jobs.find(|job| job.table.as_ref() == Some(table))
    }

    /// The compact job of a prefix.
    pub fn compact_target(&self, target: &Location) -> Option<&Compact> {
        let mut jobs = self.compact.iter();
        jobs.find(|job| job.target.as_ref() == Some(target))
    }

    /// The tables whose partitions move between directories.
    pub fn compacted_tables(&self) -> impl Iterator<Item = &TableName> {
        self.compact.iter().filter_map(|job| job.table.as_ref())
    }

    /// Gives each compact job the ledger of the rekey jobs that write its table.
    pub(super) fn settle_compact(&mut self) {
        for job in &mut self.compact {
            for writer in &self.rekey {
                for destination in writer.destinations() {
                    if job.table.is_some() && destination.table == job.table {
                        job.ledger = Some(destination.ledger());
                        job.commits = Some(writer.ledger());
                    }
                    let below = job.target.as_ref();
                    if below.is_some_and(|below| destination.target.contains(below))
                        && writer.route.is_some()
                    {
                        job.commits = Some(writer.ledger());
                    }
                }
            }
        }
    }
}
