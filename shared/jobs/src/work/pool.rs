//! Uploads that finish while the next objects are produced.

use std::collections::VecDeque;

use crate::kit::{JobError, Stage, task::Task};

/// The most concurrent uploads.
const CONCURRENT: usize = 16;

/// The uploads in progress, in the order in which they began. If the pool is dropped, they end.
pub(crate) struct Pool<T> {
    /// Each with the number of bytes that it holds.
    uploads: VecDeque<(u64, Task<Result<T, JobError>>)>,
    bytes: u64,
    /// The most bytes that all of them may hold.
    limit: u64,
}

impl<T: Send + 'static> Pool<T> {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            uploads: VecDeque::new(),
            bytes: 0,
            limit,
        }
    }

    /// Whether an upload of this many bytes may begin. If not, wait for [`Pool::next`] first.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.uploads.is_empty()
            || (self.uploads.len() < CONCURRENT && self.bytes + bytes <= self.limit)
    }

    /// Begins an upload that holds this many bytes.
    pub(crate) fn begin(
        &mut self,
        bytes: u64,
        upload: impl Future<Output = Result<T, JobError>> + Send + 'static,
    ) {
        self.uploads.push_back((bytes, Task::spawn(upload)));
        self.bytes += bytes;
    }

    /// Waits for the first upload; `None` if there is none.
    pub(crate) async fn next(&mut self) -> Result<Option<T>, JobError> {
        let Some((bytes, upload)) = self.uploads.pop_front() else {
            return Ok(None);
        };
        self.bytes -= bytes;
        upload.join(Stage::Write).await?.map(Some)
    }
}
