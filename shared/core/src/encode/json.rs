//! JSON lines.

use std::{io::Write, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::DataType,
    error::ArrowError,
    json::writer::{LineDelimited, Writer, WriterBuilder},
};

use super::{EncodeError, compress::Compressor, text::JsonText};

#[derive(Debug)]
pub(super) struct JsonWriter {
    writer: Writer<Compressor, LineDelimited>,
    raw: Option<usize>,
    lines: Vec<u8>,
}

impl JsonWriter {
    pub(super) fn new(out: Compressor, raw: Option<usize>) -> Self {
        let builder = WriterBuilder::new().with_encoder_factory(Arc::new(JsonText));
        Self {
            writer: builder.build(out),
            raw,
            lines: Vec::new(),
        }
    }

    pub(super) fn write(
        &mut self,
        batch: &RecordBatch,
        columns: &[usize],
    ) -> Result<(), EncodeError> {
        let Some(raw) = self.raw else {
            return Ok(self.writer.write(&batch.project(columns)?)?);
        };
        let records = batch
            .columns()
            .get(raw)
            .filter(|c| c.data_type() == &DataType::Binary);
        let records = records.ok_or_else(|| {
            ArrowError::SchemaError(format!("column {raw} is no binary column of records"))
        })?;
        self.lines.clear();
        for record in records.as_binary::<i32>().iter().flatten() {
            push_line(record, &mut self.lines);
        }
        Ok(self.writer.get_mut().write_all(&self.lines)?)
    }

    pub(super) fn ready(&mut self) -> &mut Vec<u8> {
        self.writer.get_mut().ready()
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, EncodeError> {
        Ok(self.writer.into_inner().finish()?)
    }
}

/// Appends a record as one line. In JSON, a raw newline can only stand between tokens, where it means nothing.
fn push_line(record: &[u8], out: &mut Vec<u8>) {
    let mut rest = record;
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
        let (line, newline) = rest.split_at(at);
        out.extend_from_slice(line);
        rest = newline.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out.push(b'\n');
}
