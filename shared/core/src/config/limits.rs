//! Limits on inputs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{mistake::Problems, size::Size};
use crate::json;

/// Limits on inputs. Each limit has its own error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The longest record. An object with a longer one is refused.
    pub record_size: Size,
    /// The deepest nesting of objects and arrays in a record, including the record itself: 1 to 64. A deeper record is
    /// quarantined.
    pub nesting_depth: u32,
    /// The most decompressed bytes for each compressed byte. An object that exceeds this is refused.
    pub compression_ratio: u32,
    /// The most partitions that the records of one object may belong to. An object that exceeds this is refused.
    pub partitions: u32,
    /// The most columns of a table to which rekey adds columns (`on_unknown = "add"`), 1000 by default. A record with a field
    /// for which there is no room is quarantined.
    #[serde(skip_serializing_if = "is_usual")]
    pub columns: u32,
    /// The largest footer of a Parquet or ORC file. A file that exceeds this is refused.
    pub parquet_footer: Size,
    /// The largest decoded row group of a Parquet file, or stripe of an ORC file. A file that exceeds this is refused.
    pub parquet_row_group: Size,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_size: Size::mib(16),
            nesting_depth: u32::try_from(json::MAX_DEPTH).unwrap_or(u32::MAX),
            compression_ratio: 1_000,
            partitions: 20_000,
            columns: COLUMNS,
            parquet_footer: Size::mib(16),
            parquet_row_group: Size::gib(2),
        }
    }
}

const COLUMNS: u32 = 1_000;

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_usual(columns: &u32) -> bool {
    *columns == COLUMNS
}

/// A column's size is limited to 31 bits, and a record is in memory more than once.
const LARGEST_RECORD: Size = Size::gib(1);

impl Limits {
    /// The longest record, in bytes.
    pub fn longest_record(&self) -> usize {
        usize::try_from(self.record_size.as_u64()).unwrap_or(usize::MAX)
    }

    /// The deepest nesting, at most [`json::MAX_DEPTH`].
    pub fn deepest(&self) -> usize {
        usize::try_from(self.nesting_depth)
            .unwrap_or(usize::MAX)
            .min(json::MAX_DEPTH)
    }

    /// Reports what is wrong with them.
    pub(super) fn check(&self, problems: &mut Problems) {
        for (key, value) in [
            ("record_size", self.record_size.as_u64()),
            ("nesting_depth", self.nesting_depth.into()),
            ("compression_ratio", self.compression_ratio.into()),
            ("partitions", self.partitions.into()),
            ("columns", self.columns.into()),
            ("parquet_footer", self.parquet_footer.as_u64()),
            ("parquet_row_group", self.parquet_row_group.as_u64()),
        ] {
            if value == 0 {
                let message = format!("limits.{key} is 0: nothing would pass");
                problems.say(&format!("limits.{key}"), message);
            }
        }
        if self.record_size > LARGEST_RECORD {
            problems.say(
                "limits.record_size",
                format!(
                    "limits.record_size is more than {} bytes: the columns of one record have room for no more",
                    LARGEST_RECORD.as_u64()
                ),
            );
        }
        if self.nesting_depth as usize > json::MAX_DEPTH {
            let depth = self.nesting_depth;
            problems.say(
                "limits.nesting_depth",
                format!(
                    "limits.nesting_depth = {depth}: at most {}",
                    json::MAX_DEPTH
                ),
            );
        }
    }
}
