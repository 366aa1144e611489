//! Columns that the table does not have, where they may become columns of it.

use arrow::{
    array::{Array, RecordBatch},
    buffer::NullBuffer,
    datatypes::{Field, Schema},
};

use super::{convert::position, schema};
use crate::json::{NewColumns, NewFields, RecordError, untyped};

/// A column of a file that the table does not have, or that has a field which the table's column does not have.
pub(super) struct Unknown {
    name: String,
    /// As a column of the table, or why it cannot be one.
    column: Result<Field, RecordError>,
}

impl Unknown {
    /// Those of a file.
    pub(super) fn all(file: &Schema, table: &Schema, rule: &NewColumns) -> Vec<Self> {
        let of_table = schema::of_table(file, str::to_lowercase);
        let fields = file.fields().iter().zip(of_table.fields());
        let unknown = fields.filter_map(|(field, of_table)| {
            let name = field.name().clone();
            let column = if position(table.fields(), &name).is_none() {
                let refusal = rule.refusal(of_table.name());
                match refusal.or_else(|| untyped(of_table.data_type())) {
                    Some(why) => Err((name.clone(), why)),
                    None => Ok(of_table.as_ref().clone()),
                }
            } else {
                let alone = vec![field.clone()].into();
                let inside = schema::unknown(&alone, table.fields(), "");
                let why = "it is inside another column, whose type stays as it is";
                Err((inside.into_iter().next()?, why))
            };
            let column = column.map_err(|(name, why)| RecordError::NotAdded { name, why });
            Some(Self { name, column })
        });
        unknown.collect()
    }

    /// Which rows have a value.
    fn values(&self, rows: &RecordBatch) -> Values {
        let column = rows.column_by_name(&self.name);
        Values(column.and_then(Array::logical_nulls))
    }

    /// The rows that have a value which cannot be in a column, and why.
    pub(super) fn refused(&self, rows: &RecordBatch) -> Option<(Values, &RecordError)> {
        let error = self.column.as_ref().err()?;
        Some((self.values(rows), error))
    }

    /// The column that it may become, and the rows that have a value.
    pub(super) fn taken(&self, rows: &RecordBatch) -> Option<(Field, Values)> {
        let field = self.column.as_ref().ok()?;
        Some((field.clone(), self.values(rows)))
    }
}

/// Which rows have a value.
#[derive(Debug)]
pub(super) struct Values(Option<NullBuffer>);

impl Values {
    pub(super) fn has(&self, row: usize) -> bool {
        self.0.as_ref().is_none_or(|nulls| nulls.is_valid(row))
    }
}

/// The fields of a row that have a value.
pub(super) fn new_fields(columns: &[(Field, Values)], row: usize) -> Option<NewFields> {
    let mut fields = NewFields::default();
    for (field, values) in columns {
        if values.has(row) {
            fields.add_typed(field.name(), field.data_type());
        }
    }
    (!fields.is_empty()).then_some(fields)
}
