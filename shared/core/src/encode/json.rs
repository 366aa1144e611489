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

use super::{
    EncodeError, cells,
    compress::Compressor,
    scan::{any_byte, values},
    text::JsonText,
};

/// Encodes the records of batches like Arrow's writer, but escapes each name only once per batch.
#[derive(Debug)]
pub(super) struct JsonRecords {
    options: EncoderOptions,
}

/// A column: the text before each value, from the comma on, and the values.
struct Column<'a> {
    before: Vec<u8>,
    values: Values<'a>,
}

enum Values<'a> {
    /// Texts that need no escapes; the opening quote is part of the text before.
    Plain(&'a StringArray),
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
            let mut before = vec![b','];
            push_string(field.name(), &mut before);
            before.push(b':');
            let values = match column.as_string_opt::<i32>() {
                Some(texts) if any_byte(values(texts), is_escaped) => Values::Text(texts),
                Some(texts) => {
                    before.push(b'"');
                    Values::Plain(texts)
                }
                None => Values::Other(make_encoder(field, column, &self.options)?),
            };
            columns.push(Column { before, values });
        }
        for row in 0..batch.num_rows() {
            records.push(b'{');
            let start = records.len();
            for Column { before, values } in &mut columns {
                let is_null = match values {
                    Values::Plain(texts) | Values::Text(texts) => texts.is_null(row),
                    Values::Other(encoder) => encoder.is_null(row),
                };
                if is_null {
                    continue;
                }
                let comma = usize::from(records.len() == start);
                records.extend_from_slice(before.get(comma..).unwrap_or_default());
                match values {
                    Values::Plain(texts) => {
                        records.extend_from_slice(texts.value(row).as_bytes());
                        records.push(b'"');
                    }
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

/// The character after the backslash for a byte that must be escaped, `u` for a `\u` escape; 0 for any other byte.
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

/// Whether a byte must be escaped in a string.
fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

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
            ArrowError::SchemaError(format!("column {raw} is not a binary column of records"))
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

/// Appends a record as one line. In JSON, a raw newline is only allowed between tokens, where it has no meaning.
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
