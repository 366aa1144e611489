//! What Spark says of a file in its key-value metadata, and only Spark takes notice of: the calendar that days are counted
//! in. Without these entries it would read other days than before, so a merged file has them too.
//! <https://github.com/apache/spark/blob/v4.0.0/sql/core/src/main/scala/org/apache/spark/sql/execution/datasources/DataSourceUtils.scala>

use parquet::basic::{ConvertedType, LogicalType, Type};

use super::{Input, MergeError};

const VERSION: &str = "org.apache.spark.version";
const OLD_DATES: &str = "org.apache.spark.legacyDateTime";
const OLD_INT96: &str = "org.apache.spark.legacyINT96";
const ZONE: &str = "org.apache.spark.timeZone";

/// How Spark counts the days of a file. The calendars differ before 1582, and those of times before 1900.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Calendar {
    /// Whether dates and timestamps are of the calendar of old.
    old_dates: bool,
    /// Whether INT96 are.
    old_int96: bool,
    /// The zone in which times were taken for those of the calendar of old.
    zone: Option<String>,
}

impl Calendar {
    /// Files of others are as those of Spark's later versions.
    pub(super) fn of(input: &Input) -> Self {
        let Some(version) = entry(input, VERSION) else {
            return Self::default();
        };
        // As Spark compares them: as texts.
        let old_dates = version < "3.0.0" || entry(input, OLD_DATES).is_some();
        let old_int96 = version < "3.1.0" || entry(input, OLD_INT96).is_some();
        let zone = entry(input, ZONE).filter(|_| old_dates || old_int96);
        Self {
            old_dates,
            old_int96,
            zone: zone.map(str::to_owned),
        }
    }
}

/// The entries that the merged file has of all files. One file of each schema and calendar says as much as all of them.
///
/// # Errors
/// Files that count days in different ways, by name.
pub(super) fn entries(inputs: &[Input]) -> Result<Vec<(String, String)>, MergeError> {
    let Some((first, others)) = inputs.split_first() else {
        return Ok(Vec::new());
    };
    let calendar = Calendar::of(first);
    if let Some(other) = others.iter().find(|other| Calendar::of(other) != calendar) {
        return Err(MergeError::Schema {
            input: other.name.clone(),
            what: format!(
                "Spark counts its days in another calendar than those of {}",
                first.name
            ),
        });
    }
    // INT96 that become other timestamps would be of their calendar.
    if calendar.old_dates != calendar.old_int96
        && let Some(other) = inputs.iter().find(|input| has_int96(input))
        && inputs.iter().any(has_timestamps)
    {
        return Err(MergeError::Schema {
            input: other.name.clone(),
            what: "Spark counts the days of its INT96 in another calendar than those of other timestamps".to_owned(),
        });
    }
    if calendar == Calendar::default() {
        return Ok(Vec::new());
    }
    let kept = [VERSION, OLD_DATES, OLD_INT96, ZONE].into_iter();
    Ok(kept
        .filter_map(|key| Some((key.to_owned(), entry(first, key)?.to_owned())))
        .collect())
}

/// The value of an entry; empty where it has none.
fn entry<'a>(input: &'a Input, key: &str) -> Option<&'a str> {
    let entries = input.metadata.file_metadata().key_value_metadata()?;
    let found = entries.iter().find(|entry| entry.key == key)?;
    Some(found.value.as_deref().unwrap_or_default())
}

fn has_int96(input: &Input) -> bool {
    let schema = input.metadata.file_metadata().schema_descr();
    let mut columns = schema.columns().iter();
    columns.any(|column| column.physical_type() == Type::INT96)
}

fn has_timestamps(input: &Input) -> bool {
    let schema = input.metadata.file_metadata().schema_descr();
    let mut columns = schema.columns().iter();
    columns.any(|column| {
        matches!(column.logical_type_ref(), Some(LogicalType::Timestamp(_)))
            || matches!(
                column.converted_type(),
                ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIMESTAMP_MICROS
            )
    })
}
