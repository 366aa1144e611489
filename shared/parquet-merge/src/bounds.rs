//! Minimum and maximum values of pages and column chunks, as footers store them.

mod compare;
mod cut;
mod of_values;

use std::cmp::Ordering;

use bytes::Bytes;
use parquet::{
    basic::{ColumnOrder, ConvertedType, LogicalType, Type as Physical},
    data_type::{ByteArray, FixedLenByteArray, Int96},
    file::{
        page_index::column_index::ColumnIndexMetaData,
        statistics::{Statistics, ValueStatistics},
    },
    schema::types::ColumnDescriptor,
};

use self::{
    compare::{compare_decimals, half},
    cut::{shorter_max, shorter_min},
};

/// How the values of a column are ordered
/// (<https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>, `ColumnOrder`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The order has no bounds.
    Undefined,
    Boolean,
    Signed32,
    Signed64,
    Unsigned32,
    Unsigned64,
    Float16,
    Float32,
    Float64,
    /// Compared byte by byte.
    Bytes {
        text: bool,
    },
    /// `FIXED_LEN_BYTE_ARRAY`.
    Fixed,
    /// Two's complement, big-endian.
    Decimal,
}

impl Order {
    pub(super) fn of(column: &ColumnDescriptor) -> Self {
        let logical = column.logical_type_ref();
        let converted = column.converted_type();
        let unsigned = matches!(logical, Some(LogicalType::Integer(int)) if !int.is_signed)
            || matches!(
                converted,
                ConvertedType::UINT_8
                    | ConvertedType::UINT_16
                    | ConvertedType::UINT_32
                    | ConvertedType::UINT_64
            );
        let decimal =
            matches!(logical, Some(LogicalType::Decimal(_))) || converted == ConvertedType::DECIMAL;
        match logical {
            Some(
                LogicalType::Unknown
                | LogicalType::Variant(_)
                | LogicalType::Geometry(_)
                | LogicalType::Geography(_)
                | LogicalType::File
                | LogicalType::_Unknown { .. },
            ) => return Self::Undefined,
            Some(LogicalType::Float16) => return Self::Float16,
            _ if converted == ConvertedType::INTERVAL => return Self::Undefined,
            _ => {}
        }
        match column.physical_type() {
            Physical::BOOLEAN => Self::Boolean,
            Physical::INT32 if unsigned => Self::Unsigned32,
            Physical::INT32 => Self::Signed32,
            Physical::INT64 if unsigned => Self::Unsigned64,
            Physical::INT64 => Self::Signed64,
            Physical::INT96 => Self::Undefined,
            Physical::FLOAT => Self::Float32,
            Physical::DOUBLE => Self::Float64,
            Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY if decimal => Self::Decimal,
            Physical::FIXED_LEN_BYTE_ARRAY => Self::Fixed,
            Physical::BYTE_ARRAY => Self::Bytes {
                text: logical == Some(&LogicalType::String) || converted == ConvertedType::UTF8,
            },
        }
    }

    /// `None` if they cannot be compared, because one is NaN or not a value of this order.
    #[inline]
    pub(super) fn compare(self, a: &[u8], b: &[u8]) -> Option<Ordering> {
        fn both<const N: usize>(a: &[u8], b: &[u8]) -> Option<([u8; N], [u8; N])> {
            Some((a.try_into().ok()?, b.try_into().ok()?))
        }
        match self {
            Self::Undefined => None,
            Self::Boolean => both::<1>(a, b).map(|(a, b)| a.cmp(&b)),
            Self::Signed32 => {
                both(a, b).map(|(a, b)| i32::from_le_bytes(a).cmp(&i32::from_le_bytes(b)))
            }
            Self::Signed64 => {
                both(a, b).map(|(a, b)| i64::from_le_bytes(a).cmp(&i64::from_le_bytes(b)))
            }
            Self::Unsigned32 => {
                both(a, b).map(|(a, b)| u32::from_le_bytes(a).cmp(&u32::from_le_bytes(b)))
            }
            Self::Unsigned64 => {
                both(a, b).map(|(a, b)| u64::from_le_bytes(a).cmp(&u64::from_le_bytes(b)))
            }
            Self::Float16 => half(a)?.partial_cmp(&half(b)?),
            Self::Float32 => {
                let (a, b) = both(a, b)?;
                f32::from_le_bytes(a).partial_cmp(&f32::from_le_bytes(b))
            }
            Self::Float64 => {
                let (a, b) = both(a, b)?;
                f64::from_le_bytes(a).partial_cmp(&f64::from_le_bytes(b))
            }
            Self::Bytes { .. } | Self::Fixed => Some(a.cmp(b)),
            Self::Decimal => Some(compare_decimals(a, b)),
        }
    }

