//! Writes the outputs of a plan, each once.
//!
//! Partitions are encoded one after the other, each into all its files in one pass; small files are uploaded while the
//! next ones are encoded.
//!
//! Every attempt gets further than the one before. Existing outputs are looked up just ahead of what is written, and if the
//! time runs out, what is known to exist is written down, so that the next attempt need not look at it again.

use std::{collections::VecDeque, sync::Arc};

use arrow::array::RecordBatch;
use futures::{TryStreamExt, future::BoxFuture, stream::FuturesOrdered};
use lakewright_core::{
    encode::{EncodeError, Encoder},
    location::Location,
    parquet_out::RowGroupLimit,
};
use lakewright_ports::{Store, StoreErrorKind};

use super::{
    Budget, Ports,
    ledger::Reached,
    member::Request,
    plan::{Output, Outputs},
    route::Routed,
};
use crate::{
    kit::{ErrorKind, JobError, Stage},
    work::{
        pool::Pool,
        upload::{Finished, PART, Upload},
    },
};

/// How often an upload is restarted after a conflict with another writer, which S3 answers with 409.
const ATTEMPTS: usize = 3;

/// How many outputs are looked up ahead of those that are written.
const AHEAD: usize = 64;

/// The outputs in the store.
pub(super) struct Stored {
    /// Their sizes, in the order of the outputs.
    pub(super) sizes: Vec<u64>,
    /// Whether this invocation created all of them.
    pub(super) all_new: bool,
}

