//! Decides which columns are read, and where they are written.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, UInt32Array},
    compute::{CastOptions, cast_with_options, take},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    catalog::Column,
    config::Repartition,
    hive_type::{self, HiveTypeError},
    partition::DEFAULT_PARTITION,
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
    #[error("partition_by names `{0}`, which is no column of single values")]
    NestedKey(String),
    /// Every column would be in the path.
    #[error("every column is in partition_by: none is left for the files")]
    NoneLeft,
}

/// The source of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The objects: the index of a column that is read.
    Read(usize),
    /// The source's partitions: the index of a partition key.
    Key(usize),
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
            let read = columns.iter().position(|column| same(&column.name, name));
            let key = || {
                keys.iter()
                    .position(|key| same(&key.name, name))
                    .map(Origin::Key)
            };
            read.map(Origin::Read)
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
        let source = |from: Origin| match from {
            Origin::Read(index) => columns.get(index),
            Origin::Key(index) => keys.get(index),
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
            chosen.push((find(choice.name())?, Some(choice)));
        }
        let mut shape = Self {
            read: Vec::new(),
            files: Vec::new(),
            partition_by: Vec::new(),
        };
        let mut all = Vec::new();
        for (from, choice) in chosen {
            let Some(column) = source(from) else { continue };
            // The name has the source's spelling, unless the column is renamed.
            let name = match choice {
                Some(choice) if choice.is_renamed() => choice.written(),
                _ => &column.name,
            };
            let of_table = types.iter().find(|column| same(&column.name, name));
            let hive_type = choice
                .and_then(|choice| choice.hive_type())
                .or(of_table.map(|column| column.hive_type.as_str()))
                .unwrap_or(&column.hive_type);
            parsed(name, hive_type)?;
            let from = match from {
                Origin::Read(_) => {
                    shape.read.push(Column {
                        name: column.name.clone(),
                        hive_type: hive_type.to_owned(),
                    });
                    Origin::Read(shape.read.len() - 1)
                }
                key @ Origin::Key(_) => key,
            };
            all.push(Written {
                column: Column {
                    name: name.to_owned(),
                    hive_type: hive_type.to_owned(),
                },
                from,
            });
        }
        check_names(&all)?;
        for name in &job.partition_by {
            let index = all
                .iter()
                .position(|written| same(&written.column.name, name));
            let written = match index {
                Some(index) => all.remove(index),
                None => return Err(find(name).err().unwrap_or(ShapeError::NoneLeft)),
            };
            let field = parsed(&written.column.name, &written.column.hive_type)?;
            if field.data_type().is_nested() {
                return Err(ShapeError::NestedKey(written.column.name));
            }
            shape.partition_by.push(written);
        }
        if all.is_empty() {
            return Err(ShapeError::NoneLeft);
        }
        shape.files = all;
        Ok(shape)
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

    fn written(&self) -> impl Iterator<Item = &Written> {
        self.files.iter().chain(&self.partition_by)
    }

    /// The columns of the output, from those that were read; `keys` are the values of the source's partition.
    ///
    /// # Errors
    /// A value of a partition key does not fit the key's type.
    pub fn arrange(
        &self,
        batch: &RecordBatch,
        schema: &SchemaRef,
        keys: &KeyValues,
    ) -> Result<RecordBatch, ArrowError> {
        let rows = batch.num_rows();
        let zeros = std::cell::OnceCell::new();
        let column =
            |(written, field): (&Written, &Arc<Field>)| -> Result<ArrayRef, ArrowError> {
                match written.from {
                    Origin::Read(index) => batch.columns().get(index).cloned().ok_or_else(|| {
                        ArrowError::SchemaError(format!("column {index} was not read"))
                    }),
                    Origin::Key(index) => {
                        let value = keys.value(index, field)?;
                        let zeros = zeros.get_or_init(|| UInt32Array::from(vec![0; rows]));
                        take(&value, zeros, None)
                    }
                }
            };
        let columns = self.written().zip(schema.fields()).map(column);
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
    }
}

pub(super) fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
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

/// The values of one partition of the source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyValues(pub Vec<String>);

