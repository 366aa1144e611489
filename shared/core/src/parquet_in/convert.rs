//! Converts columns of a file to the types of a table.
//!
//! Arrow's casts convert between types that differ only in width. All other values are converted through their text: a
//! value fits if a JSON string with that text would.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Int64Array, ListArray, MapArray, StructArray, UInt64Array,
        new_null_array,
    },
    buffer::OffsetBuffer,
    compute::{cast, take},
    datatypes::{DataType, Date32Type, Field, FieldRef, Fields, Int64Type, Schema, TimeUnit},
    error::ArrowError,
};

use super::ReadError;
use crate::{
    config::Policy,
    encode::cells::{self, Cells},
    hive_type,
    json::{Columns, ColumnsOptions, JsonScalar, MAX_DEPTH, ParseTimestamp, RecordError},
    shown::Found,
};

/// The most characters of a mismatched value that an error shows.
const SHOWN: usize = 60;

/// A value that does not fit its column and becomes null.
#[derive(Debug)]
pub(super) struct Mismatch {
    /// The row of the batch.
    pub(super) row: usize,
    pub(super) error: RecordError,
}

/// Converts columns, and collects mismatches.
pub(crate) struct Converter {
    parse_timestamp: Arc<ParseTimestamp>,
    pub(super) mismatches: Vec<Mismatch>,
}

/// The index of the field with this name, ignoring case.
pub(super) fn position(fields: &Fields, name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    fields
        .iter()
        .position(|field| field.name().to_lowercase() == name)
}

impl Converter {
    pub(crate) fn new(parse_timestamp: ParseTimestamp) -> Self {
        Self {
            parse_timestamp: Arc::new(parse_timestamp),
            mismatches: Vec::new(),
        }
    }

    /// Converts one column to the type of `target`. A value that does not fit becomes null and a mismatch.
    pub(crate) fn convert(
        &mut self,
        column: &ArrayRef,
        target: &FieldRef,
    ) -> Result<ArrayRef, ReadError> {
        self.column(column, target, target.name())
    }

    /// The rows of the values that did not fit since the last call, and why.
    pub(crate) fn take_mismatches(&mut self) -> impl Iterator<Item = (usize, RecordError)> {
        self.mismatches
            .drain(..)
            .map(|mismatch| (mismatch.row, mismatch.error))
    }

    /// Converts `columns`, whose fields are `source`, to those of `target`, all with `rows` rows. Missing columns are
    /// null.
    pub(super) fn columns(
        &mut self,
        (source, columns): (&Fields, &[ArrayRef]),
        target: &Fields,
        rows: usize,
        path: &str,
    ) -> Result<Vec<ArrayRef>, ReadError> {
        let convert = |field: &FieldRef| {
            let column = position(source, field.name()).and_then(|index| columns.get(index));
            let Some(column) = column else {
                return Ok(new_null_array(field.data_type(), rows));
            };
            if path.is_empty() {
                self.column(column, field, field.name())
            } else {
                self.column(column, field, &format!("{path}.{}", field.name()))
            }
        };
        target.iter().map(convert).collect()
    }

    fn column(
        &mut self,
        source: &ArrayRef,
        target: &FieldRef,
        path: &str,
    ) -> Result<ArrayRef, ReadError> {
        use DataType as T;
        let (from, to) = (source.data_type(), target.data_type());
        match (from, to) {
            (T::Null, _) | (_, T::Null) => Ok(new_null_array(to, source.len())),
            (T::Dictionary(_, values), _) => self.column(&cast(source, values)?, target, path),
            (T::Timestamp(from_unit, _), T::Timestamp(to_unit, _)) => {
                let counts = counts(source, *from_unit, *to_unit)?;
                Ok(self.checked(source, cast(&counts, to)?, path))
            }
            (T::Date32, T::Date32) => {
                let dates = source.as_primitive::<Date32Type>();
                let in_range = |days: i32| {
                    let seconds = i64::from(days) * 86_400;
                    cells::FOUR_DIGIT_YEARS.contains(&seconds).then_some(days)
                };
                let dates: ArrayRef = Arc::new(dates.unary_opt::<_, Date32Type>(in_range));
                Ok(self.checked(source, dates, path))
            }
            _ if from == to => Ok(Arc::clone(source)),
            (T::Struct(fields), T::Struct(target)) => {
                let array = source.as_struct();
                let from = (fields, array.columns());
                let columns = self.columns(from, target, array.len(), path)?;
                let nulls = array.nulls().cloned();
                let len = array.len();
                let array = StructArray::try_new_with_length(target.clone(), columns, nulls, len)?;
                Ok(Arc::new(array))
            }
            (T::List(_), T::List(element)) => self.lists(source.as_list(), element, path),
            (T::Map(..), T::Map(entries, sorted)) => {
                self.maps(source, target, entries, *sorted, path)
            }
            (T::Binary | T::BinaryView, T::Utf8) => {
                let strings = cast(&cast(source, &T::Binary)?, to)?;
                Ok(self.checked(source, strings, path))
            }
            _ if casts_exactly(from, to) => Ok(self.checked(source, cast(source, to)?, path)),
            _ => self.by_text(source, target, path),
        }
    }

