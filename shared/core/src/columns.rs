//! The columns of a schema, and the fields of structs in them, by name.

use arrow::datatypes::{DataType, Fields};
use parquet_merge::{NameError, find_column};
use thiserror::Error;

/// A column or a field of a struct.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Its names from the outside to the inside.
    pub(crate) names: Vec<String>,
    /// Its indices from the outside to the inside.
    pub(crate) places: Vec<usize>,
    /// Its own type.
    pub(crate) data_type: DataType,
}

/// Finds the column, or the field of a struct, that a name in the configuration means.
///
/// # Errors
/// The name means no column, or several.
pub(crate) fn find(fields: &Fields, name: &str) -> Result<Column, NameError> {
    let mut all = Vec::new();
    add(fields, &mut Vec::new(), &mut Vec::new(), &mut all);
    let place = find_column(name, all.iter().map(|column| &column.names))?;
    Ok(all.swap_remove(place))
}

/// Why a name does not mean a top-level column.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotOwn {
    /// The name means two columns.
    #[error(transparent)]
    Ambiguous(NameError),
    /// The name is that of a field of a struct.
    #[error("`{name}` is the field {path} of a struct, and must be a top-level column")]
    Inside {
        /// The name in the configuration.
        name: String,
        /// The field's names from the outside to the inside, each in backquotes.
        path: String,
    },
}

/// The index of the top-level column that a name means, if there is one. Names of path parts and of selected columns must
/// mean top-level columns.
///
/// # Errors
/// The name means several columns, or a field of a struct.
pub fn own(fields: &Fields, name: &str) -> Result<Option<usize>, NotOwn> {
    match find(fields, name) {
        Ok(found) if found.names.len() > 1 => Err(NotOwn::Inside {
            name: name.to_owned(),
            path: format!("`{}`", found.names.join("`.`")),
        }),
        Ok(found) => Ok(found.places.first().copied()),
        Err(NameError::Missing { .. }) => Ok(None),
        Err(error) => Err(NotOwn::Ambiguous(error)),
    }
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
