//! Estimates the requests and the cost of processing what a sweep found, from the requests of the protocol for each object
//! and batch.

use serde::{Deserialize, Serialize};

/// Requests to S3 by price class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// PUT.
    pub put: u64,
    /// GET and HEAD.
    pub get: u64,
    /// LIST, which costs as much as PUT.
    pub list: u64,
}

/// How many partitions a batch is assumed to have rows of, which is only known after it is read: a few, if little data is
/// late.
/// docs/OPERATIONS.md, "What it costs", has others.
const PARTITIONS: u64 = 3;

/// The size of a ranged read, and of a page of a listing.
const PART: u64 = 8 << 20;
const PAGE: u64 = 1_000;

/// Billionths of a dollar in us-east-1: <https://aws.amazon.com/s3/pricing/>, <https://aws.amazon.com/sqs/pricing/> and
/// <https://aws.amazon.com/lambda/pricing/>.
const PUT: u64 = 5_000;
const GET: u64 = 400;
const MESSAGE: u64 = 3 * 400 + 200;
/// A function's time for a megabyte as it lands, and for a request that it waits for: bench/RESULTS.md.
const MEGABYTE: u64 = 840;
const WAIT: u64 = 333;

impl Requests {
    /// For `objects` objects with `bytes` bytes in `messages` messages, found among `listed` objects.
    pub(super) fn of(objects: u64, bytes: u64, messages: u64, listed: u64) -> Self {
        Self {
            // A claim; and the batch, its plan, its commit and its outputs.
            put: objects + messages * (3 + PARTITIONS),
            // The claim, the object in parts and its commit; the documents of the batch.
            get: 4 * objects + bytes / PART + 4 * messages,
            list: listed.div_ceil(PAGE),
        }
    }

    /// The cost in US dollars with that of messages and functions, rounded up to cents.
    pub(super) fn usd(&self, objects: u64, bytes: u64, messages: u64) -> String {
        let requests = (self.put + self.list) * PUT + self.get * GET + messages * MESSAGE;
        let compute = bytes / 1_000_000 * MEGABYTE + (objects + messages * PARTITIONS) * WAIT;
        let cents = (requests + compute).div_ceil(10_000_000);
        format!("{}.{:02}", cents / 100, cents % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_of_a_backfill() {
        // Objects of 5 MB, some fifty in a message.
        for (objects, messages, put, usd) in [
            (0, 0, 0, "0.00"),
            (1, 1, 7, "0.01"),
            (1_000_000, 20_000, 1_120_000, "12.06"),
        ] {
            let bytes = objects * 5_000_000;
            let requests = Requests::of(objects, bytes, messages, objects);
            assert_eq!(requests.put, put);
            assert_eq!(requests.usd(objects, bytes, messages), usd);
        }
    }
}
