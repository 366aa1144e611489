//! The columns of a file.

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, Fields, Schema, TimeUnit};
use orc_rust::proto::{self, r#type::Kind};
use parquet_merge::MAX_SCHEMA_DEPTH;

use super::{OrcError, error::corrupt};

/// A column, or a part of one.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its number in the file.
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) of: Of,
}

/// What a column holds.
#[derive(Debug, Clone)]
pub(super) enum Of {
    Boolean,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    String,
    Binary,
    Date,
    Timestamp { instant: bool },
    Decimal { precision: u8, scale: u8 },
    Struct(Vec<Column>),
    List(Box<Column>),
    Map(Box<[Column; 2]>),
}

/// The columns that Hive adds to the rows of a transactional table.
const ACID: [&str; 6] = [
    "operation",
    "originalTransaction",
    "bucket",
    "rowId",
    "currentTransaction",
    "row",
];

/// Reads the types of a footer. Their numbers are those of a walk from the root, each before its parts, so no type has itself
/// as a part. <https://orc.apache.org/specification/ORCv1/#type-information>
pub(super) fn columns(types: &[proto::Type]) -> Result<Vec<Column>, OrcError> {
    let mut walk = Walk { types, next: 0 };
    let Of::Struct(columns) = walk.take(0, "", 0)?.of else {
        return Err(OrcError::Unread(
            "has values that are no rows: its root is no struct".to_owned(),
        ));
    };
    if walk.next != types.len() {
        return Err(corrupt("a type of its footer belongs to no column"));
    }
    let names = columns.iter().map(|column| column.name.as_str());
    if names.eq(ACID) {
        return Err(OrcError::Unread(
            "has the changes of a transactional Hive table, whose rows only Hive can put together: copy the table into one that is not transactional".to_owned(),
        ));
    }
    Ok(columns)
}

struct Walk<'a> {
    types: &'a [proto::Type],
    next: usize,
}

impl Walk<'_> {
    /// The next type, which has the number `id`.
    fn take(&mut self, id: u32, path: &str, depth: usize) -> Result<Column, OrcError> {
        let found = self
            .types
            .get(self.next)
            .filter(|_| self.next == id as usize);
        let Some(found) = found else {
            return Err(corrupt("the types of its footer are not in order"));
        };
        self.next += 1;
        if depth > MAX_SCHEMA_DEPTH {
            return Err(OrcError::Unread(format!(
                "has types nested deeper than {MAX_SCHEMA_DEPTH}"
            )));
        }
        let refused = |what: &str| OrcError::Column {
            column: path.to_owned(),
            what: what.to_owned(),
        };
        let kind = found.kind.and_then(|kind| Kind::try_from(kind).ok());
        let Some(kind) = kind else {
            let what = format!("of the unknown type {}", found.kind.unwrap_or(-1));
            return Err(refused(&what));
        };
        let parts = match kind {
            Kind::List => 1,
            Kind::Map => 2,
            Kind::Struct => found.field_names.len(),
            Kind::Union => {
                return Err(refused(
                    "a union, which tables do not have: write the file without it",
                ));
            }
            _ => 0,
        };
        if found.subtypes.len() != parts {
            return Err(corrupt(format!(
                "column `{path}` of type {} has {} parts",
                kind.as_str_name(),
                found.subtypes.len()
            )));
        }
        let mut parts = Vec::new();
        for (place, &id) in found.subtypes.iter().enumerate() {
            let (name, path) = match (kind, found.field_names.get(place)) {
                (Kind::Struct, Some(name)) if path.is_empty() => (name.as_str(), name.clone()),
                (Kind::Struct, Some(name)) => (name.as_str(), format!("{path}.{name}")),
                (Kind::List, _) => ("element", format!("{path}[]")),
                _ => (
                    ["key", "value"].get(place).copied().unwrap_or_default(),
                    format!("{path}{{}}"),
                ),
            };
            let part = self.take(id, &path, depth + 1)?;
            parts.push(Column {
                name: name.to_owned(),
                ..part
            });
        }
        let of = match kind {
            Kind::Boolean => Of::Boolean,
            Kind::Byte => Of::Byte,
            Kind::Short => Of::Short,
            Kind::Int => Of::Int,
            Kind::Long => Of::Long,
            Kind::Float => Of::Float,
            Kind::Double => Of::Double,
            Kind::String | Kind::Varchar | Kind::Char => Of::String,
            Kind::Binary => Of::Binary,
            Kind::Date => Of::Date,
            Kind::Timestamp => Of::Timestamp { instant: false },
            Kind::TimestampInstant => Of::Timestamp { instant: true },
            Kind::Decimal => decimal(found).map_err(|what| refused(&what))?,
            Kind::Struct if parts.is_empty() => {
                return Err(refused("a struct without fields"));
            }
            Kind::Struct => Of::Struct(parts),
            Kind::List | Kind::Map | Kind::Union => {
                let mut parts = parts.into_iter();
                match (parts.next(), parts.next()) {
                    (Some(element), None) => Of::List(Box::new(element)),
                    (Some(key), Some(value)) => Of::Map(Box::new([key, value])),
                    _ => return Err(corrupt(format!("column `{path}` has no parts"))),
                }
            }
        };
        if let Of::Map(parts) = &of
            && matches!(parts[0].of, Of::Struct(_) | Of::List(_) | Of::Map(_))
        {
            return Err(refused("a map whose keys are not single values"));
        }
        Ok(Column {
            id,
            name: String::new(),
            of,
        })
    }
}

