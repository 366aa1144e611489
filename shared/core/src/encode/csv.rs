//! CSV by [RFC 4180](https://www.rfc-editor.org/rfc/rfc4180), with `\n` at the end of a record.
//!
//! The csv crate's writer is not used, because it has no null: it writes an empty string and a missing value alike.

use std::io::Write;

use arrow::{
    array::{Array, RecordBatch, StringArray},
    datatypes::Schema,
    error::ArrowError,
    json::writer::EncoderOptions,
};

use super::{
    EncodeError,
    cells::{self, Cells},
    compress::Compressor,
    scan::{any_byte, values},
};

/// The records of batches as text.
#[derive(Debug)]
pub(super) struct CsvRecords {
    options: EncoderOptions,
    cell: Vec<u8>,
}

impl CsvRecords {
    pub(super) fn new() -> Self {
        Self {
            options: cells::options(),
            cell: Vec::new(),
        }
    }

    /// The header record.
    pub(super) fn header(schema: &Schema) -> Vec<u8> {
        let mut record = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            if index > 0 {
                record.push(b',');
            }
            push_text(field.name().as_bytes(), &mut record);
        }
        record.push(b'\n');
        record
    }

    /// Appends the records of a batch, and the end of each.
    pub(super) fn push(
        &mut self,
        batch: &RecordBatch,
        records: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) -> Result<(), EncodeError> {
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
            .map(|(field, column)| {
                let cells = Cells::new(field, column, &self.options)?;
                let is_bare = matches!(&cells, Cells::Text(texts) if are_bare(texts));
                Ok((cells, is_bare))
            })
            .collect::<Result<Vec<_>, ArrowError>>()?;
        for row in 0..batch.num_rows() {
            let start = records.len();
            for (index, (column, is_bare)) in columns.iter_mut().enumerate() {
                if index > 0 {
                    records.push(b',');
                }
                match column {
                    Cells::Text(texts) if *is_bare && !texts.value(row).is_empty() => {
                        records.extend_from_slice(texts.value(row).as_bytes());
                    }
                    _ => push_cell(column, row, &mut self.cell, records),
                }
            }
            if records.len() == start {
                // Readers skip empty lines, so the record would be lost.
                records.extend_from_slice(b"\"\"");
            }
            records.push(b'\n');
            ends.push(records.len());
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct CsvWriter {
    out: Compressor,
    text: CsvRecords,
    records: Vec<u8>,
    ends: Vec<usize>,
}

impl CsvWriter {
    pub(super) fn new(
        mut out: Compressor,
        schema: &Schema,
        header: bool,
    ) -> Result<Self, EncodeError> {
        if header {
            out.write_all(&CsvRecords::header(schema))?;
        }
        Ok(Self {
            out,
            text: CsvRecords::new(),
            records: Vec::new(),
            ends: Vec::new(),
        })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        self.records.clear();
        self.ends.clear();
        self.text.push(batch, &mut self.records, &mut self.ends)?;
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

/// At the start of a file, readers drop these three bytes as a byte order mark.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether a byte requires quotes.
fn is_special(byte: u8) -> bool {
    matches!(byte, b',' | b'"' | b'\n' | b'\r' | 0)
}

/// Whether no text of a column needs quotes, unless it is empty.
fn are_bare(texts: &StringArray) -> bool {
    let may_need = |byte: u8| is_special(byte) || Some(&byte) == BYTE_ORDER_MARK.first();
    !any_byte(values(texts), may_need)
}

/// Appends a text, in quotes if necessary. The empty text always has quotes, because without them it would be null.
fn push_text(text: &[u8], out: &mut Vec<u8>) {
    let is_bare = !text.iter().any(|byte| is_special(*byte));
    if !text.is_empty() && is_bare && !text.starts_with(BYTE_ORDER_MARK) {
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
