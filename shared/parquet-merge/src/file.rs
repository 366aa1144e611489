//! Writes the merged file: pages in order, bloom filters, page indexes and the footer.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::Arc,
};

use bytes::Bytes;
use parquet::{
    basic::{BoundaryOrder, Encoding, PageType, Type as Physical},
    bloom_filter::Sbbf,
    errors::ParquetError,
    file::{
        metadata::{
            ColumnChunkMetaData, ColumnIndexBuilder, FileMetaData, KeyValue, OffsetIndexBuilder,
            PageEncodingStats, ParquetMetaDataBuilder, ParquetMetaDataWriter, RowGroupMetaData,
            SortingColumn, page_index::PageIndexBuilder,
        },
        page_index::{column_index::ColumnIndexMetaData, offset_index::OffsetIndexMetaData},
        writer::TrackedWrite,
    },
    schema::types::{ColumnDescPtr, SchemaDescPtr},
};

use super::{
    bounds::{Bounds, Order},
    column::{Page, Rows},
};
use crate::Compression;

const MAGIC: &[u8] = b"PAR1";

/// The file so far. Written bytes are queued for the caller.
#[derive(Debug)]
pub(super) struct File {
    schema: SchemaDescPtr,
    position: u64,
    queue: VecDeque<Bytes>,
    groups: Vec<RowGroupMetaData>,
    column_indexes: Vec<Vec<Option<ColumnIndexMetaData>>>,
    offset_indexes: Vec<Vec<Option<OffsetIndexMetaData>>>,
    group: Group,
}

/// The row group that is being written.
#[derive(Debug, Default)]
struct Group {
    start: u64,
    chunks: Vec<Option<Closed>>,
}

#[derive(Debug)]
struct Closed {
    metadata: ColumnChunkMetaData,
    column_index: Option<ColumnIndexMetaData>,
    offset_index: OffsetIndexMetaData,
    bloom_filter: Option<Sbbf>,
}

/// A column chunk that is being written.
#[derive(Debug, Default)]
pub(super) struct OpenChunk {
    dictionary: Option<u64>,
    data: Option<u64>,
    pages: Vec<PageOf>,
    stored: usize,
    uncompressed: usize,
    encodings: Vec<(PageType, Encoding, i32)>,
}

#[derive(Debug)]
struct PageOf {
    offset: u64,
    size: usize,
    values: usize,
    rows: usize,
    nulls: usize,
    bounds: Bounds,
}

impl File {
    pub(super) fn new(schema: SchemaDescPtr) -> Self {
        let mut file = Self {
            schema,
            position: 0,
            queue: VecDeque::new(),
            groups: Vec::new(),
            column_indexes: Vec::new(),
            offset_indexes: Vec::new(),
            group: Group::default(),
        };
        file.put(Bytes::from_static(MAGIC));
        file.begin();
        file
    }

