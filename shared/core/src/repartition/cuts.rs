//! Decides where a sequence of rows is cut into files.

use std::ops::Range;

/// Cuts a sequence into files of about the same size. In a sequence of `total` units of size (rows, or bytes of text),
/// the record that begins at `position` goes into file `position * files / total`. So the sizes of files differ by one
/// unit, or by one record if that is larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cuts {
    total: u64,
    files: u64,
}

impl Cuts {
    /// Cuts of `total` units of size into `files`.
    pub fn new(total: u64, files: u64) -> Self {
        Self {
            total,
            files: files.max(1),
        }
    }

    /// The first position of a file.
    pub fn start(&self, file: u64) -> u64 {
        let product = u128::from(file.min(self.files)) * u128::from(self.total);
        u64::try_from(product.div_ceil(u128::from(self.files))).unwrap_or(u64::MAX)
    }

    /// The positions of these files.
    pub fn span(&self, files: &Range<u64>) -> Range<u64> {
        self.start(files.start)..self.start(files.end)
    }

    /// The file of the record that begins at `position`, which must be less than the total.
    pub fn file(&self, position: u64) -> u64 {
        let file = u128::from(position) * u128::from(self.files) / u128::from(self.total.max(1));
        u64::try_from(file).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::semantics::stated;

    #[test]
    fn rows_differ_by_one_and_bytes_by_one_record() {
        stated(
            "N files of Parquet have the same number of rows, plus or minus one, and N files of JSON or CSV the same number of bytes before compression, plus or minus one record.",
        );
        let sizes = |total, files| {
            let cuts = Cuts::new(total, files);
            (0..files)
                .map(|file| cuts.start(file + 1) - cuts.start(file))
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(10, 3), [4, 3, 3]);
        assert_eq!(sizes(1, 3), [1, 0, 0]);
        assert_eq!(sizes(0, 2), [0, 0]);
    }

    proptest! {
        #[test]
        fn every_record_is_in_the_file_that_its_start_says(
            records in prop::collection::vec(1_u64..50, 1..60), files in 1_u64..12,
        ) {
            let total = records.iter().sum::<u64>();
            let cuts = Cuts::new(total, files);
            let mut bytes = vec![0_u64; usize::try_from(files).unwrap()];
            let mut position = 0;
            for record in &records {
                let file = cuts.file(position);
                prop_assert!(cuts.span(&(file..file + 1)).contains(&position));
                bytes[usize::try_from(file).unwrap()] += record;
                position += record;
            }
            let longest = records.iter().max().unwrap();
            for bytes in bytes {
                prop_assert!(bytes.abs_diff(total / files) <= longest + 1);
            }
        }
    }
}
