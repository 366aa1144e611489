use std::fmt;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// An event in the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, in virtual time.
    pub at: Timestamp,
    /// Which client made the call; 0 for the harness.
    pub client: u32,
    /// The call's number among the client's calls, from 1; 0 if it is not a call.
    pub call: u64,
    /// The operation, such as `PutObject`.
    pub operation: &'static str,
    /// The object, table, queue or token.
    pub target: String,
    /// The result at the service, and what the client was told if that differs.
    pub outcome: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.3} client {} #{} {} {}: {}",
            self.at, self.client, self.call, self.operation, self.target, self.outcome
        )
    }
}

/// All events, in order.
#[derive(Debug, Default)]
pub struct History {
    entries: Vec<Entry>,
}

impl History {
    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// The entries, first to last.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A digest, which is equal for equal histories.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for entry in &self.entries {
            hasher.update(entry.to_string());
            hasher.update(b"\n");
        }
        hasher.finalize().into()
    }
}
