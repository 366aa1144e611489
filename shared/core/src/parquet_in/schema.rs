//! The columns of a file.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Fields, Schema, TimeUnit,
};
use parquet::{
    basic::{ConvertedType, LogicalType, Type as PhysicalType},
    schema::types::{ColumnDescriptor, Type},
};

use super::{ReadError, convert::position};

/// The types in which columns are read: strings and binary values as views, so that a dictionary's long value is not
/// copied for each row; INT96 timestamps as instants in microseconds, which cover the same range. `leaves`: the
/// physical types of the leaf columns, in order, and whether each is an enumeration.
pub(super) fn to_read(
    schema: &Schema,
    leaves: &mut impl Iterator<Item = (PhysicalType, bool)>,
) -> Schema {
    Schema::new(fields_to_read(schema.fields(), leaves))
}

fn fields_to_read(
    fields: &Fields,
    leaves: &mut impl Iterator<Item = (PhysicalType, bool)>,
) -> Fields {
    fields
        .iter()
        .map(|field| field_to_read(field, leaves))
        .collect()
}

fn field_to_read(
    field: &FieldRef,
    leaves: &mut impl Iterator<Item = (PhysicalType, bool)>,
) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields_to_read(fields, leaves)),
        DataType::List(element) => DataType::List(field_to_read(element, leaves)),
        DataType::Map(entries, sorted) => DataType::Map(field_to_read(entries, leaves), *sorted),
        leaf => match (leaf, leaves.next()) {
            (DataType::Utf8, _) | (DataType::Binary, Some((_, true))) => DataType::Utf8View,
            (DataType::Binary, _) => DataType::BinaryView,
            (_, Some((PhysicalType::INT96, _))) => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            (other, _) => other.clone(),
        },
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// The columns whose logical type is lost if they are read as bytes or fields: their paths and logical types.
/// An `INTERVAL` column cannot be read at all, because its months cannot be represented.
pub(super) fn meanings(root: &Type) -> Vec<Meaning> {
    let mut found = Vec::new();
    for field in root.get_fields() {
        look(field, field.name(), &mut found);
    }
    found
}

/// A column whose logical type tables do not support.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meaning {
    /// The column, with its path.
    pub(super) path: String,
    /// The logical type.
    pub(super) what: String,
    /// Whether it may be read as the struct of its fields, or as bytes, if the table has such a column.
    pub(super) has_parts: bool,
}

fn look(node: &Type, path: &str, found: &mut Vec<Meaning>) {
    let info = node.get_basic_info();
    let (what, has_parts) = match info.logical_type_ref() {
        Some(LogicalType::Variant(_)) => ("VARIANT".to_owned(), true),
        Some(LogicalType::Geometry(_)) => ("GEOMETRY".to_owned(), true),
        Some(LogicalType::Geography(_)) => ("GEOGRAPHY".to_owned(), true),
        Some(other @ (LogicalType::_Unknown { .. } | LogicalType::File)) => {
            (format!("of the unknown logical type {other:?}"), false)
        }
        None if info.converted_type() == ConvertedType::INTERVAL => ("INTERVAL".to_owned(), false),
        _ if has_nested_keys(node) => ("a map whose keys are not single values".to_owned(), false),
        _ => {
            if node.is_group() {
                for field in node.get_fields() {
                    look(field, &format!("{path}.{}", field.name()), found);
                }
            }
            return;
        }
    };
    found.push(Meaning {
        path: path.to_owned(),
        what,
        has_parts,
    });
}

fn has_nested_keys(node: &Type) -> bool {
    let info = node.get_basic_info();
    let is_map = info.logical_type_ref() == Some(&LogicalType::Map)
        || matches!(
            info.converted_type(),
            ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE
        );
    is_map
        && node.is_group()
        && matches!(node.get_fields(), [entries] if entries.is_group()
            && entries.get_fields().first().is_some_and(|key| key.is_group()))
}

/// Whether a leaf is an `ENUM`, whose values are text.
pub(super) fn is_enum(leaf: &ColumnDescriptor) -> bool {
    leaf.logical_type_ref() == Some(&LogicalType::Enum)
        || leaf.converted_type() == ConvertedType::ENUM
}

/// The columns with types that tables have. `name` converts the names of columns and of fields of structs.
pub(crate) fn of_table(schema: &Schema, name: fn(&str) -> String) -> Schema {
    let fields = schema.fields().iter();
    let fields = fields.map(|field| field_of_table(field, name));
    Schema::new(fields.collect::<Fields>())
}

