//! Encodes records as text before they are written to files, so that each is encoded only once, whichever file it goes to.

use std::io::Write;

use arrow::{array::RecordBatch, datatypes::SchemaRef};

use super::{EncodeError, compress::Compressor, csv::CsvRecords, json::JsonRecords};
use crate::config::{Output, OutputFormat};

/// Records as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// The concatenated records.
    pub bytes: Vec<u8>,
    /// The end of each record.
    pub ends: Vec<usize>,
}

impl Lines {
    /// The bytes of a range of records.
    pub fn records(&self, records: std::ops::Range<usize>) -> &[u8] {
        let end_of = |record: usize| record.checked_sub(1).and_then(|last| self.ends.get(last));
        let (start, end) = (end_of(records.start), end_of(records.end));
        let bounds = start.copied().unwrap_or(0)..end.copied().unwrap_or(0);
        self.bytes.get(bounds).unwrap_or_default()
    }

    /// The start of a record.
    pub fn start(&self, record: usize) -> usize {
        let last = record.checked_sub(1).and_then(|last| self.ends.get(last));
        last.copied().unwrap_or(0)
    }
}

/// Encodes the rows of batches as text.
#[derive(Debug)]
pub struct LinesEncoder {
    format: Format,
    /// Buffers that were returned for reuse.
    spare: Vec<Lines>,
    /// The approximate size of a row in bytes.
    row_bytes: usize,
}

#[derive(Debug)]
enum Format {
    Json(JsonRecords),
    Csv(CsvRecords),
}

impl LinesEncoder {
    /// The encoder for an output. `None` for Parquet.
    pub fn new(output: &Output) -> Option<Self> {
        let format = match output.format {
            OutputFormat::Parquet => return None,
            OutputFormat::Json => Format::Json(JsonRecords::new()),
            OutputFormat::Csv => Format::Csv(CsvRecords::new()),
        };
        Some(Self {
            format,
            spare: Vec::new(),
            row_bytes: 0,
        })
    }

    /// Takes back text that is no longer needed, so that its memory is reused.
    pub fn recycle(&mut self, lines: Lines) {
        self.spare.push(lines);
    }

    /// Encodes the rows of a batch.
    ///
    /// # Errors
    /// The format cannot represent a value.
    pub fn encode(&mut self, batch: &RecordBatch) -> Result<Lines, EncodeError> {
        let rows = batch.num_rows();
        let mut lines = self.spare.pop().unwrap_or_default();
        lines.bytes.clear();
        lines.ends.clear();
        lines
            .bytes
            .reserve(rows * (self.row_bytes + self.row_bytes / 16));
        lines.ends.reserve(rows);
        match &mut self.format {
            Format::Json(records) => records.push(batch, &mut lines.bytes, &mut lines.ends)?,
            Format::Csv(records) => records.push(batch, &mut lines.bytes, &mut lines.ends)?,
        }
        self.row_bytes = lines.bytes.len() / rows.max(1);
        Ok(lines)
    }
}

/// A text file that is being written.
#[derive(Debug)]
pub struct LinesFile(Compressor);

impl LinesFile {
    /// Starts a file with these columns.
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

    /// Appends records.
    ///
    /// # Errors
    /// The compression failed.
    pub fn write(&mut self, records: &[u8]) -> Result<(), EncodeError> {
        Ok(self.0.write_all(records)?)
    }

    /// The bytes of the file that are ready. They may be taken while the file is being written.
    pub fn ready(&mut self) -> &mut Vec<u8> {
        self.0.ready()
    }

    /// Ends the file, and returns the bytes that were not taken yet.
    ///
    /// # Errors
    /// The compression failed.
    pub fn finish(self) -> Result<Vec<u8>, EncodeError> {
        Ok(self.0.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{
            ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
            ListArray, StringArray, StringViewArray, StructArray, TimestampMicrosecondArray,
        },
        datatypes::{Field, Int64Type, Schema},
    };
    use proptest::prelude::*;

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

    fn both_ways(columns: Vec<(&str, ArrayRef)>) -> (Vec<u8>, Vec<u8>) {
        let fields = columns
            .iter()
            .map(|(n, c)| Field::new(*n, c.data_type().clone(), true));
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let output = Output {
            compression: Some(Compression::None),
            ..Output::new(OutputFormat::Json)
        };
        let layout = Layout::plain(schema);
        let mut whole = Encoder::new(&output, &layout, RowGroupLimit::default()).unwrap();
        whole.write(&batch).unwrap();
        let lines = LinesEncoder::new(&output).unwrap().encode(&batch).unwrap();
        (lines.bytes, whole.finish().unwrap())
    }

    #[test]
    fn json_is_what_arrow_makes_of_it() {
        let inside: ArrayRef = Arc::new(StringArray::from(vec![Some("\"\\n"), None]));
        let field = Arc::new(Field::new("in\"side", inside.data_type().clone(), true));
        let lists = [Some(vec![Some(1), None]), None];
        let (mine, arrows) = both_ways(vec![
            (
                "a \"b\"\n",
                Arc::new(StringArray::from(vec![None, Some("x")])),
            ),
            ("v", Arc::new(StringViewArray::from(vec![Some("v"), None]))),
            ("n", Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX]))),
            ("f", Arc::new(Float64Array::from(vec![1e300, f64::NAN]))),
            ("b", Arc::new(BooleanArray::from(vec![true, false]))),
            ("d", Arc::new(Date32Array::from(vec![0, -1]))),
            ("c", Arc::new(Decimal128Array::from(vec![Some(-1), None]))),
            (
                "t",
                Arc::new(TimestampMicrosecondArray::from(vec![1, 2_000_000])),
            ),
            ("s", Arc::new(StructArray::from(vec![(field, inside)]))),
            (
                "l",
                Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists)),
            ),
        ]);
        assert_eq!(String::from_utf8(mine), String::from_utf8(arrows));
    }

    proptest! {
        #[test]
        fn strings_are_escaped_as_arrow_does(texts in prop::collection::vec(prop::option::of(any::<String>()), 1..8)) {
            let column: ArrayRef = Arc::new(StringArray::from(texts));
            let (mine, arrows) = both_ways(vec![("a", column)]);
            prop_assert_eq!(mine, arrows);
        }
    }
}
