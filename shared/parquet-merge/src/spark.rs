//! Key-value metadata by which Spark states the calendar of a file's dates. Only Spark uses it. Without these entries
//! Spark would read other dates, so they are kept in the merged file.
//! <https://github.com/apache/spark/blob/v4.0.0/sql/core/src/main/scala/org/apache/spark/sql/execution/datasources/DataSourceUtils.scala>

use parquet::basic::{ConvertedType, LogicalType, Type};

use super::{Input, MergeError};

const VERSION: &str = "org.apache.spark.version";
const OLD_DATES: &str = "org.apache.spark.legacyDateTime";
const OLD_INT96: &str = "org.apache.spark.legacyINT96";
const ZONE: &str = "org.apache.spark.timeZone";

/// The calendar of a file's dates and times. The calendars differ for dates before 1582 and for timestamps before 1900.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Calendar {
    /// Whether dates and timestamps use the legacy hybrid calendar.
    old_dates: bool,
    /// Whether INT96 values do.
    old_int96: bool,
    /// The time zone in which timestamps of the legacy calendar were converted.
    zone: Option<String>,
}

impl Calendar {
    /// Files of other writers count as files of later Spark versions.
    pub(super) fn of(input: &Input) -> Self {
        let Some(version) = entry(input, VERSION) else {
            return Self::default();
        };
        // Compared as strings, as Spark does.
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

/// The merged file's entries. One file of each schema and calendar is enough to determine them.
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
    // INT96 converted to another timestamp type would change calendars.
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

/// The value of an entry. Empty if the entry has none.
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
