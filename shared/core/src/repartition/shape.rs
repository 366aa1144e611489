//! Decides which columns are read, and where they are written.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array},
    compute::take,
    datatypes::{DataType, Field, Fields, Schema, SchemaRef},
    error::ArrowError,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{KeyValues, keys::constant_of};
use crate::{
    catalog::Column,
    columns::{self, NotOwn},
    config::{Choice, Constant, Mask, Repartition, SecretName},
    hive_type::{self, HiveTypeError},
    operations::{self, OperationError, Secret},
};

/// Why the columns of a job cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ShapeError {
    /// The source has no such column.
    #[error("the source has no column `{name}`: it has {columns:?}")]
    NoColumn {
        /// The name in the configuration.
        name: String,
        /// The source's columns.
        columns: Vec<String>,
    },
    /// The name does not mean a top-level column.
    #[error(transparent)]
    NotOwn(#[from] NotOwn),
    /// Two columns have the same name, ignoring case.
    #[error(
        "the columns `{first}` and `{second}` differ only in upper and lower case, or not at all"
    )]
    SameName {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A constant does not fit its column.
    #[error("columns: {0}")]
    Constant(#[from] OperationError),
    /// Only columns of the objects can be masked or hashed.
    #[error(
        "columns: `{column}` is a key of the source's partitions, and its values are in the path: it cannot be {hidden}"
    )]
    HiddenKey {
        /// The column.
        column: String,
        /// Masked or hashed.
        hidden: &'static str,
    },
    /// Only strings can be masked or hashed.
    #[error("columns: `{column}` is {hive_type}, and what is {hidden} is a string")]
    Hidden {
        /// The column.
        column: String,
        /// Its type.
        hive_type: String,
        /// Masked or hashed.
        hidden: &'static str,
    },
    /// A type is not valid.
    #[error("column `{column}` has the type `{hive_type}`: {error}")]
    Type {
        /// The column.
        column: String,
        /// Its type.
        hive_type: String,
        /// The error.
        error: HiveTypeError,
    },
    /// A column of this type cannot be part of a path.
    #[error("partition_by names `{column}`, which is {hive_type} and has no single value")]
    NestedKey {
        /// Its name.
        column: String,
        /// Its type.
        hive_type: String,
    },
    /// Every column would be in the path.
    #[error("every column is in partition_by: none is left for the files")]
    NoneLeft,
}

/// The source of a column's values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The objects: the index of a column that is read.
    Read(usize),
    /// The source's partitions: the index of a partition key.
    Key(usize),
    /// The objects: the same, masked.
    Masked(usize, Mask),
    /// The objects: the same, hashed.
    Hashed(usize, SecretName),
    /// The configuration.
    Constant(Constant),
}

/// A column of the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Its name and type in the output.
    #[serde(flatten)]
    pub column: Column,
    /// The source of its values.
    pub from: Origin,
}

/// The columns of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The columns that are read from the objects: with the names there, and the types of the output.
    pub read: Vec<Column>,
    /// The columns of the files, in order.
    pub files: Vec<Written>,
    /// The columns of the path, in order.
    pub partition_by: Vec<Written>,
}

