//! The decoder, and its batches in the types of this program: `orc-rust` is on an older version of Arrow, so they are handed
//! over as the bytes of an Arrow stream.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StructArray},
    buffer::Buffer,
    compute::{CastOptions, cast, cast_with_options},
    datatypes::{DataType, Decimal128Type, Int32Type, SchemaRef},
    ipc::reader::StreamDecoder,
};
use arrow_of_orc::{
    array as old_array, datatypes as old, error::ArrowError as OldError, ipc::writer::StreamWriter,
};
use bytes::{Buf, Bytes, buf::Reader};
use orc_rust::{ArrowReader, ArrowReaderBuilder, reader::ChunkReader};
use parquet_merge::panic_reason;

use super::{
    OrcError,
    error::corrupt,
    stripe::Ready,
    times::Zone,
    types::{Column, Of},
};
use crate::shown::words;

/// The batches of a stripe.
pub(super) struct Decoder {
    reader: ArrowReader<Whole>,
    zone: Zone,
    pub(super) row_bytes: u64,
}

impl Decoder {
    pub(super) fn new(ready: Ready, columns: &[Column]) -> Result<Self, OrcError> {
        let schema = Arc::new(old::Schema::new(fields(columns)));
        let reader = guarded(|| {
            let builder = ArrowReaderBuilder::try_new(Whole(ready.file));
            let builder = builder.map_err(|error| error.to_string())?;
            Ok(builder
                .with_batch_size(ready.batch_rows)
                .with_schema(schema)
                .build())
        })?;
        Ok(Self {
            reader,
            zone: ready.zone,
            row_bytes: ready.row_bytes,
        })
    }

    /// The next batch.
    pub(super) fn next(
        &mut self,
        columns: &[Column],
        schema: &SchemaRef,
    ) -> Result<Option<RecordBatch>, OrcError> {
        let batch = guarded(|| {
            let batch = self.reader.next().transpose();
            let batch = batch.map_err(|error| error.to_string())?;
            batch.map(|batch| handed_over(&batch)).transpose()
        })?;
        let Some(batch) = batch else {
            return Ok(None);
        };
        let own = columns.iter().zip(batch.columns());
        let own = own.map(|(column, array)| column.own(array, &self.zone));
        let own = own.collect::<Result<Vec<_>, _>>()?;
        let batch = RecordBatch::try_new(Arc::clone(schema), own);
        Ok(Some(batch.map_err(|error| {
            corrupt(words(&error.to_string()).to_string())
        })?))
    }
}

/// Runs a part of the decoder and catches panics. Input that makes it panic is corrupt.
fn guarded<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, OrcError> {
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    let decoded = decoded.unwrap_or_else(|panic| Err(panic_reason(&*panic)));
    decoded.map_err(|said| corrupt(words(&said).to_string()))
}

fn handed_over(batch: &old_array::RecordBatch) -> Result<RecordBatch, String> {
    let mut bytes = Vec::new();
    let mut write = || {
        let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema())?;
        writer.write(batch)?;
        writer.finish()
    };
    write().map_err(|error: OldError| error.to_string())?;
    let mut bytes = Buffer::from_vec(bytes);
    let read = StreamDecoder::new().decode(&mut bytes);
    read.map_err(|error| error.to_string())?
        .ok_or_else(|| "a batch was not handed over".to_owned())
}

/// The types in which the decoder is asked for columns.
fn fields(columns: &[Column]) -> old::Fields {
    columns.iter().map(|column| field(column, true)).collect()
}

fn field(column: &Column, is_nullable: bool) -> old::Field {
    use old::DataType as T;
    let data_type = match &column.of {
        Of::Boolean => T::Boolean,
        Of::Byte => T::Int8,
        Of::Short | Of::Int | Of::Long | Of::Date => T::Int64,
        Of::Float => T::Float32,
        Of::Double => T::Float64,
        Of::String => T::Utf8,
        Of::Binary => T::Binary,
        // More than 64 bits of nanoseconds.
        Of::Timestamp { .. } => T::Decimal128(old::DECIMAL128_MAX_PRECISION, 9),
        Of::Decimal { precision, scale } => {
            T::Decimal128(*precision, i8::try_from(*scale).unwrap_or(i8::MAX))
        }
        Of::Struct(parts) => T::Struct(fields(parts)),
        Of::List(element) => T::List(Arc::new(field(element, true))),
        Of::Map(entries) => {
            let [key, value] = entries.as_ref();
            let entries = old::Fields::from(vec![field(key, false), field(value, true)]);
            let entries = old::Field::new("entries", T::Struct(entries), false);
            T::Map(Arc::new(entries), false)
        }
    };
    old::Field::new(&column.name, data_type, is_nullable)
}

