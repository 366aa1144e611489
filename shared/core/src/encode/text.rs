//! Values as text, if Arrow's own writers use another format than Athena, Spark and Hive read, or cannot report an
//! error.

use std::ops::RangeInclusive;

use crate::shown::quoted;
use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, MapArray, PrimitiveArray},
    compute::{max, min},
    datatypes::{
        DataType, Date32Type, Date64Type, FieldRef, Float32Type, Float64Type,
        Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
        TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
        TimestampSecondType,
    },
    error::ArrowError,
    json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::Offset,
};

/// Whether texts that are not numbers are in double quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    With,
    Without,
}

/// The forms of values in JSON.
#[derive(Debug)]
pub(super) struct JsonText;

impl EncoderFactory for JsonText {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        if let Some(map) = array.as_map_opt() {
            return Ok(Some(maps(field, map, options)?));
        }
        match array.data_type() {
            // JSON cannot represent NaN and infinity: Arrow's own encoder writes null.
            DataType::Float32 | DataType::Float64 => Ok(None),
            DataType::Time32(_) | DataType::Time64(_) => {
                check_times_of_day(array)?;
                Ok(None)
            }
            _ => scalars(array, Quotes::With),
        }
    }
}

/// An encoder of one value by its index.
struct Scalars<F> {
    quotes: Quotes,
    write: F,
}

impl<F: FnMut(usize, &mut Vec<u8>)> Encoder for Scalars<F> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        if self.quotes == Quotes::With {
            out.push(b'"');
        }
        (self.write)(index, out);
        if self.quotes == Quotes::With {
            out.push(b'"');
        }
    }
}

fn encoder<'a>(
    array: &'a dyn Array,
    quotes: Quotes,
    write: impl FnMut(usize, &mut Vec<u8>) + 'a,
) -> NullableEncoder<'a> {
    NullableEncoder::new(Box::new(Scalars { quotes, write }), array.nulls().cloned())
}

/// An encoder for times, dates, binary values and floating point numbers. `None` for other types.
pub(super) fn scalars(
    array: &dyn Array,
    quotes: Quotes,
) -> Result<Option<NullableEncoder<'_>>, ArrowError> {
    Ok(Some(match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            instants::<TimestampSecondType>(array, 1, quotes)?
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            instants::<TimestampMillisecondType>(array, 1_000, quotes)?
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            instants::<TimestampMicrosecondType>(array, 1_000_000, quotes)?
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            instants::<TimestampNanosecondType>(array, 1_000_000_000, quotes)?
        }
        DataType::Date32 => dates(array.as_primitive::<Date32Type>(), 1, quotes)?,
        DataType::Date64 => dates(array.as_primitive::<Date64Type>(), 86_400_000, quotes)?,
        DataType::Binary => {
            let values = array.as_binary::<i32>();
            encoder(array, quotes, |at, out| push_base64(values.value(at), out))
        }
        DataType::LargeBinary => {
            let values = array.as_binary::<i64>();
            encoder(array, quotes, |at, out| push_base64(values.value(at), out))
        }
        DataType::BinaryView => {
            let values = array.as_binary_view();
            encoder(array, quotes, |at, out| push_base64(values.value(at), out))
        }
        DataType::FixedSizeBinary(_) => {
            let values = array.as_fixed_size_binary();
            encoder(array, quotes, |at, out| push_base64(values.value(at), out))
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            encoder(array, quotes, |at, out| push_float(values.value(at), out))
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            encoder(array, quotes, |at, out| push_float(values.value(at), out))
        }
        _ => return Ok(None),
    }))
}

/// Instants, or local times, counted in units of `per_second`.
fn instants<T: ArrowPrimitiveType<Native = i64>>(
    array: &dyn Array,
    per_second: i64,
    quotes: Quotes,
) -> Result<NullableEncoder<'_>, ArrowError> {
    let values = array.as_primitive::<T>();
    let seconds = move |value: i64| value.div_euclid(per_second);
    check_range(values, seconds)?;
    Ok(encoder(array, quotes, move |at, out| {
        let value = values.value(at);
        let nanoseconds = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
        push_instant(seconds(value), nanoseconds.unsigned_abs(), out);
    }))
}

