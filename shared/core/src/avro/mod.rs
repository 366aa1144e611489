//! Avro object container files as input: batches with the columns of a table, and the time of each row. docs/SEMANTICS.md,
//! "Avro", specifies which files are accepted and what they mean.
//!
//! A file is read from front to back, block by block. The decoder is the `arrow-avro` crate; framing and decompression are
//! here, because an object arrives in pieces, and a block of it has a limit. Whatever its bytes, reading returns batches or an
//! error.

mod container;
mod error;
mod nulls;
mod schema;

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, Decimal128Type, Decimal256Type, Schema, SchemaRef},
};
use arrow_avro::{
    codec::Tz,
    reader::{Decoder, DecoderMode, ReaderBuilder},
    schema::{AvroSchema, SchemaStore},
};
use parquet_merge::panic_reason;

pub use self::error::AvroError;
use self::{
    container::{Block, Container, Header},
    nulls::Layout,
};
use crate::{
    chunk::Chunk,
    config::{Limits, Policy},
    json::{NewColumns, ParseTimestamp},
    parquet_in::{BATCH_BYTES, BATCH_ROWS, ReadOptions, Rows, Shapers, schema as table_schema},
    routes::Routes,
};

/// An object whose header has been, or is being, read.
#[derive(Debug)]
pub struct AvroFile {
    container: Container,
    longest: usize,
    open: Option<Open>,
}

/// What is known once the header is read.
#[derive(Debug)]
struct Open {
    header: Header,
    decoder: Decoder,
    /// The most rows of a batch.
    batch_rows: usize,
    /// How a record lies in the file, if nulls in its lists may take much more memory than bytes.
    swells: Option<Layout>,
}

impl AvroFile {
    /// An object of which nothing is read yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            container: Container::new(limits),
            longest: limits.longest_record(),
            open: None,
        }
    }

    /// Takes the next bytes of the object, decompressed.
    pub fn push(&mut self, chunk: &mut Chunk) {
        self.container.push(chunk);
    }

    /// Marks the end of the object.
    pub fn finish(&mut self) {
        self.container.finish();
    }

    /// Whether the header is read; before, more bytes are needed.
    ///
    /// # Errors
    /// It is no Avro file, or has a schema or a codec that is not read, or two columns with the same name ignoring case.
    pub fn is_open(&mut self) -> Result<bool, AvroError> {
        if self.open.is_none()
            && let Some(header) = self.container.header()?
        {
            let schema = schema::read(&header.schema, self.longest)?;
            let batch_rows = (BATCH_BYTES / schema.width.max(1)).clamp(1, BATCH_ROWS);
            let decoder = guarded(|| decoder(schema.json, batch_rows));
            let decoder = decoder.map_err(|what| AvroError::Schema {
                column: "the schema".to_owned(),
                what: format!("not read: {what}"),
            })?;
            table_schema::check_names(decoder.schema().fields(), "")?;
            self.open = Some(Open {
                header,
                decoder,
                batch_rows,
                swells: schema.swells,
            });
        }
        Ok(self.open.is_some())
    }

    /// The columns of the file with types that tables have, for use without a table, with names in lower case.
    pub fn schema(&self) -> Schema {
        self.columns(str::to_lowercase)
    }

    /// The same, with names as the file spells them.
    pub fn spelled_schema(&self) -> Schema {
        self.columns(str::to_owned)
    }

    fn columns(&self, name: fn(&str) -> String) -> Schema {
        table_schema::of_table(&self.file_schema(), name)
    }

    /// The columns of the file, none before its header was read.
    fn file_schema(&self) -> SchemaRef {
        let schema = self.open.as_ref().map(|open| open.decoder.schema());
        schema.unwrap_or_else(|| Schema::empty().into())
    }

    /// The names of the columns of [`schema`](Self::schema) in the file's spelling.
    pub fn names(&self) -> Vec<String> {
        let schema = self.spelled_schema();
        let fields = schema.fields().iter();
        fields.map(|field| field.name().clone()).collect()
    }

    /// Reads the rows into the columns of `table`, as [`ParquetFile::read`](crate::parquet_in::ParquetFile::read) does. The header
    /// must be [read](Self::is_open).
    ///
    /// # Errors
    /// The table does not have one of the columns, and the policy is to fail; or the file has no column for the row's time.
    pub fn read(self, table: &Schema, options: ReadOptions) -> Result<AvroRows, AvroError> {
        self.read_routed(vec![(table, options)], None)
    }

    /// Reads each row into the columns of the table that its value routes it to; without routes, there is one table.
    ///
    /// # Errors
    /// As [`read`](Self::read); or the file has no column for the routes' value.
    pub fn read_routed(
        self,
        tables: Vec<(&Schema, ReadOptions)>,
        routes: Option<&Routes>,
    ) -> Result<AvroRows, AvroError> {
        let schema = self.file_schema();
        self.rows(Shapers::routed(&schema, tables, routes)?)
    }

    /// Reads the rows like [`read`](Self::read), but without their times: each time is the epoch.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_columns(
        self,
        table: &Schema,
        on_unknown: Policy,
        on_mismatch: Policy,
        parse_timestamp: ParseTimestamp,
    ) -> Result<AvroRows, AvroError> {
        let schema = self.file_schema();
        let policies = (on_unknown, on_mismatch);
        let shapers = Shapers::untimed(&schema, table, policies, parse_timestamp)?;
        self.rows(shapers)
    }

    fn rows(self, shapers: Shapers) -> Result<AvroRows, AvroError> {
        let Some(open) = self.open else {
            return Err(AvroError::Truncated {
                what: "header",
                offset: 0,
            });
        };
        Ok(AvroRows {
            container: self.container,
            shapers,
            shaped: VecDeque::new(),
            open,
            block: None,
            longest: self.longest,
            sizes: Vec::new(),
            bytes: 0,
            offset: 0,
        })
    }
}

