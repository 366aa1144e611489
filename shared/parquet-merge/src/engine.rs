//! Merges the row groups of the files, in order, into row groups of the merged file.

mod row_groups;

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use self::row_groups::Current;
use super::{
    Fetch, Input, MergeError, MergeOptions, MergeSummary, OutputCompression, Step, Unified, Unread,
    column::{Column, Limits, Tools},
    fault::PageFault,
    file::File,
    prepare::{Mappings, Votes, check, single_columns},
    reads::{Action, Read, Reads, What, plan},
    schema::Leaf,
    source::Sources,
};
use crate::{Compression, RowGroupLimit};

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