impl KeyValues {
    /// A value as an array of one, in its column's type.
    fn value(&self, key: usize, field: &Field) -> Result<ArrayRef, ArrowError> {
        let text = self.0.get(key).map(String::as_str);
        let is_text = *field.data_type() == DataType::Utf8;
        let text = text.filter(|text| *text != DEFAULT_PARTITION && (is_text || !text.is_empty()));
        let strict = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        let array: ArrayRef = Arc::new(StringArray::from(vec![text]));
        cast_with_options(&array, field.data_type(), &strict).map_err(|error| {
            ArrowError::CastError(format!("partition key `{}`: {error}", field.name()))
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{Array, AsArray, Int64Array},
        datatypes::Int32Type,
    };

    use super::*;
    use crate::{config::Config, semantics::stated};

    fn job(more: &str) -> Repartition {
        let text = format!(
            "[[repartition]]\nname = \"j\"\nsource = \"d.t\"\ntarget = \"s3://b/t/\"\n{more}"
        );
        Config::parse(&text).unwrap().repartition.remove(0)
    }

    fn columns(pairs: &[(&str, &str)]) -> Vec<Column> {
        let column = |&(name, hive_type): &(&str, &str)| Column {
            name: name.to_owned(),
            hive_type: hive_type.to_owned(),
        };
        pairs.iter().map(column).collect()
    }

    fn shape(more: &str) -> Result<Shape, ShapeError> {
        let source = columns(&[
            ("VIN (1-10)", "string"),
            ("Model Year", "bigint"),
            ("Make", "string"),
        ]);
        Shape::new(
            &job(more),
            &source,
            &columns(&[("day", "int")]),
            &columns(&[("make", "varchar(9)")]),
        )
    }

    fn names(written: &[Written]) -> Vec<String> {
        let text = |w: &Written| format!("{} {}", w.column.name, w.column.hive_type);
        written.iter().map(text).collect()
    }

    #[test]
    fn columns_keep_their_names_and_order() {
        stated(
            "Column names are those of the source as they are spelled there, spaces too, also in paths; a table's are lower-case because Glue has them so.",
        );
        stated(
            "The keys of a partitioned source table become columns, behind the others, of the keys' types.",
        );
        let found = shape("partition_by = [\"model YEAR\", \"Make\"]").unwrap();
        assert_eq!(names(&found.files), ["VIN (1-10) string", "day int"]);
        assert_eq!(
            names(&found.partition_by),
            ["Model Year bigint", "Make varchar(9)"]
        );
        let batch = RecordBatch::try_from_iter([
            ("a", Arc::new(StringArray::from(vec!["v"])) as ArrayRef),
            ("b", Arc::new(Int64Array::from(vec![2020]))),
            ("c", Arc::new(StringArray::from(vec!["m"]))),
        ])
        .unwrap();
        let schema = found.written_schema().unwrap();
        let of_day = |day: &str| found.arrange(&batch, &schema, &KeyValues(vec![day.to_owned()]));
        let arranged = of_day("07").unwrap();
        assert_eq!(arranged.column(1).as_primitive::<Int32Type>().value(0), 7);
        assert!(of_day(DEFAULT_PARTITION).unwrap().column(1).is_null(0));
        assert!(of_day("x").unwrap_err().to_string().contains("day"));
    }

    #[test]
    fn columns_are_chosen_renamed_and_typed() {
        stated(
            "With `columns` only these are written, in their order, under the names and with the types that are given there; where none is given, a value takes the type of the target table's column, and otherwise that of the source.",
        );
        let found = shape("columns = [{ name = \"make\", as = \"brand\" }, { name = \"model year\", type = \"int\" }, \"day\"]").unwrap();
        assert_eq!(
            names(&found.files),
            ["brand string", "Model Year int", "day int"]
        );
        assert_eq!(
            found.read,
            columns(&[("Make", "string"), ("Model Year", "int")])
        );
        assert_eq!(found.files[2].from, Origin::Key(0));
    }

    #[test]
    fn refusals_name_the_column() {
        for more in ["columns = [\"nope\"]", "partition_by = [\"nope\"]"] {
            let error = shape(more).unwrap_err().to_string();
            assert!(error.contains("nope") && error.contains("Make"), "{error}");
        }
        let nested = Shape::new(
            &job("partition_by = [\"a\"]"),
            &columns(&[("a", "array<int>"), ("b", "int")]),
            &[],
            &[],
        );
        assert_eq!(nested, Err(ShapeError::NestedKey("a".to_owned())));
        let twice = Shape::new(&job(""), &columns(&[("a", "int"), ("A", "int")]), &[], &[]);
        assert!(matches!(twice, Err(ShapeError::SameName { .. })));
    }
}
