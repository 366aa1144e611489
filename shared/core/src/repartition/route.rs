//! Finds the partition of each row from the values of its columns.
//!
//! Each column's values are numbered through a dictionary, batch by batch, so that a text is looked up once for each
//! batch and not once for each row.

use std::collections::HashMap;

use ahash::RandomState;
use arrow::{
    array::{Array, ArrayRef, AsArray, DictionaryArray, StringArray, StringBuilder},
    compute::cast,
    datatypes::{DataType, Field, Int32Type, SchemaRef},
    error::ArrowError,
    json::writer::EncoderOptions,
};
use thiserror::Error;

use crate::{
    encode::cells::{self, Cells},
    naming::fits_xml,
    partition::{DEFAULT_PARTITION, escape, floats},
    shown::quoted,
};

/// The longest partition value in Glue, in characters.
/// <https://docs.aws.amazon.com/glue/latest/webapi/API_PartitionInput.html>
const LONGEST_VALUE: usize = 1_024;

/// Why a row has no partition.
#[derive(Debug, Error)]
pub enum RouteError {
    /// A value exceeds the catalog's limit.
    #[error(
        "a value of partition column `{column}` has {length} characters, more than Glue's {LONGEST_VALUE}: it begins with {}",
        quoted(.start)
    )]
    ValueTooLong {
        /// The column.
        column: String,
        /// Its value's length in characters.
        length: usize,
        /// Its first characters.
        start: String,
    },
    /// A value has a character that XML cannot represent, so S3 could not name the key in listings and deletions.
    #[error(
        "the value {value:?} of partition column `{column}` has a character that XML does not have, and S3's answers are XML"
    )]
    NotInXml {
        /// The column.
        column: String,
        /// Its value.
        value: String,
    },
    /// The key of an object in the partition would exceed S3's limit.
    #[error("the partition's path has more bytes than S3's limit on keys leaves, {room}: {}", quoted(.path))]
    PathTooLong {
        /// The path.
        path: String,
        /// The number of bytes that the limit leaves for it.
        room: usize,
    },
    /// There are more partitions than the limit.
    #[error("there are more than {0} partitions (limits.partitions)")]
    TooMany(u32),
    /// A value has no text form.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// Its path below the target, such as `Model Year=2020/Make=TESLA/`.
    pub path: String,
    /// Its values in path order, unescaped, as Glue registers them.
    pub values: Vec<String>,
}

/// Finds the partitions of rows, and numbers them in the order in which they are first seen.
#[derive(Debug)]
pub struct Router {
    columns: Vec<Values>,
    numbers: HashMap<Box<[u32]>, u32, RandomState>,
    partitions: Vec<Routed>,
    room: usize,
    limit: u32,
}

/// The values of one column by their text in paths. Number 0 is null.
#[derive(Debug)]
struct Values {
    field: Field,
    numbers: HashMap<Box<str>, u32, RandomState>,
    texts: Vec<String>,
}

impl Router {
    /// Creates a router for rows whose last columns, from `first` on, are those to partition by. `room`: the most bytes
    /// of a path; `limit`: the most partitions.
    pub fn new(schema: &SchemaRef, first: usize, room: usize, limit: u32) -> Self {
        let fields = schema.fields().iter().skip(first);
        let values = |field: &std::sync::Arc<Field>| Values {
            field: field.as_ref().clone(),
            numbers: HashMap::default(),
            texts: vec![DEFAULT_PARTITION.to_owned()],
        };
        Self {
            columns: fields.map(values).collect(),
            numbers: HashMap::default(),
            partitions: Vec::new(),
            room,
            limit,
        }
    }

    /// The partitions so far; the index is the number.
    pub fn partitions(&self) -> &[Routed] {
        &self.partitions
    }

