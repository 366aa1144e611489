//! What a compaction costs, before it is made.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::config;

/// Requests to S3, by what they cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// PUT, COPY and the requests of multipart uploads.
    pub put: u64,
    /// GET and HEAD.
    pub get: u64,
    /// LIST, which costs what PUT does.
    pub list: u64,
    /// Keys to delete, which is free.
    pub delete: u64,
}

/// The sizes that requests follow from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The files that are merged into each new one: their number and bytes.
    pub merged: Vec<(u64, u64)>,
    /// The files that are carried over as they are.
    pub carried: u64,
}

/// Bytes of a part of an upload, and of a ranged read.
const PART: u64 = 8 << 20;

/// Keys of a page of a listing.
const PAGE: u64 = 1_000;

impl Requests {
    /// About what a compaction of one partition in the catalog takes, from its plan to the deletion of the old files.
    pub fn of(sizes: &Sizes) -> Self {
        let inputs = sizes.merged.iter().map(|(files, _)| files).sum::<u64>();
        let outputs = sizes.merged.len() as u64;
        let uploads = sizes
            .merged
            .iter()
            .map(|(_, bytes)| match bytes.div_ceil(PART) {
                0 | 1 => 1,
                parts => parts + 2,
            });
        let reads = sizes
            .merged
            .iter()
            .map(|(files, bytes)| files + bytes.div_ceil(PART));
        let (before, after) = (inputs + sizes.carried, outputs + sizes.carried);
        let (pages_before, pages_after) = (pages(before), pages(after));
        Self {
            // The plan, the state, and the marks of publishing, sweeping and deleting.
            put: uploads.sum::<u64>() + sizes.carried + 5,
            // Commits, footers and contents; the plan, the state and a first footer for each new file, which is looked at before
            // it is made, after that, at publishing and at deleting; the ledger.
            get: 2 * inputs + reads.sum::<u64>() + 10 * outputs + 12,
            // Planning and deleting; three times carrying; the ledger.
            list: 5 * pages_before + 4 * pages_after + 1,
            delete: before,
        }
    }

    /// What they cost in US dollars, by the configured prices, with cents (rounded up).
    pub fn usd(&self, prices: &config::Compact) -> String {
        let nanos =
            u128::from(self.put + self.list) * u128::from(prices.usd_per_million_puts) * 1_000
                + u128::from(self.get) * u128::from(prices.usd_per_billion_gets);
        let cents = nanos.div_ceil(10_000_000);
        format!("{}.{:02}", cents / 100, cents % 100)
    }
}

fn pages(files: u64) -> u64 {
    files.div_ceil(PAGE).max(1)
}

impl AddAssign for Requests {
    fn add_assign(&mut self, other: Self) {
        self.put += other.put;
        self.get += other.get;
        self.list += other.list;
        self.delete += other.delete;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_price_of_a_partition() {
        let sizes = Sizes {
            merged: vec![(80, 20 << 20), (3, 1000)],
            carried: 2,
        };
        let requests = Requests::of(&sizes);
        let expected = Requests {
            put: 5 + 1 + 2 + 5,
            get: 2 * 83 + (80 + 3 + 3 + 1) + 10 * 2 + 12,
            list: 10,
            delete: 85,
        };
        assert_eq!(requests, expected);
        let rules = Config::parse("[[compact]]\ntable = \"a.b\"").unwrap();
        let rules = &rules.compact[0];
        assert_eq!(requests.usd(rules), "0.01");
        let many = Requests {
            put: 1_000_000,
            get: 1_000_000_000,
            ..Requests::default()
        };
        assert_eq!(many.usd(rules), "405.00");
        assert_eq!(Requests::default().usd(rules), "0.00");
    }
}
