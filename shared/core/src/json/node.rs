//! The tree of columns of a schema.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array, Float32Array,
        Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, ListArray, MapArray,
        NullArray, StringArray, StructArray, TimestampMicrosecondArray, TimestampMillisecondArray,
        TimestampNanosecondArray,
    },
    buffer::ScalarBuffer,
    datatypes::{DataType, FieldRef, Fields, TimeUnit},
    error::ArrowError,
};

use super::{
    SchemaError,
    buffers::{Fixed, Nulls, Offsets, Text},
    keys::Keys,
};

/// The meaning of an object's key for a [`StructNode`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// The index of the entry in [`StructNode::seen`] (and of the column, if there is one).
    pub(super) slot: Option<u32>,
    pub(super) timestamp: OnPath,
}

/// The relation of a key to the path of the timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnPath {
    No,
    /// Its value is the timestamp.
    Here,
    /// The timestamp is inside its value, by the path from this segment on.
    Above(u32),
}

impl OnPath {
    /// The relation of a key, in lower case, to the path from `segment` on. A key may have dots, so it may be several
    /// segments.
    pub(super) fn of(key: &str, path: &[String], segment: usize) -> Self {
        let mut rest = key;
        for (index, part) in path.iter().enumerate().skip(segment) {
            let Some(after) = rest.strip_prefix(part.as_str()) else {
                break;
            };
            if after.is_empty() {
                return if index + 1 == path.len() {
                    Self::Here
                } else {
                    Self::Above(u32::try_from(index + 1).unwrap_or(u32::MAX))
                };
            }
            let Some(after) = after.strip_prefix('.') else {
                break;
            };
            rest = after;
        }
        Self::No
    }
}

/// Whether an object has a key for a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    No,
    /// The position of the key's quote.
    At(usize),
    /// There were several keys that differ in case; the column is null.
    Collided,
}

/// The columns of an object's fields.
#[derive(Debug)]
pub(super) struct StructNode {
    pub(super) fields: Fields,
    pub(super) columns: Vec<Node>,
    /// One entry for each column, and one for each key on the timestamp's path that may have no column.
    pub(super) seen: Vec<Seen>,
    pub(super) keys: Keys<Target>,
    /// Maps lower-case names to columns.
    pub(super) names: HashMap<String, usize>,
    /// The segment of the timestamp's path that is searched for here.
    pub(super) segment: Option<usize>,
    pub(super) nulls: Nulls,
}

