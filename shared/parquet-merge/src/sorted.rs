//! The rows of files, sorted.
//!
//! The merge first reads the sort columns of all files. Then, for each row group of the merged file, it reads the rows
//! that belong in it from their files again. So it only keeps the keys, and files whose key ranges do not overlap are
//! read twice, whatever their number.
//!
//! Files are read in batches. Each batch is merged in memory, which converts it to the merged file's columns, and then
//! decoded.

mod batch;

use std::{collections::VecDeque, ops::Range, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, StructArray, UInt32Array},
    compute::{SortOptions, concat_batches, is_null, nullif, take_record_batch},
    datatypes::{DataType, Schema, SchemaRef},
    error::ArrowError,
    row::{RowConverter, Rows, SortField},
};
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions, parquet_to_arrow_schema},
    basic::{ConvertedType, Type as Physical},
    errors::ParquetError,
    file::metadata::{KeyValue, RowGroupMetaData, SortingColumn},
    schema::types::{ColumnDescPtr, ColumnPath, SchemaDescriptor},
};

use self::batch::{BATCH_ROWS, Batch, batches, decode, selection, within};
use super::{
    Fetch, Input, MergeError, MergeOptions, MergeSummary, OutputCompression, Step, Unified,
    engine::Engine,
    guard::guarded,
    prepare::{Mappings, Votes, check, single_columns},
};
use crate::{Compression, RowGroupLimit, bounds::Order, properties::writer_properties};

/// A sorted merge in progress.
#[derive(Debug)]
pub(super) struct Sorted {
    unified: Unified,
    options: MergeOptions,
    memory: usize,
    /// The leaf columns to sort by.
    by: Vec<usize>,
    schema: SchemaRef,
    batches: Vec<Batch>,
    converter: RowConverter,
    keys: Rows,
    /// The largest size of a decoded row so far, in bytes.
    row_size: usize,
    /// The size of a row in the files, in bytes.
    stored: usize,
    /// All rows in the order of the merged file, as their indices in the order of the files.
    order: Vec<u32>,
    /// The row groups still to write, as ranges of `order`.
    groups: VecDeque<Range<usize>>,
    /// The batches still to read for the current work.
    pending: VecDeque<usize>,
    reading: Option<Reading>,
    group: Option<Group>,
    writer: Option<ArrowWriter<Vec<u8>>>,
    queue: VecDeque<Bytes>,
    written: u64,
    row_groups: usize,
}

/// A batch that is being merged.
#[derive(Debug)]
struct Reading {
    batch: usize,
    engine: Engine,
    file: Vec<u8>,
}

/// A row group that is being made.
#[derive(Debug)]
struct Group {
    /// Its rows in the order of the merged file.
    order: Vec<u32>,
    /// The same in the order of the files.
    wanted: Vec<u32>,
    found: Vec<RecordBatch>,
}

impl Sorted {
    pub(super) fn new(
        unified: Unified,
        inputs: &[Input],
        options: MergeOptions,
    ) -> Result<Self, MergeError> {
        let memory = options.memory.max(64 << 20);
        let descr = Arc::clone(unified.schema());
        let mut mappings = Mappings::default();
        let mut votes = Votes::new(descr.num_columns());
        for input in inputs {
            let leaves = mappings.of(&unified, input)?;
            check(input, &leaves, &mut votes)?;
        }
        let by = sort_columns(&descr, &options.sort_by)?;
        let schema = Arc::new(parquet_to_arrow_schema(&descr, None)?);
        let writer = writer(&descr, &schema, &by, &options, memory, &votes)?;
        let fields = by.iter().map(|leaf| {
            let path = descr.column(*leaf).path().parts().to_vec();
            let last = SortOptions::default().asc().nulls_last();
            SortField::new_with_options(type_at(&schema, &path), last)
        });
        let converter = RowConverter::new(fields.collect()).map_err(arrow)?;
        let groups = || inputs.iter().flat_map(|input| input.metadata.row_groups());
        let rows: i64 = groups().map(RowGroupMetaData::num_rows).sum();
        let bytes: i64 = groups().map(RowGroupMetaData::compressed_size).sum();
        let stored = usize::try_from(bytes / rows.max(1)).unwrap_or(0).max(1);
        let batches = batches(inputs, memory)?;
        Ok(Self {
            pending: (0..batches.len()).collect(),
            keys: converter.empty_rows(0, 0),
            converter,
            unified,
            options,
            memory,
            by,
            schema,
            batches,
            row_size: 1,
            stored,
            order: Vec::new(),
            groups: VecDeque::new(),
            reading: None,
            group: None,
            writer: Some(writer),
            queue: VecDeque::new(),
            written: 0,
            row_groups: 0,
        })
    }

