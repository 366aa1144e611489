//! Which rows of which member each file of a partition holds.

use std::collections::BTreeMap;

/// The index of a candidate, and its number of rows.
pub(super) type Share = (u32, u64);

/// Deals the rows of a partition, in order, to its files.
pub(super) struct Cutter {
    /// The rows of each file.
    files: Vec<u64>,
    /// The current file, and how many rows it still takes.
    at: usize,
    left: u64,
    shares: Vec<BTreeMap<u32, u64>>,
}

impl Cutter {
    pub(super) fn new(files: Vec<u64>) -> Self {
        Self {
            at: 0,
            left: files.first().copied().unwrap_or_default(),
            shares: vec![BTreeMap::new(); files.len()],
            files,
        }
    }

    /// Whether there are several files.
    pub(super) fn is_cut(&self) -> bool {
        self.files.len() > 1
    }

    /// Takes the next rows, which are of one member.
    pub(super) fn take(&mut self, (member, mut rows): Share) {
        while rows > 0 {
            let Some(shares) = self.shares.get_mut(self.at) else {
                return;
            };
            let now = rows.min(self.left);
            if now > 0 {
                *shares.entry(member).or_default() += now;
            }
            rows -= now;
            self.left -= now;
            if self.left == 0 {
                self.at += 1;
                self.left = self.files.get(self.at).copied().unwrap_or_default();
            }
        }
    }

    /// The rows of each file by member.
    pub(super) fn finish(self) -> Vec<Vec<Share>> {
        let shares = self.shares.into_iter();
        shares.map(|shares| shares.into_iter().collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_dealt_in_order() {
        for (files, rows, expected) in [
            (vec![], vec![], vec![]),
            (vec![3], vec![(0, 1), (2, 2)], vec![vec![(0, 1), (2, 2)]]),
            (
                vec![2, 2, 1],
                vec![(0, 3), (1, 2)],
                vec![vec![(0, 2)], vec![(0, 1), (1, 1)], vec![(1, 1)]],
            ),
            (
                vec![3, 2],
                vec![(1, 1), (0, 1), (1, 1), (0, 2)],
                vec![vec![(0, 1), (1, 2)], vec![(0, 2)]],
            ),
        ] {
            let mut cutter = Cutter::new(files.clone());
            for &share in &rows {
                cutter.take(share);
            }
            assert_eq!(cutter.finish(), expected, "{files:?} {rows:?}");
        }
    }
}
