//! Floating point numbers in paths.

use arrow::{
    array::{ArrayRef, AsArray, StringArray},
    datatypes::{Float32Type, Float64Type},
};

/// Floating point numbers as text in a path; `None` for columns of other types.
pub fn floats(column: &ArrayRef) -> Option<StringArray> {
    if let Some(values) = column.as_primitive_opt::<Float64Type>() {
        let text = |value: f64| java(value, format!("{value:e}"), format!("{value:.1e}"));
        return Some(values.iter().map(|value| value.map(text)).collect());
    }
    let values = column.as_primitive_opt::<Float32Type>()?;
    let text = |value: f32| {
        java(
            f64::from(value),
            format!("{value:e}"),
            format!("{value:.1e}"),
        )
    };
    Some(values.iter().map(|value| value.map(text)).collect())
}

/// A floating point number as Java prints it, and so Spark: the fewest digits that read back as the same number, two at
/// the least. `shortest` and `two` are the number in scientific notation with the fewest digits and with two.
/// <https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/lang/Double.html#toString(double)>
fn java(value: f64, shortest: String, two: String) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value == 0.0 {
        return if value.is_sign_negative() {
            "-0.0"
        } else {
            "0.0"
        }
        .to_owned();
    }
    let text = if shortest.contains('.') {
        shortest
    } else {
        two
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-3..7).contains(&exponent) {
        return format!("{mantissa}E{exponent}");
    }
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits = mantissa.replace('.', "");
    let digits = digits.trim_end_matches('0');
    let Ok(places) = usize::try_from(exponent) else {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        return format!("{sign}0.{}{digits}", "0".repeat(zeros));
    };
    let padded = format!("{digits:0<width$}", width = places + 2);
    let (whole, fraction) = padded.split_at(places + 1);
    format!("{sign}{whole}.{fraction}")
}