    pub(super) fn step(&mut self, mut supplied: Vec<(Fetch, Bytes)>) -> Result<Step, MergeError> {
        loop {
            if let Some(bytes) = self.queue.pop_front() {
                self.written += bytes.len() as u64;
                return Ok(Step::Write(bytes));
            }
            if let Some(reading) = &mut self.reading {
                let batch = self.batches.get(reading.batch);
                let numbers = batch.map_or(&[][..], |batch| &batch.inputs);
                for (fetch, _) in &mut supplied {
                    // The batch numbers its files from zero.
                    let place = numbers.iter().position(|(input, _)| *input == fetch.input);
                    fetch.input = place.unwrap_or(usize::MAX);
                }
                match reading.engine.step(std::mem::take(&mut supplied))? {
                    Step::Fetch(mut fetches) => {
                        for fetch in &mut fetches {
                            let input = numbers.get(fetch.input);
                            fetch.input = input.map_or(usize::MAX, |(input, _)| *input);
                        }
                        return Ok(Step::Fetch(fetches));
                    }
                    Step::Write(bytes) => reading.file.extend_from_slice(&bytes),
                    Step::Done(_) => {
                        if let Some(reading) = self.reading.take() {
                            self.work(reading.batch, reading.file.into())?;
                        }
                    }
                }
                continue;
            }
            if let Some(batch) = self.pending.pop_front() {
                self.reading = Some(self.read(batch)?);
                continue;
            }
            if let Some(group) = self.group.take() {
                self.write(&group)?;
            } else if self.order.is_empty() && self.keys.num_rows() > 0 {
                self.sort();
                continue;
            }
            if let Some(range) = self.groups.pop_front() {
                self.begin(range);
                continue;
            }
            if let Some(mut writer) = self.writer.take() {
                writer.finish()?;
                self.queue
                    .push_back(std::mem::take(writer.inner_mut()).into());
                continue;
            }
            return Ok(Step::Done(MergeSummary {
                rows: self.order.len() as u64,
                bytes: self.written,
                row_groups: self.row_groups,
                copied: 0,
            }));
        }
    }

    /// Starts reading a batch.
    fn read(&self, batch: usize) -> Result<Reading, MergeError> {
        let of = self.batches.get(batch);
        let inputs = of.map_or(&[][..], |batch| &batch.inputs);
        let options = MergeOptions {
            memory: self.memory / 4,
            reads: self.options.reads,
            ..MergeOptions::default()
        };
        let inputs = inputs.iter().map(|(_, input)| input.clone()).collect();
        Ok(Reading {
            batch,
            engine: Engine::new(self.unified.clone(), inputs, options)?,
            file: Vec::new(),
        })
    }