impl StructNode {
    /// `path` is the timestamp's path in lower case; its segment `segment` is searched for here.
    pub(super) fn new(
        fields: &Fields,
        path: &[String],
        segment: Option<usize>,
    ) -> Result<Self, SchemaError> {
        let mut names: HashMap<String, usize> = HashMap::new();
        let mut columns = Vec::with_capacity(fields.len());
        for (index, field) in fields.iter().enumerate() {
            let name = field.name().to_lowercase();
            let below = match segment.map(|segment| OnPath::of(&name, path, segment)) {
                Some(OnPath::Above(below)) => Some(below as usize),
                _ => None,
            };
            columns.push(Node::new(field, path, below)?);
            if let Some(&first) = names.get(&name) {
                return Err(SchemaError::Collision {
                    first: fields
                        .get(first)
                        .map_or_else(String::new, |f| f.name().clone()),
                    second: field.name().clone(),
                });
            }
            names.insert(name, index);
        }
        Ok(Self {
            fields: fields.clone(),
            seen: vec![Seen::No; columns.len() + path.len().max(1)],
            columns,
            keys: Keys::new(),
            names,
            segment,
            nulls: Nulls::new(0),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.nulls.len()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        for column in &mut self.columns {
            column.truncate(len);
        }
        self.nulls.truncate(len);
    }

    pub(super) fn bytes(&self) -> usize {
        self.columns.iter().map(Node::bytes).sum::<usize>() + self.nulls.allocated_size()
    }

    pub(super) fn take_columns(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.columns.iter_mut().map(Node::take).collect()
    }
}

/// A column by its type.
#[derive(Debug)]
pub(super) enum Node {
    Boolean(BooleanBufferBuilder, Nulls),
    /// All integer types, with the target type.
    Integer(Fixed<i64>, DataType),
    Float32(Fixed<f32>),
    Float64(Fixed<f64>),
    Decimal(Fixed<i128>, u8, u8),
    Date(Fixed<i32>),
    Timestamp(Fixed<i64>, TimeUnit, Option<Arc<str>>),
    Utf8(Text),
    Binary(Text),
    Struct(Box<StructNode>),
    List(Box<ListNode>),
    Map(Box<MapNode>),
    /// A column whose values are dropped; the number of rows.
    Nothing(usize),
}

/// Lists of one element type.
#[derive(Debug)]
pub(super) struct ListNode {
    pub(super) field: FieldRef,
    pub(super) element: Node,
    pub(super) offsets: Offsets,
    pub(super) nulls: Nulls,
}

/// Maps.
#[derive(Debug)]
pub(super) struct MapNode {
    /// The field of the entries, a struct with two fields.
    pub(super) entries: FieldRef,
    pub(super) fields: Fields,
    pub(super) sorted: bool,
    pub(super) key: Node,
    pub(super) value: Node,
    pub(super) offsets: Offsets,
    pub(super) nulls: Nulls,
}

impl Node {
    fn new(field: &FieldRef, path: &[String], below: Option<usize>) -> Result<Self, SchemaError> {
        let unsupported = || SchemaError::Unsupported {
            column: field.name().clone(),
            data_type: field.data_type().clone(),
        };
        Ok(match field.data_type() {
            DataType::Boolean => Self::Boolean(BooleanBufferBuilder::new(0), Nulls::new(0)),
            integer @ (DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64) => {
                Self::Integer(Fixed::new(), integer.clone())
            }
            DataType::Float32 => Self::Float32(Fixed::new()),
            DataType::Float64 => Self::Float64(Fixed::new()),
            DataType::Decimal128(precision, scale) => Self::Decimal(
                Fixed::new(),
                *precision,
                u8::try_from(*scale).map_err(|_| unsupported())?,
            ),
            DataType::Date32 => Self::Date(Fixed::new()),
            DataType::Timestamp(unit, zone) if *unit != TimeUnit::Second => {
                Self::Timestamp(Fixed::new(), *unit, zone.clone())
            }
            DataType::Utf8 => Self::Utf8(Text::new()),
            DataType::Binary => Self::Binary(Text::new()),
            DataType::Struct(fields) => {
                Self::Struct(Box::new(StructNode::new(fields, path, below)?))
            }
            DataType::List(element) => Self::List(Box::new(ListNode {
                field: element.clone(),
                element: Self::new(element, path, None)?,
                offsets: Offsets::new(),
                nulls: Nulls::new(0),
            })),
            DataType::Map(entries, sorted) => {
                let DataType::Struct(fields) = entries.data_type() else {
                    return Err(unsupported());
                };
                let [key, value] = fields.as_ref() else {
                    return Err(unsupported());
                };
                Self::Map(Box::new(MapNode {
                    entries: entries.clone(),
                    fields: fields.clone(),
                    sorted: *sorted,
                    key: Self::new(key, path, None)?,
                    value: Self::new(value, path, None)?,
                    offsets: Offsets::new(),
                    nulls: Nulls::new(0),
                }))
            }
            DataType::Null => Self::Nothing(0),
            _ => return Err(unsupported()),
        })
    }

    /// The type's name in Hive's terms.
    pub(super) fn type_name(&self) -> Cow<'static, str> {
        let name = match self {
            Self::Boolean(..) => "boolean",
            Self::Integer(_, DataType::Int8) => "tinyint",
            Self::Integer(_, DataType::Int16) => "smallint",
            Self::Integer(_, DataType::Int32) => "int",
            Self::Integer(..) => "bigint",
            Self::Float32(_) => "float",
            Self::Float64(_) => "double",
            Self::Decimal(_, precision, scale) => {
                return format!("decimal({precision},{scale})").into();
            }
            Self::Date(_) => "date",
            Self::Timestamp(..) => "timestamp",
            Self::Utf8(_) => "string",
            Self::Binary(_) => "binary",
            Self::Struct(node) => {
                let fields = node.fields.iter().zip(&node.columns);
                let fields =
                    fields.map(|(field, of)| format!("{}:{}", field.name(), of.type_name()));
                return format!("struct<{}>", fields.collect::<Vec<_>>().join(",")).into();
            }
            Self::Nothing(_) => "void",
            Self::List(node) => return format!("array<{}>", node.element.type_name()).into(),
            Self::Map(node) => {
                let (key, value) = (node.key.type_name(), node.value.type_name());
                return format!("map<{key},{value}>").into();
            }
        };
        name.into()
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Boolean(_, nulls) => nulls.len(),
            Self::Integer(column, _) | Self::Timestamp(column, ..) => column.values.len(),
            Self::Float32(column) => column.values.len(),
            Self::Float64(column) => column.values.len(),
            Self::Decimal(column, ..) => column.values.len(),
            Self::Date(column) => column.values.len(),
            Self::Utf8(text) | Self::Binary(text) => text.nulls.len(),
            Self::Struct(node) => node.len(),
            Self::List(node) => node.nulls.len(),
            Self::Map(node) => node.nulls.len(),
            Self::Nothing(len) => *len,
        }
    }

