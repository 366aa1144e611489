//! Recognises, from its first bytes, an object whose content does not have the expected format.
//!
//! An object in another encoding or format is one error. Otherwise a reader of text would report every line, or read halves
//! of characters as values.

mod encoding;

use std::fmt;

use thiserror::Error;

pub use self::encoding::Encoding;
use crate::compression::{Codec, codec_of};

/// How many bytes are examined.
pub const HEAD: usize = 1024;

/// A file format that can be recognised by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFormat {
    name: &'static str,
    magic: &'static [u8],
    /// Where the magic bytes are.
    at: usize,
    family: Family,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Parquet,
    Avro,
    Orc,
    /// A container of records or files.
    Container,
    /// An unsupported compression format.
    Compression,
}

const fn format(name: &'static str, magic: &'static [u8], family: Family) -> FileFormat {
    FileFormat {
        name,
        magic,
        at: 0,
        family,
    }
}

/// The formats, by the magic bytes that their specifications name.
const FORMATS: [FileFormat; 19] = [
    format("a Parquet file", b"PAR1", Family::Parquet),
    format("an encrypted Parquet file", b"PARE", Family::Container),
    format("an ORC file", b"ORC", Family::Orc),
    format("an Avro file", b"Obj\x01", Family::Avro),
    format("an Arrow file", b"ARROW1\0\0", Family::Container),
    format("a Hadoop SequenceFile", b"SEQ\x04", Family::Container),
    format("a Hadoop SequenceFile", b"SEQ\x05", Family::Container),
    format("a Hadoop SequenceFile", b"SEQ\x06", Family::Container),
    format("an RCFile", b"RCF\x01", Family::Container),
    format("a SQLite database", b"SQLite format 3\0", Family::Container),
    format("a zip archive", b"PK\x03\x04", Family::Container),
    format("an empty zip archive", b"PK\x05\x06", Family::Container),
    format("a 7z archive", b"7z\xbc\xaf\x27\x1c", Family::Container),
    FileFormat {
        at: 257,
        ..format("a tar archive", b"ustar", Family::Container)
    },
    format("xz", b"\xfd7zXZ\0", Family::Compression),
    format("LZ4", b"\x04\x22\x4d\x18", Family::Compression),
    format("LZ4", b"\x02\x21\x4c\x18", Family::Compression),
    format("lzop", b"\x89LZO\0\r\n\x1a\n", Family::Compression),
    format("compress (.Z)", b"\x1f\x9d", Family::Compression),
];

impl FileFormat {
    /// The format of a file that begins with `head`.
    fn of(head: &[u8]) -> Option<Self> {
        // `PAR1` and `ORC` may also begin a text.
        let is_binary = head.iter().any(|byte| is_control(u32::from(*byte)));
        FORMATS.into_iter().find(|format| {
            let found = head.get(format.at..).unwrap_or_default();
            is_binary && found.starts_with(format.magic)
        })
    }
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Whether a character does not occur in text: a control character other than 9 to 13 (tabs and line ends).
fn is_control(character: u32) -> bool {
    matches!(character, 0..9 | 14..32 | 0x7f)
}

/// Why an object is not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotText {
    /// Its decompressed content is compressed again.
    #[error(
        "the object is compressed more than twice: what comes out of it is {0} again, which is not read. Compress it once"
    )]
    Again(Codec),
    /// It is compressed, although query results are not.
    #[error("the object is compressed with {0}, which it should not be")]
    Once(Codec),
    /// It is a file of another format.
    #[error("the object is {}, not text{}", .0, way_out(.0))]
    Format(FileFormat),
    /// It is a text in another encoding.
    #[error(
        "the object is {0}, not UTF-8: convert it, for example with iconv, and upload it again"
    )]
    Encoding(Encoding),
    /// It begins with NULs.
    #[error(
        "the object begins with NULs (bytes of value 0), which no text has: it was probably not written to its end. Upload it again"
    )]
    Nuls,
}

fn way_out(format: &FileFormat) -> &'static str {
    match format.family {
        Family::Parquet => ": write format = \"parquet\", or keep such objects out of the source",
        Family::Avro => ": write format = \"avro\", or keep such objects out of the source",
        Family::Orc => ": write format = \"orc\", or keep such objects out of the source",
        Family::Container => ", and such files are not read: keep them out of the source",
        Family::Compression => {
            ", a compression that is not read: use gzip, zstd, bzip2 or framed Snappy"
        }
    }
}

