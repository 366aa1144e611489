//! Merges many small Parquet files into one with large row groups.
//!
//! Nothing here reads or writes: [`Merge::step`] says which ranges it needs and hands over what is to be written, so the
//! caller decides how many reads are in flight and where the bytes go. [`MergeOptions::memory`] bounds the peak memory,
//! whatever the files.
//!
//! A row group that is large already is copied page by page. Small ones are put together column by column, and values are
//! decoded only where types or levels differ.
//!
//! The steps of a merge:
//!
//! 1. [`read_footer`] each file, and [`unify`] their schemas. For many files, [`Survey`] them one after the other instead.
//! 2. Make a [`Merge`], [`new`](Merge::new) or [`unread`](Merge::unread).
//! 3. Call [`step`](Merge::step) until it is [`Step::Done`].
//! 4. [`verify`] the footer of what was written.

mod bounds;
mod codec;
mod column;
mod compression;
mod convert;
mod dictionary;
mod engine;
mod error;
mod fault;
mod file;
mod footer;
mod footer_check;
mod guard;
mod options;
mod page;
mod prepare;
mod properties;
mod reads;
mod rle;
mod schema;
mod sorted;
mod source;
mod spark;
mod survey;
mod thrift;
mod verify;

#[cfg(test)]
#[path = "../../core/src/semantics.rs"]
mod semantics;
#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;

pub use self::{
    compression::Compression,
    error::MergeError,
    footer::{
        FOOTER_TAIL, Footer, FooterError, LARGEST_FOOTER, check_counts, footer_size, read_footer,
        usual,
    },
    footer_check::{FooterFault, MAX_SCHEMA_DEPTH, check_footer},
    options::{Input, MergeOptions, OutputCompression, Unread},
    page::{check_page_bytes, check_pages},
    properties::{RowGroupLimit, writer_options, writer_properties},
    schema::{SchemaReason, SchemaRefusal, Unified, unify},
    survey::{Survey, Surveyed},
    verify::{VerifyError, verify},
};
use self::{engine::Engine, sorted::Sorted};

/// A range of a file that the merge needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fetch {
    /// The number of the file among the inputs.
    pub input: usize,
    /// The bytes.
    pub range: Range<u64>,
}

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// Read these, at the same time as those before, and call again as soon as any of them is there. None: wait for one of
    /// those before.
    Fetch(Vec<Fetch>),
    /// Append this to the merged file.
    Write(Bytes),
    /// The merged file is complete.
    Done(MergeSummary),
}

/// The merged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeSummary {
    /// Its rows: those of all files.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Its row groups.
    pub row_groups: usize,
    /// Those of them that were copied.
    pub copied: usize,
}

/// A merge at work.
#[derive(Debug)]
pub struct Merge(Inner);

#[derive(Debug)]
enum Inner {
    InOrder(Box<Engine>),
    Sorted(Box<Sorted>),
}

impl Merge {
    /// Prepares the merge of files whose schemas were unified.
    ///
    /// # Errors
    /// A file that is refused by what its footer says, or an option that does not fit: nothing has been written then.
    pub fn new(
        unified: Unified,
        inputs: Vec<Input>,
        mut options: MergeOptions,
    ) -> Result<Self, MergeError> {
        options.key_values.extend(spark::entries(&inputs)?);
        Ok(Self(if options.sort_by.is_empty() {
            Inner::InOrder(Box::new(Engine::new(unified, inputs, options)?))
        } else {
            Inner::Sorted(Box::new(Sorted::new(unified, &inputs, options)?))
        }))
    }

    /// Prepares the merge of files whose footers were surveyed before, and are read again when a file's turn comes: a small
    /// file is read in one piece, and no more than a few footers are in memory at a time. `firsts` and `compressions` are the
    /// survey's.
    ///
    /// # Errors
    /// Files that do not fit together by what their metadata says, or an option that does not fit; `sort_by` is one, because
    /// a sorted merge needs all footers.
    pub fn unread(
        unified: Unified,
        firsts: &[Input],
        compressions: Vec<Compression>,
        files: Vec<Unread>,
        mut options: MergeOptions,
    ) -> Result<Self, MergeError> {
        if !options.sort_by.is_empty() {
            return Err(MergeError::Options(
                "files whose footers were not read cannot be sorted".to_owned(),
            ));
        }
        options.key_values.extend(spark::entries(firsts)?);
        let engine = Engine::unread(unified, compressions, files, options)?;
        Ok(Self(Inner::InOrder(Box::new(engine))))
    }

    /// Goes on with what was read since the last call. A call after [`Step::Write`] may have nothing new.
    ///
    /// # Errors
    /// A file that cannot be merged, by name.
    pub fn step(&mut self, supplied: Vec<(Fetch, Bytes)>) -> Result<Step, MergeError> {
        match &mut self.0 {
            Inner::InOrder(engine) => engine.step(supplied),
            Inner::Sorted(sorted) => sorted.step(supplied),
        }
    }
}
