//! Runs a merge of Parquet files: makes the reads that it asks for, and uploads what it returns.

use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use lakewright_ports::StoreError;
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
        upload: Some(upload),
        part: None,
    };
    let worked_off = work_off(merge, read, &mut output).await;
    let upload = output.upload().await;
    match (worked_off, upload) {
        (Ok(()), Ok(upload)) => Ok((upload, output.ready)),
        (Err(error), Ok(mut upload)) => {
            upload.abandon().await;
            Err(error)
        }
        (worked_off, Err(error)) => {
            worked_off?;
            Err(error.into())
        }
    }
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

/// The upload of a file: one part is uploaded while the next is produced.
struct Output {
    ready: Vec<u8>,
    /// `None` while a part is being uploaded, and after an upload failed.
    upload: Option<Upload>,
    part: Option<Task<(Upload, Result<(), StoreError>)>>,
}

impl Output {
    async fn write(&mut self, bytes: &Bytes) -> Result<(), JobError> {
        self.ready.extend_from_slice(bytes);
        if self.ready.len() < PART {
            return Ok(());
        }
        // The next part will have a similar size.
        let part = std::mem::replace(&mut self.ready, Vec::with_capacity(PART + PART / 4));
        let mut upload = self.upload().await?;
        self.part = Some(Task::spawn(async move {
            let put = upload.part(part).await;
            (upload, put)
        }));
        Ok(())
    }

    /// The upload, once no part is being uploaded.
    async fn upload(&mut self) -> Result<Upload, JobError> {
        if let Some(part) = self.part.take() {
            let (upload, put) = part.join(Stage::Write).await?;
            put.map_err(|error| JobError::store(Stage::Write, error))?;
            return Ok(upload);
        }
        let gone = || JobError::task(Stage::Write, "the upload is gone");
        self.upload.take().ok_or_else(gone)
    }
}
