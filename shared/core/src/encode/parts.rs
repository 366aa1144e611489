//! Decides where the rows of a partition are cut into files.

use crate::config::{Output, Size};

/// The number of rows of each file of a partition, computed record by record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    max: u64,
    min: u64,
    /// The rows of the complete files.
    full: Vec<u64>,
    /// Rows and bytes of the current file.
    rows: u64,
    bytes: u64,
}

impl Parts {
    /// Starts without rows, with the limits of the output.
    pub fn new(output: &Output) -> Self {
        Self {
            max: output.max_file_size.map_or(u64::MAX, Size::as_u64),
            min: output.min_file_size.map_or(0, Size::as_u64),
            full: Vec::new(),
            rows: 0,
            bytes: 0,
        }
    }

    /// Adds a record of this many bytes.
    pub fn add(&mut self, bytes: u64) {
        if self.rows > 0 && self.bytes.saturating_add(bytes) > self.max {
            self.full.push(self.rows);
            (self.rows, self.bytes) = (0, 0);
        }
        self.rows += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The rows of each file, in order.
    pub fn finish(mut self) -> Vec<u64> {
        match self.full.last_mut() {
            Some(last) if self.bytes < self.min => *last += self.rows,
            _ if self.rows > 0 => self.full.push(self.rows),
            _ => {}
        }
        self.full
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        config::{OutputFormat, Size},
        semantics::stated,
    };

    fn cut(max: Option<u64>, min: Option<u64>, records: &[u64]) -> Vec<u64> {
        let mut parts = Parts::new(&Output {
            max_file_size: max.map(Size),
            min_file_size: min.map(Size),
            ..Output::new(OutputFormat::Json)
        });
        for &bytes in records {
            parts.add(bytes);
        }
        parts.finish()
    }

    #[test]
    fn examples() {
        stated(
            "Files cut by `max_file_size` hold at most that many bytes of records as they were read, except for a record that is larger alone and for a last part below `min_file_size`.",
        );
        for (max, min, records, expected) in [
            (None, None, &[5, 5, 5][..], &[3][..]),
            (None, None, &[], &[]),
            (Some(10), None, &[5, 5, 5], &[2, 1]),
            (Some(10), Some(5), &[5, 5, 5], &[2, 1]),
            (Some(10), Some(6), &[5, 5, 5], &[3]),
            (Some(10), None, &[30, 1, 1], &[1, 2]),
            (Some(10), Some(3), &[30, 1, 1], &[3]),
            (Some(10), Some(10), &[2], &[1]),
        ] {
            assert_eq!(
                cut(max, min, records),
                expected,
                "{max:?} {min:?} {records:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_file_and_no_file_is_too_large(
            records in prop::collection::vec(0_u64..50, 0..40), max in 1_u64..100, min in 0_u64..50,
        ) {
            let min = min.min(max);
            let parts = cut(Some(max), Some(min), &records);
            prop_assert_eq!(parts.iter().sum::<u64>(), records.len() as u64);
            let mut rest = &records[..];
            for (index, rows) in parts.iter().enumerate() {
                let (file, after) = rest.split_at(usize::try_from(*rows).unwrap());
                rest = after;
                let bytes = file.iter().sum::<u64>();
                let slack = if index + 1 == parts.len() { min } else { 0 };
                let largest = file.iter().max().unwrap();
                prop_assert!(bytes <= max.max(*largest) + slack);
            }
        }
    }
}