    /// Whether it is NaN, or not a value of this order.
    pub(super) fn is_nan(self, value: &[u8]) -> bool {
        match self {
            Self::Bytes { .. } | Self::Fixed | Self::Decimal => false,
            _ => self.compare(value, value).is_none(),
        }
    }

    /// Sets the sign of a zero, which some writers ignore: a minimum becomes -0, a maximum +0.
    fn zero(self, value: Bytes, least: bool) -> Bytes {
        let zero = match self {
            Self::Float16 => half(&value) == Some(0.0),
            Self::Float32 => value
                .as_ref()
                .try_into()
                .map(f32::from_le_bytes)
                .is_ok_and(|value| value == 0.0),
            Self::Float64 => value
                .as_ref()
                .try_into()
                .map(f64::from_le_bytes)
                .is_ok_and(|value| value == 0.0),
            _ => false,
        };
        if !zero {
            return value;
        }
        let mut bytes = vec![0; value.len()];
        if let (true, Some(last)) = (least, bytes.last_mut()) {
            *last = 0x80;
        }
        bytes.into()
    }
}

/// A minimum or a maximum, or a value beyond it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) value: Bytes,
    /// Whether it is a value of the column.
    pub(super) exact: bool,
}

/// The known bounds of the values of a page or a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bounds {
    /// There are only nulls.
    Empty,
    /// All values that are neither null nor NaN are between these bounds.
    Known { min: Bound, max: Bound },
    /// The bounds are not known.
    Unknown,
}

impl Bounds {
    /// Bounds as a file stores them.
    pub(super) fn new(order: Order, min: Bound, max: Bound) -> Self {
        let upside_down = order
            .compare(&min.value, &max.value)
            .unwrap_or(Ordering::Greater)
            == Ordering::Greater;
        if order == Order::Undefined
            || upside_down
            || order.is_nan(&min.value)
            || order.is_nan(&max.value)
        {
            return Self::Unknown;
        }
        let max = Bound {
            value: order.zero(max.value, false),
            exact: max.exact,
        };
        let min = Bound {
            value: order.zero(min.value, true),
            exact: min.exact,
        };
        match shorter_max(order, max) {
            Some(max) => Self::Known {
                min: shorter_min(order, min),
                max,
            },
            None => Self::Unknown,
        }
    }

    /// Extends these bounds to include `other`.
    pub(super) fn include(&mut self, order: Order, other: &Self) {
        let merged = match (&*self, other) {
            (_, Self::Empty) => return,
            (Self::Empty, other) => other.clone(),
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (
                Self::Known { min, max },
                Self::Known {
                    min: other_min,
                    max: other_max,
                },
            ) => {
                let less = order.compare(&other_min.value, &min.value) == Some(Ordering::Less);
                let more = order.compare(&other_max.value, &max.value) == Some(Ordering::Greater);
                if !less && !more {
                    return;
                }
                Self::Known {
                    min: if less { other_min } else { min }.clone(),
                    max: if more { other_max } else { max }.clone(),
                }
            }
        };
        *self = merged;
    }

    /// Whether these bounds begin at or after the end of `before`, in (ascending, descending) order.
    pub(super) fn follows(&self, order: Order, before: &Self) -> (bool, bool) {
        let (
            Self::Known { min, max },
            Self::Known {
                min: before_min,
                max: before_max,
            },
        ) = (self, before)
        else {
            return (false, false);
        };
        let compare = |a: &Bound, b: &Bound| order.compare(&a.value, &b.value);
        let (mins, maxs) = (compare(before_min, min), compare(before_max, max));
        let ascending = |ordering| matches!(ordering, Some(Ordering::Less | Ordering::Equal));
        let descending = |ordering| matches!(ordering, Some(Ordering::Greater | Ordering::Equal));
        (
            ascending(mins) && ascending(maxs),
            descending(mins) && descending(maxs),
        )
    }

