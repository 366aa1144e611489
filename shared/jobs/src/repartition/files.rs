//! Writes files: each output in its format, cut as planned.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use jiff::Timestamp;
use lakewright_core::{
    config::{self, OutputFormat},
    encode::{Encoder, Layout, Lines, LinesEncoder, LinesFile},
    location::Location,
    parquet_out::RowGroupLimit,
    repartition::{Cuts, Shape},
};

use super::{
    Budget, Ports,
    ledger::{File, Plan},
    over::Over,
};
use crate::{
    kit::{ErrorKind, JobError, Stage},
    work::{
        pool::Pool,
        upload::{Finished, PART, Upload},
    },
};

/// S3's limit on keys, in bytes of UTF-8. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
const LONGEST_KEY: usize = 1_024;

/// Writes the files of a task.
pub(super) struct Files<'a> {
    ports: &'a Ports,
    plan: &'a Plan,
    over: Arc<Over>,
    schema: SchemaRef,
    encoders: Vec<Option<LinesEncoder>>,
    row_group: RowGroupLimit,
    /// Nothing is written after it.
    deadline: Timestamp,
    /// The files that an earlier attempt wrote: their outputs and keys.
    known: BTreeSet<(usize, String)>,
    /// The files whose last bytes are being uploaded.
    finishing: Pool<File>,
    done: Vec<File>,
}

/// Files of one output in one directory, one after the other.
pub(super) struct Series {
    output: usize,
    /// Below the output's directory.
    path: String,
    values: Vec<String>,
    /// Where the rows are cut; `None` for a single file.
    cuts: Option<Cuts>,
    /// The numbers of the files that are written.
    files: Range<u64>,
    /// The size of the rows, or of their text, before the current position.
    position: u64,
    open: Option<OpenFile>,
    /// The number of the current file, if an earlier attempt wrote it.
    existing: Option<u64>,
}

struct OpenFile {
    number: u64,
    rows: u64,
    upload: Upload,
    body: Body,
}

enum Body {
    Parquet(Box<Encoder>),
    Lines(Box<LinesFile>),
}

/// The name of a file.
fn name(number: u64, id: &str, output: &config::Output) -> String {
    format!("part-{number:05}-{id}.{}", output.extension())
}

/// The most bytes that a partition's path may have.
pub(super) fn path_room(plan: &Plan) -> usize {
    let job = &plan.settings;
    let room = |output: &config::Output| {
        let key =
            job.directory(output).key.len() + name(u64::from(u32::MAX), &plan.id, output).len();
        LONGEST_KEY.saturating_sub(key)
    };
    job.output.iter().map(room).min().unwrap_or_default()
}

/// Checks that the Parquet outputs have the columns that they name, before a task finds out.
pub(super) fn check_outputs(job: &config::Repartition, shape: &Shape) -> Result<(), JobError> {
    let layout = Layout::plain(shape.files_schema()?);
    let parquet = |output: &&config::Output| output.format == OutputFormat::Parquet;
    for output in job.output.iter().filter(parquet) {
        Encoder::new(output, &layout, RowGroupLimit::default()).map_err(|error| {
            let message = format!("output {}: {error}", job.directory(output));
            JobError::new(ErrorKind::SchemaUnusable, message)
        })?;
    }
    Ok(())
}

impl<'a> Files<'a> {
    /// `known`: the files that an earlier attempt wrote.
    pub(super) fn new(
        ports: &'a Ports,
        plan: &'a Plan,
        budget: &Budget,
        known: Vec<File>,
    ) -> Result<Self, JobError> {
        let outputs = &plan.settings.output;
        // A row group is in memory twice when it ends: as columns, and as encoded bytes.
        let row_group = budget.memory / 4 / outputs.len().max(1) as u64;
        let row_group = usize::try_from(row_group).unwrap_or(usize::MAX);
        Ok(Self {
            ports,
            plan,
            over: Arc::new(Over::new(ports, plan)),
            schema: plan.shape.files_schema()?,
            encoders: outputs.iter().map(LinesEncoder::new).collect(),
            row_group: RowGroupLimit {
                bytes: row_group.min(RowGroupLimit::default().bytes),
                ..RowGroupLimit::default()
            },
            deadline: budget.deadline,
            known: known
                .iter()
                .map(|file| (file.output, file.key.clone()))
                .collect(),
            finishing: Pool::new(budget.memory / 8),
            done: known,
        })
    }

    /// One series for each output: the files of these numbers. `cuts`: where each is cut.
    pub(super) fn series(
        &self,
        path: &str,
        values: &[String],
        cuts: Option<&[Cuts]>,
        files: &Range<u64>,
    ) -> Vec<Series> {
        let outputs = 0..self.plan.settings.output.len();
        outputs
            .map(|output| Series {
                output,
                path: path.to_owned(),
                values: values.to_vec(),
                cuts: cuts.and_then(|cuts| cuts.get(output)).copied(),
                files: files.clone(),
                position: 0,
                open: None,
                existing: None,
            })
            .collect()
    }