fn decoder(schema: String, batch_rows: usize) -> Result<Decoder, String> {
    let mut schemas = SchemaStore::new();
    let schema = schemas.register(AvroSchema::new(schema));
    let schema = schema.map_err(|error| error.to_string())?;
    ReaderBuilder::new()
        .with_writer_schema_store(schemas)
        .with_active_fingerprint(schema)
        .with_decoder_mode(DecoderMode::UnframedDatum)
        .with_batch_size(batch_rows)
        .with_tz(Tz::Utc)
        .build_decoder()
        .map_err(|error| error.to_string())
}

/// The records of an object, from first to last, as batches of at most 8,192 rows and about 8 MiB, which do not depend on how
/// the object is cut into chunks.
pub struct AvroRows {
    container: Container,
    open: Open,
    shapers: Shapers,
    /// Rows of the last batch that were not returned yet.
    shaped: VecDeque<Rows>,
    /// The block whose records are being decoded, and how far.
    block: Option<(Block, Progress)>,
    /// The most bytes of memory that the nulls in the lists of a record take.
    longest: usize,
    /// The bytes of each record in the decoder, and of all of them with the nulls in their lists.
    sizes: Vec<u64>,
    bytes: usize,
    /// The start of the block that has the first of them.
    offset: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// The records that were decoded, and their bytes.
    records: u64,
    bytes: usize,
}

impl AvroRows {
    /// Columns of the file that the table does not have may become columns of it: see [`Rows::new_fields`]. A row with a value
    /// in one that cannot is refused.
    #[must_use]
    pub fn adding(mut self, rule: &NewColumns) -> Self {
        self.shapers.adding(&self.open.decoder.schema(), rule);
        self
    }

    /// Takes the next bytes of the object, decompressed. Before, call [`next_rows`](Self::next_rows) until it returns `None`.
    pub fn push(&mut self, chunk: &mut Chunk) {
        self.container.push(chunk);
    }

    /// Marks the end of the object.
    pub fn finish(&mut self) {
        self.container.finish();
    }

