//! Delimited lines, as Hive's `SerDe`s read them.

use lakewright_core::{
    config::Policy,
    lines::{Dialect, LineColumns, LineFramer},
};

use super::fill;

/// Derives a dialect from a number.
fn dialect(number: u8) -> Dialect {
    let mark = |usual, other| if number & 2 == 0 { usual } else { other };
    if number & 1 == 0 {
        Dialect::LazySimple {
            delimiter: mark(b',', 1),
            escape: (number & 4 != 0).then_some(b'\\'),
            null: if number & 8 == 0 { "\\N" } else { "" }.to_owned(),
            collections: 2,
            keys: 3,
            rest: number & 16 != 0,
        }
    } else {
        Dialect::OpenCsv {
            separator: mark(b',', b'\t'),
            quote: b'"',
            escape: b'\\',
        }
    }
}

fn columns_of(number: u8) -> LineColumns {
    LineColumns {
        names: ["b", "a", "none", "c", "D", "g", "h"]
            .map(str::to_owned)
            .to_vec(),
        latin_1: number & 32 != 0,
        ..LineColumns::default()
    }
}

/// The lines and the rows do not depend on the chunks.
pub fn check(data: &[u8]) {
    let Some((&number, data)) = data.split_first() else {
        return;
    };
    let (chunks, input) = super::cut(data);
    let table = super::table();
    for max_record in [usize::MAX >> 1, 48] {
        for policy in [Policy::Drop, Policy::Fail] {
            let framer = || {
                let header_lines = u32::from(number >> 6);
                LineFramer::new(
                    dialect(number),
                    header_lines,
                    columns_of(number),
                    max_record,
                )
            };
            let whole = fill(framer(), [input], &table, policy);
            let cut = fill(framer(), chunks.iter().copied(), &table, policy);
            assert_eq!(cut, whole);
        }
    }
}
