//! Comparison of values that Rust has no type for.

use std::cmp::Ordering;

/// The value of an IEEE 754 half-precision number, given in little-endian bytes.
pub(super) fn half(bytes: &[u8]) -> Option<f32> {
    let bits = u16::from_le_bytes(bytes.try_into().ok()?);
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff) / 1024.0;
    Some(match (exponent, fraction == 0.0) {
        (0x1f, true) => sign * f32::INFINITY,
        (0x1f, false) => f32::NAN,
        (0, _) => sign * fraction * 2_f32.powi(-14),
        _ => sign * (1.0 + fraction) * 2_f32.powi(exponent - 15),
    })
}

/// Compares two's complement numbers of any length.
pub(super) fn compare_decimals(a: &[u8], b: &[u8]) -> Ordering {
    let negative = |bytes: &[u8]| bytes.first().is_some_and(|first| first & 0x80 != 0);
    match (negative(a), negative(b)) {
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (sign, _) => {
            let length = a.len().max(b.len());
            let padded = |bytes: &'_ [u8]| {
                let fill = if sign { 0xff } else { 0 };
                std::iter::repeat_n(fill, length - bytes.len())
                    .chain(bytes.to_vec())
                    .collect::<Vec<u8>>()
            };
            padded(a).cmp(&padded(b))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_of_different_lengths() {
        let bytes = |value: i32| value.to_be_bytes();
        for (a, b) in [(-1, 0), (-300, -1), (1, 300), (-129, -128), (127, 128)] {
            assert_eq!(compare_decimals(&bytes(a), &bytes(b)), Ordering::Less);
            assert_eq!(
                compare_decimals(
                    &[&[if a < 0 { 0xff } else { 0 }; 3][..], &bytes(a)].concat(),
                    &bytes(b)
                ),
                Ordering::Less
            );
        }
        assert_eq!(compare_decimals(&[0xff], &[0xff, 0xff]), Ordering::Equal);
    }
}
