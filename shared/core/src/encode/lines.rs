//! Records as text, before they are put into files: encoded once, whichever file they go to.

use std::{io::Write, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    json::writer::{LineDelimited, Writer, WriterBuilder},
};

use super::{EncodeError, compress::Compressor, csv::CsvRecords, text::JsonText};
use crate::config::{Output, OutputFormat};

/// Records as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// One record behind the other.
    pub bytes: Vec<u8>,
    /// Where each record ends.
    pub ends: Vec<usize>,
}

impl Lines {
    /// The bytes of some of the records.
    pub fn records(&self, records: std::ops::Range<usize>) -> &[u8] {
        let end_of = |record: usize| record.checked_sub(1).and_then(|last| self.ends.get(last));
        let (start, end) = (end_of(records.start), end_of(records.end));
        let bounds = start.copied().unwrap_or(0)..end.copied().unwrap_or(0);
        self.bytes.get(bounds).unwrap_or_default()
    }

    /// Where a record begins.
    pub fn start(&self, record: usize) -> usize {
        let last = record.checked_sub(1).and_then(|last| self.ends.get(last));
        last.copied().unwrap_or(0)
    }
}

/// Makes text of the rows of batches.
#[derive(Debug)]
pub struct LinesEncoder(Format);

#[derive(Debug)]
enum Format {
    Json(Box<Writer<Vec<u8>, LineDelimited>>),
    Csv(CsvRecords),
}

impl LinesEncoder {
    /// Of an output; none for Parquet.
    pub fn new(output: &Output) -> Option<Self> {
        let builder = WriterBuilder::new().with_encoder_factory(Arc::new(JsonText));
        Some(Self(match output.format {
            OutputFormat::Parquet => return None,
            OutputFormat::Json => Format::Json(Box::new(builder.build(Vec::new()))),
            OutputFormat::Csv => Format::Csv(CsvRecords::new()),
        }))
    }

    /// The rows of a batch.
    ///
    /// # Errors
    /// A value that the format cannot express.
    pub fn encode(&mut self, batch: &RecordBatch) -> Result<Lines, EncodeError> {
        let mut lines = Lines::default();
        match &mut self.0 {
            Format::Json(writer) => {
                writer.write(batch)?;
                lines.bytes = std::mem::take(writer.get_mut());
                // In JSON there is no newline but between the records.
                let ends = memchr::memchr_iter(b'\n', &lines.bytes).map(|at| at + 1);
                lines.ends = ends.collect();
            }
            Format::Csv(records) => records.push(batch, &mut lines.bytes, &mut lines.ends)?,
        }
        Ok(lines)
    }
}

/// One file of text on its way.
#[derive(Debug)]
pub struct LinesFile(Compressor);

impl LinesFile {
    /// A file of records of these columns.
    ///
    /// # Errors
    /// The compression failed.
    pub fn new(output: &Output, columns: &SchemaRef) -> Result<Self, EncodeError> {
        let mut file = Compressor::new(output.compression())?;
        if output.format == OutputFormat::Csv && output.header.unwrap_or(true) {
            file.write_all(&CsvRecords::header(columns))?;
        }
        Ok(Self(file))
    }

    /// Adds records.
    ///
    /// # Errors
    /// The compression failed.
    pub fn write(&mut self, records: &[u8]) -> Result<(), EncodeError> {
        Ok(self.0.write_all(records)?)
    }

    /// The bytes of the file that are ready. They may be taken as the file goes on.
    pub fn ready(&mut self) -> &mut Vec<u8> {
        self.0.ready()
    }

    /// Ends the file, and gives those of its bytes that have not been taken.
    ///
    /// # Errors
    /// The compression failed.
    pub fn finish(self) -> Result<Vec<u8>, EncodeError> {
        Ok(self.0.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, Int64Array, StringArray},
        datatypes::{Field, Schema},
    };

    use super::*;
    use crate::{
        config::Compression,
        encode::{Encoder, Layout},
        parquet_out::RowGroupLimit,
        semantics::stated,
    };

    #[test]
    fn what_is_cut_is_what_is_written_whole() {
        stated("JSON and CSV are cut between records: a newline in quotes ends none.");
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "a b",
                Arc::new(StringArray::from(vec![
                    Some("x\ny"),
                    None,
                    Some("\"q\""),
                    Some(""),
                ])),
            ),
            (
                "n",
                Arc::new(Int64Array::from(vec![Some(1), None, Some(3), None])),
            ),
        ];
        let fields = columns
            .iter()
            .map(|(n, c)| Field::new(*n, c.data_type().clone(), true));
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        for format in [OutputFormat::Json, OutputFormat::Csv] {
            let output = Output {
                compression: Some(Compression::None),
                ..Output::new(format)
            };
            let layout = Layout::plain(Arc::clone(&schema));
            let mut whole = Encoder::new(&output, &layout, RowGroupLimit::default()).unwrap();
            whole.write(&batch).unwrap();
            let lines = LinesEncoder::new(&output).unwrap().encode(&batch).unwrap();
            assert_eq!(lines.ends.len(), 4);
            for cut in 0..=4 {
                let mut file = LinesFile::new(&output, &schema).unwrap();
                file.write(lines.records(0..cut)).unwrap();
                assert_eq!(lines.start(cut), lines.records(0..cut).len());
                file.write(lines.records(cut..4)).unwrap();
                let expected = whole.ready().clone();
                assert_eq!(file.finish().unwrap(), expected, "{format} {cut}");
            }
        }
        assert!(LinesEncoder::new(&Output::new(OutputFormat::Parquet)).is_none());
    }
}
