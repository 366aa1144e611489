//! Scans the result in one pass for its rows, its chunks, and rows that share a key.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use lakewright_core::{
    config::{self, OnCollision, ResultColumn},
    content::{Head, NotText},
    location::Location,
    split::{
        Chunk, ChunkLimit, Column, Dropped, Duplicates, Framing, KeyIndex, KeyTemplate, Renderer,
        RowReader, Scan, ScanError, Seen, SourceFormat, chunks_of_rows, header_names, rows,
    },
};
use parquet_merge::find_column;

use super::{
    Budget, Columns, Ports,
    blocks::{Blocks, parquet_reader},
    dropped::DroppedRows,
    ledger::{NAMED, Plan, Source},
    parquet::Parquet,
    read::Plain,
    source::Found,
};
use crate::kit::{ErrorKind, JobError};

/// The type of columns without a known type.
const TEXT: &str = "varchar";

/// The index of keys may use the memory divided by this.
const INDEX_SHARE: u64 = 2;

/// The plan of a result.
pub(super) async fn scan(
    ports: &Ports,
    job: &config::Split,
    id: &str,
    found: Found,
    budget: &Budget,
) -> Result<Plan, JobError> {
    let mut scanner = Scanner::new(job, id, found.columns, budget)?;
    let mut plan = Plan {
        version: Plan::VERSION,
        id: id.to_owned(),
        settings: job.clone(),
        query: found.query,
        sources: found.sources,
        columns: Vec::new(),
        rows: 0,
        bytes: 0,
        chunks: Vec::new(),
        dropped: DroppedRows::default(),
        collisions: 0,
    };
    for (index, source) in (0_u32..).zip(&mut plan.sources) {
        source.first_row = plan.rows;
        let (chunks, rows) = if source.size == 0 && source.format != SourceFormat::Csv {
            (Vec::new(), 0)
        } else if source.format == SourceFormat::Parquet {
            scanner.parquet(ports, source, index, budget).await?
        } else {
            scanner.text(ports, source, index, budget).await?
        };
        plan.bytes += chunks.iter().map(|chunk| chunk.length).sum::<u64>();
        plan.rows += rows;
        plan.chunks.extend(chunks);
    }
    let duplicates = scanner.finish(&mut plan);
    plan.dropped = DroppedRows::new(duplicates.dropped, NAMED);
    plan.collisions = duplicates.collisions;
    if job.on_collision == OnCollision::Fail
        && let Some(first) = plan.dropped.collided().next().copied()
    {
        return Err(JobError::new(
            ErrorKind::KeyCollision,
            format!(
                "rows {} and {} have the key {} and are different ({} such in all): nothing was written. Name more columns in `key`, or choose with `on_collision`",
                first.kept,
                first.row,
                key_of(ports, &plan, first, budget).await?,
                plan.collisions
            ),
        ));
    }
    Ok(plan)
}

/// The key that two rows share, read again.
async fn key_of(
    ports: &Ports,
    plan: &Plan,
    dropped: Dropped,
    budget: &Budget,
) -> Result<String, JobError> {
    let names = Names::new(&plan.settings, &plan.id)?;
    let holds = |chunk: &&Chunk| dropped.row < chunk.first_row + chunk.rows;
    let Some(chunk) = plan.chunks.iter().find(holds) else {
        return Ok(String::new());
    };
    let mut blocks = Blocks::open(&ports.store, plan, chunk, budget.memory / 4).await?;
    let mut number = chunk.first_row;
    while let Some(block) = blocks.next().await? {
        for row in rows(blocks.framing, &block) {
            if number == dropped.row {
                let mut key = String::new();
                names.read(&blocks.reader, number, row, &mut key, None)?;
                return Ok(key);
            }
            number += 1;
        }
    }
    Ok(String::new())
}

/// Builds the names and objects of rows, for the index.
struct Names {
    keys: KeyTemplate,
    renderer: Renderer,
    prefix: String,
    id: String,
}

impl Names {
    fn new(job: &config::Split, id: &str) -> Result<Self, JobError> {
        let (keys, renderer) = templates(job)?;
        Ok(Self {
            keys,
            renderer,
            prefix: job.target.key.clone(),
            id: id.to_owned(),
        })
    }

    /// The key of a row, and its object if `object` is given.
    fn read(
        &self,
        reader: &RowReader,
        number: u64,
        bytes: &[u8],
        key: &mut String,
        object: Option<&mut BytesMut>,
    ) -> Result<(), JobError> {
        let bad =
            |message: String| JobError::new(ErrorKind::BadRow, format!("row {number}: {message}"));
        let row = reader
            .read(bytes)
            .map_err(|problem| bad(problem.to_string()))?;
        self.keys
            .write(&row, number, &self.id, &self.prefix, key)
            .map_err(|problem| bad(problem.to_string()))?;
        if let Some(object) = object {
            self.renderer.render(&row, number, &self.id, object);
        }
        Ok(())
    }
}

