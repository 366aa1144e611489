use std::borrow::Cow;

use arrow::error::ArrowError;
use thiserror::Error;

use crate::{
    columns::NotOwn, config::SecretName, hive_type::HiveTypeError, location::Location, shown::Found,
};

/// Why operations cannot be applied to columns.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OperationError {
    /// There is no column of this name.
    #[error("there is no column `{name}`: there are {columns:?}")]
    NoColumn {
        /// The name in the configuration.
        name: String,
        /// The existing columns.
        columns: Vec<String>,
    },
    /// The name does not mean a top-level column.
    #[error("{0}")]
    NotOwn(#[from] NotOwn),
    /// Two columns would be read from one field.
    #[error(
        "`{column}` is made of the field `{field}`, which the column `{field}` would also be made of: drop one of them"
    )]
    ReadTwice {
        /// The column that has an operation.
        column: String,
        /// The field, and the other column.
        field: String,
    },
    /// Two columns would have one name.
    #[error(
        "`{field}` is renamed to `{name}`, and the records have a field `{name}` too: drop that one with a separate entry"
    )]
    NameTaken {
        /// The field that is renamed.
        field: String,
        /// The name.
        name: String,
    },
    /// The operation does not produce values of the column's type.
    #[error("`{column}` is {hive_type}, and {wants}")]
    Type {
        /// The column.
        column: String,
        /// Its type.
        hive_type: String,
        /// The types that it produces.
        wants: &'static str,
    },
    /// A type in the configuration is not valid.
    #[error("`{column}`: {error}")]
    Cast {
        /// The column.
        column: String,
        /// What is wrong.
        error: HiveTypeError,
    },
    /// A constant, or a part of a key, does not fit its column.
    #[error("`{column}` is {expected}, which its constant or its part of the key is not: {found}")]
    Value {
        /// The column.
        column: String,
        /// Its type in Hive's terms.
        expected: Cow<'static, str>,
        /// The value.
        found: Found,
    },
    /// A key has no such part.
    #[error("the key of {object} has no part {part} for the column `{column}`")]
    NoPart {
        /// The object.
        object: Location,
        /// The part.
        part: String,
        /// The column.
        column: String,
    },
    /// The secret of a hash was not read.
    #[error("`{column}` is hashed with {secret}, which was not read")]
    NoSecret {
        /// The column.
        column: String,
        /// The secret.
        secret: SecretName,
    },
    /// An array could not be built.
    #[error("{0}")]
    Arrow(String),
}

impl From<ArrowError> for OperationError {
    fn from(error: ArrowError) -> Self {
        Self::Arrow(error.to_string())
    }
}
