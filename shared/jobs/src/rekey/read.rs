//! A source object's records: decompressed and framed.

use lakewright_core::{
    avro::AvroFile,
    chunk::Chunk,
    config::{InputFormat, Limits, Rekey},
    json::Inference,
    location::Location,
    partition::check_columns,
    reading::Reading,
    records::Records,
};
use parquet_merge::{NameError, find_column};

use super::{Budget, Ports, Settings};
use crate::{
    kit::{ErrorKind, JobError},
    work::{
        plain::{PlainError, PlainReader},
        refusal::{misread, refused_avro, undecompressed},
        source::Source,
    },
};

/// The error for an option that names a column which the object does not have.
pub(super) fn no_such_column(location: &Location, option: &str, error: &NameError) -> JobError {
    let message = format!("{option}: {error}");
    JobError::new(ErrorKind::SchemaUnusable, message).of(location.clone())
}

/// Checks that the fields that operations name are among the columns of an object.
pub(super) fn check_fields(
    fields: impl IntoIterator<Item = impl AsRef<str>>,
    names: &[String],
) -> Result<(), NameError> {
    let mut fields = fields.into_iter();
    fields.try_for_each(|field| {
        find_column(field.as_ref(), names.iter().map(std::slice::from_ref)).map(drop)
    })
}

/// The names of columns in the configuration.
struct Needed {
    partition_by: Vec<String>,
    column: Vec<String>,
    timestamp: String,
    route: Option<String>,
}

impl Needed {
    fn of(job: &Rekey) -> Self {
        let destinations = job.destinations();
        let mut needed = Self {
            partition_by: Vec::new(),
            column: Vec::new(),
            timestamp: job.timestamp.column.clone(),
            route: job.route.as_ref().map(|route| route.column.clone()),
        };
        for job in &destinations {
            needed.partition_by.extend(job.fields_of_path());
            let fields = job.fields_of_columns().map(str::to_owned);
            needed.column.extend(fields);
        }
        needed
    }
}

/// The bytes of an object, decompressed, piece by piece.
pub(super) struct Pieces<'a> {
    ports: &'a Ports,
    budget: &'a Budget,
    location: Location,
    reader: PlainReader,
    ended: bool,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(
        ports: &'a Ports,
        budget: &'a Budget,
        limits: &Limits,
        source: Source,
    ) -> Self {
        Self {
            ports,
            budget,
            location: source.location().clone(),
            reader: PlainReader::new(source.read(), limits.compression_ratio),
            ended: false,
        }
    }

    /// Whether there are no more.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// The next bytes, which may be none.
    pub(super) async fn next(&mut self) -> Result<&mut Chunk, JobError> {
        if self.reader.needs_input() {
            if self.ports.clock.now() >= self.budget.deadline {
                return Err(JobError::deadline());
            }
            // Yield to the reads ahead.
            tokio::task::yield_now().await;
        }
        let more = self.reader.advance().await;
        self.ended = !more.map_err(|error| match error {
            PlainError::Read(error) => error,
            PlainError::Corrupt(error) => undecompressed(&self.location, &error),
        })?;
        Ok(self.reader.plain())
    }
}

/// Reads the header of an Avro object.
pub(super) async fn open_avro(
    pieces: &mut Pieces<'_>,
    limits: &Limits,
) -> Result<AvroFile, JobError> {
    let mut file = AvroFile::new(limits);
    while !file
        .is_open()
        .map_err(|error| refused_avro(&pieces.location, error))?
    {
        file.push(pieces.next().await?);
        if pieces.ended() {
            file.finish();
        }
    }
    Ok(file)
}

/// The records of an object, piece by piece.
pub(super) struct RecordReader<'a> {
    pieces: Pieces<'a>,
    records: Box<dyn Records>,
    /// The columns that CSV or a pattern must have, until that has been checked.
    needed: Option<Needed>,
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
        let envelope = job.envelope().map_err(|error| {
            JobError::new(ErrorKind::SchemaUnusable, error.to_string()).of(location.clone())
        })?;
        let records = Reading::of_prefix(job.format, job.csv.as_ref(), job.regex.as_ref(), columns)
            .within(envelope)
            .records(limits, true)
            .map_err(|error| misread(&location, &error))?
            .ok_or_else(|| {
                JobError::unreadable(location.clone(), "it is read in batches".to_owned())
            })?;
        Ok(Self {
            pieces: Pieces::new(ports, budget, limits, source),
            records,
            needed: matches!(job.format, InputFormat::Csv | InputFormat::Regex)
                .then(|| Needed::of(job)),
        })
    }

    /// Reads more. There may be new records, all of which must be taken before the next call; `None` after the last.
    pub(super) async fn more(&mut self) -> Result<Option<&mut dyn Records>, JobError> {
        if self.pieces.ended() {
            return Ok(None);
        }
        self.records.push(self.pieces.next().await?);
        if self.pieces.ended() {
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
        let location = &self.pieces.location;
        let names = self.records.infer(&mut Inference::new(1));
        if let Ok(Some(names)) = names {
            check_columns(&needed.partition_by, &names)
                .map_err(|error| no_such_column(location, "partition_by", &error))?;
            check_fields(&needed.column, &names)
                .map_err(|error| no_such_column(location, "column", &error))?;
            find_column(&needed.timestamp, names.iter().map(std::slice::from_ref))
                .map_err(|error| no_such_column(location, "timestamp.column", &error))?;
            if let Some(route) = &needed.route {
                find_column(route, names.iter().map(std::slice::from_ref))
                    .map_err(|error| no_such_column(location, "route.column", &error))?;
            }
            self.needed = None;
        }
        Ok(())
    }
}