    /// The next rows. `None` if they need more bytes or, after [`finish`](Self::finish), if there are no more.
    ///
    /// # Errors
    /// The rest of the object cannot be read.
    pub fn next_rows(&mut self) -> Result<Option<Rows>, AvroError> {
        loop {
            if let Some(rows) = self.shaped.pop_front() {
                return Ok(Some(rows));
            }
            if self.sizes.len() >= self.open.batch_rows || self.bytes >= BATCH_BYTES {
                return self.flush();
            }
            if self.block.is_some() {
                self.decode()?;
            } else if let Some(block) = self.container.block(&self.open.header)? {
                self.block = Some((block, Progress::default()));
            } else if self.container.has_ended() {
                return self.flush();
            } else {
                return Ok(None);
            }
        }
    }

    /// Decodes records of the block until it ends or the batch is full.
    fn decode(&mut self) -> Result<(), AvroError> {
        let Some((block, progress)) = &mut self.block else {
            return Ok(());
        };
        if self.sizes.is_empty() {
            self.offset = block.offset;
        }
        let (decoder, sizes) = (&mut self.open.decoder, &mut self.sizes);
        let (most, total) = (self.open.batch_rows, &mut self.bytes);
        let (swells, longest, mut swollen) = (&self.open.swells, self.longest, false);
        let result = guarded(|| {
            while progress.records < block.records && sizes.len() < most && *total < BATCH_BYTES {
                let rest = block.bytes.get(progress.bytes..).unwrap_or_default();
                let nulls = swells.as_ref().map_or(0, |of| of.nulls(rest, longest));
                if nulls > longest {
                    swollen = true;
                    return Ok(());
                }
                let size = decoder.decode(rest).map_err(|error| error.to_string())?;
                progress.records += 1;
                progress.bytes += size;
                sizes.push(size as u64);
                *total += size + nulls;
            }
            Ok(())
        });
        let corrupt = |detail| AvroError::Corrupt {
            what: "block",
            offset: block.offset,
            detail,
        };
        result.map_err(|said| corrupt(format!("record {}: {said}", progress.records)))?;
        if swollen {
            return Err(AvroError::Nulls {
                record: progress.records,
                offset: block.offset,
                limit: longest,
            });
        }
        if progress.records == block.records {
            if progress.bytes < block.bytes.len() {
                return Err(corrupt("it is longer than its records".to_owned()));
            }
            self.block = None;
        }
        Ok(())
    }

    /// The rows that were decoded.
    fn flush(&mut self) -> Result<Option<Rows>, AvroError> {
        let decoder = &mut self.open.decoder;
        let batch = guarded(|| {
            let batch = decoder.flush().map_err(|error| error.to_string())?;
            if let Some(batch) = &batch {
                batch.columns().iter().try_for_each(check_digits)?;
            }
            Ok(batch)
        });
        let batch = batch.map_err(|detail| AvroError::Corrupt {
            what: "rows from the block",
            offset: self.offset,
            detail,
        })?;
        self.bytes = 0;
        let sizes = std::mem::take(&mut self.sizes);
        if let Some(batch) = batch {
            self.shaped = self.shapers.shape(batch, sizes)?;
        }
        Ok(self.shaped.pop_front())
    }
}

/// Checks that no decimal number has more digits than its type.
fn check_digits(column: &ArrayRef) -> Result<(), String> {
    let checked = match column.data_type() {
        DataType::Decimal128(precision, _) => column
            .as_primitive::<Decimal128Type>()
            .validate_decimal_precision(*precision),
        DataType::Decimal256(precision, _) => column
            .as_primitive::<Decimal256Type>()
            .validate_decimal_precision(*precision),
        DataType::Struct(_) => {
            return column
                .as_struct()
                .columns()
                .iter()
                .try_for_each(check_digits);
        }
        DataType::List(_) => return check_digits(column.as_list::<i32>().values()),
        DataType::Map(..) => return check_digits(column.as_map().values()),
        _ => Ok(()),
    };
    checked.map_err(|error| error.to_string())
}

/// Runs a part of the decoder and catches panics. Input that makes it panic is corrupt.
fn guarded<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| Err(panic_reason(&*panic)))
}