    /// Takes the needed rows from a batch that was read.
    fn work(&mut self, batch: usize, file: Bytes) -> Result<(), MergeError> {
        let Some(of) = self.batches.get(batch) else {
            return Ok(());
        };
        if let Some(group) = &mut self.group {
            let wanted = within(&group.wanted, &of.rows);
            let selection = selection(wanted, of.rows.start);
            let found = decode(file, None, Some(selection), usize::MAX);
            group.found.extend(found.map_err(|what| of.corrupt(what))?);
            return Ok(());
        }
        // Estimate the row size from the first rows.
        let first = decode(file.clone(), None, None, BATCH_ROWS / 8);
        for batch in first.map_err(|what| of.corrupt(what))? {
            let size = batch.get_array_memory_size() / batch.num_rows().max(1);
            self.row_size = self.row_size.max(size);
        }
        let keys = decode(file, Some(&self.by), None, usize::MAX);
        for batch in keys.map_err(|what| of.corrupt(what))? {
            let mut columns = Vec::with_capacity(self.by.len());
            for leaf in &self.by {
                let descr = self.unified.schema().column(*leaf);
                let column = column_at(&batch, descr.path().parts()).map_err(arrow)?;
                let missing = || of.corrupt(format!("{} is missing", descr.path()));
                columns.push(column.ok_or_else(missing)?);
            }
            self.converter
                .append(&mut self.keys, &columns)
                .map_err(arrow)?;
            // Plus four bytes of index for each row.
            if self.keys.size() + 4 * self.keys.num_rows() > self.memory / 4 {
                return Err(MergeError::Sort {
                    what: format!("the keys of {} rows and more", self.keys.num_rows()),
                    memory: self.memory,
                });
            }
        }
        Ok(())
    }

    /// Sorts the rows and cuts the order into row groups.
    fn sort(&mut self) {
        let rows = self.keys.num_rows();
        let keys = std::mem::replace(&mut self.keys, self.converter.empty_rows(0, 0));
        self.order = (0..u32::try_from(rows).unwrap_or(u32::MAX)).collect();
        let key = |row: &u32| keys.row(*row as usize);
        self.order
            .sort_unstable_by(|a, b| key(a).cmp(&key(b)).then(a.cmp(b)));
        let most = self
            .options
            .row_group
            .rows
            .min(self.options.row_group.bytes / self.stored)
            .min(self.memory / 6 / self.row_size)
            .max(1);
        let count = rows.div_ceil(most);
        let bounds = (0..=count).map(|group| group * rows / count.max(1));
        let bounds: Vec<usize> = bounds.collect();
        self.groups = bounds
            .windows(2)
            .filter_map(|pair| Some(*pair.first()?..*pair.last()?))
            .collect();
    }

    /// Starts a row group.
    fn begin(&mut self, range: Range<usize>) {
        let order = self.order.get(range).unwrap_or_default().to_vec();
        let mut wanted = order.clone();
        wanted.sort_unstable();
        let has_rows = |(_, batch): &(usize, &Batch)| !within(&wanted, &batch.rows).is_empty();
        let batches = self.batches.iter().enumerate().filter(has_rows);
        self.pending = batches.map(|(batch, _)| batch).collect();
        self.group = Some(Group {
            order,
            wanted,
            found: Vec::new(),
        });
    }

    /// Writes a row group.
    fn write(&mut self, group: &Group) -> Result<(), MergeError> {
        let places: Vec<u32> = group
            .order
            .iter()
            .filter_map(|row| u32::try_from(group.wanted.binary_search(row).ok()?).ok())
            .collect();
        let found = concat_batches(&self.schema, &group.found).map_err(arrow)?;
        let sorted = take_record_batch(&found, &UInt32Array::from(places)).map_err(arrow)?;
        drop(found);
        if let Some(writer) = &mut self.writer {
            guarded(|| writer.write(&sorted).and_then(|()| writer.flush()))
                .map_err(|what| MergeError::Write(ParquetError::General(what)))?;
            self.queue
                .push_back(std::mem::take(writer.inner_mut()).into());
            self.row_groups += 1;
        }
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "map_err hands it over")]
fn arrow(error: ArrowError) -> MergeError {
    MergeError::Write(ParquetError::ArrowError(error.to_string()))
}