    /// The bounds in a column chunk's statistics, if they use this order.
    pub(super) fn of_statistics(
        order: Order,
        stated: ColumnOrder,
        statistics: Option<&Statistics>,
        values: Option<u64>,
    ) -> Self {
        if values == Some(0) {
            return Self::Empty;
        }
        let Some(statistics) = statistics else {
            return Self::Unknown;
        };
        if !means(order, stated, statistics.is_min_max_deprecated()) {
            return Self::Unknown;
        }
        match (statistics.min_bytes_opt(), statistics.max_bytes_opt()) {
            (Some(min), Some(max)) => {
                let bound = |value: &[u8], exact| Bound {
                    value: Bytes::copy_from_slice(value),
                    // Values of a fixed width are never truncated.
                    exact: exact || !matches!(order, Order::Bytes { .. }),
                };
                Self::new(
                    order,
                    bound(min, statistics.min_is_exact()),
                    bound(max, statistics.max_is_exact()),
                )
            }
            _ => Self::Unknown,
        }
    }

    /// The bounds in statistics that the Parquet crate has just computed.
    pub(super) fn of_own(order: Order, statistics: &Statistics) -> Self {
        let stated = ColumnOrder::IEEE_754_TOTAL_ORDER;
        Self::of_statistics(order, stated, Some(statistics), None)
    }

    /// The bounds of a page in its file's column index.
    pub(super) fn of_index(order: Order, index: &ColumnIndexMetaData, page: usize) -> Self {
        if usize::try_from(index.num_pages()).is_ok_and(|pages| page >= pages) {
            return Self::Unknown;
        }
        if index.is_null_page(page) {
            return Self::Empty;
        }
        let values = match index {
            ColumnIndexMetaData::BOOLEAN(index) => fixed(
                index.min_value(page).map(|value| [u8::from(*value)]),
                index.max_value(page).map(|value| [u8::from(*value)]),
            ),
            ColumnIndexMetaData::INT32(index) => fixed(
                index.min_value(page).map(|value| value.to_le_bytes()),
                index.max_value(page).map(|value| value.to_le_bytes()),
            ),
            ColumnIndexMetaData::INT64(index) => fixed(
                index.min_value(page).map(|value| value.to_le_bytes()),
                index.max_value(page).map(|value| value.to_le_bytes()),
            ),
            ColumnIndexMetaData::FLOAT(index) => fixed(
                index.min_value(page).map(|value| value.to_le_bytes()),
                index.max_value(page).map(|value| value.to_le_bytes()),
            ),
            ColumnIndexMetaData::DOUBLE(index) => fixed(
                index.min_value(page).map(|value| value.to_le_bytes()),
                index.max_value(page).map(|value| value.to_le_bytes()),
            ),
            ColumnIndexMetaData::BYTE_ARRAY(index)
            | ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(index) => index
                .min_value(page)
                .zip(index.max_value(page))
                .map(|(min, max)| (Bytes::copy_from_slice(min), Bytes::copy_from_slice(max))),
            ColumnIndexMetaData::INT96(_) => None,
        };
        let exact = !matches!(order, Order::Bytes { .. });
        match values {
            Some((min, max)) => Self::new(
                order,
                Bound { value: min, exact },
                Bound { value: max, exact },
            ),
            None => Self::Unknown,
        }
    }

    /// Converts the bounds into the statistics of a column chunk.
    pub(super) fn statistics(&self, physical: Physical, nulls: Option<u64>) -> Statistics {
        let (min, max, min_exact, max_exact) = match self {
            Self::Known { min, max } => (Some(&min.value), Some(&max.value), min.exact, max.exact),
            _ => (None, None, false, false),
        };
        macro_rules! statistics {
            ($value:expr) => {
                Statistics::from(
                    ValueStatistics::new(
                        min.and_then($value),
                        max.and_then($value),
                        None,
                        nulls,
                        false,
                    )
                    .with_min_is_exact(min_exact)
                    .with_max_is_exact(max_exact),
                )
            };
        }
        match physical {
            Physical::BOOLEAN => {
                statistics!(|value: &Bytes| value.first().map(|value| *value != 0))
            }
            Physical::INT32 => {
                statistics!(|value: &Bytes| value.as_ref().try_into().ok().map(i32::from_le_bytes))
            }
            Physical::INT64 => {
                statistics!(|value: &Bytes| value.as_ref().try_into().ok().map(i64::from_le_bytes))
            }
            Physical::INT96 => statistics!(|_: &Bytes| None::<Int96>),
            Physical::FLOAT => {
                statistics!(|value: &Bytes| value.as_ref().try_into().ok().map(f32::from_le_bytes))
            }
            Physical::DOUBLE => {
                statistics!(|value: &Bytes| value.as_ref().try_into().ok().map(f64::from_le_bytes))
            }
            Physical::BYTE_ARRAY => {
                statistics!(|value: &Bytes| Some(ByteArray::from(value.clone())))
            }
            Physical::FIXED_LEN_BYTE_ARRAY => statistics!(|value: &Bytes| Some(
                FixedLenByteArray::from(ByteArray::from(value.clone()))
            )),
        }
    }
}