    /// The number of each row's partition; `columns` are those to partition by.
    ///
    /// # Errors
    /// See [`RouteError`].
    pub fn route(&mut self, columns: &[ArrayRef]) -> Result<Vec<u32>, RouteError> {
        let rows = columns.first().map_or(0, Array::len);
        let mut numbers = Vec::with_capacity(columns.len());
        for (values, column) in self.columns.iter_mut().zip(columns) {
            numbers.push(values.number(column)?);
        }
        let mut routed = Vec::with_capacity(rows);
        let mut key = vec![0; numbers.len()];
        let mut last: Option<(Vec<u32>, u32)> = None;
        for row in 0..rows {
            for (slot, numbers) in key.iter_mut().zip(&numbers) {
                *slot = numbers.get(row).copied().unwrap_or_default();
            }
            let number = match &last {
                Some((known, number)) if *known == key => *number,
                _ => {
                    let number = self.partition(&key)?;
                    last = Some((key.clone(), number));
                    number
                }
            };
            routed.push(number);
        }
        Ok(routed)
    }

    fn partition(&mut self, key: &[u32]) -> Result<u32, RouteError> {
        if let Some(number) = self.numbers.get(key) {
            return Ok(*number);
        }
        let number = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        if number >= self.limit {
            return Err(RouteError::TooMany(self.limit));
        }
        let mut partition = Routed {
            path: String::new(),
            values: Vec::with_capacity(key.len()),
        };
        for (values, &number) in self.columns.iter().zip(key) {
            let value = values
                .texts
                .get(number as usize)
                .cloned()
                .unwrap_or_default();
            if !fits_xml(&escape(&value)) {
                return Err(RouteError::NotInXml {
                    column: values.field.name().clone(),
                    value,
                });
            }
            partition.path.push_str(&escape(values.field.name()));
            partition.path.push('=');
            partition.path.push_str(&escape(&value));
            partition.path.push('/');
            partition.values.push(value);
        }
        if partition.path.len() > self.room {
            return Err(RouteError::PathTooLong {
                path: partition.path,
                room: self.room,
            });
        }
        self.numbers.insert(key.into(), number);
        self.partitions.push(partition);
        Ok(number)
    }
}

impl Values {
    /// The number of each row's value.
    fn number(&mut self, column: &ArrayRef) -> Result<Vec<u32>, RouteError> {
        let dictionary = dictionary(&self.field, column)?;
        let texts = texts(&self.field, dictionary.values())?;
        let mut numbers = Vec::with_capacity(texts.len());
        for text in &texts {
            numbers.push(match text {
                // Null, the empty string and this name have the same path.
                None | Some("" | DEFAULT_PARTITION) => 0,
                Some(text) => self.number_of(text)?,
            });
        }
        let number = |key: Option<i32>| {
            let number = key.and_then(|key| numbers.get(usize::try_from(key).ok()?));
            number.copied().unwrap_or_default()
        };
        Ok(dictionary.keys().iter().map(number).collect())
    }

    fn number_of(&mut self, text: &str) -> Result<u32, RouteError> {
        if let Some(number) = self.numbers.get(text) {
            return Ok(*number);
        }
        if text.len() > LONGEST_VALUE {
            let length = text.chars().count();
            if length > LONGEST_VALUE {
                return Err(RouteError::ValueTooLong {
                    column: self.field.name().clone(),
                    length,
                    start: text.chars().take(40).collect(),
                });
            }
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.numbers.insert(text.into(), number);
        self.texts.push(text.to_owned());
        Ok(number)
    }
}

/// The column's distinct values, and the index of each row's value.
fn dictionary(field: &Field, column: &ArrayRef) -> Result<DictionaryArray<Int32Type>, ArrowError> {
    let plain = match column.data_type() {
        DataType::Utf8 | DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            ArrayRef::clone(column)
        }
        // Types without a dictionary are converted to text.
        _ => std::sync::Arc::new(texts(field, column)?),
    };
    let values = Box::new(plain.data_type().clone());
    let encoded = cast(
        &plain,
        &DataType::Dictionary(Box::new(DataType::Int32), values),
    )?;
    Ok(encoded.as_dictionary::<Int32Type>().clone())
}

