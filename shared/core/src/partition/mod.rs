//! Hive partitions: from a record's time and columns to a path and to the values that Glue registers.
//! docs/SEMANTICS.md, "Partitions and paths", specifies the rules.

mod escape;
mod floats;
mod key;
#[cfg(test)]
mod tests;

use std::ops::Range;

use jiff::{
    Timestamp,
    tz::{Offset, TimeZone},
};
use parquet_merge::{NameError, find_column};
use thiserror::Error;

use self::key::PackedTime;
pub use self::{
    escape::{DEFAULT_PARTITION, escape, unescape},
    floats::floats,
    key::PartitionKey,
};
use crate::shown::quoted;
use crate::{config::PathStyle, naming::fits_xml};

/// The longest partition value in Glue, in characters.
/// <https://docs.aws.amazon.com/glue/latest/webapi/API_PartitionInput.html>
const LONGEST_VALUE: usize = 1_024;

/// Finds a record's partition.
#[derive(Debug, Clone)]
pub struct Partitioner {
    parts: Vec<Part>,
    columns: Vec<String>,
    style: PathStyle,
    zone: TimeZone,
    /// The zone's offset if it never changes, which avoids the lookup of transitions.
    fixed: Option<Offset>,
    /// The parts of a time that distinguish partitions.
    mask: u64,
}

/// One level of the path.
#[derive(Debug, Clone)]
struct Part {
    /// The name in the path and in the catalog.
    name: String,
    source: Source,
}

/// The source of a level's value.
#[derive(Debug, Clone, Copy)]
enum Source {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Date,
    /// The next column.
    Column,
}

impl Source {
    fn of(name: &str) -> Self {
        match name {
            "year" => Self::Year,
            "month" => Self::Month,
            "day" => Self::Day,
            "hour" => Self::Hour,
            "minute" => Self::Minute,
            "date" => Self::Date,
            _ => Self::Column,
        }
    }

    fn mask(self) -> u64 {
        match self {
            Self::Year => PackedTime::YEAR,
            Self::Month => PackedTime::MONTH,
            Self::Day => PackedTime::DAY,
            Self::Hour => PackedTime::HOUR,
            Self::Minute => PackedTime::MINUTE,
            Self::Date => PackedTime::YEAR | PackedTime::MONTH | PackedTime::DAY,
            Self::Column => 0,
        }
    }
}

/// Why `partition_by` is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PartitionByError {
    /// It is empty.
    #[error("partition_by is empty: name at least one part")]
    Empty,
    /// A name is empty.
    #[error("partition_by has an empty name")]
    EmptyName,
    /// Two names are the same ignoring case; paths use lower case.
    #[error("partition_by names `{first}` and `{second}`, which are one name in a path")]
    Duplicate {
        /// One name.
        first: String,
        /// The other.
        second: String,
    },
    /// Readers treat directories of this name as hidden.
    #[error("partition_by names `{0}`: readers skip directories that begin with `_` or `.`")]
    Hidden(String),
}

/// Checks that the columns in `partition_by` are among those of an object that names its columns.
///
/// # Errors
/// One is missing.
pub fn check_columns(partition_by: &[String], names: &[String]) -> Result<(), NameError> {
    let columns = partition_by.iter().filter(|name| !is_time_part(name));
    columns
        .map(|column| find_column(column, names.iter().map(std::slice::from_ref)))
        .try_for_each(|found| found.map(drop))
}

/// Whether a name in `partition_by` is a part of the record's time.
pub fn is_time_part(name: &str) -> bool {
    !matches!(Source::of(&name.to_lowercase()), Source::Column)
}

/// Why a record with a time has no partition.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PartitionError {
    /// A value exceeds the catalog's limit.
    #[error(
        "the value of partition column `{column}` has {length} characters, more than Glue's {LONGEST_VALUE}"
    )]
    ValueTooLong {
        /// The column.
        column: String,
        /// Its value's length in characters.
        length: usize,
    },
    /// The value has a character that XML cannot represent, so S3 could not name the key in listings and deletions.
    #[error(
        "partition column `{column}` has a value with a character that XML does not have, and S3's answers are XML: {}",
        quoted(.value)
    )]
    NotInXml {
        /// The column.
        column: String,
        /// Its value.
        value: String,
    },
    /// The key of an object in the partition would be longer than S3 takes.
    #[error("the partition's path has {length} bytes, and S3's limit on keys leaves {room}")]
    PathTooLong {
        /// The path's length in bytes.
        length: usize,
        /// The number of bytes that the limit leaves for it.
        room: usize,
    },
}

/// A partition as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The path below the target, such as `year=2026/month=05/`.
    pub path: String,
    /// The values in path order, unescaped, as a crawler would register them in Glue.
    pub values: Vec<String>,
}

