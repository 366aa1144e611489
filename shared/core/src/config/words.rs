//! Configuration types that the readers of times, paths and rows take. They have no checks here: the checks of the jobs
//! that contain them need those readers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The column with a record's time, and how to parse it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimestampRule {
    /// The column, or a path into nested columns such as `detail.time`.
    pub column: String,
    /// A strptime pattern, such as `%d/%m/%Y %H:%M`, for times in another than the usual formats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The unit of numeric times. By default, it is derived from their magnitude.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<EpochUnit>,
    /// The IANA time zone of times without one, and of the partitions. `UTC` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Records before this time (a timestamp, or `now` with an offset such as `now-400d`) are quarantined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest: Option<String>,
    /// Records after this time (a timestamp, or `now` with an offset such as `now+1d`) are quarantined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<String>,
}

/// The unit of a numeric time, counted from 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EpochUnit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

/// How the numbers of time parts are written in the path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PathStyle {
    /// `month=05`, which sorts as text.
    #[default]
    Padded,
    /// `month=5`, as Spark writes integers.
    Spark,
}

/// The format of a row's object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RowFormat {
    /// A JSON object with a field for each column.
    #[default]
    Json,
    /// A line of comma-separated values, by default after a line with the columns' names.
    Csv,
    /// The text of `template`.
    Template,
}

/// How the values of columns are written in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Types {
    /// Typed by the query's columns.
    #[default]
    Query,
    /// Every value is a string.
    String,
}

/// What to do if different rows have the same key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnCollision {
    /// The job fails before it writes anything, and the error names the rows.
    #[default]
    Fail,
    /// The row with the lowest number is written.
    KeepFirst,
    /// The row with the highest number is written.
    KeepLast,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultColumn {
    /// Its name.
    pub name: String,
    /// Its type, as in the metadata of an Athena query, such as `bigint` or `varchar`.
    #[serde(rename = "type")]
    pub athena_type: String,
}
