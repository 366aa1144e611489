//! Merges many small Parquet files into one with large row groups.
//!
//! The crate does no I/O: [`Merge::step`] returns the ranges that it needs and the bytes to write, so the caller
//! decides how many reads are in flight and where the bytes go. [`MergeOptions::memory`] bounds the peak memory,
//! whatever the files.
//!
//! A row group that is large enough is copied page by page. Small row groups are joined column by column, and values
//! are decoded only if types or levels differ.
//!
//! The steps of a merge:
//!
//! 1. [`read_footer`] each file, and [`unify`] their schemas. For many files, [`Survey`] them one after the other
//!    instead.
//! 2. Create a [`Merge`] with [`new`](Merge::new) or [`unread`](Merge::unread).
//! 3. Call [`step`](Merge::step) until it is [`Step::Done`].
//! 4. [`verify`] the footer of the written file.

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
mod names;
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
    guard::panic_reason,
    names::{NameError, find_column},
    options::{Input, MergeOptions, OutputCompression, Unread},
    page::{check_page_bytes, check_pages},
    prepare::unread_codec,
    properties::{RowGroupLimit, writer_options, writer_properties},
    schema::{SchemaReason, SchemaRefusal, Unified, unify},
    survey::{Survey, Surveyed},
    verify::{VerifyError, verify},
};
use self::{engine::Engine, sorted::Sorted};

/// A range of a file that the merge needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fetch {
    /// The index of the file among the inputs.
    pub input: usize,
    /// The range in bytes.
    pub range: Range<u64>,
}

/// What the caller has to do next.
#[derive(Debug)]
pub enum Step {
    /// Read these ranges, at the same time as earlier ones, and call again as soon as any of them is read. If empty,
    /// wait for an earlier one.
    Fetch(Vec<Fetch>),
    /// Append this to the merged file.
    Write(Bytes),
    /// The merged file is complete.
    Done(MergeSummary),
}

/// A summary of the merged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeSummary {
    /// The number of rows, which is that of all files.
    pub rows: u64,
    /// The size in bytes.
    pub bytes: u64,
    /// The number of row groups.
    pub row_groups: usize,
    /// The number of row groups that were copied.
    pub copied: usize,
}

/// A merge in progress.
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

    /// Prepares the merge of files whose footers were surveyed before and are read again during the merge: a small file
    /// is read with one request, and only a few footers are in memory at a time. `firsts` and `compressions` come from
    /// the survey.
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

    /// Takes what was read since the last call, and continues. A call after [`Step::Write`] may supply nothing new.
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