impl Partitioner {
    /// Creates a partitioner from the names of `partition_by`. `year`, `month`, `day`, `hour`, `minute` and `date`, in
    /// any case, are parts of the record's time in `zone`; every other name is a column.
    ///
    /// # Errors
    /// The names cannot be used in a path.
    pub fn new(
        partition_by: &[String],
        style: PathStyle,
        zone: &TimeZone,
    ) -> Result<Self, PartitionByError> {
        let mut parts: Vec<Part> = Vec::with_capacity(partition_by.len());
        let mut columns = Vec::new();
        for (index, given) in partition_by.iter().enumerate() {
            let name = given.to_lowercase();
            if name.is_empty() {
                return Err(PartitionByError::EmptyName);
            }
            if name.starts_with(['_', '.']) {
                return Err(PartitionByError::Hidden(given.clone()));
            }
            let earlier = partition_by.iter().take(index);
            if let Some((_, first)) = parts
                .iter()
                .zip(earlier)
                .find(|(part, _)| part.name == name)
            {
                return Err(PartitionByError::Duplicate {
                    first: first.clone(),
                    second: given.clone(),
                });
            }
            let source = Source::of(&name);
            if let Source::Column = source {
                columns.push(given.clone());
            }
            parts.push(Part { name, source });
        }
        if parts.is_empty() {
            return Err(PartitionByError::Empty);
        }
        Ok(Self {
            mask: parts.iter().fold(0, |mask, part| mask | part.source.mask()),
            parts,
            columns,
            style,
            zone: zone.clone(),
            fixed: zone.to_fixed_offset().ok(),
        })
    }

    /// The columns whose values are needed, in the configuration's spelling and in the order in which
    /// [`key`](Self::key) takes them.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The names of the partition keys, lower-case, in path order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| part.name.as_str())
    }

    /// The partition of a record. `columns` are the values of [`columns`](Self::columns); a missing one is null.
    pub fn key(&self, time: Timestamp, columns: &[Option<&str>]) -> PartitionKey {
        let mut buffer = Vec::new();
        self.write_key(time, columns, &mut buffer);
        PartitionKey::from_bytes(&buffer)
    }

    /// A range of times around `time` that are all in its partition. `None` if the partition also depends on columns, or if
    /// the zone's offset changes.
    pub fn times_around(&self, time: Timestamp) -> Option<Range<Timestamp>> {
        if !self.columns.is_empty() {
            return None;
        }
        let offset = i64::from(self.fixed?.seconds());
        let unit = if self.mask & PackedTime::MINUTE == 0 {
            3_600
        } else {
            60
        };
        let second = i64::try_from(time.as_nanosecond().div_euclid(1_000_000_000)).ok()?;
        let start = (second + offset).div_euclid(unit) * unit - offset;
        let at = |second| Timestamp::from_second(second).ok();
        Some(at(start)?..at(start + unit)?)
    }

    /// Appends the key of a record's partition to a buffer, for a lookup without an allocation.
    #[inline]
    pub fn write_key(&self, time: Timestamp, columns: &[Option<&str>], buffer: &mut Vec<u8>) {
        let civil = match self.fixed {
            Some(offset) => offset.to_datetime(time),
            None => self.zone.to_datetime(time),
        };
        let values = (0..self.columns.len()).map(|index| columns.get(index).copied().flatten());
        key::encode(PackedTime::pack(civil, self.mask), values, buffer);
    }

    /// The path and the values of a partition. `room` is the most bytes that its path may have
    /// ([`path_room`](crate::naming::path_room)).
    ///
    /// # Errors
    /// A value or the path is too long.
    pub fn render(&self, key: &PartitionKey, room: usize) -> Result<Partition, PartitionError> {
        let (time, columns) = key.decode();
        let mut columns = columns.into_iter();
        let mut partition = Partition {
            path: String::new(),
            values: Vec::with_capacity(self.parts.len()),
        };
        for part in &self.parts {
            let value = match part.source {
                Source::Column => columns
                    .next()
                    .flatten()
                    .unwrap_or(DEFAULT_PARTITION)
                    .to_owned(),
                _ => self.time_value(part.source, time),
            };
            // A text has no more characters than bytes, so most values need not be counted.
            if value.len() > LONGEST_VALUE {
                let length = value.chars().count();
                if length > LONGEST_VALUE {
                    return Err(PartitionError::ValueTooLong {
                        column: part.name.clone(),
                        length,
                    });
                }
            }
            partition.path.push_str(&escape(&part.name));
            partition.path.push('=');
            let escaped = escape(&value);
            if !fits_xml(&escaped) {
                return Err(PartitionError::NotInXml {
                    column: part.name.clone(),
                    value,
                });
            }
            partition.path.push_str(&escaped);
            partition.path.push('/');
            partition.values.push(value);
        }
        let length = partition.path.len();
        if length > room {
            return Err(PartitionError::PathTooLong { length, room });
        }
        Ok(partition)
    }

    fn time_value(&self, source: Source, time: PackedTime) -> String {
        let number = match source {
            Source::Year => {
                return match self.style {
                    PathStyle::Padded => format!("{:04}", time.year()),
                    PathStyle::Spark => time.year().to_string(),
                };
            }
            Source::Date => {
                return format!("{:04}-{:02}-{:02}", time.year(), time.month(), time.day());
            }
            Source::Month => time.month(),
            Source::Day => time.day(),
            Source::Hour => time.hour(),
            Source::Minute => time.minute(),
            Source::Column => return String::new(),
        };
        match self.style {
            PathStyle::Padded => format!("{number:02}"),
            PathStyle::Spark => number.to_string(),
        }
    }
}