/// Writes every output that does not exist yet.
///
/// An existing output was written by the same plan, because its name contains the batch's id and there is one plan for
/// each batch.
pub(super) async fn outputs(
    request: Request<'_>,
    outputs: &Outputs<'_>,
    routed: &Routed,
    resumed: bool,
) -> Result<Stored, JobError> {
    let Request {
        ports,
        budget,
        ledger,
        bid,
        ..
    } = request;
    let forms = outputs.destinations.iter();
    let forms = forms.map(|destination| destination.job.output.len() as u64);
    let forms = forms.fold(1, u64::max);
    // A row group is in memory twice when it ends: as columns, and as encoded bytes.
    let row_group = usize::try_from(budget.memory / 4 / forms).unwrap_or(usize::MAX);
    let directions = outputs.directions();
    let known = if resumed {
        ledger.reached(bid, &directions).await?
    } else {
        Vec::new()
    };
    let mut sizes = known;
    sizes.resize(outputs.list.len(), None);
    let begun = existing(&sizes);
    let unknown = outputs.list.iter().enumerate();
    let unknown = unknown.filter(|(index, _)| sizes.get(*index) == Some(&None));
    let mut writing = Writing {
        ports,
        budget,
        outputs,
        routed,
        row_group: RowGroupLimit {
            bytes: row_group.min(RowGroupLimit::default().bytes),
            ..RowGroupLimit::default()
        },
        all_new: begun == 0,
        look: Look {
            store: Arc::clone(&ports.store),
            waiting: if resumed {
                unknown
                    .map(|(index, output)| (index, output.location.clone()))
                    .collect()
            } else {
                VecDeque::new()
            },
            asked: VecDeque::new(),
            under_way: FuturesOrdered::new(),
        },
        sizes,
        finishing: Pool::new(budget.memory / 8),
    };
    if let Err(error) = writing.all().await {
        writing.settle().await;
        if error.kind() == ErrorKind::Deadline && existing(&writing.sizes) > begun {
            let reached = Reached {
                version: Reached::VERSION,
                sizes: writing.sizes,
            };
            if let Err(error) = ledger.reach(bid, &directions, &reached).await {
                tracing::warn!(batch = bid, %error, "how far the attempt came was not recorded");
            }
        }
        return Err(error);
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

/// How many outputs are known to exist.
fn existing(sizes: &[Option<u64>]) -> usize {
    sizes.iter().flatten().count()
}

/// Looks up, in their order, which outputs exist, a few ahead of use.
struct Look {
    store: Arc<dyn Store>,
    /// The outputs that have not been looked up yet.
    waiting: VecDeque<(usize, Location)>,
    /// Those that are being looked up.
    asked: VecDeque<usize>,
    under_way: FuturesOrdered<BoxFuture<'static, Result<Option<u64>, JobError>>>,
}

impl Look {
    /// The next output before `end` that has not been looked up yet, and its size if it exists.
    async fn next(&mut self, end: usize) -> Result<Option<(usize, Option<u64>)>, JobError> {
        while self.asked.len() < AHEAD
            && let Some((index, location)) = self.waiting.pop_front()
        {
            let store = Arc::clone(&self.store);
            self.asked.push_back(index);
            self.under_way
                .push_back(Box::pin(async move { size(&store, &location).await }));
        }
        let Some(index) = self.asked.pop_front_if(|index| *index < end) else {
            return Ok(None);
        };
        let size = self.under_way.try_next().await?.flatten();
        Ok(Some((index, size)))
    }
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
    budget: &'a Budget,
    outputs: &'a Outputs<'a>,
    routed: &'a Routed,
    row_group: RowGroupLimit,
    /// The size of each existing output.
    sizes: Vec<Option<u64>>,
    /// Whether none of them existed before.
    all_new: bool,
    look: Look,
    /// The outputs whose last bytes are being uploaded.
    finishing: Pool<Existing>,
}

impl Writing<'_> {
    async fn all(&mut self) -> Result<(), JobError> {
        for attempt in 1..=ATTEMPTS {
            if self.missing(attempt == ATTEMPTS).await? {
                break;
            }
        }
        Ok(())
    }

    /// Waits for the uploads that have begun. Failed ones are left to the next attempt.
    async fn settle(&mut self) {
        while !matches!(self.finish_first().await, Ok(false)) {}
    }

    fn in_time(&self) -> Result<(), JobError> {
        if self.ports.clock.now() >= self.budget.deadline {
            return Err(JobError::deadline());
        }
        Ok(())
    }

    /// Writes the missing outputs. Returns whether all exist then. Conflicts are errors only in the last attempt.
    async fn missing(&mut self, last: bool) -> Result<bool, JobError> {
        let outputs = &self.outputs.list;
        let mut start = 0;
        let mut conflicts = false;
        for of_partition in outputs.chunk_by(|a, b| a.place() == b.place()) {
            let end = start + of_partition.len();
            self.in_time()?;
            while let Some((index, size)) = self.look.next(end).await? {
                self.all_new &= size.is_none();
                if let Some(slot) = self.sizes.get_mut(index) {
                    *slot = size;
                }
            }
            let sizes = self.sizes.get(start..end);
            if sizes.is_some_and(|sizes| sizes.contains(&None)) {
                conflicts |= tolerate(self.partition(start, of_partition).await, last)?.is_none();
            }
            start = end;
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
        let Some(first) = outputs.first() else {
            return Ok(());
        };
        let mut files = Vec::new();
        let mut at = start;
        for of_form in outputs.chunk_by(|a, b| a.form == b.form) {
            files.push(Files::new(at, of_form));
            at += of_form.len();
        }
        let written = self.rows(first, &mut files).await;
        if written.is_err() {
            for (upload, _) in files.iter_mut().filter_map(|files| files.open.as_mut()) {
                upload.abandon().await;
            }
        }
        written
    }

    /// Writes the rows of one partition, that of the output `first`, into its files.
    async fn rows(&mut self, first: &Output, files: &mut [Files<'_>]) -> Result<(), JobError> {
        let separated = self.routed.destinations.get(first.destination);
        let separated = separated.ok_or_else(unknown)?;
        let mut rows = separated.spool.read(first.partition);
        while let Some(batch) = rows.next().await? {
            for files in &mut *files {
                self.write(files, &batch).await?;
            }
            self.in_time()?;
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
        self.in_time()?;
        let destination = self.outputs.destination(output);
        let form = destination.and_then(|of| of.job.output.get(output.form));
        let form = form.ok_or_else(unknown)?;
        let separated = self.routed.destinations.get(output.destination);
        let layout = &separated.ok_or_else(unknown)?.layout;
        let upload = Upload::new(
            Arc::clone(&self.ports.store),
            output.location.clone(),
            form.content_type(),
        );
        let encoder = Encoder::new(form, layout, self.row_group).map_err(|error| {
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
                Ok(Finished::Existed) => match size(&store, &location).await? {
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

fn unknown() -> JobError {
    JobError::new(
        ErrorKind::SchemaUnusable,
        "the plan names an unknown output",
    )
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
