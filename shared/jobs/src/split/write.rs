//! Writes the rows of a chunk, each as a separate object, several at a time.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream::FuturesUnordered};
use lakewright_core::{
    location::Location,
    split::{Chunk, KeyTemplate, Renderer, RowReader, rows},
};
use lakewright_ports::{
    Attributes, Clock, GetOptions, PutOptions, Store, StoreError, StoreErrorKind,
};
use twox_hash::XxHash3_128;

use super::{
    Budget,
    blocks::Blocks,
    ledger::{Done, Plan, vanished},
    scan,
};
use crate::kit::{ErrorKind, JobError, Stage};

/// Objects are rendered into buffers of this size, one after the other.
const BUFFER: usize = 256 << 10;

/// A read from Parquet may take the memory divided by this.
const READ_SHARE: u64 = 3;

/// Objects in flight may take the memory divided by this.
const WRITE_SHARE: u64 = 4;

/// The result of writing a chunk.
#[derive(Debug)]
pub(super) struct WriteReport {
    pub(super) done: Done,
    pub(super) written: u64,
    pub(super) stood: u64,
}

/// The outcome of one row.
#[derive(Debug)]
enum Put {
    Written,
    /// It already existed.
    Existed,
    /// Another object has its key.
    Taken {
        row: u64,
        location: Location,
    },
}

/// An object to write.
struct Object {
    row: u64,
    location: Location,
    body: Bytes,
}

/// Writes objects of one job.
struct Writer<'a> {
    store: &'a dyn Store,
    options: PutOptions,
    /// Whether some of them probably exist, so that it is cheaper to check first.
    resumed: bool,
}

/// The rows of a chunk that are written, as objects.
struct Objects<'a> {
    plan: &'a Plan,
    /// The rows of the chunk that are not written.
    dropped: Vec<u64>,
    keys: KeyTemplate,
    renderer: Renderer,
    buffer: BytesMut,
    key: String,
    /// The sum of the objects' hashes, each seeded by its key's hash.
    hash: u128,
    done: Done,
}

/// How an attempt at a chunk ended.
pub(super) enum Ended {
    /// All its objects exist.
    Written(WriteReport),
    /// The deadline came.
    OutOfTime {
        /// The number of the first row, in the whole result, whose object may be missing.
        next_row: u64,
    },
}

/// Writes the rows of a chunk until all are written or the deadline comes. `resume`: if it is not the first attempt,
/// the number of the first row whose object may be missing.
pub(super) async fn write_rows(
    store: &Arc<dyn Store>,
    clock: &dyn Clock,
    plan: &Plan,
    index: u32,
    chunk: &Chunk,
    resume: Option<u64>,
    budget: &Budget,
) -> Result<Ended, JobError> {
    let mut objects = Objects::new(plan, index, chunk)?;
    let writer = Writer {
        store: &**store,
        options: options(plan),
        resumed: resume.is_some(),
    };
    let mut tally = Tally::default();
    let mut under_way = FuturesUnordered::new();
    let in_flight = usize::try_from(plan.settings.in_flight).unwrap_or(usize::MAX);
    let most_bytes = budget.memory / WRITE_SHARE;
    let mut bytes_under_way = 0;
    let mut blocks = Blocks::open(store, plan, chunk, budget.memory / READ_SHARE).await?;
    let mut number = chunk.first_row;
    let begin = resume.unwrap_or(number);
    let mut out_of_time = false;
    'blocks: while let Some(block) = blocks.next().await? {
        for bytes in rows(blocks.framing, &block) {
            // Every row is read again, because the chunk's marker needs the hash of all its objects.
            match objects.next(&blocks.reader, number, bytes)? {
                Some(_) if number < begin => tally.stood += 1,
                Some(object) => {
                    while under_way.len() >= in_flight || bytes_under_way > most_bytes {
                        let Some((size, row, put)) = under_way.next().await else {
                            break;
                        };
                        bytes_under_way -= size;
                        tally.add(row, put)?;
                    }
                    let size = object.body.len() as u64;
                    bytes_under_way += size;
                    let writer = &writer;
                    under_way.push(async move { (size, object.row, writer.put(object).await) });
                }
                None => {}
            }
            number += 1;
            if clock.now() >= budget.deadline || tally.first_unwritten.is_some() {
                out_of_time = true;
                break 'blocks;
            }
        }
    }
    while let Some((_, row, put)) = under_way.next().await {
        tally.add(row, put)?;
    }
    if (out_of_time || tally.first_unwritten.is_some()) && tally.taken == 0 {
        return Ok(Ended::OutOfTime {
            next_row: tally.first_unwritten.unwrap_or(number),
        });
    }
    if !out_of_time && number != chunk.first_row + chunk.rows {
        return Err(JobError::new(
            ErrorKind::BadRow,
            format!("row {number}: the plan has {} rows here", chunk.rows),
        ));
    }
    if let Some((row, first)) = tally.first_taken {
        let message = format!(
            "{} of the chunk's keys have another object, the first is {} for row {}: none was \
            overwritten",
            tally.taken, first, row
        );
        return Err(JobError::new(ErrorKind::KeyTaken, message).during(Stage::Write));
    }
    Ok(Ended::Written(WriteReport {
        done: objects.finish(chunk),
        written: tally.written,
        stood: tally.stood,
    }))
}

