//! A row of the file as JSON.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, UInt64Array},
    compute::{cast, take_record_batch},
    datatypes::{DataType, Field, FieldRef, Schema},
};

use super::ReadError;
use crate::{
    config::{Compression, Output, OutputFormat},
    encode::{Encoder, Layout},
    parquet_out::RowGroupLimit,
};

/// A row of a batch as one JSON object, without a newline. Times that JSON cannot represent are written as the file's
/// numbers.
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
            cast(column, &counted(column.data_type()))?
        };
        fields.push(Field::new(name, column.data_type().clone(), true));
        columns.push(column);
    }
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

/// The type with numbers in place of times.
fn counted(data_type: &DataType) -> DataType {
    use DataType as T;
    let field = |field: &FieldRef| {
        Arc::new(
            field
                .as_ref()
                .clone()
                .with_data_type(counted(field.data_type())),
        )
    };
    match data_type {
        T::Date32 | T::Time32(_) => T::Int32,
        T::Date64 | T::Time64(_) | T::Timestamp(..) => T::Int64,
        T::List(element) => T::List(field(element)),
        T::Map(entries, sorted) => T::Map(field(entries), *sorted),
        T::Struct(fields) => T::Struct(fields.iter().map(field).collect()),
        other => other.clone(),
    }
}
