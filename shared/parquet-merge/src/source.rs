//! The files of a merge, and the footers that are known.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use super::{FOOTER_TAIL, Fetch, Footer, Input, LARGEST_FOOTER, MergeError, Unread, read_footer};

/// The number of files whose footers are read ahead of their rows.
const AHEAD: usize = 4;

/// The files of a merge in order.
#[derive(Debug)]
pub(super) struct Sources {
    files: Vec<Source>,
    /// The next file whose footer might have to be read ahead.
    next: usize,
    heads: Vec<Head>,
}

#[derive(Debug)]
struct Source {
    file: Unread,
    /// Includes the footer, while it is known.
    input: Option<Input>,
    /// Whether the footer is dropped when the file is done.
    forgets: bool,
}

/// A file whose footer is read separately, because the file is too large for one read.
#[derive(Debug)]
struct Head {
    input: usize,
    /// The range at the end of the file that is known to contain the footer.
    range: Range<u64>,
    asked: bool,
}

impl From<Input> for Source {
    fn from(input: Input) -> Self {
        Self {
            file: Unread {
                name: input.name.clone(),
                size: input.size,
            },
            input: Some(input),
            forgets: false,
        }
    }
}

impl From<Unread> for Source {
    fn from(file: Unread) -> Self {
        Self {
            file,
            input: None,
            forgets: true,
        }
    }
}

impl Source {
    /// Takes the end of the file. Returns a longer range if that is needed.
    fn read(&mut self, tail: &Bytes) -> Result<Option<Range<u64>>, MergeError> {
        let footer = read_footer(tail, self.file.size, LARGEST_FOOTER);
        let footer = footer.map_err(|source| MergeError::Footer {
            input: self.file.name.clone(),
            source,
        })?;
        match footer {
            Footer::Needs(range) => Ok(Some(range)),
            Footer::Read(metadata) => {
                self.input = Some(Input {
                    name: self.file.name.clone(),
                    size: self.file.size,
                    metadata: Arc::from(metadata),
                });
                Ok(None)
            }
        }
    }
}

impl Sources {
    pub(super) fn known(inputs: Vec<Input>) -> Self {
        Self::new(inputs.into_iter().map(Source::from).collect())
    }

    pub(super) fn unread(files: Vec<Unread>) -> Self {
        Self::new(files.into_iter().map(Source::from).collect())
    }

    fn new(files: Vec<Source>) -> Self {
        Self {
            files,
            next: 0,
            heads: Vec::new(),
        }
    }

    /// The name and the size of a file.
    pub(super) fn file(&self, number: usize) -> Option<&Unread> {
        self.files.get(number).map(|source| &source.file)
    }

    /// A file with its footer, if it is known.
    pub(super) fn input(&self, number: usize) -> Option<&Input> {
        self.files.get(number)?.input.as_ref()
    }

    /// Takes a file that was read as a whole.
    pub(super) fn read(&mut self, number: usize, file: &Bytes) -> Result<(), MergeError> {
        // A whole file contains the whole footer.
        let source = self.files.get_mut(number);
        source.map_or(Ok(()), |source| source.read(file).map(|_| ()))
    }

    /// Drops the footer of a file that can be read again.
    pub(super) fn forget(&mut self, number: usize) {
        let source = self.files.get_mut(number);
        if let Some(source) = source.filter(|source| source.forgets) {
            source.input = None;
        }
    }

    /// The footers to request for files larger than `piece`, starting at the file `from`.
    pub(super) fn ask(&mut self, from: usize, piece: u64) -> Vec<Fetch> {
        self.heads.retain(|head| head.input >= from);
        self.next = self.next.max(from);
        while self.heads.len() < AHEAD
            && let Some(source) = self.files.get(self.next)
        {
            let size = source.file.size;
            if source.input.is_none() && size > piece {
                self.heads.push(Head {
                    input: self.next,
                    range: size.saturating_sub(FOOTER_TAIL)..size,
                    asked: false,
                });
            }
            self.next += 1;
        }
        let unasked = self.heads.iter_mut().filter(|head| !head.asked);
        let fetches = unasked.map(|head| {
            head.asked = true;
            Fetch {
                input: head.input,
                range: head.range.clone(),
            }
        });
        fetches.collect()
    }

    /// Takes the bytes of a read. Returns false if it was not a footer.
    ///
    /// # Errors
    /// A footer that cannot be read.
    pub(super) fn supply(&mut self, fetch: &Fetch, bytes: &Bytes) -> Result<bool, MergeError> {
        let files = &mut self.files;
        let of_fetch = |head: &&mut Head| head.input == fetch.input && head.range == fetch.range;
        let Some(head) = self.heads.iter_mut().find(of_fetch) else {
            return Ok(false);
        };
        let Some(source) = files.get_mut(head.input) else {
            return Ok(false);
        };
        if source.input.is_some() || bytes.len() as u64 != fetch.range.end - fetch.range.start {
            return Ok(false);
        }
        if let Some(range) = source.read(bytes)? {
            head.asked = false;
            head.range = range;
        }
        Ok(true)
    }

    /// Whether a footer is being read.
    pub(super) fn waits(&self) -> bool {
        let mut heads = self.heads.iter();
        heads.any(|head| self.input(head.input).is_none())
    }
}
