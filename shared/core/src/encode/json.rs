//! JSON lines.

use std::{io::Write, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray},
    datatypes::DataType,
    error::ArrowError,
    json::writer::{
        EncoderOptions, LineDelimited, NullableEncoder, Writer, WriterBuilder, make_encoder,
    },
};

use super::{EncodeError, cells, compress::Compressor, text::JsonText};

/// The records of batches as text: what arrow's writer makes, with each name escaped once for a batch.
#[derive(Debug)]
pub(super) struct JsonRecords {
    options: EncoderOptions,
}

/// The values of a column.
enum Values<'a> {
    Text(&'a StringArray),
    Other(NullableEncoder<'a>),
}

impl JsonRecords {
    pub(super) fn new() -> Self {
        Self {
            options: cells::options(),
        }
    }

    /// Appends the records of a batch, and where each ends.
    pub(super) fn push(
        &mut self,
        batch: &RecordBatch,
        records: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) -> Result<(), EncodeError> {
        let schema = batch.schema();
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            let mut name = Vec::new();
            push_string(field.name(), &mut name);
            name.push(b':');
            let values = match column.as_string_opt::<i32>() {
                Some(texts) => Values::Text(texts),
                None => Values::Other(make_encoder(field, column, &self.options)?),
            };
            columns.push((name, values));
        }
        for row in 0..batch.num_rows() {
            records.push(b'{');
            let start = records.len();
            for (name, values) in &mut columns {
                let is_null = match values {
                    Values::Text(texts) => texts.is_null(row),
                    Values::Other(encoder) => encoder.is_null(row),
                };
                if is_null {
                    continue;
                }
                if records.len() > start {
                    records.push(b',');
                }
                records.extend_from_slice(name);
                match values {
                    Values::Text(texts) => push_string(texts.value(row), records),
                    Values::Other(encoder) => encoder.encode(row, records),
                }
            }
            records.extend_from_slice(b"}\n");
            ends.push(records.len());
        }
        Ok(())
    }
}

/// What stands behind the backslash for a byte that cannot stand in a string, `u` for a number; 0 for any other.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        escapes[control] = b'u';
        control += 1;
    }
    escapes[0x08] = b'b';
    escapes[b'\t' as usize] = b't';
    escapes[b'\n' as usize] = b'n';
    escapes[0x0c] = b'f';
    escapes[b'\r' as usize] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes
};

/// Appends a text as a string.
fn push_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[usize::from(byte)];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(bytes.get(start..at).unwrap_or_default());
        start = at + 1;
        out.extend_from_slice(&[b'\\', escape]);
        if escape == b'u' {
            let digits = b"0123456789abcdef";
            let digit = |half: u8| digits.get(usize::from(half)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out.extend_from_slice(bytes.get(start..).unwrap_or_default());
    out.push(b'"');
}

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
