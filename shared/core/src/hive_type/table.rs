use std::collections::BTreeMap;

use arrow::datatypes::Schema;
use thiserror::Error;

use super::{HiveTypeError, parse_field};
use crate::catalog::Column;

/// Why a table's columns cannot be used as a schema.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TableSchemaError {
    /// A column's type is not valid.
    #[error("column `{column}` has the type `{hive_type}`: {error}")]
    Type {
        /// The column.
        column: String,
        /// Its type in the catalog.
        hive_type: String,
        /// The error.
        error: HiveTypeError,
    },
    /// Two columns, or a column and a partition key, have the same name, ignoring case.
    #[error("columns `{first}` and `{second}` differ only in case, or not at all")]
    SameName {
        /// One name.
        first: String,
        /// The other.
        second: String,
    },
    /// A partition key is also a column of the files.
    #[error(
        "partition key `{key}` is also a column (`{column}`): a partition key's value is only in the path"
    )]
    PartitionKeyIsColumn {
        /// The partition key.
        key: String,
        /// The column.
        column: String,
    },
}

/// The schema of a table's files: the columns of its storage descriptor with lower-case names, all nullable. Partition
/// keys are not included and must not be among them.
///
/// # Errors
/// A type is not valid, or two names are the same ignoring case; the error names both.
pub fn table_schema(
    table_columns: &[Column],
    partition_keys: &[Column],
) -> Result<Schema, TableSchemaError> {
    let mut fields = Vec::with_capacity(table_columns.len());
    let mut columns = BTreeMap::new();
    for column in table_columns {
        let name = column.name.to_lowercase();
        let field =
            parse_field(&name, &column.hive_type).map_err(|error| TableSchemaError::Type {
                column: column.name.clone(),
                hive_type: column.hive_type.clone(),
                error,
            })?;
        fields.push(field);
        if let Some(first) = columns.insert(name, &column.name) {
            return Err(TableSchemaError::SameName {
                first: first.clone(),
                second: column.name.clone(),
            });
        }
    }
    let mut keys = BTreeMap::new();
    for key in partition_keys {
        let name = key.name.to_lowercase();
        if let Some(column) = columns.get(&name) {
            return Err(TableSchemaError::PartitionKeyIsColumn {
                key: key.name.clone(),
                column: (*column).clone(),
            });
        }
        if let Some(first) = keys.insert(name, &key.name) {
            return Err(TableSchemaError::SameName {
                first: first.clone(),
                second: key.name.clone(),
            });
        }
    }
    Ok(Schema::new(fields))
}