/// The job's templates, which were checked with the configuration.
pub(super) fn templates(job: &config::Split) -> Result<(KeyTemplate, Renderer), JobError> {
    let bad = |error: lakewright_core::split::TemplateError| {
        JobError::new(ErrorKind::BadRequest, error.to_string())
    };
    let keys = KeyTemplate::parse(&job.key, job.hashed_prefix).map_err(bad)?;
    Ok((keys, Renderer::new(job).map_err(bad)?))
}

/// Finds rows that share a key.
struct Index {
    names: Names,
    keys: KeyIndex,
    key: String,
    object: BytesMut,
}

impl Index {
    fn add(&mut self, reader: &RowReader, number: u64, row: &[u8]) -> Result<(), JobError> {
        self.object.clear();
        // Equal rows make equal objects, so the row itself can be hashed if the object contains all of it.
        let whole = self.names.renderer.writes_whole_rows();
        let object = (!whole).then_some(&mut self.object);
        self.names
            .read(reader, number, row, &mut self.key, object)?;
        let content = if whole { row } else { &self.object[..] };
        self.keys.insert(number, &self.key, content)?;
        Ok(())
    }
}

struct Scanner<'a> {
    job: &'a config::Split,
    limit: ChunkLimit,
    known: Columns,
    columns: Option<Columns>,
    /// `None` if no two rows can have the same key.
    index: Option<Index>,
    rows: u64,
}

/// The errors of a scan's closure.
enum Stopped {
    Scan(ScanError),
    Split(JobError),
}

impl From<ScanError> for Stopped {
    fn from(error: ScanError) -> Self {
        Self::Scan(error)
    }
}

impl Stopped {
    fn at(self, location: &Location) -> JobError {
        match self {
            Self::Split(error) => error,
            Self::Scan(error) => JobError::unreadable(location.clone(), error.to_string()),
        }
    }
}

impl<'a> Scanner<'a> {
    fn new(
        job: &'a config::Split,
        id: &str,
        known: Columns,
        budget: &Budget,
    ) -> Result<Self, JobError> {
        let names = Names::new(job, id)?;
        Ok(Self {
            job,
            limit: ChunkLimit {
                bytes: job.chunk_size.as_u64(),
                rows: u64::from(job.chunk_rows),
            },
            known,
            columns: None,
            index: names.keys.may_collide().then(|| Index {
                names,
                keys: KeyIndex::new(id, budget.memory / INDEX_SHARE),
                key: String::new(),
                object: BytesMut::new(),
            }),
            rows: 0,
        })
    }

    fn finish(self, plan: &mut Plan) -> Duplicates {
        plan.columns = self.columns.unwrap_or_default();
        self.index.map_or_else(Duplicates::default, |index| {
            index.keys.finish(self.job.on_collision)
        })
    }

    async fn text(
        &mut self,
        ports: &Ports,
        source: &Source,
        index: u32,
        budget: &Budget,
    ) -> Result<(Vec<Chunk>, u64), JobError> {
        let framing = source.format.framing().unwrap_or(Framing::Lines);
        let shows_rows = self.index.is_some();
        let mut scan = Scan::new(framing, index, source.first_row, self.limit, shows_rows);
        let mut reader = self.reader(source.format)?;
        let mut plain = Plain::new(&ports.store, source);
        let at = &source.location;
        let mut head = Head::default();
        let not_text = |error: NotText| {
            let error = if source.compressed {
                error
            } else {
                error.of_stored()
            };
            JobError::unreadable(at.clone(), error)
        };
        // The first bytes wait until the format has been detected.
        let mut waiting = Vec::new();
        let mut ended = false;
        while !ended {
            let more = plain.next().await?;
            head.push(more.as_deref()).map_err(not_text)?;
            ended = more.is_none();
            waiting.extend(more);
            if !head.is_done() {
                continue;
            }
            for bytes in waiting.drain(..) {
                scan.push(&bytes, |seen| {
                    self.see(seen, source, &mut reader).map_err(Stopped::Split)
                })
                .map_err(|stopped| stopped.at(at))?;
            }
            if ports.clock.now() >= budget.deadline {
                return Err(JobError::deadline());
            }
            // Yield to the reads ahead.
            tokio::task::yield_now().await;
        }
        let found = scan
            .finish(|seen| self.see(seen, source, &mut reader).map_err(Stopped::Split))
            .map_err(|stopped| stopped.at(at))?;
        self.rows += found.1;
        Ok(found)
    }

    /// The reader of a source's rows; for CSV, its header replaces it.
    fn reader(&mut self, format: SourceFormat) -> Result<RowReader, JobError> {
        if let SourceFormat::Text { .. } = format {
            self.set_columns(self.known.clone())?;
        }
        let columns = match format {
            SourceFormat::Text { .. } => self.columns.clone().unwrap_or_default(),
            _ => Vec::new(),
        };
        let types = self.job.types;
        Ok(RowReader::new(format, Column::all(&columns, types), types))
    }

