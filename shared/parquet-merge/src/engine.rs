//! Merges the row groups of the files, in order, into row groups of the merged file.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use super::{
    Fetch, Input, MergeError, MergeOptions, MergeSummary, OutputCompression, Step, Unified, Unread,
    column::{self, ChunkOf, Column, Incoming, Limits, Tools},
    fault::PageFault,
    file::{File, OpenChunk},
    prepare::{Mappings, Votes, check, single_columns},
    reads::{Action, Read, Reads, What, plan},
    schema::Leaf,
    source::Sources,
};
use crate::{Compression, RowGroupLimit, compression::Codec};

/// A merge in progress.
#[derive(Debug)]
pub(super) struct Engine {
    sources: Sources,
    unified: Unified,
    options: MergeOptions,
    mappings: Mappings,
    reads: Reads,
    file: File,
    tools: Tools,
    limits: Limits,
    row_group: RowGroupLimit,
    /// The leaf columns that get one.
    bloom_filters: Vec<usize>,
    columns: Vec<Column>,
    /// The rows of the row group that is being built.
    rows: usize,
    total: u64,
    copied: usize,
    current: Option<Current>,
    finished: bool,
}

/// The row group of a file that is being read.
#[derive(Debug)]
struct Current {
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

impl Engine {
    /// Prepares the merge of files whose schemas were unified.
    ///
    /// # Errors
    /// A file that is refused by what its footer says, or an option that does not fit: nothing has been written then.
    pub(super) fn new(
        unified: Unified,
        inputs: Vec<Input>,
        options: MergeOptions,
    ) -> Result<Self, MergeError> {
        let columns = unified.schema().num_columns();
        let mut mappings = Mappings::default();
        let mut votes = Votes::new(columns);
        for input in &inputs {
            let leaves = mappings.of(&unified, input)?;
            check(input, &leaves, &mut votes)?;
        }
        let compressions = (0..columns).map(|leaf| votes.winner(leaf)).collect();
        Self::over(unified, compressions, Sources::known(inputs), options)
    }

    /// Prepares the merge of files whose footers were surveyed. The merge reads the footers again, together with the
    /// files.
    ///
    /// # Errors
    /// An option that does not fit.
    pub(super) fn unread(
        unified: Unified,
        compressions: Vec<Compression>,
        files: Vec<Unread>,
        options: MergeOptions,
    ) -> Result<Self, MergeError> {
        Self::over(unified, compressions, Sources::unread(files), options)
    }

    /// `compressions`: the compression of each column, if it is kept.
    fn over(
        unified: Unified,
        compressions: Vec<Compression>,
        sources: Sources,
        options: MergeOptions,
    ) -> Result<Self, MergeError> {
        let schema = Arc::clone(unified.schema());
        if compressions.len() != schema.num_columns() {
            return Err(MergeError::Options(format!(
                "there are {} compressions for {} columns",
                compressions.len(),
                schema.num_columns()
            )));
        }
        let memory = options.memory.max(64 << 20);
        let shared = memory / schema.num_columns().max(1);
        let limits = Limits {
            page_bytes: (shared / 8).clamp(8 << 10, 1 << 20),
            page_rows: 20_000,
            dictionary_bytes: options.dictionary_bytes.min(shared / 16),
            largest_page: memory / 5,
            most_values: memory / 32,
        };
        let row_group = RowGroupLimit {
            bytes: options.row_group.bytes.clamp(1, memory / 3),
            rows: options.row_group.rows.max(1),
        };
        let bloom_filters =
            single_columns("bloom_filter_columns", &schema, &options.bloom_filters)?;
        let columns = schema.columns().iter().zip(compressions).enumerate();
        let columns = columns.map(|(leaf, (descr, kept))| {
            let compression = match options.compression {
                OutputCompression::As(compression) => compression,
                OutputCompression::Keep => kept,
            };
            let with_bloom_filter = bloom_filters.contains(&leaf);
            Column::new(descr.clone(), compression, limits, with_bloom_filter)
        });
        Ok(Self {
            columns: columns.collect(),
            reads: Reads::new(
                (memory as u64 / 32).clamp(64 << 10, 8 << 20),
                memory as u64 / 6,
                options.reads.max(1),
            ),
            file: File::new(schema),
            tools: Tools::new(memory / 4),
            sources,
            unified,
            options,
            mappings: Mappings::default(),
            limits,
            bloom_filters,
            row_group,
            rows: 0,
            total: 0,
            copied: 0,
            current: None,
            finished: false,
        })
    }

