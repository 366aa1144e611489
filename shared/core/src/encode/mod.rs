//! Encodes a job's output files. docs/SEMANTICS.md, "Outputs", specifies their content.
//!
//! The same batches and the same output always make the same bytes.

pub(crate) mod cells;
mod compress;
mod csv;
mod dictionary;
mod json;
mod lines;
mod parquet_writer;
mod parts;
mod scan;
mod sort;
mod text;

#[cfg(test)]
mod tests;

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Schema, SchemaRef},
    error::ArrowError,
};
use parquet::{errors::ParquetError, schema::types::ColumnPath};
use thiserror::Error;

use self::{compress::Compressor, csv::CsvWriter, json::JsonWriter, parquet_writer::ParquetWriter};
pub use self::{
    lines::{Lines, LinesEncoder, LinesFile},
    parts::Parts,
    sort::{MergeByTime, Merged},
};
use crate::{
    columns,
    config::{Output, OutputFormat},
    hive_type,
    parquet_out::RowGroupLimit,
};

/// Which columns of a batch are written: the others are only for the job's own use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The schema of the batches.
    pub schema: SchemaRef,
    /// How many columns, from the first one, are the columns of the files.
    pub columns: usize,
    /// The binary column with each record's original bytes, if they were JSON: a JSON output copies them.
    pub raw: Option<usize>,
}

impl Layout {
    /// The layout of batches that have only the columns of the files.
    pub fn plain(schema: SchemaRef) -> Self {
        Self {
            columns: schema.fields().len(),
            schema,
            raw: None,
        }
    }

    fn of_files(&self) -> SchemaRef {
        let fields = self.schema.fields().iter().take(self.columns).cloned();
        Schema::new_with_metadata(fields.collect::<Vec<_>>(), self.schema.metadata.clone()).into()
    }
}

/// Why a file cannot be written.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// A bloom filter is requested for a column that does not exist or is not primitive.
    #[error("bloom_filter_columns names `{column}`: {reason}")]
    BloomFilter {
        /// The name in the configuration.
        column: String,
        /// The reason.
        reason: String,
    },
    /// The format cannot represent a type or a value.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// The same, in Parquet.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// The compression failed.
    #[error(transparent)]
    Compression(#[from] std::io::Error),
}

/// A file that is being written.
#[derive(Debug)]
pub struct Encoder {
    columns: Vec<usize>,
    format: Format,
}

#[derive(Debug)]
enum Format {
    Parquet(Box<ParquetWriter>),
    Json(JsonWriter),
    Csv(CsvWriter),
}

impl Encoder {
    /// Creates an encoder for a file of batches with `layout`. `row_group` is the limit by memory; the output may have
    /// a smaller one.
    ///
    /// # Errors
    /// The format cannot represent a type, or a bloom filter is requested for a column that does not exist.
    pub fn new(
        output: &Output,
        layout: &Layout,
        row_group: RowGroupLimit,
    ) -> Result<Self, EncodeError> {
        let compression = output.compression();
        let format = match output.format {
            OutputFormat::Parquet => {
                let schema = layout.of_files();
                let blooms = bloom_filter_columns(&schema, &output.bloom_filter_columns)?;
                let asked = output.row_group_size.map_or(usize::MAX, |size| {
                    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
                });
                let limit = RowGroupLimit {
                    bytes: row_group.bytes.min(asked),
                    ..row_group
                };
                Format::Parquet(Box::new(ParquetWriter::new(
                    schema,
                    compression,
                    limit,
                    blooms,
                )?))
            }
            OutputFormat::Json => {
                Format::Json(JsonWriter::new(Compressor::new(compression)?, layout.raw))
            }
            OutputFormat::Csv => Format::Csv(CsvWriter::new(
                Compressor::new(compression)?,
                &layout.of_files(),
                output.header.unwrap_or(true),
            )?),
        };
        Ok(Self {
            columns: (0..layout.columns).collect(),
            format,
        })
    }

    /// Writes the rows of a batch of the layout.
    ///
    /// # Errors
    /// The format cannot represent a value; the file is then invalid.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        match &mut self.format {
            Format::Parquet(writer) => writer.write(batch.project(&self.columns)?)?,
            Format::Json(writer) => writer.write(batch, &self.columns)?,
            Format::Csv(writer) => writer.write(&batch.project(&self.columns)?)?,
        }
        Ok(())
    }

    /// The bytes of the file that are ready. They may be taken while the file is being written; the bytes that
    /// [`finish`](Self::finish) returns follow them.
    pub fn ready(&mut self) -> &mut Vec<u8> {
        match &mut self.format {
            Format::Parquet(writer) => writer.ready(),
            Format::Json(writer) => writer.ready(),
            Format::Csv(writer) => writer.ready(),
        }
    }

    /// Ends the file, and returns the bytes that were not taken yet.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn finish(self) -> Result<Vec<u8>, EncodeError> {
        match self.format {
            Format::Parquet(writer) => writer.finish(),
            Format::Json(writer) => Ok(writer.finish()?),
            Format::Csv(writer) => Ok(writer.finish()?),
        }
    }
}

/// The leaf columns with these names.
fn bloom_filter_columns(schema: &Schema, names: &[String]) -> Result<Vec<ColumnPath>, EncodeError> {
    let path = |name: &String| {
        let refuse = |reason: String| EncodeError::BloomFilter {
            column: name.clone(),
            reason,
        };
        let found =
            columns::find(schema.fields(), name).map_err(|error| refuse(error.to_string()))?;
        match found.data_type {
            DataType::Boolean => Err(refuse("a boolean cannot have one".to_owned())),
            nested if nested.is_nested() => Err(refuse(format!(
                "it is of type {}, and only columns of single values can have one",
                hive_type::render(&nested).unwrap_or_else(|_| nested.to_string())
            ))),
            _ => Ok(ColumnPath::from(found.names)),
        }
    };
    names.iter().map(path).collect()
}
