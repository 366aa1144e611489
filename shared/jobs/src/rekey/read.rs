//! A source object's records: decompressed and framed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use lakewright_core::{
    config::{InputFormat, Limits},
    json::Inference,
    location::Location,
    partition::check_columns,
    reading::Reading,
    records::Records,
};
use parquet_merge::{NameError, find_column};

use super::{
    Budget, Ports, Settings,
    member::{Request, Wanted},
    route::{Pass, route},
    source::Source,
};
use crate::{
    kit::{ErrorKind, JobError, Stage},
    ports::{GetOptions, ObjectBody, Store, StoreError, StoreLayer},
    work::{
        plain::{PlainError, PlainReader},
        refusal::{misread, undecompressed},
    },
};

/// A name in this option is no column of the object.
pub(super) fn no_such_column(location: &Location, option: &str, error: &NameError) -> JobError {
    let message = format!("{option}: {error}");
    JobError::new(ErrorKind::SchemaUnusable, message).of(location.clone())
}

/// Lambda's longest timeout. <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const LONGEST_TIMEOUT: u64 = 900;

/// Reads the members and routes their records. If an object that is alone is delivered again and its time runs out again
/// before all of it is read, that has a name.
///
/// # Errors
/// The failure is not that of a single member.
pub(super) async fn members(request: Request<'_>, wanted: &[Wanted]) -> Result<Pass, JobError> {
    let [alone] = wanted else {
        return route(request, wanted).await;
    };
    if request.receives < 2 || request.batch.candidates.len() > 1 {
        return route(request, wanted).await;
    }
    let source = &request.candidate(alone.candidate)?.source;
    let metered = Arc::new(Metered {
        inner: Arc::clone(&request.ports.store),
        source: source.clone(),
        read: AtomicU64::new(0),
        size: AtomicU64::new(0),
    });
    let ports = Ports {
        store: Arc::clone(&metered) as Arc<dyn Store>,
        ..request.ports.clone()
    };
    let begun = ports.clock.now();
    let of_ports = Request {
        ports: &ports,
        ..request
    };
    match route(of_ports, wanted).await {
        Err(error) if error.kind() == ErrorKind::Deadline => {
            let took = ports.clock.now().duration_since(begun);
            let took = u64::try_from(took.as_secs()).unwrap_or_default().max(1);
            let read = metered.read.load(Ordering::Relaxed);
            let size = metered.size.load(Ordering::Relaxed);
            // Without a table it is read twice: once for its columns.
            let passes = if request.settings().table.is_some() {
                1
            } else {
                2
            };
            let takes = took.saturating_mul(size * passes) / read.max(1);
            let advice = if takes < LONGEST_TIMEOUT {
                format!(
                    "raise the function's timeout above {takes} s, or its memory, which brings processors"
                )
            } else {
                "that is longer than a function may run: raise its memory, which brings processors, name a table, so that the columns need not be inferred, or land smaller objects".to_owned()
            };
            let what = format!(
                "at delivery {}, {read} bytes of {} were read in {took} s, so all of it takes about {takes} s; {advice}",
                request.receives,
                size * passes
            );
            Err(JobError::timeout_too_short(what)
                .during(Stage::Read)
                .of(source.clone()))
        }
        read => read,
    }
}

/// A store that counts the bytes that are read of one object.
struct Metered {
    inner: Arc<dyn Store>,
    source: Location,
    read: AtomicU64,
    size: AtomicU64,
}

#[async_trait]
impl StoreLayer for Metered {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        let body = self.inner.get(object, options).await?;
        if *object == self.source {
            let bytes = body.bytes.len() as u64;
            self.read.fetch_add(bytes, Ordering::Relaxed);
            self.size.store(body.meta.size, Ordering::Relaxed);
        }
        Ok(body)
    }
}

/// The names of columns in the configuration.
struct Needed {
    partition_by: Vec<String>,
    timestamp: String,
}

/// The records of an object, piece by piece.
pub(super) struct RecordReader<'a> {
    ports: &'a Ports,
    budget: &'a Budget,
    location: Location,
    reader: PlainReader,
    records: Box<dyn Records>,
    /// The columns that CSV must have, until it is known whether it does.
    needed: Option<Needed>,
    plain: Vec<u8>,
    ended: bool,
}

impl<'a> RecordReader<'a> {
    pub(super) fn new(
        ports: &'a Ports,
        budget: &'a Budget,
        settings: &Settings,
        source: Source,
    ) -> Result<Self, JobError> {
        let location = source.location().clone();
        let job = &settings.job;
        let limits: &Limits = &job.limits;
        let table = settings.table.iter().flat_map(|table| &table.columns);
        let columns = table.map(|column| column.name.clone());
        let records = Reading::of_prefix(job.format, job.csv.as_ref(), columns)
            .records(limits, true)
            .map_err(|error| misread(&location, &error))?
            .ok_or_else(|| {
                JobError::unreadable(location.clone(), "it is read by row groups".to_owned())
            })?;
        Ok(Self {
            ports,
            budget,
            reader: PlainReader::new(source.read(), limits.compression_ratio),
            records,
            needed: (job.format == InputFormat::Csv).then(|| Needed {
                partition_by: job.partition_by.clone(),
                timestamp: job.timestamp.column.clone(),
            }),
            location,
            plain: Vec::new(),
            ended: false,
        })
    }

    /// Reads more. There may be new records, all of which must be taken before the next call; `None` after the last.
    pub(super) async fn more(&mut self) -> Result<Option<&mut dyn Records>, JobError> {
        if self.ended {
            return Ok(None);
        }
        if self.reader.needs_input() {
            if self.ports.clock.now() >= self.budget.deadline {
                return Err(JobError::deadline());
            }
            // Yield to the reads ahead.
            tokio::task::yield_now().await;
        }
        self.plain.clear();
        let more = self.reader.next_into(&mut self.plain).await;
        self.ended = !more.map_err(|error| match error {
            PlainError::Read(error) => error,
            PlainError::Corrupt(error) => undecompressed(&self.location, &error),
        })?;
        self.records.push(&self.plain);
        if self.ended {
            self.records.finish();
        }
        self.check_columns()?;
        Ok(Some(&mut *self.records))
    }

    /// Checks that CSV has the columns that the configuration names, as soon as they are known.
    fn check_columns(&mut self) -> Result<(), JobError> {
        let Some(needed) = &self.needed else {
            return Ok(());
        };
        // A broken header fails when its records are read.
        let names = self.records.infer(&mut Inference::new(1));
        if let Ok(Some(names)) = names {
            check_columns(&needed.partition_by, &names)
                .map_err(|error| no_such_column(&self.location, "partition_by", &error))?;
            find_column(&needed.timestamp, names.iter().map(std::slice::from_ref))
                .map_err(|error| no_such_column(&self.location, "timestamp.column", &error))?;
            self.needed = None;
        }
        Ok(())
    }
}
