//! Estimates the cost of a compaction before it runs.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::config;

/// Requests to S3 by price class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// PUT, COPY and the requests of multipart uploads.
    pub put: u64,
    /// GET and HEAD.
    pub get: u64,
    /// LIST, which costs as much as PUT.
    pub list: u64,
    /// Keys to delete; deleting is free.
    pub delete: u64,
}

/// The numbers from which the requests are estimated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sizes {
    /// For each new file, the number and the bytes of the files that are merged into it.
    pub merged: Vec<(u64, u64)>,
    /// The number of files that are carried over unchanged.
    pub carried: u64,
}

/// The size of an upload part and of a ranged read.
const PART: u64 = 8 << 20;

/// The number of keys in a page of a listing.
const PAGE: u64 = 1_000;

impl Requests {
    /// The estimated requests for compacting one partition of the catalog, from its plan to the deletion of the old
    /// files.
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
            // The plan, the state, and the markers of publishing, sweeping and deleting.
            put: uploads.sum::<u64>() + sizes.carried + 5,
            // Commits, footers and contents; the plan, the state and a first footer for each new file, which is read
            // before it is merged, after that, at publishing and at deleting; the ledger.
            get: 2 * inputs + reads.sum::<u64>() + 10 * outputs + 12,
            // Planning and deleting; carrying three times; the ledger.
            list: 5 * pages_before + 4 * pages_after + 1,
            delete: before,
        }
    }

    /// The cost in US dollars by the configured prices, rounded up to cents.
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