fn decimal(found: &proto::Type) -> Result<Of, String> {
    let (precision, scale) = (found.precision(), found.scale());
    match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(precision @ 1..=DECIMAL128_MAX_PRECISION), Ok(scale)) if scale <= precision => {
            Ok(Of::Decimal { precision, scale })
        }
        _ => Err(format!(
            "a decimal of the precision {precision} and the scale {scale}, which tables do not have"
        )),
    }
}

impl Column {
    /// The type in which it is read.
    pub(super) fn data_type(&self) -> DataType {
        match &self.of {
            Of::Boolean => DataType::Boolean,
            Of::Byte => DataType::Int8,
            Of::Short => DataType::Int16,
            Of::Int => DataType::Int32,
            Of::Long => DataType::Int64,
            Of::Float => DataType::Float32,
            Of::Double => DataType::Float64,
            Of::String => DataType::Utf8,
            Of::Binary => DataType::Binary,
            Of::Date => DataType::Date32,
            Of::Timestamp { instant } => {
                DataType::Timestamp(TimeUnit::Microsecond, instant.then(|| "UTC".into()))
            }
            Of::Decimal { precision, scale } => {
                DataType::Decimal128(*precision, i8::try_from(*scale).unwrap_or(i8::MAX))
            }
            Of::Struct(fields) => DataType::Struct(fields_of(fields)),
            Of::List(element) => DataType::List(Arc::new(element.field(true))),
            Of::Map(entries) => {
                let [key, value] = entries.as_ref();
                let entries = Fields::from(vec![key.field(false), value.field(true)]);
                let entries = Field::new("key_value", DataType::Struct(entries), false);
                DataType::Map(Arc::new(entries), false)
            }
        }
    }

    pub(super) fn field(&self, is_nullable: bool) -> Field {
        Field::new(&self.name, self.data_type(), is_nullable)
    }

    /// Whether a time without a zone is in it.
    pub(super) fn has_local_times(&self) -> bool {
        match &self.of {
            Of::Timestamp { instant } => !instant,
            Of::Struct(fields) => fields.iter().any(Self::has_local_times),
            Of::List(element) => element.has_local_times(),
            Of::Map(entries) => entries.iter().any(Self::has_local_times),
            _ => false,
        }
    }
}

pub(super) fn fields_of(columns: &[Column]) -> Fields {
    columns.iter().map(|column| column.field(true)).collect()
}

pub(super) fn schema_of(columns: &[Column]) -> Schema {
    Schema::new(fields_of(columns))
}