/// Dates, counted in parts of a day.
fn dates<T>(
    values: &PrimitiveArray<T>,
    per_day: i64,
    quotes: Quotes,
) -> Result<NullableEncoder<'_>, ArrowError>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i64>,
{
    let seconds = move |value: T::Native| {
        let days: i64 = value.into();
        days.div_euclid(per_day).saturating_mul(86_400)
    };
    check_range(values, seconds)?;
    Ok(encoder(values, quotes, move |at, out| {
        push_date(cycle_earlier(seconds(values.value(at))).date(), out);
    }))
}

/// The seconds since 1970 of the years 0 to 9999, which have four digits.
pub(crate) const FOUR_DIGIT_YEARS: RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

fn check_range<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    seconds: impl Fn(T::Native) -> i64,
) -> Result<(), ArrowError> {
    let outside = [min(values), max(values)]
        .into_iter()
        .flatten()
        .map(seconds)
        .find(|seconds| !FOUR_DIGIT_YEARS.contains(seconds));
    outside.map_or(Ok(()), |seconds| {
        Err(ArrowError::InvalidArgumentError(format!(
            "a time lies outside the years 0 to 9999 and cannot be written as text: in seconds from 1970, {}",
            quoted(&seconds.to_string())
        )))
    })
}

/// Checks times of day, because Arrow's own encoder writes an error message in place of an invalid one such as 24:00.
fn check_times_of_day(array: &dyn Array) -> Result<(), ArrowError> {
    fn check<T>(array: &dyn Array, per_second: i64) -> Result<(), ArrowError>
    where
        T: ArrowPrimitiveType,
        T::Native: Into<i64>,
    {
        let values = array.as_primitive::<T>();
        let outside = [min(values), max(values)]
            .into_iter()
            .flatten()
            .map(Into::into)
            .find(|count| !(0..86_400 * per_second).contains(count));
        outside.map_or(Ok(()), |count| {
            Err(ArrowError::InvalidArgumentError(format!(
                "a value is not a time of day and cannot be written as text: of {per_second} a second, {}",
                quoted(&count.to_string())
            )))
        })
    }
    match array.data_type() {
        DataType::Time32(TimeUnit::Second) => check::<Time32SecondType>(array, 1),
        DataType::Time32(_) => check::<Time32MillisecondType>(array, 1_000),
        DataType::Time64(TimeUnit::Microsecond) => check::<Time64MicrosecondType>(array, 1_000_000),
        _ => check::<Time64NanosecondType>(array, 1_000_000_000),
    }
}

/// The calendar repeats every 400 years, and jiff's instants end one day before the end of 9999, so times are looked up
/// one cycle earlier.
const CYCLE_YEARS: i16 = 400;
const CYCLE_SECONDS: i64 = 146_097 * 86_400;

/// The date, 400 years early, and the time of day.
fn cycle_earlier(seconds: i64) -> DateTime {
    // The range was checked, and is well within jiff's.
    let instant = Timestamp::from_second(seconds - CYCLE_SECONDS).unwrap_or_default();
    Offset::UTC.to_datetime(instant)
}

/// `yyyy-MM-dd HH:mm:ss.fff`, with six or nine fractional digits if three are not enough.
fn push_instant(seconds: i64, nanoseconds: u64, out: &mut Vec<u8>) {
    let time = cycle_earlier(seconds);
    push_date(time.date(), out);
    out.push(b' ');
    push_digits(time.hour().unsigned_abs().into(), 2, out);
    out.push(b':');
    push_digits(time.minute().unsigned_abs().into(), 2, out);
    out.push(b':');
    push_digits(time.second().unsigned_abs().into(), 2, out);
    out.push(b'.');
    match nanoseconds {
        whole if whole % 1_000_000 == 0 => push_digits(whole / 1_000_000, 3, out),
        whole if whole % 1_000 == 0 => push_digits(whole / 1_000, 6, out),
        whole => push_digits(whole, 9, out),
    }
}

/// A date that is [`cycle_earlier`].
fn push_date(date: Date, out: &mut Vec<u8>) {
    let year = date.year() + CYCLE_YEARS;
    push_digits(year.unsigned_abs().into(), 4, out);
    out.push(b'-');
    push_digits(date.month().unsigned_abs().into(), 2, out);
    out.push(b'-');
    push_digits(date.day().unsigned_abs().into(), 2, out);
}

