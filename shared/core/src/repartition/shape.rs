//! Decides which columns are read, and where they are written.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array},
    compute::take,
    datatypes::{DataType, Field, Fields, Schema, SchemaRef},
    error::ArrowError,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    catalog::Column,
    columns::{self, NotOwn},
    config::{Policy, Repartition, TimestampRule},
    hive_type::{self, HiveTypeError},
    json::{Columns, ColumnsOptions, JsonScalar, ParseTimestamp},
    partition::DEFAULT_PARTITION,
    shown::in_full,
    time::{TimestampReader, microseconds},
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
    /// The name means no column of its own.
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

    /// Makes sure that the values of a partition of the source fit the keys' types.
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

/// The place of the column that `name` means, if there is one.
///
/// # Errors
/// It means several, or a field of a struct.
fn place<'a>(
    columns: impl Iterator<Item = &'a Column>,
    name: &str,
) -> Result<Option<usize>, ShapeError> {
    let field = |column: &Column| {
        // A column that is not chosen may have any type.
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

/// Parses times in partition values: times without a zone are in UTC.
fn utc() -> Result<ParseTimestamp, ArrowError> {
    let rule = TimestampRule {
        column: "timestamp".to_owned(),
        format: None,
        unit: None,
        zone: None,
        earliest: None,
        latest: None,
    };
    let reader = TimestampReader::new(&rule, Timestamp::UNIX_EPOCH)
        .map_err(|error| ArrowError::CastError(error.to_string()))?;
    Ok(Box::new(move |value| match value {
        JsonScalar::String(text) => reader.read_text(text).ok().map(microseconds),
        _ => None,
    }))
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
        let refused = |what: String| {
            ArrowError::CastError(format!("partition key `{}`: {what}", field.name()))
        };
        let options = ColumnsOptions {
            on_unknown: Policy::Fail,
            on_mismatch: Policy::Fail,
            timestamp: Vec::new(),
            parse_timestamp: utc()?,
            raw_column: None,
            max_depth: 1,
        };
        let schema = Schema::new(vec![field.clone().with_nullable(true)]);
        let mut columns =
            Columns::new(&schema, options).map_err(|error| refused(error.to_string()))?;
        columns
            .append_texts(|_| text.map(std::borrow::Cow::Borrowed), &[])
            .map_err(|error| refused(in_full(&error)))?;
        Ok(Arc::clone(columns.finish()?.column(0)))
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{Array, AsArray, Int64Array, StringArray},
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
    fn values_of_keys_are_parsed_by_one_rule() {
        stated(
            "A value of a source table's key is taken into the key's type as a JSON string of it would be, `06` as 6 and `2021-06-01` as that date, with `__HIVE_DEFAULT_PARTITION__` and, where the key is not a string, nothing as null; what does not fit refuses the run when it is planned, by table, partition, key and value.",
        );
        for (hive_type, value, fits) in [
            ("int", "6", Some("6")),
            ("int", "06", Some("6")),
            ("int", "+7", Some("7")),
            ("int", "", None),
            ("int", DEFAULT_PARTITION, None),
            ("int", "99999999999", Some("refused")),
            ("int", "7 ", Some("refused")),
            ("date", "2021-06-01", Some("2021-06-01")),
            ("date", "2021-06-01 00:00:00", Some("refused")),
            ("date", "2021-06-01T23:00:00-05:00", Some("refused")),
            ("string", "", Some("")),
            ("decimal(3,1)", "1.5", Some("1.5")),
            ("decimal(3,1)", "1.55", Some("refused")),
            (
                "timestamp",
                "2021-06-01 01:00:00",
                Some("2021-06-01T01:00:00"),
            ),
        ] {
            let source = columns(&[("a", "string")]);
            let found = Shape::new(&job(""), &source, &columns(&[("k", hive_type)]), &[]).unwrap();
            let keys = KeyValues(vec![value.to_owned()]);
            let checked = found.check_keys(&keys);
            if fits == Some("refused") {
                let error = checked.unwrap_err().to_string();
                assert!(error.contains("`k`") && error.contains(value), "{error}");
                continue;
            }
            checked.unwrap();
            let field = found.written_schema().unwrap().field(1).clone();
            let array = keys.value(0, &field).unwrap();
            let array = arrow::compute::cast(&array, &DataType::Utf8).unwrap();
            let text = array.as_string::<i32>();
            let text = text.is_valid(0).then(|| text.value(0));
            assert_eq!(text, fits, "{hive_type} {value}");
        }
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
        let nested = nested.unwrap_err().to_string();
        assert!(nested.contains("`a`, which is array<int> and"), "{nested}");
        let structs = columns(&[
            ("s", "struct<A:int>"),
            ("t.b", "int"),
            ("T", "struct<b:int>"),
        ]);
        for (name, says) in [
            (
                "S.a",
                "`S.a` is the field `s`.`A` of a struct, and a column of its own is wanted",
            ),
            ("t.B", "`t.B` means two columns, `t.b` and `T`.`b`"),
        ] {
            for option in ["columns", "partition_by"] {
                let job = job(&format!("{option} = [\"{name}\"]"));
                let error = Shape::new(&job, &structs, &[], &[])
                    .unwrap_err()
                    .to_string();
                assert!(error.starts_with(says), "{option}: {error}");
            }
        }
        let twice = Shape::new(&job(""), &columns(&[("a", "int"), ("A", "int")]), &[], &[]);
        assert!(matches!(twice, Err(ShapeError::SameName { .. })));
    }
}
