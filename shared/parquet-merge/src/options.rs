//! The inputs and the options of a merge.

use std::sync::Arc;

use parquet::file::metadata::ParquetMetaData;

use crate::{Compression, properties::RowGroupLimit};

/// A file to merge.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its name in errors.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its footer, as [`read_footer`] reads it. If it includes a page index, the merge decodes less.
    pub metadata: Arc<ParquetMetaData>,
}

/// A file to merge whose footer is read together with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Its name in errors.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// How the merged file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputCompression {
    /// Each column keeps the compression that most of its bytes have in the files.
    Keep,
    /// All columns use this compression.
    As(Compression),
}

/// The format of the merged file, and limits on memory and reads.
#[derive(Debug, Clone)]
pub struct MergeOptions {
    /// Row groups have at most this size, unless a larger one is copied, and at least half of it, unless it is the last
    /// one or is followed by a copied one.
    pub row_group: RowGroupLimit,
    /// How pages are compressed.
    pub compression: OutputCompression,
    /// The largest dictionary of a column chunk, in bytes. 0: no dictionaries.
    pub dictionary_bytes: usize,
    /// Columns of single values with a bloom filter, by their names, as [`find_column`](crate::find_column) takes them.
    pub bloom_filters: Vec<String>,
    /// The key-value metadata of the merged file. From the files' metadata, only Spark's calendar entries are kept.
    pub key_values: Vec<(String, String)>,
    /// The `created_by` field of the footer.
    pub created_by: String,
    /// Columns to sort the rows by, by their names as [`find_column`](crate::find_column) takes them: ascending, nulls last. If empty, rows stay in the order of the files.
    pub sort_by: Vec<String>,
    /// The memory limit in bytes, including what was read and is not yet written: at least 64 MiB. Row groups are cut
    /// to a third of it; a page that is only copied may take a fifth, a page that is decompressed a quarter. Footers
    /// that the caller has read are not included.
    pub memory: usize,
    /// The most reads that may be in flight at once.
    pub reads: usize,
}

impl Default for MergeOptions {
    /// Row groups of 128 MiB, unchanged compression, dictionaries of up to 1 MiB, 256 MiB of memory, 16 reads.
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
