//! Plans which ranges of the files are read, and in which order.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::Bytes;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::{Fetch, Input, MergeError, schema::Leaf, source::Sources};

/// What to do with the bytes of a read.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// A row group of a file begins.
    Begin { input: usize, row_group: usize },
    /// Bytes of the column chunk that is merged into this column.
    Chunk {
        leaf: usize,
        range: Range<u64>,
        first: bool,
        last: bool,
    },
    /// The row group ends.
    End,
}

/// A range of a file and its contents.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) input: usize,
    /// Empty if nothing needs to be read.
    pub(super) range: Range<u64>,
    pub(super) what: What,
    /// Whether this is the last read of the file.
    pub(super) last: bool,
}

#[derive(Debug)]
pub(super) enum What {
    /// Perform these actions.
    Actions(Vec<Action>),
    /// The range is the whole file: the actions follow from its footer.
    File,
}

/// The range of a column chunk in its file.
pub(super) fn chunk_range(chunk: &ColumnChunkMetaData, size: u64) -> Option<Range<u64>> {
    let data = u64::try_from(chunk.data_page_offset()).ok()?;
    let dictionary = chunk.dictionary_page_offset().filter(|offset| *offset > 0);
    let start = match dictionary {
        Some(offset) => data.min(u64::try_from(offset).ok()?),
        None => data,
    };
    let end = start.checked_add(u64::try_from(chunk.compressed_size()).ok()?)?;
    (end <= size).then_some(start..end)
}

/// Issues reads in the order in which they are needed, some of them ahead.
#[derive(Debug)]
pub(super) struct Reads {
    /// The approximate size of one read, in bytes.
    piece: u64,
    /// The most bytes that may be requested or waiting at once.
    window: u64,
    /// The most reads that may be requested or waiting at once.
    most: usize,
    next_input: usize,
    /// Reads that were not requested yet.
    planned: VecDeque<Read>,
    /// Reads that were requested, with their bytes once they are there.
    asked: VecDeque<(Read, Option<Bytes>)>,
    asked_bytes: u64,
}

impl Reads {
    pub(super) fn new(piece: u64, window: u64, most: usize) -> Self {
        Self {
            piece,
            window,
            most,
            next_input: 0,
            planned: VecDeque::new(),
            asked: VecDeque::new(),
            asked_bytes: 0,
        }
    }

    /// The next reads to request.
    pub(super) fn ask(
        &mut self,
        sources: &mut Sources,
        mut leaves: impl FnMut(&Input) -> Result<Arc<[Leaf]>, MergeError>,
    ) -> Result<Vec<Fetch>, MergeError> {
        let mut fetches = sources.ask(self.next_input, self.piece);
        loop {
            while self.planned.is_empty() {
                if !self.plan(sources, &mut leaves)? {
                    return Ok(fetches);
                }
            }
            let Some(next) = self.planned.front() else {
                return Ok(fetches);
            };
            let size = next.range.end - next.range.start;
            let full = self.asked_bytes + size > self.window || self.asked.len() >= self.most;
            if full && !self.asked.is_empty() {
                return Ok(fetches);
            }
            if let Some(read) = self.planned.pop_front() {
                self.asked_bytes += size;
                let empty = (size == 0).then(Bytes::new);
                if empty.is_none() {
                    fetches.push(Fetch {
                        input: read.input,
                        range: read.range.clone(),
                    });
                }
                self.asked.push_back((read, empty));
            }
        }
    }

    /// Plans the reads of the next file. Returns false if there is none, or if its footer is still being read.
    fn plan(
        &mut self,
        sources: &mut Sources,
        leaves: &mut impl FnMut(&Input) -> Result<Arc<[Leaf]>, MergeError>,
    ) -> Result<bool, MergeError> {
        let number = self.next_input;
        let Some(size) = sources.file(number).map(|file| file.size) else {
            return Ok(false);
        };
        if let Some(input) = sources.input(number) {
            let leaves = leaves(input)?;
            plan(number, input, &leaves, self.piece, &mut self.planned);
            if self.planned.is_empty() {
                sources.forget(number);
            }
        } else if size <= self.piece {
            self.planned.push_back(Read {
                input: number,
                range: 0..size,
                what: What::File,
                last: true,
            });
        } else {
            return Ok(false);
        }
        self.next_input += 1;
        Ok(true)
    }

