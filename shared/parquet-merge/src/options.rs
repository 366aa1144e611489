//! What goes into a merge, and what the merged file is to be like.

use std::sync::Arc;

use parquet::file::metadata::ParquetMetaData;

use crate::{Compression, properties::RowGroupLimit};

/// A file that goes into the merged one.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its name in errors.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Its footer, as [`read_footer`] reads it. A page index, where it is there, saves work.
    pub metadata: Arc<ParquetMetaData>,
}

/// A file that goes into the merged one, and whose footer is read with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Its name in errors.
    pub name: String,
    /// Its bytes.
    pub size: u64,
}

/// How the merged file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputCompression {
    /// Each column as most of its bytes are in the files.
    Keep,
    /// All of it so.
    As(Compression),
}

/// What the merged file is like, and what it may cost.
#[derive(Debug, Clone)]
pub struct MergeOptions {
    /// Row groups have at most this size, unless one is copied that is larger, and at least half of it, unless it is the
    /// last or the one before a copied one.
    pub row_group: RowGroupLimit,
    /// How pages are compressed.
    pub compression: OutputCompression,
    /// The largest dictionary of a column chunk, in bytes. 0: no dictionaries.
    pub dictionary_bytes: usize,
    /// Columns with a bloom filter, by path with dots.
    pub bloom_filters: Vec<String>,
    /// The key-value metadata of the merged file. Of that of the files only what Spark says of their calendar is kept.
    pub key_values: Vec<(String, String)>,
    /// The writer's name in the footer.
    pub created_by: String,
    /// Columns that the rows are sorted by: ascending, nulls last. Empty: rows stay in the order of the files.
    pub sort_by: Vec<String>,
    /// The bytes that the merge may use, what was read and is not yet written included: 64 MiB at least. Row groups are cut
    /// to a third of it, a page that is only copied may have a fifth, and one that has to be decompressed a quarter. Footers
    /// of files that the caller has read come on top.
    pub memory: usize,
    /// The reads that may be on their way at one time.
    pub reads: usize,
}

impl Default for MergeOptions {
    /// Row groups of 128 MiB, compression as it is, dictionaries up to 1 MiB, 256 MiB of memory, 16 reads.
    fn default() -> Self {
        Self {
            row_group: RowGroupLimit::default(),
            compression: OutputCompression::Keep,
            dictionary_bytes: 1 << 20,
            bloom_filters: Vec::new(),
            key_values: Vec::new(),
            created_by: "parquet-merge".to_owned(),
            sort_by: Vec::new(),
            memory: 256 << 20,
            reads: 16,
        }
    }
}