    /// Takes what was read since the last call, and continues. A call after [`Step::Write`] may supply nothing new.
    ///
    /// # Errors
    /// A file that cannot be merged, by name.
    pub(super) fn step(&mut self, supplied: Vec<(Fetch, Bytes)>) -> Result<Step, MergeError> {
        for (fetch, bytes) in supplied {
            if !self.sources.supply(&fetch, &bytes)? && !self.reads.supply(&fetch, bytes) {
                return Err(MergeError::Supplied {
                    input: self.name(fetch.input),
                    start: fetch.range.start,
                    end: fetch.range.end,
                });
            }
        }
        loop {
            if let Some(bytes) = self.file.next() {
                return Ok(Step::Write(bytes));
            }
            if self.finished {
                return Ok(Step::Done(MergeSummary {
                    rows: self.total,
                    bytes: self.file.position(),
                    row_groups: self.file.row_groups(),
                    copied: self.copied,
                }));
            }
            let (mappings, unified) = (&mut self.mappings, &self.unified);
            let fetches = self
                .reads
                .ask(&mut self.sources, |input| known(mappings, unified, input))?;
            if !fetches.is_empty() {
                return Ok(Step::Fetch(fetches));
            }
            match self.reads.take() {
                Some((read, bytes)) => self.work(read, &bytes)?,
                None if self.reads.waits() || self.sources.waits() => {
                    return Ok(Step::Fetch(Vec::new()));
                }
                None => {
                    self.end_group()?;
                    self.file
                        .finish(&self.options.created_by, &self.options.key_values)?;
                    self.finished = true;
                }
            }
        }
    }

    /// Performs the actions of a read.
    fn work(&mut self, read: Read, bytes: &Bytes) -> Result<(), MergeError> {
        match read.what {
            What::Actions(actions) => self.act(actions, read.range.start, bytes)?,
            What::File => self.file(read.input, bytes)?,
        }
        if read.last {
            self.sources.forget(read.input);
        }
        Ok(())
    }

    /// Merges a file that was read as a whole.
    fn file(&mut self, number: usize, bytes: &Bytes) -> Result<(), MergeError> {
        self.sources.read(number, bytes)?;
        let mut reads = VecDeque::new();
        if let Some(input) = self.sources.input(number) {
            let leaves = known(&mut self.mappings, &self.unified, input)?;
            plan(number, input, &leaves, u64::MAX, &mut reads);
        }
        for read in reads {
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            let part = bytes.slice(place(read.range.start)..place(read.range.end));
            if let What::Actions(actions) = read.what {
                self.act(actions, read.range.start, &part)?;
            }
        }
        Ok(())
    }

    /// `bytes`: a part of the file that begins at `start`.
    fn act(&mut self, actions: Vec<Action>, start: u64, bytes: &Bytes) -> Result<(), MergeError> {
        for action in actions {
            match action {
                Action::Begin { input, row_group } => self.begin(input, row_group)?,
                Action::Chunk {
                    leaf,
                    range,
                    first,
                    last,
                } => {
                    let place = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
                    let bytes = bytes.slice(place(range.start)..place(range.end));
                    self.chunk(leaf, bytes, first, last)?;
                }
                Action::End => self.end()?,
            }
        }
        Ok(())
    }

    fn begin(&mut self, input: usize, row_group: usize) -> Result<(), MergeError> {
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

    fn chunk(
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
        let done = done.map_err(|fault| self.error(current.input, leaf, fault));
        self.current = Some(current);
        done?
    }

    /// The outer result is an error of the file; the inner one is an error of the merged file.
    fn chunk_of(
        &mut self,
        current: &mut Current,
        leaf: usize,
        bytes: Bytes,
        first: bool,
        last: bool,
    ) -> Result<Result<(), MergeError>, PageFault> {
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
                return Err(PageFault::Corrupt(format!(
                    "it has {} rows, and its row group {}",
                    column.rows() - chunk.before,
                    current.rows
                )));
            }
        }
        let Some((column, open)) = &mut chunk.alone else {
            return Ok(Ok(()));
        };
        if chunk.incoming.adopts() {
            for page in column.take_ready() {
                self.file.put_page(open, page);
            }
        }
        if last && let Some((mut column, open)) = chunk.alone.take() {
            let compression = column.compression();
            let finished = column.finish(&mut self.tools)?;
            return Ok(self.put_chunk(leaf, open, compression, finished));
        }
        Ok(Ok(()))
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
    fn end(&mut self) -> Result<(), MergeError> {
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
    fn end_group(&mut self) -> Result<(), MergeError> {
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

    fn name(&self, input: usize) -> String {
        let name = self.sources.file(input).map(|file| file.name.clone());
        name.unwrap_or_else(|| "the merged file".to_owned())
    }

    fn error(&self, input: usize, leaf: usize, fault: PageFault) -> MergeError {
        let column = self.columns.get(leaf);
        let column = column.map_or_else(String::new, |column| column.descr().path().string());
        let input = self.name(input);
        match fault {
            PageFault::Corrupt(what) => MergeError::Corrupt {
                input,
                column,
                what,
            },
            PageFault::Unsupported(what) => MergeError::Unsupported {
                input,
                column,
                what,
            },
            PageFault::Inexact(what) => MergeError::Inexact {
                input,
                column,
                what,
            },
            PageFault::TooLarge(size) => MergeError::TooLarge {
                input,
                column,
                size,
                memory: self.options.memory,
            },
        }
    }
}

/// How the columns of a file map to those of the merged file. An error if the footer is refused.
fn known(
    mappings: &mut Mappings,
    unified: &Unified,
    input: &Input,
) -> Result<Arc<[Leaf]>, MergeError> {
    let leaves = mappings.of(unified, input)?;
    check(input, &leaves, &mut Votes::new(leaves.len()))?;
    Ok(leaves)
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
