//! Primitive types, and the narrowest type that holds the values of two.

use std::sync::Arc;

use parquet::{
    basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical},
    schema::types::{Type, TypePtr},
};

use super::{Fault, SchemaReason};

/// How each value of a column is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// Not at all: the bytes are the same.
    Same,
    /// From 32 bits to 64, signed or unsigned.
    Integer { signed: bool },
    /// From FLOAT to DOUBLE.
    Float,
    /// A time to a finer unit: multiplied by this factor.
    Times(i64),
    /// From INT96 to this unit since 1970.
    Int96(Unit),
    /// A decimal to this number of bytes.
    Decimal(usize),
}

/// The unit of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// How many of this unit make a second.
    pub(crate) fn of_a_second(self) -> i64 {
        match self {
            Self::Millis => 1_000,
            Self::Micros => 1_000_000,
            Self::Nanos => 1_000_000_000,
        }
    }
}

/// The meaning of a value, from whichever of the two annotations is present.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    Signed(i8),
    Unsigned(i8),
    Decimal {
        precision: i32,
        scale: i32,
    },
    Timestamp {
        utc: bool,
        unit: Unit,
    },
    Int96,
    /// A type that is only compatible with itself.
    Alone(Option<LogicalType>, ConvertedType),
}

fn unit(unit: TimeUnit) -> Unit {
    match unit {
        TimeUnit::MILLIS => Unit::Millis,
        TimeUnit::MICROS => Unit::Micros,
        TimeUnit::NANOS => Unit::Nanos,
    }
}

fn meaning(node: &Type) -> Meaning {
    let info = node.get_basic_info();
    let physical = node.get_physical_type();
    match (info.logical_type_ref(), info.converted_type()) {
        (Some(LogicalType::Integer(int)), _) if int.is_signed => Meaning::Signed(int.bit_width),
        (Some(LogicalType::Integer(int)), _) => Meaning::Unsigned(int.bit_width),
        (Some(LogicalType::Decimal(_)), _) | (None, ConvertedType::DECIMAL) => Meaning::Decimal {
            precision: node.get_precision(),
            scale: node.get_scale(),
        },
        (Some(LogicalType::Timestamp(timestamp)), _) => Meaning::Timestamp {
            utc: timestamp.is_adjusted_to_u_t_c,
            unit: unit(timestamp.unit),
        },
        (None, ConvertedType::TIMESTAMP_MILLIS) => Meaning::Timestamp {
            utc: true,
            unit: Unit::Millis,
        },
        (None, ConvertedType::TIMESTAMP_MICROS) => Meaning::Timestamp {
            utc: true,
            unit: Unit::Micros,
        },
        (None, ConvertedType::INT_8) => Meaning::Signed(8),
        (None, ConvertedType::INT_16) => Meaning::Signed(16),
        (None, ConvertedType::INT_32) => Meaning::Signed(32),
        (None, ConvertedType::INT_64) => Meaning::Signed(64),
        (None, ConvertedType::UINT_8) => Meaning::Unsigned(8),
        (None, ConvertedType::UINT_16) => Meaning::Unsigned(16),
        (None, ConvertedType::UINT_32) => Meaning::Unsigned(32),
        (None, ConvertedType::UINT_64) => Meaning::Unsigned(64),
        (None, ConvertedType::NONE) => match physical {
            Physical::INT32 => Meaning::Signed(32),
            Physical::INT64 => Meaning::Signed(64),
            Physical::INT96 => Meaning::Int96,
            _ => Meaning::Alone(None, ConvertedType::NONE),
        },
        // Either annotation may be missing. The converted type follows from the logical type where it can express it.
        (None, converted) => Meaning::Alone(logical_of(converted), converted),
        (Some(logical), _) => Meaning::Alone(
            Some(logical.clone()),
            ConvertedType::from(Some(logical.clone())),
        ),
    }
}