    pub(super) fn push_null(&mut self) {
        match self {
            Self::Boolean(values, nulls) => {
                values.append(false);
                nulls.append_null();
            }
            Self::Integer(column, _) | Self::Timestamp(column, ..) => column.push(None),
            Self::Float32(column) => column.push(None),
            Self::Float64(column) => column.push(None),
            Self::Decimal(column, ..) => column.push(None),
            Self::Date(column) => column.push(None),
            Self::Utf8(text) | Self::Binary(text) => text.push_null(),
            Self::Struct(node) => {
                node.columns.iter_mut().for_each(Self::push_null);
                node.nulls.append_null();
            }
            Self::Nothing(len) => *len += 1,
            Self::List(node) => {
                node.offsets.push_empty();
                node.nulls.append_null();
            }
            Self::Map(node) => {
                node.offsets.push_empty();
                node.nulls.append_null();
            }
        }
    }

    /// Truncates to the first `len` values, even if the next one is incomplete.
    pub(super) fn truncate(&mut self, len: usize) {
        match self {
            Self::Boolean(values, nulls) => {
                values.truncate(len);
                nulls.truncate(len);
            }
            Self::Integer(column, _) | Self::Timestamp(column, ..) => column.truncate(len),
            Self::Float32(column) => column.truncate(len),
            Self::Float64(column) => column.truncate(len),
            Self::Decimal(column, ..) => column.truncate(len),
            Self::Date(column) => column.truncate(len),
            Self::Utf8(text) | Self::Binary(text) => text.truncate(len),
            Self::Struct(node) => node.truncate(len),
            Self::Nothing(count) => *count = len.min(*count),
            Self::List(node) => {
                node.element.truncate(node.offsets.truncate(len));
                node.nulls.truncate(len);
            }
            Self::Map(node) => {
                let entries = node.offsets.truncate(len);
                node.key.truncate(entries);
                node.value.truncate(entries);
                node.nulls.truncate(len);
            }
        }
    }