fn options(plan: &Plan) -> PutOptions {
    let job = &plan.settings;
    let attributes = Attributes {
        storage_class: job.storage_class.clone(),
        tags: job.tags.clone(),
        encryption: job.encryption.clone(),
    };
    PutOptions {
        content_type: Some(job.content_type().to_owned()),
        attributes: (attributes != Attributes::default()).then(|| Arc::new(attributes)),
        // S3
        ..PutOptions::create_only()
    }
}

#[derive(Default)]
struct Tally {
    written: u64,
    stood: u64,
    taken: u64,
    first_taken: Option<(u64, Location)>,
    /// The first row whose object was not written because the time ran out.
    first_unwritten: Option<u64>,
}

impl Tally {
    /// Counts the result of writing a row's object.
    fn add(&mut self, row: u64, put: Result<Put, JobError>) -> Result<(), JobError> {
        match put {
            Ok(Put::Written) => self.written += 1,
            Ok(Put::Existed) => self.stood += 1,
            Err(error) if error.kind() == ErrorKind::Deadline => {
                let first = self.first_unwritten.map_or(row, |first| first.min(row));
                self.first_unwritten = Some(first);
            }
            Err(error) => return Err(error),
            Ok(Put::Taken { row, location }) => {
                self.taken += 1;
                if self
                    .first_taken
                    .as_ref()
                    .is_none_or(|(first, _)| row < *first)
                {
                    self.first_taken = Some((row, location));
                }
            }
        }
        Ok(())
    }
}

impl<'a> Objects<'a> {
    fn new(plan: &'a Plan, index: u32, chunk: &Chunk) -> Result<Self, JobError> {
        let (keys, renderer) = scan::templates(&plan.settings)?;
        Ok(Self {
            plan,
            dropped: plan
                .dropped
                .within(chunk.first_row..chunk.first_row + chunk.rows),
            keys,
            renderer,
            buffer: BytesMut::with_capacity(BUFFER),
            key: String::new(),
            hash: 0,
            done: Done {
                version: Done::VERSION,
                chunk: index,
                rows: 0,
                objects: 0,
                bytes: 0,
                hash: String::new(),
            },
        })
    }

    /// The object of the next row; `None` if another row has its key.
    fn next(
        &mut self,
        reader: &RowReader,
        number: u64,
        bytes: &[u8],
    ) -> Result<Option<Object>, JobError> {
        let bad =
            |message: String| JobError::new(ErrorKind::BadRow, format!("row {number}: {message}"));
        if self.dropped.binary_search(&number).is_ok() {
            return Ok(None);
        }
        let job = &self.plan.settings;
        let row = reader
            .read(bytes)
            .map_err(|problem| bad(problem.to_string()))?;
        self.keys
            .write(&row, number, &self.plan.id, &job.target.key, &mut self.key)
            .map_err(|problem| bad(problem.to_string()))?;
        // The rest of a buffer is discarded if an object does not fit into it.
        if self.buffer.capacity() < bytes.len() {
            self.buffer.reserve(BUFFER.max(bytes.len()));
        }
        self.renderer
            .render(&row, number, &self.plan.id, &mut self.buffer);
        let body = self.buffer.split().freeze();
        let key = self.key.as_bytes();
        let hash = XxHash3_128::oneshot_with_seed(seed(key), &body);
        self.hash = self.hash.wrapping_add(hash);
        self.done.objects += 1;
        self.done.bytes += body.len() as u64;
        Ok(Some(Object {
            row: number,
            location: Location::new(&job.target.bucket, &self.key),
            body,
        }))
    }

    fn finish(mut self, chunk: &Chunk) -> Done {
        self.done.rows = chunk.rows;
        self.done.hash = format!("{:032x}", self.hash);
        self.done
    }
}

impl Writer<'_> {
    /// Writes an object, unless it exists. It never overwrites another one.
    async fn put(&self, object: Object) -> Result<Put, JobError> {
        if self.resumed
            && let Some(is_same) = self.is_same(&object).await?
        {
            return Ok(found(is_same, object));
        }
        let (location, body) = (&object.location, object.body.clone());
        match self.store.put(location, body, self.options.clone()).await {
            Ok(_) => Ok(Put::Written),
            Err(error) if error.kind == StoreErrorKind::PreconditionFailed => {
                if let Some(is_same) = self.is_same(&object).await? {
                    return Ok(found(is_same, object));
                }
                Err(vanished(object.location))
            }
            Err(error) => Err(JobError::store(Stage::Write, error)),
        }
    }

    /// Whether the existing object under the key is this object; `None` if there is none.
    async fn is_same(&self, object: &Object) -> Result<Option<bool>, JobError> {
        let size = object.body.len() as u64;
        let options = GetOptions {
            // The existing object may be large, so only as much as needed is read. A range cannot be empty, so at least
            // one byte.
            range: Some(0..size.max(1)),
            ..GetOptions::default()
        };
        let failed = |error: StoreError| JobError::store(Stage::Write, error);
        match self.store.get(&object.location, options).await {
            Ok(found) => Ok(Some(found.meta.size == size && found.bytes == object.body)),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
            // The existing object is empty.
            Err(error) if error.kind == StoreErrorKind::InvalidRange => Ok(Some(size == 0)),
            Err(error) => Err(failed(error)),
        }
    }
}

fn found(is_same: bool, object: Object) -> Put {
    if is_same {
        Put::Existed
    } else {
        Put::Taken {
            row: object.row,
            location: object.location,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
fn seed(key: &[u8]) -> u64 {
    XxHash3_128::oneshot(key) as u64
}
