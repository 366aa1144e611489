//! The time of each row.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Date32Type, Float64Type, Int64Type, Schema, TimeUnit},
};
use jiff::{Timestamp, tz::Offset};
use parquet_merge::NameError;

use super::{ReadError, Refused};
use crate::{
    columns,
    encode::cells,
    quarantine::Reason,
    shown::in_full,
    time::{TimeError, TimestampReader},
};

/// Reads the column of the row's time.
pub(super) struct Times {
    name: String,
    /// The column, and the path of fields inside it. `None` if the column does not exist.
    path: Option<(usize, Vec<usize>)>,
    reader: TimestampReader,
}

impl Times {
    /// `name`: the name of a column, or of a field in it.
    ///
    /// # Errors
    /// Two columns are called so.
    pub(super) fn new(
        schema: &Schema,
        name: &str,
        reader: TimestampReader,
    ) -> Result<Self, ReadError> {
        let found = match columns::find(schema.fields(), name) {
            Ok(found) => found
                .places
                .split_first()
                .map(|(column, path)| (*column, path.to_vec())),
            Err(NameError::Missing { .. }) => None,
            Err(error @ NameError::Ambiguous { .. }) => return Err(error.into()),
        };
        Ok(Self {
            name: name.to_owned(),
            path: found,
            reader,
        })
    }

    /// Reads the times of the rows.
    pub(super) fn read(
        &self,
        rows: &RecordBatch,
    ) -> Result<Vec<Result<Timestamp, Refused>>, ReadError> {
        use DataType as T;
        let Some(column) = self.path.as_ref().and_then(|path| column(rows, path)) else {
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
            other => {
                let refused = Refused {
                    reason: Reason::BadTimestamp,
                    detail: format!("`{}` is of type {other}, which is not a time", self.name),
                };
                (0..column.len())
                    .map(|row| {
                        let null = column.is_null(row);
                        Err(if null {
                            self.missing()
                        } else {
                            refused.clone()
                        })
                    })
                    .collect()
            }
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

fn column<'a>(rows: &'a RecordBatch, (column, path): &(usize, Vec<usize>)) -> Option<&'a ArrayRef> {
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
