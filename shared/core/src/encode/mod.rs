//! Files of records, as the outputs of a job ask for them. docs/SEMANTICS.md, "Outputs", states what they hold.
//!
//! The same batches and the same output always make the same bytes.

pub(crate) mod cells;
mod compress;
mod csv;
mod json;
mod lines;
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
use parquet::{arrow::ArrowWriter, errors::ParquetError, schema::types::ColumnPath};
use thiserror::Error;

use self::{compress::Compressor, csv::CsvWriter, json::JsonWriter};
pub use self::{
    lines::{Lines, LinesEncoder, LinesFile},
    parts::Parts,
    sort::{MergeByTime, Merged},
};
use crate::{
    config::{Output, OutputFormat},
    parquet_out::{self, RowGroupLimit},
};

/// Which columns of a batch are written: the others only carry what the job needs to know of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The schema of the batches.
    pub schema: SchemaRef,
    /// How many columns, the first ones, are the columns of the files.
    pub columns: usize,
    /// The binary column that holds each record's bytes as it was read, where they were JSON: a JSON output then
    /// passes them through.
    pub raw: Option<usize>,
}

impl Layout {
    /// Batches that hold nothing but the columns of the files.
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
    /// A bloom filter is asked for on a column that is not there, or is no column of single values.
    #[error("bloom_filter_columns names `{column}`: {reason}")]
    BloomFilter {
        /// As it is named.
        column: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A type or a value that the format cannot express.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// The same, in Parquet.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// The compression failed.
    #[error(transparent)]
    Compression(#[from] std::io::Error),
}

/// One file on its way.
#[derive(Debug)]
pub struct Encoder {
    columns: Vec<usize>,
    format: Format,
}

#[derive(Debug)]
enum Format {
    Parquet(Box<ArrowWriter<Vec<u8>>>),
    Json(JsonWriter),
    Csv(CsvWriter),
}

impl Encoder {
    /// An encoder of a file of batches of `layout`. `row_group` is what the memory allows; the output may ask for
    /// less.
    ///
    /// # Errors
    /// A type that the format cannot express, or a bloom filter on a column that is not there.
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
                let options = parquet_out::writer_options(compression, limit, &blooms);
                Format::Parquet(Box::new(ArrowWriter::try_new_with_options(
                    Vec::new(),
                    schema,
                    options,
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
    /// A value that the format cannot express; the file is of no use then.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        match &mut self.format {
            Format::Parquet(writer) => writer.write(&batch.project(&self.columns)?)?,
            Format::Json(writer) => writer.write(batch, &self.columns)?,
            Format::Csv(writer) => writer.write(&batch.project(&self.columns)?)?,
        }
        Ok(())
    }

    /// The bytes of the file that are ready. They may be taken as the file goes on: those that
    /// [`finish`](Self::finish) gives follow them.
    pub fn ready(&mut self) -> &mut Vec<u8> {
        match &mut self.format {
            Format::Parquet(writer) => writer.inner_mut(),
            Format::Json(writer) => writer.ready(),
            Format::Csv(writer) => writer.ready(),
        }
    }

    /// Ends the file, and gives those of its bytes that have not been taken.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn finish(self) -> Result<Vec<u8>, EncodeError> {
        match self.format {
            Format::Parquet(writer) => Ok(writer.into_inner()?),
            Format::Json(writer) => Ok(writer.finish()?),
            Format::Csv(writer) => Ok(writer.finish()?),
        }
    }
}

/// The leaf columns that `names` mean, whatever their case.
fn bloom_filter_columns(schema: &Schema, names: &[String]) -> Result<Vec<ColumnPath>, EncodeError> {
    let path = |name: &String| {
        let refuse = |reason| EncodeError::BloomFilter {
            column: name.clone(),
            reason,
        };
        let mut fields = schema.fields();
        let mut path = Vec::new();
        // A column's own name may hold dots; only what is no name as a whole is a path.
        let whole = fields
            .iter()
            .any(|field| field.name().eq_ignore_ascii_case(name));
        let parts = if whole {
            vec![name.as_str()]
        } else {
            name.split('.').collect()
        };
        let last = parts.len() - 1;
        for (depth, part) in parts.into_iter().enumerate() {
            let field = fields
                .iter()
                .find(|field| field.name().eq_ignore_ascii_case(part))
                .ok_or_else(|| refuse("there is no such column"))?;
            path.push(field.name().clone());
            match field.data_type() {
                DataType::Struct(inside) if depth < last => fields = inside,
                nested if nested.is_nested() => {
                    return Err(refuse("only columns of single values can have one"));
                }
                DataType::Boolean => {
                    return Err(refuse("a boolean cannot have one"));
                }
                _ if depth < last => return Err(refuse("there is no such column")),
                _ => {}
            }
        }
        Ok(ColumnPath::from(path))
    };
    names.iter().map(path).collect()
}