    /// Selects the columns of the files from a batch of all columns.
    pub(super) fn columns(&self, batch: &RecordBatch) -> Result<RecordBatch, JobError> {
        let files = (0..self.schema.fields().len()).collect::<Vec<_>>();
        Ok(batch.project(&files)?)
    }

    /// Encodes the rows as text, for each text output.
    pub(super) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Option<Lines>>, JobError> {
        let lines = |encoder: &mut Option<LinesEncoder>| {
            let lines = encoder.as_mut().map(|encoder| encoder.encode(batch));
            Ok(lines.transpose()?)
        };
        self.encoders.iter_mut().map(lines).collect()
    }

    /// Takes back text that was written, to reuse its memory.
    pub(super) fn recycle(&mut self, lines: Vec<Option<Lines>>) {
        for (encoder, lines) in self.encoders.iter_mut().zip(lines) {
            if let (Some(encoder), Some(lines)) = (encoder, lines) {
                encoder.recycle(lines);
            }
        }
    }

    /// Writes rows into every series: `batch` has the columns of the files, and `lines` is the result of
    /// [`Files::encode`].
    pub(super) async fn write(
        &mut self,
        series: &mut [Series],
        batch: &RecordBatch,
        lines: &[Option<Lines>],
    ) -> Result<(), JobError> {
        self.in_time()?;
        for series in series {
            let lines = lines.get(series.output).and_then(Option::as_ref);
            self.write_one(series, batch, lines).await?;
        }
        Ok(())
    }

    async fn write_one(
        &mut self,
        series: &mut Series,
        batch: &RecordBatch,
        lines: Option<&Lines>,
    ) -> Result<(), JobError> {
        let rows = batch.num_rows();
        let mut at = 0;
        while at < rows {
            let (file, end) = match series.cuts {
                None => (series.files.start, rows),
                Some(cuts) => {
                    let file = cuts.file(series.place(at, lines));
                    if file >= series.files.end {
                        break;
                    }
                    if file < series.files.start {
                        at = series.row_at(cuts.start(series.files.start), rows, lines);
                        continue;
                    }
                    (file, series.row_at(cuts.start(file + 1), rows, lines))
                }
            };
            if series.open.as_ref().is_some_and(|open| open.number != file) {
                self.close(series).await?;
            }
            if series.existing == Some(file) {
                at = end;
                continue;
            }
            let open = match &mut series.open {
                Some(open) => open,
                None if self.is_written(series.output, &series.path, file)? => {
                    series.existing = Some(file);
                    continue;
                }
                closed => closed.insert(self.open(series.output, &series.path, file)?),
            };
            open.rows += (end - at) as u64;
            let ready = match (&mut open.body, lines) {
                (Body::Parquet(encoder), _) => {
                    encoder.write(&batch.slice(at, end - at))?;
                    encoder.ready()
                }
                (Body::Lines(file), Some(lines)) => {
                    file.write(lines.records(at..end))?;
                    file.ready()
                }
                (Body::Lines(_), None) => {
                    return Err(JobError::new(
                        ErrorKind::SchemaUnusable,
                        "rows without their text",
                    ));
                }
            };
            if ready.len() >= PART {
                // The next part will have a similar size.
                let part = std::mem::replace(ready, Vec::with_capacity(PART + PART / 4));
                let put = open.upload.part(part).await;
                put.map_err(|error| JobError::store(Stage::Write, error))?;
            }
            at = end;
        }
        series.position += lines.map_or(rows, |lines| lines.bytes.len()) as u64;
        Ok(())
    }

