//! Splits an Athena query's result into one object per row. docs/SEMANTICS.md, "Split", specifies what is read and
//! written.
//!
//! - [`Scan`] finds the rows of a result in its bytes, once, and cuts it into [`Chunk`]s;
//! - [`rows`] finds them again in a chunk, and a [`RowReader`] reads their values;
//! - a [`KeyTemplate`] names a row's object and a [`Renderer`] writes it;
//! - [`KeyIndex`] finds rows with the same key.

mod ends;
mod index;
mod json;
mod key;
mod manifest;
mod parquet;
mod render;
mod row;
mod scan;
mod template;
mod types;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::{
    ends::{Framing, rows},
    index::{Dropped, Duplicates, KeyIndex, TooManyKeys},
    key::{KeyProblem, KeyTemplate},
    manifest::{ManifestError, manifest},
    parquet::{ParquetFooter, ParquetReadError, ParquetRows, Step},
    render::Renderer,
    row::{Column, Field, Row, RowProblem, RowReader, Value, header_names},
    scan::{Scan, ScanError, Seen},
    template::{Template, TemplateError},
    types::JsonForm,
};

/// The ledger of split jobs, below the target. No row's object has a name in it.
pub const LEDGER: &str = "_lakewright/split/";

/// The longest row, in bytes, which is Athena's limit.
/// <https://docs.aws.amazon.com/athena/latest/ug/service-limits.html>
pub const MAX_ROW: usize = 32 << 20;

/// The format of an object that contains rows of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceFormat {
    /// Athena's CSV.
    Csv,
    /// UNLOAD's JSON.
    Json,
    /// UNLOAD's text, with this byte between fields.
    Text {
        /// An ASCII character.
        delimiter: u8,
    },
    /// UNLOAD's Parquet.
    Parquet,
}

/// Why an object of a result cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FormatError {
    /// UNLOAD wrote an unsupported format.
    #[error("it holds {0}, which split does not read: UNLOAD as PARQUET, JSON or TEXTFILE")]
    Unread(&'static str),
    /// The format cannot be detected from the first bytes.
    #[error("its first bytes are neither Parquet nor JSON: if it is text, say so in `unload`")]
    Unknown,
}

impl SourceFormat {
    /// Detects the format of UNLOAD's output from the first (decompressed) bytes.
    ///
    /// # Errors
    /// The format is not supported.
    pub fn detect(head: &[u8]) -> Result<Self, FormatError> {
        match head {
            [b'P', b'A', b'R', b'1', ..] => Ok(Self::Parquet),
            [b'O', b'R', b'C', ..] => Err(FormatError::Unread("ORC")),
            [b'O', b'b', b'j', 1, ..] => Err(FormatError::Unread("Avro")),
            [b'{', ..] | [] => Ok(Self::Json),
            _ => Err(FormatError::Unknown),
        }
    }

    /// How rows are separated. `None` for Parquet.
    pub fn framing(self) -> Option<Framing> {
        match self {
            Self::Csv => Some(Framing::AthenaCsv),
            Self::Json => Some(Framing::JsonLines),
            Self::Text { .. } => Some(Framing::Lines),
            Self::Parquet => None,
        }
    }
}

/// A part of a result that one task handles: whole rows of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The source's index in the plan.
    pub source: u32,
    /// The offset of its first row in the source's decompressed bytes. 0 for Parquet.
    pub offset: u64,
    /// The number of decompressed bytes.
    pub length: u64,
    /// The number of its first row in the whole result, from 0.
    pub first_row: u64,
    /// The number of rows.
    pub rows: u64,
}

/// When a chunk ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimit {
    /// At this many bytes: the row that reaches them is the chunk's last.
    pub bytes: u64,
    /// At this many rows.
    pub rows: u64,
}

/// Cuts `rows` rows without known sizes (Parquet's) into chunks of source `source`.
pub fn chunks_of_rows(source: u32, first_row: u64, rows: u64, limit: ChunkLimit) -> Vec<Chunk> {
    let step = limit.rows.max(1);
    let mut chunks = Vec::new();
    let mut done = 0;
    while done < rows {
        let rows = step.min(rows - done);
        chunks.push(Chunk {
            source,
            offset: 0,
            length: 0,
            first_row: first_row + done,
            rows,
        });
        done += rows;
    }
    chunks
}