/// Values as text in paths, as Spark writes them: times without trailing zeros in the fraction.
fn texts(field: &Field, column: &ArrayRef) -> Result<StringArray, ArrowError> {
    if let Some(texts) = column.as_string_opt::<i32>() {
        return Ok(texts.clone());
    }
    let column = cells::plain(column)?;
    if let Some(texts) = floats(&column) {
        return Ok(texts);
    }
    let (options, field) = (
        EncoderOptions::default(),
        std::sync::Arc::new(field.clone()),
    );
    let mut cells = Cells::new(&field, &column, &options)?;
    let is_time = matches!(column.data_type(), DataType::Timestamp(..));
    let mut texts = StringBuilder::with_capacity(column.len(), column.len() * 8);
    let mut text = Vec::new();
    for row in 0..column.len() {
        text.clear();
        if !cells.push(row, &mut text) {
            texts.append_null();
            continue;
        }
        let text = str::from_utf8(&text).unwrap_or_default();
        texts.append_value(if is_time {
            text.trim_end_matches('0').trim_end_matches('.')
        } else {
            text
        });
    }
    Ok(texts.finish())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{
            BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
            TimestampMicrosecondArray,
        },
        datatypes::Schema,
    };

    use super::*;
    use crate::semantics::stated;

    fn route(columns: Vec<(&str, ArrayRef)>) -> Result<(Vec<u32>, Vec<Routed>), RouteError> {
        let fields = columns
            .iter()
            .map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let mut router = Router::new(&schema, 0, 1_000, 100);
        let columns = columns
            .into_iter()
            .map(|(_, column)| column)
            .collect::<Vec<_>>();
        let numbers = router.route(&columns)?;
        Ok((numbers, router.partitions().to_vec()))
    }

    #[test]
    fn rows_go_where_their_values_say() {
        stated(
            "Directories are `<column>=<value>` in the order of `partition_by`, escaped as Hive does; null, the empty string and `__HIVE_DEFAULT_PARTITION__` itself are one partition of that name.",
        );
        let years = Int64Array::from(vec![Some(2020), Some(2021), None, Some(2020), Some(2020)]);
        let makes = StringArray::from(vec![Some("A/B"), Some(""), None, Some("A/B"), Some("é c")]);
        let (numbers, partitions) = route(vec![
            ("Model Year", Arc::new(years)),
            ("Make", Arc::new(makes)),
        ])
        .unwrap();
        assert_eq!(numbers, [0, 1, 2, 0, 3]);
        let paths = partitions
            .iter()
            .map(|p| p.path.as_str())
            .collect::<Vec<_>>();
        assert_eq!(
            paths,
            [
                "Model Year=2020/Make=A%2FB/",
                "Model Year=2021/Make=__HIVE_DEFAULT_PARTITION__/",
                "Model Year=__HIVE_DEFAULT_PARTITION__/Make=__HIVE_DEFAULT_PARTITION__/",
                "Model Year=2020/Make=é c/",
            ]
        );
        assert_eq!(partitions[0].values, ["2020", "A/B"]);
    }

    #[test]
    fn floating_point_numbers_are_as_java_prints_them() {
        stated(
            "In a path, a floating point number is what Java, and so Spark, prints: `1.0E7`, `0.001`, `1.0E-4`, `-0.0`, `NaN`, `Infinity`.",
        );
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (100.0, "100.0"),
            (123_456.789, "123456.789"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (-1e7, "-1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (0.001, "0.001"),
            (0.0099, "0.0099"),
            (1e-4, "1.0E-4"),
            (0.1, "0.1"),
            (1e22, "1.0E22"),
            (4.9e-324, "4.9E-324"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            let column: ArrayRef = Arc::new(Float64Array::from(vec![value]));
            let (_, partitions) = route(vec![("k", column)]).unwrap();
            assert_eq!(partitions[0].values, [expected]);
        }
        for (value, expected) in [
            (0.1_f32, "0.1"),
            (1e7, "1.0E7"),
            (16_777_216.0, "1.6777216E7"),
            (1e-45, "1.4E-45"),
            (f32::MAX, "3.4028235E38"),
        ] {
            let column: ArrayRef = Arc::new(arrow::array::Float32Array::from(vec![value]));
            let (_, partitions) = route(vec![("k", column)]).unwrap();
            assert_eq!(partitions[0].values, [expected]);
        }
    }

    #[test]
    fn values_that_no_key_can_have() {
        stated(
            "A partition value with a character that XML does not have, U+FFFE or U+FFFF, is refused with its reason by every job, because S3's answers could not name its objects; in a key of split it becomes `%XX`, and an object whose key has one all the same is deleted by itself.",
        );
        for bad in ["a\u{fffe}", "\u{ffff}"] {
            let column: ArrayRef = Arc::new(StringArray::from(vec![bad]));
            let error = route(vec![("city", column)]).unwrap_err().to_string();
            assert!(
                error.contains("`city`") && error.contains("\\u{fff"),
                "{error}"
            );
        }
        for good in ["\u{85}", "\u{7}", "e\u{301}", "é", "🙂", "\u{fffd}"] {
            let column: ArrayRef = Arc::new(StringArray::from(vec![good]));
            assert!(route(vec![("city", column)]).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn values_of_any_type_have_a_text() {
        stated(
            "In a path, integers, decimals and booleans are as in CSV, and times are `yyyy-MM-dd HH:mm:ss` with the fraction that they have, as Spark writes them.",
        );
        let columns: Vec<(ArrayRef, &str)> = vec![
            (Arc::new(BooleanArray::from(vec![true])), "true"),
            (Arc::new(Float64Array::from(vec![1.0])), "1.0"),
            (Arc::new(Date32Array::from(vec![18_404])), "2020-05-22"),
            (
                Arc::new(
                    Decimal128Array::from(vec![150])
                        .with_precision_and_scale(5, 2)
                        .unwrap(),
                ),
                "1.50",
            ),
            (
                Arc::new(TimestampMicrosecondArray::from(vec![0])),
                "1970-01-01 00%3A00%3A00",
            ),
            (
                Arc::new(TimestampMicrosecondArray::from(vec![120_000])),
                "1970-01-01 00%3A00%3A00.12",
            ),
        ];
        for (column, expected) in columns {
            let (_, partitions) = route(vec![("k", column)]).unwrap();
            assert_eq!(partitions[0].path, format!("k={expected}/"));
        }
    }

    #[test]
    fn numbers_hold_over_batches() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("k", DataType::Utf8, true)]));
        let mut router = Router::new(&schema, 0, 1_000, 2);
        let batch =
            |texts: Vec<&str>| -> Vec<ArrayRef> { vec![Arc::new(StringArray::from(texts))] };
        assert_eq!(router.route(&batch(vec!["b", "a"])).unwrap(), [0, 1]);
        assert_eq!(
            router.route(&batch(vec!["a", "a", "b"])).unwrap(),
            [1, 1, 0]
        );
        let error = router.route(&batch(vec!["c"])).unwrap_err().to_string();
        assert!(error.contains("limits.partitions"), "{error}");
    }

    #[test]
    fn what_is_too_long_is_refused() {
        stated(
            "A partition value of more than 1,024 characters, a key of more than 1,024 bytes, and more than `limits.partitions` partitions in one task fail the run by name.",
        );
        let long = "x".repeat(LONGEST_VALUE + 1);
        let column = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
        let error = route(vec![("k", column(&long))]).unwrap_err();
        assert!(matches!(
            error,
            RouteError::ValueTooLong { length: 1_025, .. }
        ));
        let error = route(vec![("k", column(&long[2..]))]).unwrap_err();
        assert!(matches!(error, RouteError::PathTooLong { room: 1_000, .. }));
    }
}