fn push_digits(value: u64, digits: u32, out: &mut Vec<u8>) {
    for place in (0..digits).rev() {
        let digit = value / 10_u64.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

fn push_base64(value: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + value.len().div_ceil(3) * 4, 0);
    let text = out.get_mut(start..).unwrap_or_default();
    // The buffer has the size of the padded standard encoding, so this cannot fail.
    let written = STANDARD.encode_slice(value, text).unwrap_or(0);
    out.truncate(start + written);
}

/// Writes NaN and infinity as Java does, and so Hive and Spark.
fn push_float(value: impl zmij::Float + Into<f64> + std::fmt::Debug + Copy, out: &mut Vec<u8>) {
    // The range in which no writer uses an exponent.
    const USUAL: std::ops::Range<f64> = 1e-4..1e12;
    let wide: f64 = value.into();
    if USUAL.contains(&wide.abs()) {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
        return;
    }
    let text = if wide.is_nan() {
        "NaN".to_owned()
    } else if wide == f64::INFINITY {
        "Infinity".to_owned()
    } else if wide == f64::NEG_INFINITY {
        "-Infinity".to_owned()
    } else {
        format!("{value:?}")
    };
    out.extend_from_slice(text.as_bytes());
}

/// Maps as objects, with keys of any type that has a text form, and including entries whose value is null.
fn maps<'a>(
    field: &'a FieldRef,
    map: &'a MapArray,
    options: &'a EncoderOptions,
) -> Result<NullableEncoder<'a>, ArrowError> {
    let keys: &'a ArrayRef = map.keys();
    let (mut key, text) = match scalars(keys, Quotes::With)? {
        Some(key) => (key, true),
        None => (
            make_encoder(field, keys, options)?,
            is_text(keys.data_type()),
        ),
    };
    if keys.data_type().is_nested() || key.has_nulls() {
        return Err(ArrowError::JsonError(format!(
            "column `{}`: a map's keys must be single values and not null",
            field.name()
        )));
    }
    let mut values = make_encoder(field, map.values(), options)?;
    let offsets = map.offsets();
    let write = move |at: usize, out: &mut Vec<u8>| {
        let bounds = offsets.get(at..at + 2).unwrap_or_default();
        let [start, end] = [0, 1].map(|i| bounds.get(i).and_then(|&b| usize::try_from(b).ok()));
        out.push(b'{');
        for entry in start.unwrap_or(0)..end.unwrap_or(0) {
            if Some(entry) != start {
                out.push(b',');
            }
            if !text {
                out.push(b'"');
            }
            key.encode(entry, out);
            out.extend_from_slice(if text { b":" } else { b"\":" });
            if values.is_null(entry) {
                out.extend_from_slice(b"null");
            } else {
                values.encode(entry, out);
            }
        }
        out.push(b'}');
    };
    Ok(encoder(map, Quotes::Without, write))
}

/// Whether Arrow's encoder quotes values of the type.
fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    ) || data_type.is_temporal()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: impl zmij::Float + Into<f64> + std::fmt::Debug + Copy) -> String {
        let mut out = Vec::new();
        push_float(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn check<T>(value: T) -> Result<(), TestCaseError>
    where
        T: zmij::Float + Into<f64> + std::fmt::Debug + Copy + std::str::FromStr + PartialEq,
    {
        let (text, of_rust) = (written(value), format!("{value:?}"));
        prop_assert!(text.parse().is_ok_and(|read: T| read == value), "{}", text);
        // If two texts are equally near, they may end with different digits.
        prop_assert_eq!(text.len(), of_rust.len(), "{} {}", text, of_rust);
        Ok(())
    }

    proptest! {
        #[test]
        fn floats_have_their_shortest_form(bits: u64, exponent in -6_i32..18, cents: i32) {
            let near = f64::from_bits((bits % (1 << 52)) | (1023 << 52)) * 10_f64.powi(exponent);
            let bounds = [0.0, -0.0, 1e-4, 1e12, 1e13, 999_999_999_999.999_9, 9_999_999_999_999.998];
            for value in [near, -near, f64::from(cents) / 100.0].into_iter().chain(bounds) {
                check(value)?;
                #[expect(clippy::cast_possible_truncation, reason = "any single will do")]
                check(value as f32)?;
            }
        }
    }
}