impl Column {
    /// What was decoded, in the type of the column.
    fn own(&self, decoded: &ArrayRef, zone: &Zone) -> Result<ArrayRef, OrcError> {
        let failed = |error: arrow::error::ArrowError| {
            let said = error.to_string();
            corrupt(format!("column {}: {}", self.id, words(&said)))
        };
        let strictly = |to: &DataType| {
            let options = CastOptions {
                safe: false,
                ..CastOptions::default()
            };
            cast_with_options(decoded, to, &options).map_err(failed)
        };
        let nulls = decoded.nulls().cloned();
        let other = || corrupt(format!("column {} is decoded as another type", self.id));
        Ok(match (&self.of, self.data_type()) {
            (Of::Short | Of::Int, to) => strictly(&to)?,
            (Of::Date, to) => {
                let days = strictly(&DataType::Int32)?;
                let found = days.as_primitive_opt::<Int32Type>().ok_or_else(other)?;
                let mut found = found.iter().flatten();
                found.try_for_each(|day| zone.check(day.into()))?;
                cast(&days, &to).map_err(failed)?
            }
            (Of::Timestamp { instant }, _) => {
                let decoded = decoded.as_primitive_opt::<Decimal128Type>();
                zone.microseconds(decoded.ok_or_else(other)?, *instant)?
            }
            (Of::Decimal { precision, .. }, _) => {
                let decimals = decoded.as_primitive_opt::<Decimal128Type>();
                let decimals = decimals.ok_or_else(other)?;
                decimals
                    .validate_decimal_precision(*precision)
                    .map_err(failed)?;
                Arc::clone(decoded)
            }
            (Of::Struct(parts), DataType::Struct(fields)) => {
                let decoded = decoded.as_struct_opt().ok_or_else(other)?;
                let parts = parts.iter().zip(decoded.columns());
                let parts = parts.map(|(part, decoded)| part.own(decoded, zone));
                let parts = parts.collect::<Result<_, _>>()?;
                Arc::new(StructArray::try_new(fields, parts, nulls).map_err(failed)?)
            }
            (Of::List(element), DataType::List(field)) => {
                let decoded = decoded.as_list_opt::<i32>().ok_or_else(other)?;
                let values = element.own(decoded.values(), zone)?;
                let offsets = decoded.offsets().clone();
                Arc::new(ListArray::try_new(field, offsets, values, nulls).map_err(failed)?)
            }
            (Of::Map(entries), DataType::Map(field, sorted)) => {
                let decoded = decoded.as_map_opt().ok_or_else(other)?;
                let DataType::Struct(fields) = field.data_type().clone() else {
                    return Err(other());
                };
                let [key, value] = entries.as_ref();
                let entries = vec![
                    key.own(decoded.keys(), zone)?,
                    value.own(decoded.values(), zone)?,
                ];
                let entries = StructArray::try_new(fields, entries, None).map_err(failed)?;
                let offsets = decoded.offsets().clone();
                let map = MapArray::try_new(field, offsets, entries, nulls, sorted);
                Arc::new(map.map_err(failed)?)
            }
            _ => Arc::clone(decoded),
        })
    }
}

/// A file in memory, whose streams are not copied when they are read.
struct Whole(Bytes);

impl ChunkReader for Whole {
    type T = Reader<Bytes>;

    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn get_read(&self, start: u64) -> io::Result<Self::T> {
        let rest = self.len().saturating_sub(start);
        Ok(self.get_bytes(start, rest)?.reader())
    }

    fn get_bytes(&self, start: u64, length: u64) -> io::Result<Bytes> {
        let ends = |start: usize, length| Some(start..start.checked_add(length)?);
        let (start, length) = (usize::try_from(start), usize::try_from(length));
        let range = start.ok().zip(length.ok());
        range
            .and_then(|(start, length)| ends(start, length))
            .filter(|range| range.end <= self.0.len())
            .map(|range| self.0.slice(range))
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
