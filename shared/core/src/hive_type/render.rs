use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field};
use thiserror::Error;

use super::{DECLARED, DEEPEST};

/// An Arrow type without a Hive equivalent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("Hive has no type for {0}")]
pub struct Unsupported(String);

/// The Hive type of an Arrow type, as [`parse`](super::parse) reads it.
///
/// # Errors
/// Hive has no equivalent: unsigned integers, times of day, durations, intervals, unions, negative scales and the like.
pub fn render(data_type: &DataType) -> Result<String, Unsupported> {
    let mut text = String::new();
    write_type(data_type, 0, &mut text)?;
    Ok(text)
}

/// The Hive type of a field: the declared one in its metadata or, without that, the one of its Arrow type.
///
/// # Errors
/// Hive has no equivalent.
pub fn render_field(field: &Field) -> Result<String, Unsupported> {
    let mut text = String::new();
    write_field(field, 0, &mut text)?;
    Ok(text)
}

fn write_field(field: &Field, depth: usize, text: &mut String) -> Result<(), Unsupported> {
    match field.metadata().get(DECLARED) {
        Some(declared) if *field.data_type() == DataType::Utf8 => {
            text.push_str(declared);
            Ok(())
        }
        _ => write_type(field.data_type(), depth, text),
    }
}

fn write_type(data_type: &DataType, depth: usize, text: &mut String) -> Result<(), Unsupported> {
    let unsupported = || Unsupported(data_type.to_string());
    if depth > DEEPEST {
        return Err(Unsupported(format!(
            "types nested more than {DEEPEST} deep"
        )));
    }
    let name = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int8 => "tinyint",
        DataType::Int16 => "smallint",
        DataType::Int32 => "int",
        DataType::Int64 => "bigint",
        DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string",
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "binary",
        DataType::Date32 => "date",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamp with local time zone",
        DataType::Decimal128(precision, scale)
            if (1..=DECIMAL128_MAX_PRECISION).contains(precision) =>
        {
            let scale = u8::try_from(*scale).map_err(|_| unsupported())?;
            if scale > *precision {
                return Err(unsupported());
            }
            text.extend([
                "decimal(",
                &precision.to_string(),
                ",",
                &scale.to_string(),
                ")",
            ]);
            return Ok(());
        }
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::FixedSizeList(element, _) => {
            text.push_str("array<");
            write_field(element, depth + 1, text)?;
            text.push('>');
            return Ok(());
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else {
                return Err(unsupported());
            };
            let [key, value] = &fields[..] else {
                return Err(unsupported());
            };
            if key.data_type().is_nested() {
                return Err(unsupported());
            }
            text.push_str("map<");
            write_field(key, depth + 1, text)?;
            text.push(',');
            write_field(value, depth + 1, text)?;
            text.push('>');
            return Ok(());
        }
        DataType::Struct(fields) if !fields.is_empty() => {
            let mut separator = "struct<";
            for field in fields {
                text.push_str(separator);
                separator = ",";
                write_name(field.name(), text).ok_or_else(unsupported)?;
                text.push(':');
                write_field(field, depth + 1, text)?;
            }
            text.push('>');
            return Ok(());
        }
        _ => return Err(unsupported()),
    };
    text.push_str(name);
    Ok(())
}

/// A struct field's name, in backquotes if the parser needs them.
fn write_name(name: &str, text: &mut String) -> Option<()> {
    if name.is_empty() {
        return None;
    }
    if name.contains([':', ',', '<', '>']) || name.starts_with('`') || name.trim() != name {
        text.push('`');
        text.push_str(&name.replace('`', "``"));
        text.push('`');
    } else {
        text.push_str(name);
    }
    Some(())
}
