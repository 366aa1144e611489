//! Runs a merge of Parquet files: makes the reads that it asks for, and uploads what it returns.

use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use parquet_merge::{Fetch, Merge, MergeError, Step};

use super::upload::{PART, Upload};
use crate::kit::{ErrorKind, JobError, Stage, task::Task};

/// The most concurrent reads of a merge.
pub(crate) const CONCURRENT_READS: usize = 16;

/// How much memory the upload needs beside the merge: two parts are in flight while the next is produced.
pub(crate) const UPLOAD_MEMORY: usize = 3 * PART;

/// The least memory for a merge.
pub(crate) const LEAST_MEMORY: usize = 64 << 20;

/// A read that a merge asked for.
pub(crate) enum Read {
    /// Its bytes are in memory.
    Here(Bytes),
    /// It is in progress.
    Begun(Task<Result<Bytes, JobError>>),
}

/// Why a merge ended early.
pub(crate) enum Failed {
    /// The files cannot be merged.
    Refused(MergeError),
    /// A read or an upload failed, or the time was over.
    Job(JobError),
}

impl From<JobError> for Failed {
    fn from(error: JobError) -> Self {
        Self::Job(error)
    }
}

/// Merges files into the object of `upload`, except for its last bytes, which are returned: nothing is visible yet.
/// `read` makes the reads; it also fails when the time is over. If the merge fails, the upload is aborted.
pub(crate) async fn run(
    merge: Merge,
    upload: Upload,
    read: impl FnMut(&Fetch) -> Result<Read, JobError>,
) -> Result<(Upload, Vec<u8>), Failed> {
    let mut output = Output {
        ready: Vec::new(),
        upload,
    };
    if let Err(error) = work_off(merge, read, &mut output).await {
        output.upload.abandon().await;
        return Err(error);
    }
    Ok((output.upload, output.ready))
}

async fn work_off(
    mut merge: Merge,
    mut read: impl FnMut(&Fetch) -> Result<Read, JobError>,
    output: &mut Output,
) -> Result<(), Failed> {
    let mut reads = FuturesUnordered::new();
    let mut supplied = Vec::new();
    loop {
        match merge
            .step(std::mem::take(&mut supplied))
            .map_err(Failed::Refused)?
        {
            Step::Fetch(fetches) => {
                for fetch in fetches {
                    match read(&fetch)? {
                        Read::Here(bytes) => supplied.push((fetch, bytes)),
                        Read::Begun(task) => {
                            reads.push(async move { (fetch, task.join(Stage::Read).await) });
                        }
                    }
                }
                if supplied.is_empty() {
                    let (fetch, read) = reads.next().await.ok_or_else(|| {
                        JobError::new(ErrorKind::TaskFailed, "the merge waits for nothing")
                    })?;
                    supplied.push((fetch, read??));
                }
            }
            Step::Write(bytes) => output.write(&bytes).await?,
            Step::Done(_) => return Ok(()),
        }
        tokio::task::yield_now().await;
    }
}

/// The upload of a file, and its bytes that are too few for a part.
struct Output {
    ready: Vec<u8>,
    upload: Upload,
}

impl Output {
    async fn write(&mut self, bytes: &Bytes) -> Result<(), JobError> {
        self.ready.extend_from_slice(bytes);
        if self.ready.len() < PART {
            return Ok(());
        }
        // The next part will have a similar size.
        let part = std::mem::replace(&mut self.ready, Vec::with_capacity(PART + PART / 4));
        let put = self.upload.part(part).await;
        put.map_err(|error| JobError::store(Stage::Write, error))
    }
}