impl Shape {
    /// The columns of `job`, for a source with these `columns` and partition `keys`. `types` are the columns of the
    /// target table, if there is one.
    ///
    /// # Errors
    /// A column does not exist, two have the same name, or a type is not valid.
    pub fn new(
        job: &Repartition,
        columns: &[Column],
        keys: &[Column],
        types: &[Column],
    ) -> Result<Self, ShapeError> {
        let find = |name: &str| {
            let key = || {
                keys.iter()
                    .position(|key| same(&key.name, name))
                    .map(Origin::Key)
            };
            place(columns.iter(), name)?
                .map(Origin::Read)
                .or_else(key)
                .ok_or_else(|| ShapeError::NoColumn {
                    name: name.to_owned(),
                    columns: columns
                        .iter()
                        .chain(keys)
                        .map(|column| column.name.clone())
                        .collect(),
                })
        };
        let source = |from: &Origin| match from {
            Origin::Read(index) | Origin::Masked(index, _) | Origin::Hashed(index, _) => {
                columns.get(*index).cloned()
            }
            Origin::Key(index) => keys.get(*index).cloned(),
            Origin::Constant(constant) => Some(Column {
                name: String::new(),
                hive_type: type_of(constant).to_owned(),
            }),
        };
        let mut chosen = Vec::new();
        if job.columns.is_empty() {
            let read = (0..columns.len()).map(Origin::Read);
            chosen.extend(
                read.chain((0..keys.len()).map(Origin::Key))
                    .map(|from| (from, None)),
            );
        }
        for choice in &job.columns {
            let from = match choice.constant() {
                Some(constant) => Origin::Constant(constant.clone()),
                None => find(choice.name())?,
            };
            chosen.push((from, Some(choice)));
        }
        let mut shape = Self {
            read: Vec::new(),
            files: Vec::new(),
            partition_by: Vec::new(),
        };
        let mut all = Vec::new();
        for (from, choice) in chosen {
            let Some(column) = source(&from) else {
                continue;
            };
            // The name has the source's spelling, unless the column is renamed.
            let name = match choice {
                Some(choice) if choice.is_renamed() || choice.constant().is_some() => {
                    choice.written()
                }
                _ => &column.name,
            };
            let of_table = types.iter().find(|column| same(&column.name, name));
            let hive_type = choice
                .and_then(|choice| choice.hive_type())
                .or(of_table.map(|column| column.hive_type.as_str()))
                .unwrap_or(&column.hive_type);
            let written = Column {
                name: name.to_owned(),
                hive_type: hive_type.to_owned(),
            };
            let from = shape.origin(from, choice, &column.name, &written)?;
            all.push(Written {
                column: written,
                from,
            });
        }
        check_names(&all)?;
        for name in &job.partition_by {
            let index = place(all.iter().map(|written| &written.column), name)?;
            let written = match index {
                Some(index) => all.remove(index),
                None => return Err(find(name).err().unwrap_or(ShapeError::NoneLeft)),
            };
            let field = parsed(&written.column.name, &written.column.hive_type)?;
            if field.data_type().is_nested() {
                return Err(ShapeError::NestedKey {
                    column: written.column.name,
                    hive_type: written.column.hive_type,
                });
            }
            shape.partition_by.push(written);
        }
        if all.is_empty() {
            return Err(ShapeError::NoneLeft);
        }
        shape.files = all;
        Ok(shape)
    }

    /// The origin of a written column, which is called `name` in the source.
    fn origin(
        &mut self,
        from: Origin,
        choice: Option<&Choice>,
        name: &str,
        written: &Column,
    ) -> Result<Origin, ShapeError> {
        let field = parsed(&written.name, &written.hive_type)?;
        let (mask, secret) = (
            choice.and_then(Choice::mask),
            choice.and_then(Choice::secret),
        );
        let hidden = match (mask, secret) {
            (None, None) => None,
            (Some(_), _) => Some("masked"),
            (None, Some(_)) => Some("hashed"),
        };
        if let Some(hidden) = hidden
            && *field.data_type() != DataType::Utf8
        {
            return Err(ShapeError::Hidden {
                column: written.name.clone(),
                hive_type: written.hive_type.clone(),
                hidden,
            });
        }
        Ok(match from {
            Origin::Read(_) => {
                self.read.push(Column {
                    name: name.to_owned(),
                    hive_type: written.hive_type.clone(),
                });
                let read = self.read.len() - 1;
                match (mask, secret) {
                    (None, None) => Origin::Read(read),
                    (Some(mask), _) => Origin::Masked(read, mask),
                    (None, Some(secret)) => Origin::Hashed(read, secret.clone()),
                }
            }
            Origin::Constant(constant) => {
                constant_of(&constant, &Arc::new(field))?;
                Origin::Constant(constant)
            }
            other => match hidden {
                None => other,
                Some(hidden) => {
                    return Err(ShapeError::HiddenKey {
                        column: written.name.clone(),
                        hidden,
                    });
                }
            },
        })
    }

    /// The columns that are read from the objects.
    ///
    /// # Errors
    /// A type is not valid.
    pub fn read_schema(&self) -> Result<Schema, ShapeError> {
        schema(self.read.iter())
    }

    /// The columns of the files, followed by those of the path.
    ///
    /// # Errors
    /// A type is not valid.
    pub fn written_schema(&self) -> Result<SchemaRef, ShapeError> {
        Ok(Arc::new(schema(
            self.written().map(|written| &written.column),
        )?))
    }

    /// The columns of the files.
    ///
    /// # Errors
    /// A type is not valid.
    pub fn files_schema(&self) -> Result<SchemaRef, ShapeError> {
        Ok(Arc::new(schema(
            self.files.iter().map(|written| &written.column),
        )?))
    }

