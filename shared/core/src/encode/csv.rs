//! CSV after [RFC 4180](https://www.rfc-editor.org/rfc/rfc4180), with `\n` at the end of a record.
//!
//! The records are put together here because the csv crate's writer knows no null: it writes an empty string as it
//! writes a missing value.

use std::io::Write;

use arrow::{
    array::{Array, RecordBatch},
    datatypes::Schema,
    json::writer::EncoderOptions,
};

use super::{
    EncodeError,
    cells::{self, Cells},
    compress::Compressor,
};

#[derive(Debug)]
pub(super) struct CsvWriter {
    out: Compressor,
    options: EncoderOptions,
    records: Vec<u8>,
    cell: Vec<u8>,
}

impl CsvWriter {
    pub(super) fn new(
        mut out: Compressor,
        schema: &Schema,
        header: bool,
    ) -> Result<Self, EncodeError> {
        let mut records = Vec::new();
        if header {
            for (index, field) in schema.fields().iter().enumerate() {
                if index > 0 {
                    records.push(b',');
                }
                push_text(field.name().as_bytes(), &mut records);
            }
            records.push(b'\n');
            out.write_all(&records)?;
        }
        Ok(Self {
            out,
            options: cells::options(),
            records,
            cell: Vec::new(),
        })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        let columns = batch
            .columns()
            .iter()
            .map(cells::plain)
            .collect::<Result<Vec<_>, _>>()?;
        let schema = batch.schema();
        let mut columns = schema
            .fields()
            .iter()
            .zip(&columns)
            .map(|(field, column)| Cells::new(field, column, &self.options))
            .collect::<Result<Vec<_>, _>>()?;
        self.records.clear();
        for row in 0..batch.num_rows() {
            let start = self.records.len();
            for (index, column) in columns.iter_mut().enumerate() {
                if index > 0 {
                    self.records.push(b',');
                }
                push_cell(column, row, &mut self.cell, &mut self.records);
            }
            if self.records.len() == start {
                // Readers skip empty lines, and the record with them.
                self.records.extend_from_slice(b"\"\"");
            }
            self.records.push(b'\n');
        }
        Ok(self.out.write_all(&self.records)?)
    }

    pub(super) fn ready(&mut self) -> &mut Vec<u8> {
        self.out.ready()
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, EncodeError> {
        Ok(self.out.finish()?)
    }
}

/// Appends the field of a row.
fn push_cell(cells: &mut Cells<'_>, row: usize, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    match cells {
        Cells::Text(strings) => {
            if strings.is_valid(row) {
                push_text(strings.value(row).as_bytes(), out);
            }
        }
        Cells::Bare(encoder) => {
            let start = out.len();
            // A binary value may be empty.
            if !encoder.is_null(row) {
                encoder.encode(row, out);
                if out.len() == start {
                    push_text(b"", out);
                }
            }
        }
        Cells::Nested(_) => {
            scratch.clear();
            if cells.push(row, scratch) {
                push_text(scratch, out);
            }
        }
    }
}

/// Appends a text, in quotes where it must be. The empty text always is, for without quotes it would be null.
fn push_text(text: &[u8], out: &mut Vec<u8>) {
    let special = |byte: &u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    // At the start of a file, readers take these three bytes for a byte order mark and drop them.
    if !text.is_empty() && !text.iter().any(special) && !text.starts_with(b"\xef\xbb\xbf") {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'"', rest) {
        let (before, quote) = rest.split_at(at + 1);
        out.extend_from_slice(before);
        out.push(b'"');
        rest = quote;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
