//! Writes the outputs of a plan, each once.
//!
//! Partitions are encoded one after the other, each into all its files in one pass; small files are uploaded while the
//! next ones are encoded.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::{TryStreamExt, stream::FuturesOrdered};
use lakewright_core::{
    encode::{EncodeError, Encoder},
    location::Location,
    parquet_out::RowGroupLimit,
};

use super::{
    Budget, Ports,
    plan::{Output, Outputs},
    route::Routed,
};
use crate::{
    kit::{ErrorKind, JobError, Stage},
    ports::{Store, StoreErrorKind},
    work::{
        pool::Pool,
        upload::{Finished, PART, Upload},
    },
};

/// How often an upload is restarted after a conflict with another writer, which S3 answers with 409.
const ATTEMPTS: usize = 3;

/// The most concurrent requests.
const CONCURRENT: usize = 16;

/// The outputs as they stand in the store.
pub(super) struct Stored {
    /// Their sizes, in the order of the outputs.
    pub(super) sizes: Vec<u64>,
    /// Whether all were created now, from the rows at hand.
    pub(super) all_new: bool,
}

/// Writes every output that does not exist yet.
///
/// An existing output was written by the same plan, because its name contains the batch's id and there is one plan for
/// each batch.
pub(super) async fn outputs(
    ports: &Ports,
    budget: &Budget,
    outputs: &Outputs<'_>,
    routed: &Routed,
    resumed: bool,
) -> Result<Stored, JobError> {
    let forms = outputs.job().output.len().max(1) as u64;
    // A row group is in memory twice when it ends: as columns, and as encoded bytes.
    let row_group = usize::try_from(budget.memory / 4 / forms).unwrap_or(usize::MAX);
    let sizes = standing(&ports.store, outputs, resumed).await?;
    let mut writing = Writing {
        ports,
        outputs,
        routed,
        row_group: RowGroupLimit {
            bytes: row_group.min(RowGroupLimit::default().bytes),
            ..RowGroupLimit::default()
        },
        all_new: sizes.iter().all(Option::is_none),
        sizes,
        finishing: Pool::new(budget.memory / 8),
    };
    for attempt in 1..=ATTEMPTS {
        if writing.missing(attempt == ATTEMPTS).await? {
            break;
        }
    }
    let sizes = outputs.list.iter().zip(writing.sizes);
    let sizes = sizes
        .map(|(output, bytes)| bytes.ok_or_else(|| vanished(&output.location)))
        .collect::<Result<_, _>>()?;
    Ok(Stored {
        sizes,
        all_new: writing.all_new,
    })
}

/// The sizes of the existing outputs, in their order.
async fn standing(
    store: &Arc<dyn Store>,
    outputs: &Outputs<'_>,
    resumed: bool,
) -> Result<Vec<Option<u64>>, JobError> {
    if !resumed {
        return Ok(vec![None; outputs.list.len()]);
    }
    let mut sizes = Vec::with_capacity(outputs.list.len());
    let mut under_way = FuturesOrdered::new();
    for output in &outputs.list {
        if under_way.len() >= CONCURRENT {
            sizes.extend(under_way.try_next().await?);
        }
        under_way.push_back(size(store, &output.location));
    }
    while let Some(size) = under_way.try_next().await? {
        sizes.push(size);
    }
    Ok(sizes)
}

/// The size of an object, if it exists.
async fn size(store: &Arc<dyn Store>, location: &Location) -> Result<Option<u64>, JobError> {
    match store.head(location, None).await {
        Ok(meta) => Ok(Some(meta.size)),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
        Err(error) => Err(JobError::store(Stage::Write, error)),
    }
}

pub(super) fn vanished(location: &Location) -> JobError {
    let message = "it vanished while it was written; nothing that a plan names may be deleted before its \
            commit";
    JobError::new(ErrorKind::OutputVanished, message)
        .during(Stage::Write)
        .of(location.clone())
}

/// An output that exists now.
struct Existing {
    /// Its index.
    index: usize,
    /// Its size in bytes.
    size: u64,
    /// Whether this invocation created it.
    is_new: bool,
}

struct Writing<'a> {
    ports: &'a Ports,
    outputs: &'a Outputs<'a>,
    routed: &'a Routed,
    row_group: RowGroupLimit,
    /// The size of each existing output.
    sizes: Vec<Option<u64>>,
    /// Whether none of them existed before.
    all_new: bool,
    /// The outputs whose last bytes are being uploaded.
    finishing: Pool<Existing>,
}