impl NotText {
    /// The same for an object that was not decompressed.
    #[must_use]
    pub fn of_stored(self) -> Self {
        match self {
            Self::Again(codec) => Self::Once(codec),
            other => other,
        }
    }

    /// Why decompressed bytes that begin with `head` are not text, if they are not. `head`: the first [`HEAD`] bytes, or all
    /// of them.
    pub fn find(head: &[u8]) -> Option<Self> {
        if let Some(codec) = codec_of(head) {
            return Some(Self::Again(codec));
        }
        if let Some(format) = FileFormat::of(head) {
            return Some(Self::Format(format));
        }
        if let Some(encoding) = Encoding::other_than_utf_8(head) {
            return Some(Self::Encoding(encoding));
        }
        let nuls = head.iter().take_while(|byte| **byte == 0).count();
        (nuls > 0 && (nuls >= 4 || nuls == head.len())).then_some(Self::Nuls)
    }
}

/// What a file that is not Parquet is instead, if its first bytes tell.
pub fn instead_of_parquet(head: &[u8]) -> Option<String> {
    if let Some(codec) = codec_of(head) {
        return Some(format!(
            "it is a {codec} stream; Parquet is compressed inside, not as a whole"
        ));
    }
    unended(head, Family::Parquet)
}

/// What a file that is not ORC is instead, if its first bytes tell.
pub(crate) fn instead_of_orc(head: &[u8]) -> Option<String> {
    if let Some(codec) = codec_of(head) {
        return Some(format!(
            "it is a {codec} stream; ORC is compressed inside, not as a whole"
        ));
    }
    unended(head, Family::Orc)
}

/// What a file is that does not end as those of its family do.
fn unended(head: &[u8], family: Family) -> Option<String> {
    let format = FileFormat::of(head);
    if format.is_some_and(|format| format.family == family) {
        return Some("it begins as one, but has no end: it was not written whole".to_owned());
    }
    what(head, format)
}

/// What an object is that is no Avro object container file, from its first bytes after its decompression, if they say it.
pub(crate) fn instead_of_avro(head: &[u8]) -> Option<String> {
    if let Some(codec) = codec_of(head) {
        return Some(format!(
            "it is compressed more than twice, and {codec} again inside"
        ));
    }
    what(head, FileFormat::of(head))
}

fn what(head: &[u8], format: Option<FileFormat>) -> Option<String> {
    if let Some(format) = format {
        return Some(match format.family {
            Family::Parquet | Family::Avro | Family::Orc | Family::Container => {
                format!("it is {format}")
            }
            Family::Compression => format!("it is compressed with {format}"),
        });
    }
    if let Some(encoding) = Encoding::other_than_utf_8(head) {
        return Some(format!("it is text in {encoding}"));
    }
    let whole = match str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let (text, _) = head.split_at(error.valid_up_to());
            str::from_utf8(text).unwrap_or_default()
        }
        Err(_) => return None,
    };
    let is_text = !whole.is_empty() && !whole.chars().any(|c| is_control(c.into()));
    is_text.then(|| "it is text".to_owned())
}

/// Examines the first bytes of a stream that arrives in pieces.
#[derive(Debug, Default)]
pub struct Head {
    /// The bytes so far, until there are enough.
    bytes: Vec<u8>,
    done: bool,
}

impl Head {
    /// Whether there are enough bytes.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Takes the next bytes, or the end of the text if there are none.
    ///
    /// # Errors
    /// The stream is not text.
    pub fn push(&mut self, bytes: Option<&[u8]>) -> Result<(), NotText> {
        if self.done {
            return Ok(());
        }
        let room = HEAD - self.bytes.len();
        let taken = bytes.map(|bytes| bytes.get(..room).unwrap_or(bytes));
        self.bytes.extend_from_slice(taken.unwrap_or_default());
        if bytes.is_none() || self.bytes.len() == HEAD {
            self.done = true;
            let head = std::mem::take(&mut self.bytes);
            if let Some(not_text) = NotText::find(&head) {
                return Err(not_text);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