fn logical_of(converted: ConvertedType) -> Option<LogicalType> {
    Some(match converted {
        ConvertedType::UTF8 => LogicalType::String,
        ConvertedType::ENUM => LogicalType::Enum,
        ConvertedType::JSON => LogicalType::Json,
        ConvertedType::BSON => LogicalType::Bson,
        ConvertedType::DATE => LogicalType::Date,
        ConvertedType::TIME_MILLIS => LogicalType::time(true, TimeUnit::MILLIS),
        ConvertedType::TIME_MICROS => LogicalType::time(true, TimeUnit::MICROS),
        _ => return None,
    })
}

/// The narrowest type that holds the values of both.
pub(super) fn wider(
    a: &TypePtr,
    b: &TypePtr,
    repetition: Repetition,
    id: Option<i32>,
) -> Result<TypePtr, Fault> {
    let refused = || Fault::new(SchemaReason::Types(described(a), described(b)));
    let (physical_a, physical_b) = (a.get_physical_type(), b.get_physical_type());
    let (meaning_a, meaning_b) = (meaning(a), meaning(b));
    let same_bytes = physical_a == physical_b
        && (physical_a != Physical::FIXED_LEN_BYTE_ARRAY || length(a) == length(b));
    if same_bytes && meaning_a == meaning_b {
        // The logical type is more precise.
        let has_logical = a.get_basic_info().logical_type_ref().is_some();
        return with_repetition(if has_logical { a } else { b }, repetition, id)
            .map(|node| renamed(&node, a))?;
    }
    let node = match (&meaning_a, &meaning_b) {
        (Meaning::Signed(one), Meaning::Signed(other))
        | (Meaning::Unsigned(one), Meaning::Unsigned(other)) => {
            if one >= other {
                a
            } else {
                b
            }
        }
        (
            Meaning::Decimal {
                precision: one,
                scale: scale_a,
            },
            Meaning::Decimal {
                precision: other,
                scale: scale_b,
            },
        ) if scale_a == scale_b => {
            return wider_decimal((a, b), (*one).max(*other), *scale_a, repetition, id);
        }
        (
            Meaning::Timestamp {
                utc: utc_a,
                unit: one,
            },
            Meaning::Timestamp {
                utc: utc_b,
                unit: other,
            },
        ) if utc_a == utc_b => {
            if one >= other {
                a
            } else {
                b
            }
        }
        // An INT96 counts nanoseconds, but writers use at most microseconds.
        (Meaning::Int96, Meaning::Timestamp { utc, unit })
        | (Meaning::Timestamp { utc, unit }, Meaning::Int96) => {
            let unit = match unit {
                Unit::Millis | Unit::Micros => TimeUnit::MICROS,
                Unit::Nanos => TimeUnit::NANOS,
            };
            let node = Type::primitive_type_builder(a.name(), Physical::INT64)
                .with_repetition(repetition)
                .with_logical_type(Some(LogicalType::timestamp(*utc, unit)))
                .with_id(id)
                .build()?;
            return Ok(Arc::new(node));
        }
        (Meaning::Alone(None, ConvertedType::NONE), Meaning::Alone(None, ConvertedType::NONE))
            if matches!(
                (physical_a, physical_b),
                (Physical::FLOAT, Physical::DOUBLE) | (Physical::DOUBLE, Physical::FLOAT)
            ) =>
        {
            if physical_a == Physical::DOUBLE {
                a
            } else {
                b
            }
        }
        _ => return Err(refused()),
    };
    let node = with_repetition(node, repetition, id)?;
    renamed(&node, a)
}