impl Writing<'_> {
    /// Writes the missing outputs. Returns whether all exist then. Conflicts are errors only in the last attempt.
    async fn missing(&mut self, last: bool) -> Result<bool, JobError> {
        let outputs = &self.outputs.list;
        let mut start = 0;
        let mut conflicts = false;
        for of_partition in outputs.chunk_by(|a, b| a.partition == b.partition) {
            let sizes = self.sizes.get(start..start + of_partition.len());
            if sizes.is_some_and(|sizes| sizes.contains(&None)) {
                conflicts |= tolerate(self.partition(start, of_partition).await, last)?.is_none();
            }
            start += of_partition.len();
        }
        loop {
            match tolerate(self.finish_first().await, last)? {
                Some(true) => {}
                Some(false) => return Ok(!conflicts),
                None => conflicts = true,
            }
        }
    }

    /// Writes the outputs of one partition, the first of which has the index `start`.
    async fn partition(&mut self, start: usize, outputs: &[Output]) -> Result<(), JobError> {
        let Some(partition) = outputs.first().map(|output| output.partition) else {
            return Ok(());
        };
        let mut files = Vec::new();
        let mut at = start;
        for of_form in outputs.chunk_by(|a, b| a.form == b.form) {
            files.push(Files::new(at, of_form));
            at += of_form.len();
        }
        let mut rows = self.routed.spool.read(partition);
        while let Some(batch) = rows.next().await? {
            for files in &mut files {
                self.write(files, &batch).await?;
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Writes rows into the files of one form.
    async fn write(&mut self, files: &mut Files<'_>, batch: &RecordBatch) -> Result<(), JobError> {
        let mut rest = batch.clone();
        while rest.num_rows() > 0 {
            let Some((index, output)) = files.current() else {
                return Err(JobError::new(
                    ErrorKind::SchemaUnusable,
                    "a partition has more rows than its plan",
                ));
            };
            let rows = usize::try_from(files.left)
                .map_or(rest.num_rows(), |left| left.min(rest.num_rows()));
            let encode = |error: EncodeError| {
                JobError::new(
                    ErrorKind::EncodeFailed,
                    format!("encode {}: {error}", output.location.key),
                )
            };
            if self.sizes.get(index) == Some(&None) {
                let (upload, encoder) = match &mut files.open {
                    Some(open) => open,
                    closed => closed.insert(self.open(output)?),
                };
                encoder.write(&rest.slice(0, rows)).map_err(encode)?;
                if encoder.ready().len() >= PART {
                    let part = std::mem::take(encoder.ready());
                    let put = upload.part(part).await;
                    put.map_err(|error| JobError::store(Stage::Write, error))?;
                }
            }
            rest = rest.slice(rows, rest.num_rows() - rows);
            files.left -= rows as u64;
            if files.left == 0 {
                if let Some((upload, encoder)) = files.open.take() {
                    let last = encoder.finish().map_err(encode)?;
                    self.finish(index, upload, last).await?;
                }
                files.advance();
            }
        }
        Ok(())
    }

    fn open(&self, output: &Output) -> Result<(Upload, Encoder), JobError> {
        let missing = || {
            JobError::new(
                ErrorKind::SchemaUnusable,
                "the plan names an unknown output",
            )
        };
        let form = self
            .outputs
            .job()
            .output
            .get(output.form)
            .ok_or_else(missing)?;
        let upload = Upload::new(
            Arc::clone(&self.ports.store),
            output.location.clone(),
            form.content_type(),
        );
        let encoder = Encoder::new(form, &self.routed.layout, self.row_group).map_err(|error| {
            JobError::new(
                ErrorKind::EncodeFailed,
                format!("encode {}: {error}", output.location.key),
            )
        })?;
        Ok((upload, encoder))
    }

    /// Starts the upload of an output's last bytes.
    async fn finish(
        &mut self,
        index: usize,
        upload: Upload,
        last: Vec<u8>,
    ) -> Result<(), JobError> {
        let bytes = last.len() as u64;
        while !self.finishing.has_room(bytes) {
            self.finish_first().await?;
        }
        let store = Arc::clone(&self.ports.store);
        self.finishing.begin(bytes, async move {
            let location = upload.location().clone();
            let (size, is_new) = match upload.finish(last).await {
                Ok(Finished::Written { bytes, .. }) => (bytes, true),
                Ok(Finished::Stood) => match size(&store, &location).await? {
                    Some(bytes) => (bytes, false),
                    None => return Err(vanished(&location)),
                },
                Err(error) => return Err(JobError::store(Stage::Write, error)),
            };
            Ok(Existing {
                index,
                size,
                is_new,
            })
        });
        Ok(())
    }

    /// Waits for the first upload. Returns false if there is none.
    async fn finish_first(&mut self) -> Result<bool, JobError> {
        let Some(finished) = self.finishing.next().await? else {
            return Ok(false);
        };
        self.all_new &= finished.is_new;
        if let Some(slot) = self.sizes.get_mut(finished.index) {
            *slot = Some(finished.size);
        }
        Ok(true)
    }
}

/// `None` for a conflict that a retry may resolve.
fn tolerate<T>(result: Result<T, JobError>, last: bool) -> Result<Option<T>, JobError> {
    match result {
        Err(error) if error.store_kind() == Some(StoreErrorKind::Conflict) && !last => Ok(None),
        other => other.map(Some),
    }
}

/// The files of one form in one partition, the current one first.
struct Files<'a> {
    /// The index of the current file among the outputs.
    index: usize,
    outputs: &'a [Output],
    /// The number of rows that are still missing in the current file.
    left: u64,
    open: Option<(Upload, Encoder)>,
}

impl<'a> Files<'a> {
    fn new(index: usize, outputs: &'a [Output]) -> Self {
        Self {
            index,
            outputs,
            left: outputs.first().map_or(0, |output| output.rows),
            open: None,
        }
    }

    fn current(&self) -> Option<(usize, &'a Output)> {
        self.outputs.first().map(|output| (self.index, output))
    }

    fn advance(&mut self) {
        self.index += 1;
        self.outputs = self.outputs.get(1..).unwrap_or_default();
        self.left = self.outputs.first().map_or(0, |output| output.rows);
    }
}