    fn lists(
        &mut self,
        lists: &ListArray,
        element: &FieldRef,
        path: &str,
    ) -> Result<ArrayRef, ReadError> {
        let (offsets, start, end) = rebase(lists.offsets());
        let before = self.mismatches.len();
        let values = lists.values().slice(start, end - start);
        let values = self.column(&values, element, &format!("{path}[]"))?;
        self.move_to_rows(before, &offsets);
        let nulls = lists.nulls().cloned();
        let lists = ListArray::try_new(Arc::clone(element), offsets, values, nulls)?;
        Ok(Arc::new(lists))
    }

    fn maps(
        &mut self,
        source: &ArrayRef,
        target: &FieldRef,
        entries: &FieldRef,
        sorted: bool,
        path: &str,
    ) -> Result<ArrayRef, ReadError> {
        let maps = source.as_map();
        let DataType::Struct(fields) = entries.data_type() else {
            return self.by_text(source, target, path);
        };
        let [key, value] = fields.as_ref() else {
            return self.by_text(source, target, path);
        };
        let (offsets, start, end) = rebase(maps.offsets());
        let before = self.mismatches.len();
        let path_inside = format!("{path}{{}}");
        let keys = self.column(&maps.keys().slice(start, end - start), key, &path_inside)?;
        if keys.null_count() > 0 {
            // An entry needs its key, so the whole map is a mismatch.
            self.mismatches.truncate(before);
            return self.by_text(source, target, path);
        }
        let values = self.column(
            &maps.values().slice(start, end - start),
            value,
            &path_inside,
        )?;
        self.move_to_rows(before, &offsets);
        let pairs = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
        let nulls = maps.nulls().cloned();
        let maps = MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, sorted)?;
        Ok(Arc::new(maps))
    }

    /// Replaces the elements of the mismatches from `before` on by the rows that contain them.
    fn move_to_rows(&mut self, before: usize, offsets: &OffsetBuffer<i32>) {
        for mismatch in self.mismatches.iter_mut().skip(before) {
            let rows = offsets.partition_point(|&start| index(start) <= mismatch.row);
            mismatch.row = rows.saturating_sub(1);
        }
    }

    /// Records the values that became null in `cast`.
    fn checked(&mut self, source: &ArrayRef, cast: ArrayRef, path: &str) -> ArrayRef {
        if cast.null_count() > source.null_count() {
            for row in (0..source.len()).filter(|&row| source.is_valid(row) && cast.is_null(row)) {
                let found = match text_of(source, row) {
                    Ok(Some(text))
                        if !matches!(
                            source.data_type(),
                            DataType::Binary | DataType::BinaryView
                        ) =>
                    {
                        Found::Value(text)
                    }
                    Ok(_) => Found::Kind("bytes that are not UTF-8"),
                    Err(_) => Found::Kind("a time outside the years 0 to 9999"),
                };
                self.mismatch(row, path, type_name(cast.data_type()), found);
            }
        }
        cast
    }

    fn mismatch(&mut self, row: usize, path: &str, expected: Cow<'static, str>, found: Found) {
        let mut found = found;
        if let Found::Value(value) = &mut found
            && let Some((end, _)) = value.char_indices().nth(SHOWN)
        {
            value.truncate(end);
            value.push('…');
        }
        let error = RecordError::Mismatch {
            column: path.to_owned(),
            expected,
            found,
        };
        self.mismatches.push(Mismatch { row, error });
    }

    /// Converts each value like a JSON string of its text, and numbers to times like JSON numbers.
    fn by_text(
        &mut self,
        source: &ArrayRef,
        target: &FieldRef,
        path: &str,
    ) -> Result<ArrayRef, ReadError> {
        let numbers = source.data_type().is_numeric();
        let parse = Arc::clone(&self.parse_timestamp);
        let parse_timestamp: ParseTimestamp = Box::new(move |scalar| match scalar {
            JsonScalar::String(text) if numbers => parse(&JsonScalar::Number(text)),
            other => parse(other),
        });
        let options = ColumnsOptions {
            on_unknown: Policy::Drop,
            on_mismatch: Policy::Quarantine,
            timestamp: Vec::new(),
            parse_timestamp,
            raw_column: None,
            max_depth: MAX_DEPTH,
        };
        let mut column = Columns::new(&Schema::new(vec![Arc::clone(target)]), options)?;
        // One value without a text form would fail the whole column, so each is then converted separately.
        let plain = cells::plain(source).ok();
        let data_type = plain.as_ref().map_or(&DataType::Null, Array::data_type);
        let field = Field::new("", data_type.clone(), true).into();
        let options = cells::options();
        let mut cells = plain
            .as_ref()
            .and_then(|plain| Cells::new(&field, plain, &options).ok());
        for row in 0..source.len() {
            let text = match &mut cells {
                Some(cells) => Ok(text(cells, row)),
                None => text_of(source, row),
            };
            let text = match text {
                Ok(text) => text,
                Err(error) => {
                    let found = Found::Reason(error.to_string());
                    self.mismatch(row, path, type_name(target.data_type()), found);
                    None
                }
            };
            if let Err(error) = column.append_texts(|_| text.as_deref().map(Into::into), b"") {
                let RecordError::Mismatch {
                    expected, found, ..
                } = error
                else {
                    return Err(ReadError::Value {
                        column: path.to_owned(),
                        message: error.to_string(),
                    });
                };
                self.mismatch(row, path, expected, found);
                column
                    .append_texts(|_| None, b"")
                    .map_err(|error| ReadError::Value {
                        column: path.to_owned(),
                        message: error.to_string(),
                    })?;
            }
        }
        let batch = column.finish()?;
        Ok(Arc::clone(batch.column(0)))
    }
}

