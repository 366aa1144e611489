//! The row groups of the files, and those of the merged file.

use std::sync::Arc;

use bytes::Bytes;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use super::{
    super::{
        MergeError, OutputCompression,
        column::{self, ChunkOf, Column, Incoming},
        fault::PageFault,
        file::OpenChunk,
        schema::Leaf,
    },
    Engine,
};
use crate::{Compression, RowGroupLimit, compression::Codec};

/// The row group of a file that is being read.
#[derive(Debug)]
pub(super) struct Current {
    input: usize,
    row_group: usize,
    rows: usize,
    /// Whether it becomes a separate row group.
    alone: bool,
    leaves: Arc<[Leaf]>,
    chunk: Option<CurrentChunk>,
}

#[derive(Debug)]
struct CurrentChunk {
    incoming: Incoming,
    before: usize,
    /// The chunk of a separate row group.
    alone: Option<(Column, OpenChunk)>,
}

/// Why a chunk cannot be merged.
enum ChunkError {
    /// A page of the file cannot be merged.
    Page(PageFault),
    /// The merged file cannot take it.
    Merge(MergeError),
}

impl From<PageFault> for ChunkError {
    fn from(fault: PageFault) -> Self {
        Self::Page(fault)
    }
}

impl From<MergeError> for ChunkError {
    fn from(error: MergeError) -> Self {
        Self::Merge(error)
    }
}

impl Engine {
    pub(super) fn begin(&mut self, input: usize, row_group: usize) -> Result<(), MergeError> {
        let Some(of) = self.sources.input(input) else {
            return Ok(());
        };
        let leaves = self.mappings.of(&self.unified, of)?;
        let metadata = Arc::clone(&of.metadata);
        let Some(group) = metadata.row_groups().get(row_group) else {
            return Ok(());
        };
        let rows = usize::try_from(group.num_rows()).unwrap_or(usize::MAX);
        let size = stored(group);
        let have: usize = self.columns.iter().map(Column::size).sum();
        let RowGroupLimit {
            bytes: most_bytes,
            rows: most_rows,
        } = self.row_group;
        let is_large = size >= most_bytes / 2 || rows >= most_rows / 2;
        let fits = have + size <= most_bytes && self.rows + rows <= most_rows;
        let is_half = have >= most_bytes / 2 || self.rows >= most_rows / 2;
        // The rows collected so far join a large row group if both together are small enough.
        let alone = is_large && (self.rows == 0 || !fits);
        if self.rows > 0 && (alone || (!fits && is_half)) {
            self.end_group()?;
        }
        self.current = Some(Current {
            input,
            row_group,
            rows,
            alone,
            leaves,
            chunk: None,
        });
        Ok(())
    }

    pub(super) fn chunk(
        &mut self,
        leaf: usize,
        bytes: Bytes,
        first: bool,
        last: bool,
    ) -> Result<(), MergeError> {
        let Some(mut current) = self.current.take() else {
            return Ok(());
        };
        let done = self.chunk_of(&mut current, leaf, bytes, first, last);
        let done = done.map_err(|failed| match failed {
            ChunkError::Page(fault) => self.error(current.input, leaf, fault),
            ChunkError::Merge(error) => error,
        });
        self.current = Some(current);
        done
    }

    fn chunk_of(
        &mut self,
        current: &mut Current,
        leaf: usize,
        bytes: Bytes,
        first: bool,
        last: bool,
    ) -> Result<(), ChunkError> {
        let missing = || PageFault::Corrupt("it is missing".to_owned());
        if first {
            current.chunk = Some(self.open(current, leaf).ok_or_else(missing)?);
        }
        let chunk = current.chunk.as_mut().ok_or_else(missing)?;
        let column = match &mut chunk.alone {
            Some((column, _)) => column,
            None => self.columns.get_mut(leaf).ok_or_else(missing)?,
        };
        column.push(bytes, &mut chunk.incoming, &mut self.tools)?;
        if last {
            chunk.incoming.check_complete()?;
            if column.rows() - chunk.before != current.rows {
                let what = format!(
                    "it has {} rows, and its row group {}",
                    column.rows() - chunk.before,
                    current.rows
                );
                return Err(PageFault::Corrupt(what).into());
            }
        }
        let Some((column, open)) = &mut chunk.alone else {
            return Ok(());
        };
        if chunk.incoming.adopts() {
            for page in column.take_ready() {
                self.file.put_page(open, page);
            }
        }
        if last && let Some((mut column, open)) = chunk.alone.take() {
            let compression = column.compression();
            let finished = column.finish(&mut self.tools)?;
            self.put_chunk(leaf, open, compression, finished)?;
        }
        Ok(())
    }