fn field_of_table(field: &FieldRef, name: fn(&str) -> String) -> FieldRef {
    use DataType as T;
    let data_type = match field.data_type() {
        T::UInt8 => T::Int16,
        T::UInt16 => T::Int32,
        T::UInt32 => T::Int64,
        T::UInt64 => T::Decimal128(20, 0),
        T::Float16 => T::Float32,
        T::Binary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Timestamp(_, zone) => T::Timestamp(TimeUnit::Microsecond, zone.clone()),
        T::Decimal128(precision, scale) if *scale >= 0 => T::Decimal128(*precision, *scale),
        T::Decimal256(precision, scale) if *precision <= DECIMAL128_MAX_PRECISION => {
            T::Decimal128(*precision, *scale)
        }
        same @ (T::Boolean
        | T::Int8
        | T::Int16
        | T::Int32
        | T::Int64
        | T::Float32
        | T::Float64
        | T::Date32) => same.clone(),
        T::Struct(fields) => {
            let fields = fields.iter().map(|field| field_of_table(field, name));
            T::Struct(fields.collect())
        }
        T::List(element) => {
            let element = field_of_table(element, name)
                .as_ref()
                .clone()
                .with_name("element");
            T::List(Arc::new(element))
        }
        T::Map(entries, sorted) => T::Map(entries_of_table(entries, name), *sorted),
        // Strings, and times of day, durations and the like as text.
        _ => T::Utf8,
    };
    Arc::new(Field::new(name(field.name()), data_type, true))
}

/// The entries of a map, with the names from Parquet's specification.
fn entries_of_table(entries: &FieldRef, name: fn(&str) -> String) -> FieldRef {
    let DataType::Struct(fields) = entries.data_type() else {
        return Arc::clone(entries);
    };
    let named = fields.iter().zip(["key", "value"]).map(|(field, part)| {
        let field = field_of_table(field, name);
        field
            .as_ref()
            .clone()
            .with_name(part)
            .with_nullable(part == "value")
    });
    let fields = named.collect::<Fields>();
    Arc::new(Field::new("key_value", DataType::Struct(fields), false))
}

/// Checks that no two fields of a struct have the same name, ignoring case.
pub(crate) fn check_names(fields: &Fields, path: &str) -> Result<(), ReadError> {
    let mut seen: HashMap<String, &FieldRef> = HashMap::new();
    for field in fields {
        if let Some(first) = seen.insert(field.name().to_lowercase(), field) {
            return Err(ReadError::NameCollision {
                first: format!("{path}{}", first.name()),
                second: format!("{path}{}", field.name()),
            });
        }
        check_inside(field, &format!("{path}{}", field.name()))?;
    }
    Ok(())
}

fn check_inside(field: &FieldRef, path: &str) -> Result<(), ReadError> {
    match field.data_type() {
        DataType::Struct(fields) => check_names(fields, &format!("{path}.")),
        DataType::List(element) => check_inside(element, &format!("{path}[]")),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => fields
                .iter()
                .try_for_each(|field| check_inside(field, &format!("{path}{{}}"))),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The paths of the fields that the table does not have.
pub(super) fn unknown(file: &Fields, table: &Fields, path: &str) -> Vec<String> {
    let mut names = Vec::new();
    for field in file {
        let path = format!("{path}{}", field.name());
        match position(table, field.name()).and_then(|index| table.get(index)) {
            Some(column) => {
                unknown_inside(field.data_type(), column.data_type(), &path, &mut names);
            }
            None => names.push(path),
        }
    }
    names
}

fn unknown_inside(file: &DataType, table: &DataType, path: &str, names: &mut Vec<String>) {
    match (file, table) {
        (DataType::Struct(file), DataType::Struct(table)) => {
            names.extend(unknown(file, table, &format!("{path}.")));
        }
        (DataType::List(file), DataType::List(table)) => {
            unknown_inside(
                file.data_type(),
                table.data_type(),
                &format!("{path}[]"),
                names,
            );
        }
        (DataType::Map(file, _), DataType::Map(table, _)) => {
            if let (DataType::Struct(file), DataType::Struct(table)) =
                (file.data_type(), table.data_type())
                && let (Some(file), Some(table)) = (file.get(1), table.get(1))
            {
                unknown_inside(
                    file.data_type(),
                    table.data_type(),
                    &format!("{path}{{}}"),
                    names,
                );
            }
        }
        _ => {}
    }
}