/// The leaf columns with these names.
fn sort_columns(schema: &SchemaDescriptor, names: &[String]) -> Result<Vec<usize>, MergeError> {
    // The Parquet crate does not encode INT96, nor decimals of as many bytes as each needs, and of an interval Arrow's type
    // has no months.
    let unsortable = |column: &&ColumnDescPtr| {
        column.physical_type() == Physical::INT96
            || column.converted_type() == ConvertedType::INTERVAL
            || (column.physical_type() == Physical::BYTE_ARRAY
                && Order::of(column) == Order::Decimal)
    };
    if let Some(column) = schema.columns().iter().find(unsortable) {
        return Err(MergeError::Options(format!(
            "the rows cannot be sorted, because the column {} is an INT96, an INTERVAL, or a decimal of more than 38 digits",
            column.path()
        )));
    }
    single_columns("sort_by", schema, names)
}

/// The type of the column, or of the field of a struct, with this path.
fn type_at(schema: &Schema, path: &[String]) -> DataType {
    let mut found = DataType::Struct(schema.fields().clone());
    for name in path {
        let DataType::Struct(fields) = &found else {
            break;
        };
        let field = fields.iter().find(|field| field.name() == name);
        found = field.map_or(DataType::Null, |field| field.data_type().clone());
    }
    found
}

/// The values of the column, or of the field of a struct, with this path: null where a struct around it is.
fn column_at(batch: &RecordBatch, path: &[String]) -> Result<Option<ArrayRef>, ArrowError> {
    let mut found: ArrayRef = Arc::new(StructArray::from(batch.clone()));
    for name in path {
        let Some(around) = found.as_struct_opt() else {
            return Ok(None);
        };
        let Some(field) = around.column_by_name(name) else {
            return Ok(None);
        };
        found = nullif(field, &is_null(around)?)?;
    }
    Ok(Some(found))
}

fn writer(
    descr: &SchemaDescriptor,
    schema: &SchemaRef,
    by: &[usize],
    options: &MergeOptions,
    memory: usize,
    votes: &Votes,
) -> Result<ArrowWriter<Vec<u8>>, MergeError> {
    let filters = single_columns("bloom_filter_columns", descr, &options.bloom_filters)?;
    let filters = filters
        .into_iter()
        .filter_map(|leaf| descr.columns().get(leaf));
    let filters: Vec<ColumnPath> = filters.map(|column| column.path().clone()).collect();
    let compression = match options.compression {
        OutputCompression::As(compression) => compression,
        OutputCompression::Keep => Compression::Snappy,
    };
    // This writer must not end row groups by itself.
    let limit = RowGroupLimit {
        bytes: memory,
        rows: usize::try_from(u32::MAX).unwrap_or(usize::MAX),
    };
    let sorting = by.iter().map(|leaf| SortingColumn {
        column_idx: i32::try_from(*leaf).unwrap_or(i32::MAX),
        descending: false,
        nulls_first: false,
    });
    let key_values = options
        .key_values
        .iter()
        .map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let key_values: Vec<_> = key_values.collect();
    let mut properties = writer_properties(&options.created_by, compression, limit, &filters)
        .into_builder()
        .set_sorting_columns(Some(sorting.collect()))
        .set_dictionary_enabled(options.dictionary_bytes > 0)
        .set_key_value_metadata(Some(key_values).filter(|entries| !entries.is_empty()));
    if options.dictionary_bytes > 0 {
        properties = properties.set_dictionary_page_size_limit(options.dictionary_bytes);
    }
    if options.compression == OutputCompression::Keep {
        for (leaf, column) in descr.columns().iter().enumerate() {
            let compression = votes.winner(leaf).named();
            properties = properties.set_column_compression(column.path().clone(), compression);
        }
    }
    let options = ArrowWriterOptions::new()
        .with_properties(properties.build())
        .with_skip_arrow_metadata(true)
        .with_parquet_schema(descr.clone());
    Ok(ArrowWriter::try_new_with_options(
        Vec::new(),
        Arc::clone(schema),
        options,
    )?)
}
