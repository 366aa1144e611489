//! The columns of a schema, and the fields of structs in them, by name.

use arrow::datatypes::{DataType, Fields};
use parquet_merge::{NameError, find_column};

/// A column or a field of a struct.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its names from the outside to the inside.
    pub names: Vec<String>,
    /// Its places from the outside to the inside.
    pub places: Vec<usize>,
    /// Its own type.
    pub data_type: DataType,
}

/// The column, or the field of a struct, that a name in the configuration means.
///
/// # Errors
/// None, or several.
pub fn find(fields: &Fields, name: &str) -> Result<Column, NameError> {
    let mut all = Vec::new();
    add(fields, &mut Vec::new(), &mut Vec::new(), &mut all);
    let place = find_column(name, all.iter().map(|column| &column.names))?;
    Ok(all.swap_remove(place))
}

fn add(fields: &Fields, names: &mut Vec<String>, places: &mut Vec<usize>, all: &mut Vec<Column>) {
    for (place, field) in fields.iter().enumerate() {
        names.push(field.name().clone());
        places.push(place);
        all.push(Column {
            names: names.clone(),
            places: places.clone(),
            data_type: field.data_type().clone(),
        });
        if let DataType::Struct(inside) = field.data_type() {
            add(inside, names, places, all);
        }
        names.pop();
        places.pop();
    }
}
