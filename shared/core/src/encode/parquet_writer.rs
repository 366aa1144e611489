//! A Parquet file that is being written.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use parquet::{
    arrow::{ArrowSchemaConverter, ArrowWriter},
    schema::types::{ColumnPath, SchemaDescriptor},
};

use super::{EncodeError, dictionary};
use crate::{
    config::Compression,
    parquet_out::{RowGroupLimit, writer_options},
};

/// Writes a Parquet file. The first rows are held back, because they decide which columns get a dictionary.
#[derive(Debug)]
pub(super) struct ParquetWriter {
    schema: SchemaRef,
    parquet_schema: SchemaDescriptor,
    compression: Compression,
    row_group: RowGroupLimit,
    bloom_filters: Vec<ColumnPath>,
    held: Vec<RecordBatch>,
    held_rows: usize,
    writer: Option<ArrowWriter<Vec<u8>>>,
    /// Always empty: no bytes are ready while rows are held back.
    nothing: Vec<u8>,
}

impl ParquetWriter {
    /// # Errors
    /// Parquet cannot represent a type.
    pub(super) fn new(
        schema: SchemaRef,
        compression: Compression,
        row_group: RowGroupLimit,
        bloom_filters: Vec<ColumnPath>,
    ) -> Result<Self, EncodeError> {
        let converter = ArrowSchemaConverter::new().with_coerce_types(true);
        Ok(Self {
            parquet_schema: converter.convert(&schema)?,
            schema,
            compression,
            row_group,
            bloom_filters,
            held: Vec::new(),
            held_rows: 0,
            writer: None,
            nothing: Vec::new(),
        })
    }

    pub(super) fn write(&mut self, batch: RecordBatch) -> Result<(), EncodeError> {
        if let Some(writer) = &mut self.writer {
            writer.write(&batch)?;
            return Ok(());
        }
        self.held_rows += batch.num_rows();
        self.held.push(batch);
        if self.held_rows >= dictionary::SAMPLE {
            self.writer = Some(self.begin()?);
        }
        Ok(())
    }

    /// Decides which columns get a dictionary, and writes the rows that were held back.
    fn begin(&mut self) -> Result<ArrowWriter<Vec<u8>>, EncodeError> {
        let held = std::mem::take(&mut self.held);
        let distinct = dictionary::distinct_columns(&held);
        let options = writer_options(
            self.compression,
            self.row_group,
            &self.bloom_filters,
            &distinct,
        )
        .with_parquet_schema(self.parquet_schema.clone());
        let schema = Arc::clone(&self.schema);
        let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options)?;
        for batch in &held {
            writer.write(batch)?;
        }
        Ok(writer)
    }

    pub(super) fn ready(&mut self) -> &mut Vec<u8> {
        match &mut self.writer {
            Some(writer) => writer.inner_mut(),
            None => &mut self.nothing,
        }
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>, EncodeError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.begin()?,
        };
        Ok(writer.into_inner()?)
    }
}