    fn see(
        &mut self,
        seen: Seen<'_>,
        source: &Source,
        reader: &mut RowReader,
    ) -> Result<(), JobError> {
        match seen {
            Seen::Header(row) => {
                let names = header_names(row).map_err(|problem| {
                    JobError::unreadable(source.location.clone(), format!("header: {problem}"))
                })?;
                let columns = names.into_iter().map(|name| self.column(name)).collect();
                self.set_columns(columns)?;
                let columns = self.columns.as_deref().unwrap_or_default();
                let types = self.job.types;
                *reader = RowReader::new(source.format, Column::all(columns, types), types);
                Ok(())
            }
            Seen::Row(number, row) => match &mut self.index {
                Some(index) => index.add(reader, number, row),
                None => Ok(()),
            },
        }
    }

    /// A column with this name, and its type if known.
    fn column(&self, name: String) -> ResultColumn {
        let known = self.known.iter().find(|column| column.name == name);
        ResultColumn {
            athena_type: known.map_or_else(|| TEXT.to_owned(), |column| column.athena_type.clone()),
            name,
        }
    }

    /// Sets the columns of all following rows.
    fn set_columns(&mut self, columns: Columns) -> Result<(), JobError> {
        check_columns(self.job, columns.iter().map(|column| column.name.as_str()))?;
        self.columns = Some(columns);
        Ok(())
    }

    async fn parquet(
        &mut self,
        ports: &Ports,
        source: &Source,
        index: u32,
        budget: &Budget,
    ) -> Result<(Vec<Chunk>, u64), JobError> {
        let memory = budget.memory / 4;
        let (mut parquet, rows_of_source) =
            Parquet::open(&ports.store, source, None, memory).await?;
        check_columns(self.job, parquet.names().iter().map(String::as_str))?;
        if let Some(index) = &mut self.index {
            let reader = parquet_reader(&parquet, self.job.types);
            let mut number = source.first_row;
            while let Some(block) = parquet.next().await? {
                add_all(index, &reader, &block, &mut number)?;
                if ports.clock.now() >= budget.deadline {
                    return Err(JobError::deadline());
                }
            }
        }
        let chunks = chunks_of_rows(index, source.first_row, rows_of_source, self.limit);
        Ok((chunks, rows_of_source))
    }
}

fn add_all(
    index: &mut Index,
    reader: &RowReader,
    block: &Bytes,
    number: &mut u64,
) -> Result<(), JobError> {
    for row in rows(Framing::JsonLines, block) {
        index.add(reader, *number, row)?;
        *number += 1;
    }
    Ok(())
}

/// Checks that no two columns have the same name, and that the columns in the job's settings exist.
fn check_columns<'a>(
    job: &config::Split,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), JobError> {
    let mut set = BTreeSet::new();
    for name in names {
        if !set.insert(name) {
            return Err(JobError::new(
                ErrorKind::DuplicateColumn,
                format!(
                    "the result has two columns named `{}`: tell them apart by AS in the query",
                    name.to_owned()
                ),
            ));
        }
    }
    let (keys, renderer) = templates(job)?;
    let paths = || set.iter().map(std::slice::from_ref);
    keys.columns()
        .chain(renderer.columns())
        .try_for_each(|column| match find_column(column, paths()) {
            Ok(_) => Ok(()),
            Err(error) => Err(JobError::new(
                ErrorKind::UnknownColumn,
                format!("the result: {error}"),
            )),
        })
}

#[cfg(test)]
mod tests {
    use crate::split::fixture::{
        Step,
        Was::{Holds, Planned},
        check,
    };

    #[test]
    fn nothing_is_planned_of_a_result_whose_rows_cannot_all_be_written() {
        let plan = Step::Plan { confirm: false };
        let planned: &[&str] = &["+ledger/plan", "+ledger/run/r"];
        let succeeded: &[&str] = &[
            "+ledger/_SUCCESS",
            "+ledger/plan",
            "+ledger/run/r",
            "+told success",
        ];
        let one = "Running, 1 of 1 sent";
        check(&[
            (
                &[Holds(b"\"id\"\n")],
                plan,
                "Succeeded, 0 of 0 sent",
                succeeded,
            ),
            (&[Holds(b"\"id\"\n\"a\"")], plan, one, planned),
            (&[Holds(b"\"id\"\n\"a\nb\"\n")], plan, one, planned),
            // Rows that share a key and are equal are one object.
            (&[Holds(b"\"id\"\n\"a\"\n\"a\"\n")], plan, one, planned),
            (
                &[Holds(b"\"id\",\"v\"\n\"a\",\"1\"\n\"a\",\"2\"\n")],
                plan,
                "KeyCollision",
                &[],
            ),
            (&[Holds(b"\"id\",\"id\"\n")], plan, "DuplicateColumn", &[]),
            (&[Holds(b"\"v\"\n\"a\"\n")], plan, "UnknownColumn", &[]),
            (&[Holds(b"\"id\"\n\n")], plan, one, planned),
            (&[Holds(b"\"id\",\"v\"\n\"a\"\n")], plan, "BadRow", &[]),
            (&[Holds(b"\"id\"\n\"a")], plan, "Unreadable", &[]),
            (&[Holds(b"PAR1\0\0\0\0")], plan, "Unreadable", &[]),
            (
                &[Planned, Holds(b"\"v\"\n")],
                plan,
                "Running, 3 of 3 sent",
                &[],
            ),
        ]);
    }
}
