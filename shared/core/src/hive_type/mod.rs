//! Converts Hive's type syntax, which Glue uses for columns, to and from Arrow types.
//! <https://docs.aws.amazon.com/athena/latest/ug/data-types.html>
//!
//! | Hive | Arrow |
//! |---|---|
//! | `boolean` | Boolean |
//! | `tinyint`, `smallint`, `int` or `integer`, `bigint` | Int8, Int16, Int32, Int64 |
//! | `float`, `double` | Float32, Float64 |
//! | `decimal(p,s)`; `decimal(p)` is `decimal(p,0)`, `decimal` is `decimal(10,0)` | Decimal128 |
//! | `string`, `char(n)`, `varchar(n)` | Utf8, the two latter with [`DECLARED`] in the field's metadata |
//! | `binary` | Binary |
//! | `date` | Date32 |
//! | `timestamp` | Timestamp in microseconds, without a zone |
//! | `timestamp with local time zone` | Timestamp in microseconds, UTC |
//! | `array<…>`, `map<…,…>`, `struct<name:…>` | List, Map, Struct, with Parquet's own names of inner fields |

mod parse;
mod render;
mod table;
#[cfg(test)]
mod tests;

pub use self::{
    parse::{HiveTypeError, HiveTypeProblem, parse, parse_field},
    render::{Unsupported, render, render_field},
    table::{TableSchemaError, table_schema},
};

/// The metadata key for a field's declared type, if the Arrow type does not contain the declared length: `char(n)` or
/// `varchar(n)`.
pub const DECLARED: &str = "hive_type";

/// The deepest nesting of types.
pub const DEEPEST: usize = 64;

/// The name of a list's field in Parquet.
/// <https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#lists>
const ELEMENT: &str = "element";
/// The names of a map's fields in Parquet.
/// <https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#maps>
const KEY_VALUE: &str = "key_value";
const KEY: &str = "key";
const VALUE: &str = "value";