    /// The memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Boolean(values, nulls) => values.capacity() / 8 + nulls.allocated_size(),
            Self::Integer(column, _) | Self::Timestamp(column, ..) => column.bytes(),
            Self::Float32(column) => column.bytes(),
            Self::Float64(column) => column.bytes(),
            Self::Decimal(column, ..) => column.bytes(),
            Self::Date(column) => column.bytes(),
            Self::Utf8(text) | Self::Binary(text) => text.bytes(),
            Self::Struct(node) => node.bytes(),
            Self::Nothing(_) => 0,
            Self::List(node) => {
                node.element.bytes() + node.offsets.bytes() + node.nulls.allocated_size()
            }
            Self::Map(node) => {
                node.key.bytes()
                    + node.value.bytes()
                    + node.offsets.bytes()
                    + node.nulls.allocated_size()
            }
        }
    }

    /// Returns the values as an array and resets the column.
    pub(super) fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        /// An array of fixed-width values.
        macro_rules! fixed {
            ($array:ty, $taken:expr) => {{
                let (values, nulls) = $taken;
                <$array>::try_new(ScalarBuffer::from(values), nulls)?
            }};
        }
        Ok(match self {
            Self::Boolean(values, nulls) => {
                Arc::new(BooleanArray::new(values.finish(), nulls.finish()))
            }
            Self::Integer(column, DataType::Int8) => Arc::new(fixed!(Int8Array, column.take_as())),
            Self::Integer(column, DataType::Int16) => {
                Arc::new(fixed!(Int16Array, column.take_as()))
            }
            Self::Integer(column, DataType::Int32) => {
                Arc::new(fixed!(Int32Array, column.take_as()))
            }
            Self::Integer(column, _) => Arc::new(fixed!(Int64Array, column.take())),
            Self::Float32(column) => Arc::new(fixed!(Float32Array, column.take())),
            Self::Float64(column) => Arc::new(fixed!(Float64Array, column.take())),
            Self::Decimal(column, precision, scale) => {
                let scale = i8::try_from(*scale)
                    .map_err(|error| ArrowError::InvalidArgumentError(error.to_string()))?;
                let array = fixed!(Decimal128Array, column.take());
                Arc::new(array.with_precision_and_scale(*precision, scale)?)
            }
            Self::Date(column) => Arc::new(fixed!(Date32Array, column.take())),
            Self::Timestamp(column, TimeUnit::Nanosecond, zone) => Arc::new(
                fixed!(TimestampNanosecondArray, column.take()).with_timezone_opt(zone.clone()),
            ),
            Self::Timestamp(column, TimeUnit::Millisecond, zone) => Arc::new(
                fixed!(TimestampMillisecondArray, column.take()).with_timezone_opt(zone.clone()),
            ),
            Self::Timestamp(column, _, zone) => Arc::new(
                fixed!(TimestampMicrosecondArray, column.take()).with_timezone_opt(zone.clone()),
            ),
            Self::Utf8(text) => {
                let (offsets, values, nulls) = text.take();
                Arc::new(StringArray::try_new(offsets, values, nulls)?)
            }
            Self::Binary(text) => text.take_binary()?,
            Self::Nothing(len) => Arc::new(NullArray::new(std::mem::take(len))),
            Self::Struct(node) => {
                let len = node.len();
                let columns = node.take_columns()?;
                let nulls = node.nulls.finish();
                Arc::new(StructArray::try_new_with_length(
                    node.fields.clone(),
                    columns,
                    nulls,
                    len,
                )?)
            }
            Self::List(node) => Arc::new(ListArray::try_new(
                node.field.clone(),
                node.offsets.take(),
                node.element.take()?,
                node.nulls.finish(),
            )?),
            Self::Map(node) => {
                let columns = vec![node.key.take()?, node.value.take()?];
                Arc::new(MapArray::try_new(
                    node.entries.clone(),
                    node.offsets.take(),
                    StructArray::try_new(node.fields.clone(), columns, None)?,
                    node.nulls.finish(),
                    node.sorted,
                )?)
            }
        })
    }
}
