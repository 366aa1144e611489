//! A row of the file as JSON.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StructArray, UInt64Array},
    compute::{cast, take_record_batch},
    datatypes::{DataType, Field, Fields, Schema},
    error::ArrowError,
};

use super::ReadError;
use crate::{
    config::{Compression, Output, OutputFormat},
    encode::{Encoder, Layout},
    parquet_out::RowGroupLimit,
};

/// A row of a batch as one JSON object, without a newline. Times that JSON cannot represent are written as the file's
/// numbers, and such maps as lists of their entries.
pub(super) fn json(rows: &RecordBatch, row: usize) -> Result<Vec<u8>, ReadError> {
    encode(&rows.slice(row, 1)).or_else(|_| {
        // The lists of a slice still contain the values of the other rows.
        let alone = take_record_batch(rows, &UInt64Array::from(vec![row as u64]))?;
        encode(&alone).or_else(|_| encode(&expressible(&alone)?))
    })
}

fn encode(row: &RecordBatch) -> Result<Vec<u8>, ReadError> {
    let output = Output {
        compression: Some(Compression::None),
        ..Output::new(OutputFormat::Json)
    };
    let layout = Layout::plain(row.schema());
    let mut encoder = Encoder::new(&output, &layout, RowGroupLimit::default())?;
    encoder.write(row)?;
    let mut line = encoder.finish()?;
    line.pop();
    Ok(line)
}

fn expressible(row: &RecordBatch) -> Result<RecordBatch, ReadError> {
    let mut fields = Vec::with_capacity(row.num_columns());
    let mut columns = Vec::with_capacity(row.num_columns());
    for (index, column) in row.columns().iter().enumerate() {
        let name = row.schema_ref().field(index).name().clone();
        let column = if encode(&row.project(&[index])?).is_ok() {
            Arc::clone(column)
        } else {
            in_other_terms(column)?
        };
        fields.push(Field::new(name, column.data_type().clone(), true));
        columns.push(column);
    }
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

/// The same values with numbers in place of times, and with lists of entries in place of maps whose keys are null or
/// nested.
fn in_other_terms(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    use DataType as T;
    let named = |field: &Field, column: &ArrayRef| {
        let field = field.clone().with_data_type(column.data_type().clone());
        Arc::new(field.with_nullable(true))
    };
    Ok(match column.data_type() {
        T::Date32 | T::Time32(_) => cast(column, &T::Int32)?,
        T::Date64 | T::Time64(_) | T::Timestamp(..) => cast(column, &T::Int64)?,
        T::List(element) => {
            let list = column.as_list::<i32>();
            let values = in_other_terms(list.values())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            let element = named(element, &values);
            Arc::new(ListArray::try_new(element, offsets, values, nulls)?)
        }
        T::Struct(fields) => {
            let array = column.as_struct();
            let columns = array.columns().iter().map(in_other_terms);
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let fields = fields.iter().zip(&columns);
            let fields = fields.map(|(field, column)| named(field, column)).collect();
            let nulls = array.nulls().cloned();
            Arc::new(StructArray::try_new_with_length(
                fields,
                columns,
                nulls,
                array.len(),
            )?)
        }
        T::Map(..) => {
            let map = column.as_map();
            let (keys, values) = (in_other_terms(map.keys())?, in_other_terms(map.values())?);
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            let is_map = !keys.data_type().is_nested() && keys.null_count() == 0;
            let fields = Fields::from(vec![
                Field::new("key", keys.data_type().clone(), !is_map),
                Field::new("value", values.data_type().clone(), true),
            ]);
            let entries = StructArray::try_new(fields, vec![keys, values], None)?;
            let entry = Arc::new(Field::new("entries", entries.data_type().clone(), false));
            if is_map {
                Arc::new(MapArray::try_new(entry, offsets, entries, nulls, false)?)
            } else {
                Arc::new(ListArray::try_new(
                    entry,
                    offsets,
                    Arc::new(entries),
                    nulls,
                )?)
            }
        }
        _ => Arc::clone(column),
    })
}