    fn open(&self, current: &Current, leaf: usize) -> Option<CurrentChunk> {
        let source = current.leaves.get(leaf)?.source.clone()?;
        let of = ChunkOf {
            metadata: Arc::clone(&self.sources.input(current.input)?.metadata),
            row_group: current.row_group,
        };
        let metadata = of.metadata.row_groups().get(of.row_group)?;
        let chunk = metadata.columns().get(source.column)?;
        let codec = Codec::of(chunk.compression())?;
        let column = self.columns.get(leaf)?;
        let with_bloom_filter = self.bloom_filters.contains(&leaf);
        let target = match self.options.compression {
            OutputCompression::Keep if current.alone => codec.kept(),
            _ => column.compression(),
        };
        let adopts = current.alone
            && source.is_same()
            && codec == Codec::Written(target)
            && !with_bloom_filter
            && (self.options.dictionary_bytes > 0 || chunk.dictionary_page_offset().is_none());
        let file = of.metadata.file_metadata();
        let trusted = file.created_by() == Some(self.options.created_by.as_str());
        let alone = current.alone.then(|| {
            let column = Column::new(
                column.descr().clone(),
                target,
                self.limits,
                with_bloom_filter,
            );
            (column, OpenChunk::default())
        });
        Some(CurrentChunk {
            incoming: Incoming::new(
                of,
                source,
                column.order(),
                codec,
                self.limits.largest_page,
                (adopts, trusted),
            )?,
            before: if current.alone { 0 } else { column.rows() },
            alone,
        })
    }

    fn put_chunk(
        &mut self,
        leaf: usize,
        mut open: OpenChunk,
        compression: Compression,
        finished: column::Finished,
    ) -> Result<(), MergeError> {
        for page in finished.pages {
            self.file.put_page(&mut open, page);
        }
        self.file
            .end_chunk(leaf, &open, compression, finished.bloom_filter)?;
        Ok(())
    }

    /// Ends a row group of a file.
    pub(super) fn end(&mut self) -> Result<(), MergeError> {
        let Some(current) = self.current.take() else {
            return Ok(());
        };
        self.total += current.rows as u64;
        for (leaf, of) in current.leaves.iter().enumerate() {
            if of.source.is_some() {
                continue;
            }
            let Some(column) = self.columns.get_mut(leaf) else {
                continue;
            };
            if !current.alone {
                column
                    .push_nulls(current.rows, &mut self.tools)
                    .map_err(|fault| self.error(current.input, leaf, fault))?;
                continue;
            }
            let mut nulls = column.empty();
            let compression = nulls.compression();
            let finished = nulls
                .push_nulls(current.rows, &mut self.tools)
                .and_then(|()| nulls.finish(&mut self.tools))
                .map_err(|fault| self.error(current.input, leaf, fault))?;
            self.put_chunk(leaf, OpenChunk::default(), compression, finished)?;
        }
        if current.alone {
            self.file.end_group(current.rows, None)?;
            self.copied += 1;
            return Ok(());
        }
        self.rows += current.rows;
        if let Some(leaf) = self
            .columns
            .iter()
            .position(|column| column.rows() != self.rows)
        {
            let fault = PageFault::Corrupt("it is missing".to_owned());
            return Err(self.error(current.input, leaf, fault));
        }
        let size: usize = self.columns.iter().map(Column::size).sum();
        if size >= self.row_group.bytes || self.rows >= self.row_group.rows {
            self.end_group()?;
        }
        Ok(())
    }

    /// Ends the row group that is being built.
    pub(super) fn end_group(&mut self) -> Result<(), MergeError> {
        if self.rows == 0 {
            return Ok(());
        }
        for leaf in 0..self.columns.len() {
            let Some(column) = self.columns.get_mut(leaf) else {
                continue;
            };
            let compression = column.compression();
            let finished = column
                .finish(&mut self.tools)
                .map_err(|fault| self.error(usize::MAX, leaf, fault))?;
            self.put_chunk(leaf, OpenChunk::default(), compression, finished)?;
        }
        self.file.end_group(self.rows, None)?;
        self.rows = 0;
        Ok(())
    }
}

/// The bytes of a row group in its file.
fn stored(group: &RowGroupMetaData) -> usize {
    let sizes = group
        .columns()
        .iter()
        .map(ColumnChunkMetaData::compressed_size);
    sizes.fold(0_usize, |sum, size| {
        sum.saturating_add(usize::try_from(size).unwrap_or(0))
    })
}