    /// Takes the bytes of a read. Returns false if it was not requested or has the wrong length.
    pub(super) fn supply(&mut self, fetch: &Fetch, bytes: Bytes) -> bool {
        if bytes.len() as u64 != fetch.range.end - fetch.range.start {
            return false;
        }
        let place = self.asked.iter_mut().find(|(read, there)| {
            there.is_none() && read.input == fetch.input && read.range == fetch.range
        });
        match place {
            Some((_, place)) => {
                *place = Some(bytes);
                true
            }
            None => false,
        }
    }

    /// The next read in order, if its bytes are there.
    pub(super) fn take(&mut self) -> Option<(Read, Bytes)> {
        self.asked.front().filter(|(_, bytes)| bytes.is_some())?;
        let (read, bytes) = self.asked.pop_front()?;
        self.asked_bytes -= read.range.end - read.range.start;
        Some((read, bytes?))
    }

    /// Whether a requested read is outstanding.
    pub(super) fn waits(&self) -> bool {
        !self.asked.is_empty()
    }
}

/// Splits a file into reads: whole row groups, several at a time if they are small; otherwise single chunks, and large
/// chunks in pieces.
pub(super) fn plan(
    number: usize,
    input: &Input,
    leaves: &[Leaf],
    piece: u64,
    reads: &mut VecDeque<Read>,
) {
    let metadata: &ParquetMetaData = &input.metadata;
    let read = |range: Range<u64>, actions: Vec<Action>| Read {
        input: number,
        range,
        what: What::Actions(actions),
        last: false,
    };
    let mut open: Option<(Range<u64>, Vec<Action>)> = None;
    for (row_group, group) in metadata.row_groups().iter().enumerate() {
        if group.num_rows() == 0 {
            continue;
        }
        let ranges: Vec<(usize, Range<u64>)> = leaves
            .iter()
            .enumerate()
            .filter_map(|(leaf, of)| {
                let chunk = group.columns().get(of.source.as_ref()?.column)?;
                Some((leaf, chunk_range(chunk, input.size)?))
            })
            .collect();
        let start = ranges
            .iter()
            .map(|(_, range)| range.start)
            .min()
            .unwrap_or(0);
        let end = ranges.iter().map(|(_, range)| range.end).max().unwrap_or(0);
        let begin = Action::Begin {
            input: number,
            row_group,
        };
        if end - start <= piece {
            let whole = ranges.into_iter().map(|(leaf, range)| Action::Chunk {
                leaf,
                range,
                first: true,
                last: true,
            });
            let actions = std::iter::once(begin).chain(whole).chain([Action::End]);
            match &mut open {
                Some((range, before)) if start >= range.end && end - range.start <= piece => {
                    range.end = end;
                    before.extend(actions);
                }
                _ => {
                    let before = open.replace((start..end, actions.collect()));
                    reads.extend(before.map(|(range, actions)| read(range, actions)));
                }
            }
            continue;
        }
        reads.extend(open.take().map(|(range, actions)| read(range, actions)));
        let mut before = vec![begin];
        for (leaf, range) in ranges {
            let mut at = range.start;
            while at < range.end {
                let to = range.end.min(at.saturating_add(piece));
                let mut actions = std::mem::take(&mut before);
                actions.push(Action::Chunk {
                    leaf,
                    range: at..to,
                    first: at == range.start,
                    last: to == range.end,
                });
                reads.push_back(read(at..to, actions));
                at = to;
            }
        }
        before.push(Action::End);
        match reads.back_mut().map(|read| &mut read.what) {
            Some(What::Actions(actions)) if before.len() == 1 => actions.append(&mut before),
            _ => reads.push_back(read(0..0, before)),
        }
    }
    reads.extend(open.map(|(range, actions)| read(range, actions)));
    if let Some(last) = reads.back_mut() {
        last.last = true;
    }
}