/// The narrowest decimal of this scale that holds the values of both.
fn wider_decimal(
    (a, b): (&TypePtr, &TypePtr),
    precision: i32,
    scale: i32,
    repetition: Repetition,
    id: Option<i32>,
) -> Result<TypePtr, Fault> {
    match (a.get_physical_type(), b.get_physical_type()) {
        (one, other) if one == other => {}
        (Physical::BYTE_ARRAY, _) | (_, Physical::BYTE_ARRAY) if precision <= MOST_DIGITS => {
            let own = |node: &Type| match node.get_physical_type() {
                Physical::BYTE_ARRAY => 0,
                _ => length(node),
            };
            let length = own(a).max(own(b)).max(bytes_of(precision));
            return fixed(a, (precision, scale), length, repetition, id);
        }
        (Physical::INT32, Physical::INT64) | (Physical::INT64, Physical::INT32) => {}
        (Physical::FIXED_LEN_BYTE_ARRAY, Physical::INT32 | Physical::INT64)
        | (Physical::INT32 | Physical::INT64, Physical::FIXED_LEN_BYTE_ARRAY) => {
            let length = length(a).max(length(b)).max(bytes_of(precision));
            return fixed(a, (precision, scale), length, repetition, id);
        }
        _ => return Err(Fault::new(SchemaReason::Types(described(a), described(b)))),
    }
    let size = |node: &Type| match node.get_physical_type() {
        Physical::INT32 => 4,
        Physical::INT64 => 8,
        _ => length(node),
    };
    decimal(
        if size(a) >= size(b) { a } else { b },
        precision,
        repetition,
        id,
    )
    .and_then(|node| renamed(&node, a))
}

/// A decimal of fixed-length bytes.
fn fixed(
    named: &Type,
    (precision, scale): (i32, i32),
    length: i32,
    repetition: Repetition,
    id: Option<i32>,
) -> Result<TypePtr, Fault> {
    let node = Type::primitive_type_builder(named.name(), Physical::FIXED_LEN_BYTE_ARRAY)
        .with_repetition(repetition)
        .with_logical_type(Some(LogicalType::decimal(scale, precision)))
        .with_length(length)
        .with_precision(precision)
        .with_scale(scale)
        .with_id(id)
        .build()?;
    Ok(Arc::new(node))
}

/// The highest decimal precision that all readers support.
const MOST_DIGITS: i32 = 38;

/// The same column with fixed-length decimals in place of decimals of variable length, which few readers support.
pub(super) fn fixed_decimals(node: &TypePtr) -> Result<TypePtr, Fault> {
    let info = node.get_basic_info();
    let id = info.has_id().then(|| info.id());
    if node.is_primitive() {
        return match meaning(node) {
            Meaning::Decimal { precision, scale }
                if node.get_physical_type() == Physical::BYTE_ARRAY && precision <= MOST_DIGITS =>
            {
                let length = bytes_of(precision);
                fixed(node, (precision, scale), length, info.repetition(), id)
            }
            _ => Ok(Arc::clone(node)),
        };
    }
    let fields = node.get_fields().iter().map(fixed_decimals);
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    if fields == node.get_fields() || super::meaning(node).is_some() {
        return Ok(Arc::clone(node));
    }
    let group = Type::group_type_builder(node.name())
        .with_repetition(info.repetition())
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned())
        .with_id(id)
        .with_fields(fields)
        .build()?;
    Ok(Arc::new(group))
}

/// The number of bytes that every number of this precision fits into.
fn bytes_of(precision: i32) -> i32 {
    let fits = |bytes: &i32| {
        let digits = u32::try_from(precision).unwrap_or(0);
        let least = 10_i128.checked_pow(digits);
        let room = 1_i128
            .checked_shl(u32::try_from(8 * bytes - 1).unwrap_or(0))
            .filter(|room| *room > 0);
        least
            .zip(room)
            .is_some_and(|(least, room)| room >= least || *bytes == 16)
    };
    (1..=16).find(fits).unwrap_or(16)
}

/// The length of a `FIXED_LEN_BYTE_ARRAY`, in bytes.
fn length(node: &Type) -> i32 {
    match node {
        Type::PrimitiveType { type_length, .. } => *type_length,
        Type::GroupType { .. } => 0,
    }
}

fn renamed(node: &TypePtr, name: &Type) -> Result<TypePtr, Fault> {
    if node.name() == name.name() {
        return Ok(Arc::clone(node));
    }
    let info = node.get_basic_info();
    build(
        node,
        name.name(),
        node.get_precision_or(-1),
        info.repetition(),
        info.has_id().then(|| info.id()),
    )
}

