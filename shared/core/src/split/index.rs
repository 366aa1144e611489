//! Finds rows with the same key before any is written.
//!
//! Objects are only created, never replaced. If duplicates were not known in advance, the first writer would win. Since
//! they are, every key that is written has one row, and the order in which tasks, twins and retries write makes no
//! difference.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use twox_hash::XxHash3_128;

use crate::config::OnCollision;

/// The number of buckets of entries, which grow separately.
const BUCKETS: usize = 256;

/// The memory of an entry in bytes, including the unused capacity of its bucket.
const ENTRY: u64 = 48;

/// A row that is not written because another row has its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Its number.
    pub row: u64,
    /// The number of the row that is written.
    pub kept: u64,
    /// Whether both rows make the same object.
    pub same: bool,
}

/// The rows that share keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// All rows that are not to be written, by number.
    pub dropped: Vec<Dropped>,
    /// How many of them make a different object than the row that is written.
    pub collisions: u64,
}

/// There are more rows than fit into the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("more than {limit} rows with keys of columns: the function needs more memory")]
pub struct TooManyKeys {
    /// The most rows that fit.
    pub limit: u64,
}

/// The keys and contents of rows, as hashes of 128 and 64 bits. The job seeds the hashes, so that nobody who controls
/// the data can construct a collision. By chance, among a billion rows, one occurs once in 10^20 jobs.
#[derive(Debug)]
pub struct KeyIndex {
    seed: u64,
    buckets: Vec<Vec<Entry>>,
    rows: u64,
    limit: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: u128,
    row: u64,
    content: u64,
}

impl KeyIndex {
    /// Creates an index for the job `job` that uses at most `memory` bytes.
    pub fn new(job: &str, memory: u64) -> Self {
        Self {
            seed: low(XxHash3_128::oneshot(job.as_bytes())),
            buckets: vec![Vec::new(); BUCKETS],
            rows: 0,
            limit: memory / ENTRY,
        }
    }

    /// Adds row `row` with its key and the content that distinguishes its object.
    ///
    /// # Errors
    /// The memory is used up.
    pub fn insert(&mut self, row: u64, key: &str, content: &[u8]) -> Result<(), TooManyKeys> {
        self.rows += 1;
        if self.rows > self.limit {
            return Err(TooManyKeys { limit: self.limit });
        }
        let key = XxHash3_128::oneshot_with_seed(self.seed, key.as_bytes());
        let content = low(XxHash3_128::oneshot_with_seed(self.seed, content));
        let bucket = usize::from(key.to_be_bytes()[0]);
        if let Some(bucket) = self.buckets.get_mut(bucket) {
            bucket.push(Entry { key, row, content });
        }
        Ok(())
    }

    /// The rows that share a key with others. The policy decides which of them is written; if it is to fail, the first.
    pub fn finish(self, policy: OnCollision) -> Duplicates {
        let mut found = Duplicates::default();
        for mut bucket in self.buckets {
            bucket.sort_unstable_by_key(|entry| (entry.key, entry.row));
            for group in bucket.chunk_by(|a, b| a.key == b.key) {
                let kept = match policy {
                    OnCollision::Fail | OnCollision::KeepFirst => group.first(),
                    OnCollision::KeepLast => group.last(),
                };
                let Some(kept) = kept else { continue };
                for entry in group.iter().filter(|entry| entry.row != kept.row) {
                    let same = entry.content == kept.content;
                    found.collisions += u64::from(!same);
                    found.dropped.push(Dropped {
                        row: entry.row,
                        kept: kept.row,
                        same,
                    });
                }
            }
        }
        found.dropped.sort_unstable_by_key(|dropped| dropped.row);
        found
    }
}

#[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
fn low(hash: u128) -> u64 {
    hash as u64
}
