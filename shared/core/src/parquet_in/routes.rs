//! The values that say where the rows of a file go.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, make_array},
    buffer::NullBuffer,
    compute::cast,
    datatypes::{DataType, Schema},
};

use super::ReadError;
use crate::{columns, encode::cells, routes::Routes};

/// The path of the column with the value.
///
/// # Errors
/// There is none, or two, or its values are no texts, integers or booleans.
pub(super) fn find(routes: &Routes, schema: &Schema) -> Result<Vec<usize>, ReadError> {
    let found = columns::find(schema.fields(), routes.column()).map_err(ReadError::Route)?;
    if is_value(&found.data_type) {
        Ok(found.places)
    } else {
        Err(ReadError::NotARoute {
            column: found.names.join("."),
            data_type: found.data_type.to_string(),
        })
    }
}

/// Whether values of the type are texts, integers or booleans.
fn is_value(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Dictionary(_, values) => is_value(values),
        T::Utf8 | T::LargeUtf8 | T::Utf8View | T::BinaryView | T::Boolean | T::Null => true,
        number => number.is_integer(),
    }
}

/// The values of the rows of a batch, in the column at this path.
pub(super) fn texts_of(
    rows: &RecordBatch,
    path: &[usize],
) -> Result<Vec<Option<String>>, ReadError> {
    let Some(column) = column(rows, path) else {
        return Ok(vec![None; rows.num_rows()]);
    };
    let column = cells::plain(&column)?;
    if let Some(bytes) = column.as_binary_view_opt() {
        // Files written before the string annotation existed have binary columns.
        let text = |bytes: Option<&[u8]>| Some(String::from_utf8_lossy(bytes?).into_owned());
        return Ok(bytes.iter().map(text).collect());
    }
    let texts = cast(&column, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    Ok(texts.iter().map(|text| text.map(str::to_owned)).collect())
}

/// The column at a path. A field of a struct that is null is null.
fn column(rows: &RecordBatch, path: &[usize]) -> Option<ArrayRef> {
    let (first, path) = path.split_first()?;
    let mut column = ArrayRef::clone(rows.columns().get(*first)?);
    for field in path {
        let fields = column.as_struct_opt()?;
        let inner = fields.columns().get(*field)?;
        let nulls = NullBuffer::union(fields.nulls(), inner.nulls());
        let data = inner.to_data().into_builder().nulls(nulls).build().ok()?;
        column = make_array(data);
    }
    Some(column)
}
