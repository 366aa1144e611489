//! Which columns of a Parquet file get no dictionary.
//!
//! A dictionary of values that hardly repeat costs the hashing of every value and makes the file larger. The Parquet writer
//! notices only once a dictionary exceeds its limit, so the first rows of a file decide.

use std::collections::HashSet;

use ahash::RandomState;
use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, downcast_primitive_array},
    datatypes::{DataType, Fields},
};
use parquet::schema::types::ColumnPath;

/// The number of a file's first rows that decide.
pub(super) const SAMPLE: usize = 4096;

/// A column gets a dictionary if more than one of this many values is a repetition. If values are drawn at random
/// and one of a hundred repeats within the sample, there are 200,000 of them: more than a dictionary may hold.
const ONE_OF: usize = 100;

/// The leaf columns whose values hardly repeat within the first rows of `batches`. Columns inside lists and maps are not
/// examined.
pub(super) fn distinct_columns(batches: &[RecordBatch]) -> Vec<ColumnPath> {
    let mut left = SAMPLE;
    let sample = batches.iter().map(|batch| {
        let rows = batch.num_rows().min(left);
        left -= rows;
        batch.slice(0, rows)
    });
    let sample = sample.collect::<Vec<_>>();
    let Some(first) = sample.first() else {
        return Vec::new();
    };
    let columns = (0..first.num_columns())
        .map(|index| {
            let chunks = sample.iter();
            chunks.map(|batch| batch.column(index).clone()).collect()
        })
        .collect();
    let mut leaves = Vec::new();
    add_leaves(
        first.schema_ref().fields(),
        columns,
        &mut Vec::new(),
        &mut leaves,
    );
    let mut seen = Seen {
        values: HashSet::with_capacity_and_hasher(SAMPLE, RandomState::new()),
        repeats_left: 0,
    };
    let leaves = leaves.iter();
    leaves
        .filter(|(_, chunks)| seen.hardly_repeat(chunks))
        .map(|(path, _)| path.clone())
        .collect()
}

/// Adds the columns, and those within structs, with their paths.
fn add_leaves(
    fields: &Fields,
    columns: Vec<Vec<ArrayRef>>,
    path: &mut Vec<String>,
    found: &mut Vec<(ColumnPath, Vec<ArrayRef>)>,
) {
    for (field, chunks) in fields.iter().zip(columns) {
        path.push(field.name().clone());
        if let DataType::Struct(children) = field.data_type() {
            let columns = (0..children.len())
                .map(|index| {
                    let chunks = chunks.iter();
                    chunks
                        .map(|chunk| chunk.as_struct().column(index).clone())
                        .collect()
                })
                .collect();
            add_leaves(children, columns, path, found);
        } else {
            found.push((ColumnPath::from(path.clone()), chunks));
        }
        path.pop();
    }
}

/// The distinct values of a column. One set serves all columns, because to allocate it costs more than to clear it.
struct Seen<'a> {
    values: HashSet<&'a [u8], RandomState>,
    repeats_left: usize,
}

impl<'a> Seen<'a> {
    /// Whether the values of a column hardly repeat. False for types that are not examined.
    fn hardly_repeat(&mut self, chunks: &'a [ArrayRef]) -> bool {
        let values: usize = chunks
            .iter()
            .map(|chunk| chunk.len() - chunk.null_count())
            .sum();
        self.values.clear();
        self.repeats_left = values / ONE_OF;
        values > 0 && chunks.iter().all(|chunk| add(&**chunk, self))
    }

    /// Adds values until too many repeat. Returns false then.
    fn add(&mut self, values: impl Iterator<Item = Option<&'a [u8]>>) -> bool {
        for value in values.flatten() {
            if !self.values.insert(value) {
                match self.repeats_left.checked_sub(1) {
                    Some(left) => self.repeats_left = left,
                    None => return false,
                }
            }
        }
        true
    }
}

fn add<'a>(chunk: &'a dyn Array, seen: &mut Seen<'a>) -> bool {
    downcast_primitive_array!(
        chunk => {
            let values = chunk.values();
            let width = values.inner().len() / values.len().max(1);
            let bytes = values.inner().as_slice().chunks_exact(width.max(1));
            seen.add(bytes.enumerate().map(|(row, value)| chunk.is_valid(row).then_some(value)))
        }
        DataType::Utf8 => {
            let texts = chunk.as_string::<i32>();
            seen.add(texts.iter().map(|text| text.map(str::as_bytes)))
        }
        DataType::Binary => seen.add(chunk.as_binary::<i32>().iter()),
        _ => false,
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{BooleanArray, Int64Array, ListArray, StringArray, StructArray},
        datatypes::{Field, Int64Type},
    };

    use super::*;
    use crate::semantics::stated;

    fn names(columns: Vec<(&str, ArrayRef)>) -> Vec<String> {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let half = batch.num_rows() / 2;
        let halves = [
            batch.slice(0, half),
            batch.slice(half, batch.num_rows() - half),
        ];
        let paths = distinct_columns(&halves);
        paths.iter().map(ColumnPath::string).collect()
    }

    #[test]
    fn columns_whose_values_hardly_repeat_get_no_dictionary() {
        stated(
            "A Parquet column has no dictionary if at most one in a hundred of its values repeats within the first 4,096 rows of the file.",
        );
        let texts = |distinct: usize| -> ArrayRef {
            let text =
                |row: usize| (!row.is_multiple_of(5)).then(|| format!("p{}", row % distinct));
            Arc::new((0..1000).map(text).collect::<StringArray>())
        };
        let numbers = |distinct: i64| -> ArrayRef {
            Arc::new((0..1000).map(|row| row % distinct).collect::<Int64Array>())
        };
        let within = |column: ArrayRef| -> ArrayRef {
            let field = Field::new("x", column.data_type().clone(), true);
            Arc::new(StructArray::from(vec![(Arc::new(field), column)]))
        };
        let lists = (0..1000).map(|row| Some(vec![Some(row)]));
        let columns: Vec<(&str, ArrayRef, bool)> = vec![
            ("texts", texts(1000), true),
            ("some texts repeat", texts(900), false),
            ("few texts", texts(7), false),
            ("numbers", numbers(1000), true),
            ("one of a hundred repeats", numbers(990), true),
            ("more repeat", numbers(989), false),
            ("struct", within(numbers(1000)), true),
            ("struct of few", within(numbers(7)), false),
            ("nulls", Arc::new(Int64Array::from(vec![None; 1000])), false),
            (
                "booleans",
                Arc::new(BooleanArray::from(vec![true; 1000])),
                false,
            ),
            (
                "lists",
                Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists)),
                false,
            ),
        ];
        for (name, column, distinct) in columns {
            let path = if name.starts_with("struct") {
                format!("{name}.x")
            } else {
                name.to_owned()
            };
            let expected = if distinct { vec![path] } else { vec![] };
            assert_eq!(names(vec![(name, column)]), expected, "{name}");
        }
    }
}
