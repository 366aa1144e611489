//! Converts numbers and strings to the types of columns.

use arrow::datatypes::{DataType, TimeUnit};
use jiff::civil;

use super::{JsonScalar, fill::Filling, node::Node, number, record::Filled};

/// Pushes the value, if there is one. Returns whether there is.
#[inline]
fn put<T>(value: Option<T>, push: impl FnOnce(Option<T>)) -> bool {
    let fits = value.is_some();
    if fits {
        push(value);
    }
    fits
}

impl Filling<'_> {
    /// The number at `at`.
    #[inline]
    pub(super) fn number(&self, node: &mut Node, at: usize) -> Filled {
        let number = number::read(self.buf, at)?;
        let fits = match node {
            Node::Float64(column) => put(number.double(self.buf), |value| column.push(value)),
            Node::Integer(column, data_type) => put(
                number
                    .integer(self.buf)
                    .filter(|&value| in_range(value, data_type)),
                |value| column.push(value),
            ),
            Node::Decimal(column, precision, scale) => {
                put(number.decimal(self.buf, *precision, *scale), |value| {
                    column.push(value);
                })
            }
            Node::Float32(column) => put(number::float(self.text(at, number.end)), |value| {
                column.push(value);
            }),
            Node::Timestamp(column, unit, _) => {
                let text = str::from_utf8(self.text(at, number.end)).unwrap_or_default();
                put(self.timestamp(&JsonScalar::Number(text), *unit), |value| {
                    column.push(value);
                })
            }
            _ => false,
        };
        if fits {
            Ok(number.end)
        } else {
            self.mismatch(node, at)
        }
    }

    /// Appends the text of a string. Returns false if it does not fit.
    pub(super) fn string(&self, node: &mut Node, text: &str) -> bool {
        let bytes = text.as_bytes();
        match node {
            Node::Utf8(column) | Node::Binary(column) => column.push(bytes).is_ok(),
            Node::Boolean(values, nulls) => {
                let value = if text.eq_ignore_ascii_case("true") {
                    true
                } else if text.eq_ignore_ascii_case("false") {
                    false
                } else {
                    return false;
                };
                values.append(value);
                nulls.append_non_null();
                true
            }
            Node::Integer(column, data_type) => put(
                number::integer(bytes).filter(|&value| in_range(value, data_type)),
                |value| column.push(value),
            ),
            Node::Float64(column) => put(
                match text {
                    "NaN" => Some(f64::NAN),
                    "Infinity" => Some(f64::INFINITY),
                    "-Infinity" => Some(f64::NEG_INFINITY),
                    _ => number::double(bytes),
                },
                |value| column.push(value),
            ),
            Node::Float32(column) => put(
                match text {
                    "NaN" => Some(f32::NAN),
                    "Infinity" => Some(f32::INFINITY),
                    "-Infinity" => Some(f32::NEG_INFINITY),
                    _ => number::float(bytes),
                },
                |value| column.push(value),
            ),
            Node::Decimal(column, precision, scale) => {
                put(number::decimal(bytes, *precision, *scale), |value| {
                    column.push(value);
                })
            }
            Node::Date(column) => put(date(text), |value| column.push(value)),
            Node::Timestamp(column, unit, _) => put(
                self.timestamp(&JsonScalar::String(text.into()), *unit),
                |value| column.push(value),
            ),
            Node::Nothing(count) => {
                *count += 1;
                true
            }
            Node::Struct(_) | Node::List(_) | Node::Map(_) => false,
        }
    }

    fn timestamp(&self, scalar: &JsonScalar<'_>, unit: TimeUnit) -> Option<i64> {
        let micros = (self.options.parse_timestamp)(scalar)?;
        match unit {
            TimeUnit::Nanosecond => micros.checked_mul(1_000),
            TimeUnit::Millisecond => Some(micros.div_euclid(1_000)),
            _ => Some(micros),
        }
    }
}

fn in_range(value: i64, data_type: &DataType) -> bool {
    match data_type {
        DataType::Int8 => i8::try_from(value).is_ok(),
        DataType::Int16 => i16::try_from(value).is_ok(),
        DataType::Int32 => i32::try_from(value).is_ok(),
        _ => true,
    }
}

/// Parses a `yyyy-MM-dd` into days since 1970-01-01.
fn date(text: &str) -> Option<i32> {
    let (year, rest) = text.split_at_checked(4)?;
    let (month, day) = rest.strip_prefix('-')?.split_once('-')?;
    let number = |part: &str, digits: usize| {
        let plain = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| part.parse::<i16>().ok()).flatten()
    };
    let date = civil::Date::new(
        number(year, 4)?,
        i8::try_from(number(month, 2)?).ok()?,
        i8::try_from(number(day, 2)?).ok()?,
    )
    .ok()?;
    let days = date.since(civil::Date::constant(1970, 1, 1)).ok()?;
    Some(days.get_days())
}
