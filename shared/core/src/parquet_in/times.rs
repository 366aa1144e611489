//! The time of each row.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Date32Type, Float64Type, Int64Type, Schema, TimeUnit},
};
use jiff::{Timestamp, tz::Offset};

use super::{ReadError, convert::type_name};
use crate::{
    columns,
    encode::cells,
    quarantine::Reason,
    shown::in_full,
    time::{TimeError, TimestampReader},
};

/// A refused row, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The reason code.
    pub reason: Reason,
    /// The reason as a message.
    pub detail: String,
}

/// Reads the column of the row's time.
pub(crate) struct Times {
    name: String,
    /// The places of the column and of the fields inside it.
    path: Vec<usize>,
    reader: TimestampReader,
}

impl Times {
    /// `name`: the name of a column, or of a field in it.
    ///
    /// # Errors
    /// There is no such column, or two, or its type is not a time.
    pub(crate) fn new(
        schema: &Schema,
        name: &str,
        reader: TimestampReader,
    ) -> Result<Self, ReadError> {
        let found = columns::find(schema.fields(), name)?;
        if !may_be_time(&found.data_type) {
            return Err(ReadError::NotATime {
                column: found.names.join("."),
                data_type: type_name(&found.data_type).into_owned(),
            });
        }
        Ok(Self {
            name: name.to_owned(),
            path: found.places,
            reader,
        })
    }

    /// Reads the times of the rows.
    pub(super) fn read(
        &self,
        rows: &RecordBatch,
    ) -> Result<Vec<Result<Timestamp, Refused>>, ReadError> {
        use DataType as T;
        let Some(column) = column(rows, &self.path) else {
            return Ok((0..rows.num_rows()).map(|_| Err(self.missing())).collect());
        };
        let column = cells::plain(column)?;
        Ok(match column.data_type() {
            T::Timestamp(unit, zone) => {
                let counts = cast(&column, &T::Int64)?;
                let counts = counts.as_primitive::<Int64Type>();
                let local = zone.is_none();
                self.each(&column, |row| {
                    let count = counts.value(row);
                    self.instant(instant(count, *unit), local, count)
                })
            }
            T::Date32 => {
                let days = column.as_primitive::<Date32Type>();
                self.each(&column, |row| {
                    let days = i64::from(days.value(row));
                    self.instant(instant(days * 86_400, TimeUnit::Second), true, days)
                })
            }
            T::UInt64 | T::Decimal128(..) | T::Decimal256(..) => {
                let texts = cast(&column, &T::Utf8)?;
                let texts = texts.as_string::<i32>();
                self.each(&column, |row| self.reader.read_number(texts.value(row)))
            }
            integer if integer.is_integer() => {
                let values = cast(&column, &T::Int64)?;
                let values = values.as_primitive::<Int64Type>();
                self.each(&column, |row| self.reader.read_integer(values.value(row)))
            }
            T::Float16 | T::Float32 | T::Float64 => {
                let values = cast(&column, &T::Float64)?;
                let values = values.as_primitive::<Float64Type>();
                self.each(&column, |row| self.reader.read_float(values.value(row)))
            }
            T::Utf8 => {
                let texts = column.as_string::<i32>();
                self.each(&column, |row| self.reader.read_text(texts.value(row)))
            }
            T::BinaryView => {
                // Files written before the string annotation existed have binary columns.
                let bytes = column.as_binary_view();
                self.each(&column, |row| {
                    self.reader
                        .read_text(&String::from_utf8_lossy(bytes.value(row)))
                })
            }
            // Parquet's null type; others are refused before.
            _ => (0..column.len()).map(|_| Err(self.missing())).collect(),
        })
    }

    /// Calls the closure for each row that has a value.
    fn each(
        &self,
        column: &dyn Array,
        read: impl Fn(usize) -> Result<Timestamp, TimeError>,
    ) -> Vec<Result<Timestamp, Refused>> {
        let time = |row| {
            if column.is_null(row) {
                return Err(self.missing());
            }
            read(row).map_err(|error| Refused {
                reason: match error {
                    TimeError::BeforeEarliest { .. } => Reason::BeforeEarliest,
                    TimeError::AfterLatest { .. } => Reason::AfterLatest,
                    _ => Reason::BadTimestamp,
                },
                detail: format!("`{}`: {}", self.name, in_full(&error)),
            })
        };
        (0..column.len()).map(time).collect()
    }

    fn missing(&self) -> Refused {
        Refused {
            reason: Reason::NoTimestamp,
            detail: format!("`{}` has no value", self.name),
        }
    }

    /// Converts a typed time. A local time is in the zone of the rule.
    fn instant(
        &self,
        time: Option<Timestamp>,
        local: bool,
        count: i64,
    ) -> Result<Timestamp, TimeError> {
        let out_of_range = || TimeError::OutOfRange {
            text: count.to_string(),
        };
        let time = time.ok_or_else(out_of_range)?;
        let time = if local {
            let civil = Offset::UTC.to_datetime(time);
            let zoned = self
                .reader
                .zone()
                .to_ambiguous_timestamp(civil)
                .compatible();
            zoned.map_err(|_| out_of_range())?
        } else {
            time
        };
        self.reader.check(time)
    }
}

/// Whether values of the type are read as times.
fn may_be_time(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Dictionary(_, values) => may_be_time(values),
        T::Timestamp(..) | T::Date32 | T::Utf8 | T::Utf8View | T::BinaryView | T::Null => true,
        number => number.is_numeric(),
    }
}

fn column<'a>(rows: &'a RecordBatch, path: &[usize]) -> Option<&'a ArrayRef> {
    let (column, path) = path.split_first()?;
    let mut column = rows.columns().get(*column)?;
    for field in path {
        column = column.as_struct_opt()?.columns().get(*field)?;
    }
    Some(column)
}

fn instant(count: i64, unit: TimeUnit) -> Option<Timestamp> {
    match unit {
        TimeUnit::Second => Timestamp::from_second(count).ok(),
        TimeUnit::Millisecond => Timestamp::from_millisecond(count).ok(),
        TimeUnit::Microsecond => Timestamp::from_microsecond(count).ok(),
        TimeUnit::Nanosecond => Some(Timestamp::from_nanosecond(count.into()).ok()?),
    }
}