/// Fixed-width values in PLAIN encoding.
fn fixed<const N: usize>(min: Option<[u8; N]>, max: Option<[u8; N]>) -> Option<(Bytes, Bytes)> {
    Some((Bytes::copy_from_slice(&min?), Bytes::copy_from_slice(&max?)))
}

/// Whether bounds in the order that a file states are valid bounds under `order`. The deprecated statistics fields,
/// which are older than column orders, compared every value as signed.
pub(super) fn means(order: Order, stated: ColumnOrder, deprecated: bool) -> bool {
    let signed = matches!(
        order,
        Order::Boolean | Order::Signed32 | Order::Signed64 | Order::Float32 | Order::Float64
    );
    match stated {
        ColumnOrder::TYPE_DEFINED_ORDER(_) => signed || !deprecated,
        ColumnOrder::IEEE_754_TOTAL_ORDER => !deprecated,
        ColumnOrder::UNDEFINED => signed,
        ColumnOrder::INT96_TIMESTAMP_ORDER | ColumnOrder::UNKNOWN => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{cut::MAX_BOUND, *};

    fn bound(value: &[u8]) -> Bound {
        Bound {
            value: Bytes::copy_from_slice(value),
            exact: true,
        }
    }

    #[test]
    fn zeros_and_nans() {
        let f = |value: f64| bound(&value.to_le_bytes());
        let Bounds::Known { min, max } = Bounds::new(Order::Float64, f(0.0), f(-0.0)) else {
            panic!("zeros are bounds");
        };
        assert_eq!(
            (min.value.as_ref(), max.value.as_ref()),
            (&(-0.0_f64).to_le_bytes()[..], &0.0_f64.to_le_bytes()[..])
        );
        for (min, max) in [(f64::NAN, 1.0), (1.0, f64::NAN), (2.0, 1.0)] {
            assert_eq!(Bounds::new(Order::Float64, f(min), f(max)), Bounds::Unknown);
        }
    }

    #[test]
    fn long_bounds_are_cut_to_bounds() {
        let text = Order::Bytes { text: true };
        for (order, value) in [
            (text, "a".repeat(100).into_bytes()),
            (
                text,
                format!("{}é{}", "a".repeat(63), "b".repeat(50)).into_bytes(),
            ),
            (text, "\u{10ffff}".repeat(40).into_bytes()),
            (text, format!("a{}", "\u{7f}".repeat(100)).into_bytes()),
            (Order::Bytes { text: false }, vec![0xff; 100]),
            (
                Order::Bytes { text: false },
                [vec![1], vec![0xff; 100]].concat(),
            ),
        ] {
            match Bounds::new(order, bound(&value), bound(&value)) {
                Bounds::Known { min, max } => {
                    assert!(min.value.as_ref() <= value.as_slice() && min.value.len() <= MAX_BOUND);
                    assert!(max.value.as_ref() >= value.as_slice() && max.value.len() <= MAX_BOUND);
                    assert!(!min.exact && !max.exact);
                    if order == text {
                        assert!(std::str::from_utf8(&min.value).is_ok());
                        assert!(std::str::from_utf8(&max.value).is_ok());
                    }
                }
                other => {
                    assert_eq!(other, Bounds::Unknown);
                    assert!(value.iter().all(|byte| *byte == 0xff) || value[0] == 0xf4);
                }
            }
        }
    }
}