    fn output(&self, output: usize) -> Result<&'a config::Output, JobError> {
        let missing = || {
            JobError::new(
                ErrorKind::BadRequest,
                format!("the plan has no such task: output {output}"),
            )
        };
        let outputs = &self.plan.settings.output;
        outputs.get(output).ok_or_else(missing)
    }

    /// Whether an earlier attempt wrote a file.
    pub(super) fn is_written(
        &self,
        output: usize,
        path: &str,
        number: u64,
    ) -> Result<bool, JobError> {
        if self.known.is_empty() {
            return Ok(false);
        }
        let key = self.location(output, path, number)?.key;
        Ok(self.known.contains(&(output, key)))
    }

    fn location(&self, output: usize, path: &str, number: u64) -> Result<Location, JobError> {
        let form = self.output(output)?;
        let directory = self.plan.settings.directory(form);
        Ok(directory.join(&format!("{path}{}", name(number, &self.plan.id, form))))
    }

    /// Starts the upload of an output's file.
    pub(super) fn upload(
        &self,
        output: usize,
        path: &str,
        number: u64,
    ) -> Result<Upload, JobError> {
        let location = self.location(output, path, number)?;
        let store = Arc::clone(&self.ports.store);
        let content_type = self.output(output)?.content_type();
        Ok(Upload::new(store, location, content_type))
    }

    fn in_time(&self) -> Result<(), JobError> {
        if self.ports.clock.now() >= self.deadline {
            return Err(JobError::deadline());
        }
        Ok(())
    }

    fn open(&self, output: usize, path: &str, number: u64) -> Result<OpenFile, JobError> {
        self.in_time()?;
        let form = self.output(output)?;
        let body = if self.encoders.get(output).is_some_and(Option::is_some) {
            Body::Lines(Box::new(LinesFile::new(form, &self.schema)?))
        } else {
            let layout = Layout::plain(Arc::clone(&self.schema));
            Body::Parquet(Box::new(Encoder::new(form, &layout, self.row_group)?))
        };
        Ok(OpenFile {
            number,
            rows: 0,
            upload: self.upload(output, path, number)?,
            body,
        })
    }

    /// Ends the open files of the series.
    pub(super) async fn finish(&mut self, series: &mut [Series]) -> Result<(), JobError> {
        for series in series {
            self.close(series).await?;
        }
        Ok(())
    }

    /// Gives up the open files of the series.
    pub(super) async fn abandon(&mut self, series: &mut [Series]) {
        for open in series.iter_mut().filter_map(|series| series.open.as_mut()) {
            open.upload.abandon().await;
        }
    }

    /// Waits for the uploads that have begun, and returns the files that exist. Uploads that fail are left to the next
    /// attempt. Also returns whether this attempt has written any.
    pub(super) async fn settle(mut self) -> (Vec<File>, bool) {
        loop {
            match self.finishing.next().await {
                Ok(Some(file)) => self.done.push(file),
                Ok(None) => break,
                Err(_) => {}
            }
        }
        let is_further = self.done.len() > self.known.len();
        (self.done, is_further)
    }

    /// Writes the first file of each series without rows, so that its columns can be read.
    pub(super) async fn write_empty(&mut self, series: &mut [Series]) -> Result<(), JobError> {
        for series in series.iter_mut() {
            if self.is_written(series.output, &series.path, series.files.start)? {
                continue;
            }
            series.open = Some(self.open(series.output, &series.path, series.files.start)?);
        }
        self.finish(series).await
    }

    /// Starts the upload of the open file's last bytes.
    async fn close(&mut self, series: &mut Series) -> Result<(), JobError> {
        let Some(open) = series.open.take() else {
            return Ok(());
        };
        let last = match open.body {
            Body::Parquet(encoder) => encoder.finish()?,
            Body::Lines(file) => file.finish()?,
        };
        let (output, values) = (series.output, &series.values);
        self.end(output, values, open.rows, open.upload, last).await
    }

    /// Starts the upload of a file's last bytes. The file has this number of rows, in the partition with these values.
    pub(super) async fn end(
        &mut self,
        output: usize,
        values: &[String],
        rows: u64,
        mut upload: Upload,
        last: Vec<u8>,
    ) -> Result<(), JobError> {
        let bytes = last.len() as u64;
        while !self.finishing.has_room(bytes) {
            self.done.extend(self.finishing.next().await?);
        }
        let mut file = File {
            output,
            key: upload.location().key.clone(),
            rows,
            bytes: 0,
            etag: String::new(),
            values: values.to_vec(),
        };
        let (store, over) = (Arc::clone(&self.ports.store), Arc::clone(&self.over));
        self.finishing.begin(bytes, async move {
            if let Err(error) = over.check().await {
                upload.abandon().await;
                return Err(error);
            }
            let location = upload.location().clone();
            let finished = match upload.finish(last).await {
                // The names of a run's files are unique to it, and have the same rows whichever invocation writes them.
                Ok(Finished::Existed) => store
                    .head(&location, None)
                    .await
                    .map(|meta| (meta.size, meta.etag)),
                Ok(Finished::Written { bytes, etag }) => Ok((bytes, etag)),
                Err(error) => Err(error),
            };
            (file.bytes, file.etag) =
                finished.map_err(|error| JobError::store(Stage::Write, error))?;
            Ok(file)
        });
        Ok(())
    }

    /// Waits until every file exists, and returns them.
    pub(super) async fn all(mut self) -> Result<Vec<File>, JobError> {
        while let Some(file) = self.finishing.next().await? {
            self.done.push(file);
        }
        self.done.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(self.done)
    }
}

impl Series {
    /// Sets the size of the rows, or of their text, before the first that is written.
    pub(super) fn begin_at(&mut self, position: u64) {
        self.position = position;
    }

    /// The index of the job's output.
    pub(super) fn output(&self) -> usize {
        self.output
    }

    /// The position of a row of a batch.
    fn place(&self, row: usize, lines: Option<&Lines>) -> u64 {
        self.position + lines.map_or(row, |lines| lines.start(row)) as u64
    }

    /// The first of a batch's rows that begins at or after `place`.
    fn row_at(&self, place: u64, rows: usize, lines: Option<&Lines>) -> usize {
        let wanted = usize::try_from(place.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let row = match lines {
            None => wanted,
            Some(_) if wanted == 0 => 0,
            Some(lines) => lines.ends.partition_point(|&end| end < wanted) + 1,
        };
        row.min(rows)
    }
}