    /// The number of bytes so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn row_groups(&self) -> usize {
        self.groups.len()
    }

    /// The next bytes to be written.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.queue.pop_front()
    }

    fn put(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.position += bytes.len() as u64;
            self.queue.push_back(bytes);
        }
    }

    fn begin(&mut self) {
        self.group = Group {
            start: self.position,
            chunks: (0..self.schema.num_columns()).map(|_| None).collect(),
        };
    }

    pub(super) fn put_page(&mut self, chunk: &mut OpenChunk, page: Page) {
        let offset = self.position;
        let (size, values) = (page.size(), page.values);
        chunk.stored += size;
        chunk.uncompressed += page.uncompressed;
        let page_type = match page.kind {
            Rows::Dictionary => {
                chunk.dictionary = Some(offset);
                PageType::DICTIONARY_PAGE
            }
            Rows::Data {
                rows,
                nulls,
                bounds,
                is_v2,
            } => {
                chunk.data.get_or_insert(offset);
                chunk.pages.push(PageOf {
                    offset,
                    size,
                    values,
                    rows,
                    nulls,
                    bounds,
                });
                if is_v2 {
                    PageType::DATA_PAGE_V2
                } else {
                    PageType::DATA_PAGE
                }
            }
        };
        let known = chunk
            .encodings
            .iter_mut()
            .find(|(of, encoding, _)| *of == page_type && *encoding == page.encoding);
        match known {
            Some((_, _, count)) => *count += 1,
            None => chunk.encodings.push((page_type, page.encoding, 1)),
        }
        self.put(page.header);
        self.put(page.body);
    }

    /// Ends a column chunk of the row group.
    pub(super) fn end_chunk(
        &mut self,
        leaf: usize,
        chunk: &OpenChunk,
        compression: Compression,
        bloom_filter: Option<Sbbf>,
    ) -> Result<(), ParquetError> {
        let descr: ColumnDescPtr = self.schema.column(leaf);
        let order = Order::of(&descr);
        let mut bounds = Bounds::Empty;
        let (mut values, mut nulls) = (0_usize, 0_usize);
        let mut locations = OffsetIndexBuilder::new();
        for page in &chunk.pages {
            bounds.include(order, &page.bounds);
            values += page.values;
            nulls += page.nulls;
            locations.append_row_count(number(page.rows)?);
            let size = i32::try_from(page.size).map_err(|_| too_large())?;
            locations.append_offset_and_size(number(page.offset)?, size);
        }
        let mut encodings: Vec<Encoding> = chunk
            .encodings
            .iter()
            .map(|(_, encoding, _)| *encoding)
            .collect();
        encodings.push(Encoding::RLE);
        let statistics = bounds.statistics(descr.physical_type(), Some(nulls as u64));
        let page_encodings =
            chunk
                .encodings
                .iter()
                .map(|(page_type, encoding, count)| PageEncodingStats {
                    page_type: *page_type,
                    encoding: *encoding,
                    count: *count,
                });
        let start = self.group.start;
        let metadata = ColumnChunkMetaData::builder(descr.clone())
            .set_compression(compression.named())
            .set_encodings(encodings)
            .set_page_encoding_stats(page_encodings.collect())
            .set_total_compressed_size(number(chunk.stored)?)
            .set_total_uncompressed_size(number(chunk.uncompressed)?)
            .set_num_values(number(values)?)
            .set_data_page_offset(number(chunk.data.unwrap_or(start))?)
            .set_dictionary_page_offset(chunk.dictionary.map(number).transpose()?)
            .set_statistics(statistics)
            .build()?;
        let closed = Closed {
            metadata,
            column_index: column_index(order, descr.physical_type(), &chunk.pages)?,
            offset_index: locations.build(),
            bloom_filter,
        };
        if let Some(place) = self.group.chunks.get_mut(leaf) {
            *place = Some(closed);
        }
        Ok(())
    }

    /// Ends the row group and starts the next one.
    pub(super) fn end_group(
        &mut self,
        rows: usize,
        sorting: Option<Vec<SortingColumn>>,
    ) -> Result<(), ParquetError> {
        let start = self.group.start;
        let chunks = std::mem::take(&mut self.group.chunks);
        let mut columns = Vec::with_capacity(chunks.len());
        let (mut column_indexes, mut offset_indexes) = (Vec::new(), Vec::new());
        let mut size = 0;
        for chunk in chunks {
            let chunk =
                chunk.ok_or_else(|| ParquetError::General("a column is missing".to_owned()))?;
            let mut metadata = chunk.metadata;
            size += metadata.uncompressed_size();
            if let Some(filter) = chunk.bloom_filter {
                let offset = self.position;
                let mut bytes = Vec::new();
                filter.write(&mut bytes)?;
                metadata = metadata
                    .into_builder()
                    .set_bloom_filter_offset(Some(number(offset)?))
                    .set_bloom_filter_length(Some(
                        i32::try_from(bytes.len()).map_err(|_| too_large())?,
                    ))
                    .build()?;
                self.put(bytes.into());
            }
            columns.push(metadata);
            column_indexes.push(chunk.column_index);
            offset_indexes.push(Some(chunk.offset_index));
        }
        let group = RowGroupMetaData::builder(self.schema.clone())
            .set_column_metadata(columns)
            .set_total_byte_size(size)
            .set_num_rows(number(rows)?)
            .set_sorting_columns(sorting)
            .set_ordinal(i32::try_from(self.groups.len()).map_err(|_| too_large())?)
            .set_file_offset(number(start)?)
            .build()?;
        self.groups.push(group);
        self.column_indexes.push(column_indexes);
        self.offset_indexes.push(offset_indexes);
        self.begin();
        Ok(())
    }

    /// Ends the file.
    pub(super) fn finish(
        &mut self,
        created_by: &str,
        key_values: &[(String, String)],
    ) -> Result<(), ParquetError> {
        let mut pages = PageIndexBuilder::new(self.groups.len(), self.schema.num_columns());
        let indexes = std::mem::take(&mut self.column_indexes)
            .into_iter()
            .zip(std::mem::take(&mut self.offset_indexes));
        for (group, (columns, offsets)) in indexes.enumerate() {
            for (leaf, (column, offset)) in columns.into_iter().zip(offsets).enumerate() {
                if let Some(column) = column {
                    pages.put_column_index(column, group, leaf);
                }
                if let Some(offset) = offset {
                    pages.put_offset_index(offset, group, leaf);
                }
            }
        }
        let rows = self.groups.iter().map(RowGroupMetaData::num_rows).sum();
        let key_values = key_values
            .iter()
            .map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let file = FileMetaData::new(
            1,
            rows,
            Some(created_by.to_owned()),
            Some(key_values.collect::<Vec<_>>()).filter(|key_values| !key_values.is_empty()),
            self.schema.clone(),
            None,
        );
        let metadata = ParquetMetaDataBuilder::new(file)
            .set_row_groups(self.groups.clone())
            .set_page_index(Some(Arc::new(pages.build())))
            .build();
        let mut bytes = Vec::new();
        let mut tail = TrackedWrite::new(Tail {
            before: self.position,
            bytes: &mut bytes,
        });
        // The writer counts offsets from its own start, so it first gets as many zeros as bytes were written before.
        let zeros = vec![0; 1 << 20];
        let mut left = self.position;
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
            tail.write_all(zeros.get(..count).unwrap_or_default())?;
            left -= count as u64;
        }
        ParquetMetaDataWriter::new_with_tracked(tail, &metadata).finish()?;
        self.put(bytes.into());
        Ok(())
    }
}

