//! Tables of the data catalog, as values.

mod foreign;
pub(crate) mod honoured;

pub use foreign::{ForeignTable, marks_above, not_a_mark};
pub use honoured::{RowFormat, TableError};

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// The name of a table in the data catalog. Its text form is `database.table`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

/// A text that is not of the form `database.table`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a table name: write it as database.table")]
pub struct TableNameError(String);

impl FromStr for TableName {
    type Err = TableNameError;

    fn from_str(text: &str) -> Result<Self, TableNameError> {
        match text.split_once('.') {
            Some((database, table))
                if !database.is_empty() && !table.is_empty() && !table.contains('.') =>
            {
                Ok(Self {
                    database: database.to_owned(),
                    table: table.to_owned(),
                })
            }
            _ => Err(TableNameError(text.to_owned())),
        }
    }
}

impl Serialize for TableName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TableName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The name, lower-case in a table that a crawler or Athena made.
    pub name: String,
    /// The type in Hive's syntax, such as `array<struct<a:bigint>>`.
    pub hive_type: String,
}

/// The location of a table's or partition's objects, and how to read them, as in Glue.
/// <https://docs.aws.amazon.com/glue/latest/webapi/API_StorageDescriptor.html>
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageDescriptor {
    /// The `s3://` prefix.
    pub location: String,
    /// The columns inside the objects, in order, without the partition keys.
    pub columns: Vec<Column>,
    /// The Java class that reads the objects.
    pub input_format: Option<String>,
    /// The Java class that writes the objects.
    pub output_format: Option<String>,
    /// Whether the objects are compressed, for readers that do not detect it.
    pub compressed: bool,
    /// The Java class that turns bytes into rows.
    pub serde_library: Option<String>,
    /// Parameters of the SerDe, such as `serialization.format`.
    pub serde_parameters: BTreeMap<String, String>,
    /// Other parameters, such as `classification`.
    pub parameters: BTreeMap<String, String>,
    /// The columns that the rows are bucketed by; each bucket is a separate file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bucket_columns: Vec<String>,
}

/// A table of the data catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// The location of its objects, and its columns.
    pub storage: StorageDescriptor,
    /// The partition columns, in path order.
    pub partition_keys: Vec<Column>,
    /// Table parameters, such as `classification` and `projection.enabled`.
    pub parameters: BTreeMap<String, String>,
    /// The table's version, for conditional updates.
    pub version_id: Option<String>,
}

impl Table {
    /// Whether Athena computes this table's partitions itself and ignores those in the catalog.
    /// <https://docs.aws.amazon.com/athena/latest/ug/partition-projection.html>
    pub fn has_partition_projection(&self) -> bool {
        self.parameters
            .get("projection.enabled")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names() {
        let name: TableName = "anpr.by_event_time".parse().unwrap();
        assert_eq!(
            (name.database.as_str(), name.table.as_str()),
            ("anpr", "by_event_time")
        );
        assert_eq!(name.to_string(), "anpr.by_event_time");
        for bad in ["", "a", ".b", "a.", "a.b.c"] {
            assert!(bad.parse::<TableName>().is_err(), "{bad}");
        }
    }
}