/// The text of a value. `None` if it is null.
fn text_of(source: &ArrayRef, row: usize) -> Result<Option<String>, ArrowError> {
    // The lists of a slice still contain the values of the other rows.
    let alone = take(source, &UInt64Array::from(vec![row as u64]), None)?;
    let value = cells::plain(&alone)?;
    let field = Field::new("", value.data_type().clone(), true).into();
    let options = cells::options();
    Ok(text(&mut Cells::new(&field, &value, &options)?, 0))
}

fn text(cells: &mut Cells<'_>, row: usize) -> Option<String> {
    let mut text = Vec::new();
    let valid = cells.push(row, &mut text);
    valid.then(|| String::from_utf8_lossy(&text).into_owned())
}

/// The offsets shifted to start at 0, and the range of values that they cover.
fn rebase(offsets: &OffsetBuffer<i32>) -> (OffsetBuffer<i32>, usize, usize) {
    let (first, end) = (offsets.first(), index(offsets.last()));
    let rebased = offsets
        .iter()
        .map(|offset| offset - first)
        .collect::<Vec<_>>();
    (OffsetBuffer::new(rebased.into()), index(first), end)
}

/// An offset as an index; Arrow's are never negative.
pub(super) fn index(offset: i32) -> usize {
    usize::try_from(offset).unwrap_or(0)
}

/// Whether Arrow's cast returns the exact value, the nearest floating point value, or null.
fn casts_exactly(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    match (from, to) {
        (T::Decimal128(_, from), T::Decimal128(_, to)) => from <= to,
        (T::Float16 | T::Float32, T::Float64)
        | (T::Float16, T::Float32)
        | (T::Utf8View | T::LargeUtf8, T::Utf8 | T::Binary)
        | (T::Utf8 | T::BinaryView | T::LargeBinary | T::FixedSizeBinary(_), T::Binary) => true,
        (from, T::Float32 | T::Float64 | T::Decimal128(..)) => from.is_integer(),
        (from, to) => from.is_integer() && to.is_integer(),
    }
}

/// Converts times to another unit, rounding down. Null outside the years 0 to 9999.
fn counts(source: &ArrayRef, from: TimeUnit, to: TimeUnit) -> Result<Int64Array, ArrowError> {
    let nanoseconds = |unit| match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1_i64,
    };
    let (from, to) = (nanoseconds(from), nanoseconds(to));
    let convert = |count: i64| {
        let seconds = count.div_euclid(1_000_000_000 / from);
        if !cells::FOUR_DIGIT_YEARS.contains(&seconds) {
            None
        } else if from >= to {
            count.checked_mul(from / to)
        } else {
            Some(count.div_euclid(to / from))
        }
    };
    let counts = cast(source, &DataType::Int64)?;
    Ok(counts.as_primitive::<Int64Type>().unary_opt(convert))
}

/// A type's name in Hive's terms.
pub(super) fn type_name(data_type: &DataType) -> Cow<'static, str> {
    hive_type::render(data_type)
        .unwrap_or_else(|_| data_type.to_string())
        .into()
}