/// Discards the first bytes that are written and keeps the rest.
struct Tail<'a> {
    before: u64,
    bytes: &'a mut Vec<u8>,
}

impl Write for Tail<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let skipped = usize::try_from(self.before)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        self.before -= skipped as u64;
        self.bytes
            .extend_from_slice(bytes.get(skipped..).unwrap_or_default());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The column index of a chunk. `None` if a page's bounds are not known.
fn column_index(
    order: Order,
    physical: Physical,
    pages: &[PageOf],
) -> Result<Option<ColumnIndexMetaData>, ParquetError> {
    let mut builder = ColumnIndexBuilder::new(physical);
    let (mut ascending, mut descending) = (true, true);
    let mut before: Option<&Bounds> = None;
    for page in pages {
        let nulls = number(page.nulls)?;
        match &page.bounds {
            _ if page.nulls == page.values => {
                builder.append(true, Vec::new(), Vec::new(), nulls, None);
            }
            Bounds::Known { min, max } => {
                if let Some(before) = before {
                    let (up, down) = page.bounds.follows(order, before);
                    ascending &= up;
                    descending &= down;
                }
                before = Some(&page.bounds);
                builder.append(false, min.value.to_vec(), max.value.to_vec(), nulls, None);
            }
            Bounds::Empty | Bounds::Unknown => return Ok(None),
        }
    }
    builder.set_boundary_order(match (ascending, descending) {
        (true, _) => BoundaryOrder::ASCENDING,
        (_, true) => BoundaryOrder::DESCENDING,
        _ => BoundaryOrder::UNORDERED,
    });
    builder.build().map(Some)
}

fn too_large() -> ParquetError {
    ParquetError::General("the file is too large".to_owned())
}

/// Converts a count to the footer's type.
fn number(count: impl TryInto<i64>) -> Result<i64, ParquetError> {
    count.try_into().map_err(|_| too_large())
}