pub(super) fn with_repetition(
    node: &Type,
    repetition: Repetition,
    id: Option<i32>,
) -> Result<TypePtr, Fault> {
    build(node, node.name(), node.get_precision_or(-1), repetition, id)
}

fn decimal(
    node: &Type,
    precision: i32,
    repetition: Repetition,
    id: Option<i32>,
) -> Result<TypePtr, Fault> {
    build(node, node.name(), precision, repetition, id)
}

trait Precision {
    fn get_precision_or(&self, none: i32) -> i32;
}

impl Precision for Type {
    fn get_precision_or(&self, none: i32) -> i32 {
        match self {
            Self::PrimitiveType { precision, .. } => *precision,
            Self::GroupType { .. } => none,
        }
    }
}

fn build(
    node: &Type,
    name: &str,
    precision: i32,
    repetition: Repetition,
    id: Option<i32>,
) -> Result<TypePtr, Fault> {
    let info = node.get_basic_info();
    let (scale, length) = match node {
        Type::PrimitiveType {
            scale, type_length, ..
        } => (*scale, *type_length),
        Type::GroupType { .. } => (-1, -1),
    };
    let logical = match info.logical_type_ref() {
        Some(LogicalType::Decimal(_)) => Some(LogicalType::decimal(scale, precision)),
        other => other.cloned(),
    };
    let node = Type::primitive_type_builder(name, node.get_physical_type())
        .with_repetition(repetition)
        .with_converted_type(info.converted_type())
        .with_logical_type(logical)
        .with_length(length)
        .with_precision(precision)
        .with_scale(scale)
        .with_id(id)
        .build()?;
    Ok(Arc::new(node))
}

/// A type in Parquet's terms.
pub(super) fn described(node: &Type) -> String {
    let info = node.get_basic_info();
    let physical = match node.get_physical_type() {
        Physical::FIXED_LEN_BYTE_ARRAY => format!("FIXED_LEN_BYTE_ARRAY({})", length(node)),
        physical => physical.to_string(),
    };
    match (info.logical_type_ref(), info.converted_type()) {
        (Some(logical), _) => format!("{physical} {logical:?}"),
        (None, ConvertedType::NONE) => physical,
        (None, converted) => format!("{physical} {converted}"),
    }
}

/// How values of `from` become values of `to`, which [`wider`] returned for it.
pub(super) fn conversion(from: &Type, to: &Type) -> Result<Conversion, Fault> {
    let refused = || Fault::new(SchemaReason::Types(described(from), described(to)));
    let (physical_from, physical_to) = (from.get_physical_type(), to.get_physical_type());
    Ok(match (meaning(from), meaning(to)) {
        (Meaning::Int96, Meaning::Timestamp { unit, .. }) => Conversion::Int96(unit),
        (Meaning::Timestamp { unit: one, .. }, Meaning::Timestamp { unit: other, .. }) => {
            match other.of_a_second() / one.of_a_second() {
                1 => Conversion::Same,
                0 => return Err(refused()),
                factor => Conversion::Times(factor),
            }
        }
        (meaning, _) => match (physical_from, physical_to) {
            (Physical::FIXED_LEN_BYTE_ARRAY, Physical::FIXED_LEN_BYTE_ARRAY)
                if length(from) != length(to) =>
            {
                Conversion::Decimal(usize::try_from(length(to)).map_err(|_| refused())?)
            }
            (
                Physical::INT32 | Physical::INT64 | Physical::BYTE_ARRAY,
                Physical::FIXED_LEN_BYTE_ARRAY,
            ) => Conversion::Decimal(usize::try_from(length(to)).map_err(|_| refused())?),
            (one, other) if one == other => Conversion::Same,
            (Physical::INT32, Physical::INT64) => Conversion::Integer {
                signed: !matches!(meaning, Meaning::Unsigned(_)),
            },
            (Physical::FLOAT, Physical::DOUBLE) => Conversion::Float,
            _ => return Err(refused()),
        },
    })
}
