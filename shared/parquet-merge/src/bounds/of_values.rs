//! Computes bounds from values.

use std::cmp::Ordering;

use bytes::Bytes;

use super::{Bound, Bounds, Order};

impl Bounds {
    /// The bounds of non-null values, each in PLAIN encoding without its length. NaN is outside of the order.
    pub(crate) fn of_values<B: AsRef<[u8]> + Clone>(
        order: Order,
        values: impl Iterator<Item = B>,
    ) -> Self {
        // A loop for each order of numbers, so that none is chosen for each value.
        macro_rules! of {
            ($($order:ident)*) => {
                match order {
                    $(Order::$order => ends(Order::$order, values),)*
                    order => ends(order, values),
                }
            };
        }
        let found = of!(Signed32 Signed64 Unsigned32 Unsigned64 Float32 Float64);
        match found {
            Ends::None => Self::Empty,
            Ends::NotNumbers => Self::Unknown,
            Ends::Of(min, max) => {
                let bound = |value: B| Bound {
                    value: Bytes::copy_from_slice(value.as_ref()),
                    exact: true,
                };
                Self::new(order, bound(min), bound(max))
            }
        }
    }
}

/// The least and the greatest of values.
enum Ends<B> {
    /// There are no values.
    None,
    /// No value has a place in the order.
    NotNumbers,
    Of(B, B),
}

#[inline]
fn ends<B: AsRef<[u8]> + Clone>(order: Order, values: impl Iterator<Item = B>) -> Ends<B> {
    let compare = |a: &B, b: &B| order.compare(a.as_ref(), b.as_ref());
    let mut found = Ends::None;
    for value in values {
        if order.is_nan(value.as_ref()) {
            if matches!(found, Ends::None) {
                found = Ends::NotNumbers;
            }
            continue;
        }
        match &mut found {
            Ends::Of(min, _) if compare(&value, min) == Some(Ordering::Less) => *min = value,
            Ends::Of(_, max) if compare(&value, max) == Some(Ordering::Greater) => *max = value,
            Ends::Of(..) => {}
            _ => found = Ends::Of(value.clone(), value),
        }
    }
    found
}