    /// The secrets that columns are hashed with.
    pub fn secrets(&self) -> BTreeSet<&SecretName> {
        let written = self.written().filter_map(|written| match &written.from {
            Origin::Hashed(_, secret) => Some(secret),
            _ => None,
        });
        written.collect()
    }

    fn written(&self) -> impl Iterator<Item = &Written> {
        self.files.iter().chain(&self.partition_by)
    }

    /// Checks that the values of a partition of the source fit the keys' types.
    ///
    /// # Errors
    /// The key, its type and the value that does not fit.
    pub fn check_keys(&self, keys: &KeyValues) -> Result<(), ArrowError> {
        for written in self.written() {
            if let Origin::Key(index) = written.from {
                let field = parsed(&written.column.name, &written.column.hive_type)
                    .map_err(|error| ArrowError::SchemaError(error.to_string()))?;
                keys.value(index, &field)?;
            }
        }
        Ok(())
    }

    /// The columns of the output, from those that were read. `keys` are the values of the source's partition, and `secrets` those
    /// that columns are hashed with.
    ///
    /// # Errors
    /// A value of a partition key does not fit the key's type, or a secret is missing.
    pub fn arrange(
        &self,
        batch: &RecordBatch,
        schema: &SchemaRef,
        keys: &KeyValues,
        secrets: &BTreeMap<SecretName, Secret>,
    ) -> Result<RecordBatch, ArrowError> {
        let rows = batch.num_rows();
        let zeros = std::cell::OnceCell::new();
        let read = |index: usize| {
            batch
                .columns()
                .get(index)
                .ok_or_else(|| ArrowError::SchemaError(format!("column {index} was not read")))
        };
        let every = |value: ArrayRef| {
            let zeros = zeros.get_or_init(|| UInt32Array::from(vec![0; rows]));
            take(&value, zeros, None)
        };
        let column = |(written, field): (&Written, &Arc<Field>)| -> Result<ArrayRef, ArrowError> {
            match &written.from {
                Origin::Read(index) => read(*index).cloned(),
                Origin::Masked(index, mask) => operations::masked(read(*index)?, *mask),
                Origin::Hashed(index, name) => {
                    let secret = secrets.get(name);
                    let secret = secret.ok_or_else(|| {
                        ArrowError::InvalidArgumentError(format!("{name} was not read"))
                    })?;
                    operations::hashed(read(*index)?, secret)
                }
                Origin::Key(index) => every(keys.value(*index, field)?),
                Origin::Constant(constant) => {
                    let value = constant_of(constant, field);
                    every(value.map_err(|error| ArrowError::CastError(error.to_string()))?)
                }
            }
        };
        let columns = self.written().zip(schema.fields()).map(column);
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
    }
}

/// The type of a constant whose column has none.
fn type_of(constant: &Constant) -> &'static str {
    match constant {
        Constant::Boolean(_) => "boolean",
        Constant::Integer(_) => "bigint",
        Constant::Text(_) => "string",
    }
}

pub(super) fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// The index of the column that `name` means, if there is one.
///
/// # Errors
/// It means several columns, or a field of a struct.
fn place<'a>(
    columns: impl Iterator<Item = &'a Column>,
    name: &str,
) -> Result<Option<usize>, ShapeError> {
    let field = |column: &Column| {
        // A column that is not selected may have any type.
        let parsed = hive_type::parse_field(&column.name, &column.hive_type);
        parsed.unwrap_or_else(|_| Field::new(&column.name, DataType::Null, true))
    };
    let fields = columns.map(field).collect::<Fields>();
    Ok(columns::own(&fields, name)?)
}

/// Checks that no two columns have the same name.
fn check_names(all: &[Written]) -> Result<(), ShapeError> {
    let mut names = BTreeMap::new();
    for Written { column, .. } in all {
        if let Some(first) = names.insert(column.name.to_lowercase(), &column.name) {
            return Err(ShapeError::SameName {
                first: first.clone(),
                second: column.name.clone(),
            });
        }
    }
    Ok(())
}

fn parsed(name: &str, hive_type: &str) -> Result<Field, ShapeError> {
    hive_type::parse_field(name, hive_type).map_err(|error| ShapeError::Type {
        column: name.to_owned(),
        hive_type: hive_type.to_owned(),
        error,
    })
}

fn schema<'a>(columns: impl Iterator<Item = &'a Column>) -> Result<Schema, ShapeError> {
    let fields = columns.map(|column| parsed(&column.name, &column.hive_type));
    Ok(Schema::new(fields.collect::<Result<Vec<_>, _>>()?))
}
