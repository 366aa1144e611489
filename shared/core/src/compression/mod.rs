//! Decompresses a stream that arrives in chunks, and detects its codec from the first bytes.

pub(crate) mod block;
mod engine;
mod layers;

use std::fmt;

use thiserror::Error;

pub(crate) use self::block::{BlockCodec, BlockError, decompress as decompress_block};
use self::engine::{Engine, Step};
pub use self::layers::Layers;
use crate::chunk::Chunk;

/// The most bytes that come out of one call of [`Decompressor::push`].
pub const MAX_OUTPUT: usize = Chunk::MAX;

/// The output that is exempt from the ratio limit: a few bytes of input may legitimately decompress to a page of zeros.
const FREE_OUTPUT: u64 = 1 << 20;

/// A compression format of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Uncompressed.
    None,
    /// [Gzip](https://www.rfc-editor.org/rfc/rfc1952), with any number of members and zeros after the last one.
    Gzip,
    /// [Zstandard](https://www.rfc-editor.org/rfc/rfc8878), with any number of frames. Windows larger than 8 MiB (`zstd
    /// --ultra` and `--long`) are refused, because each stream would need that much memory.
    Zstd,
    /// Bzip2, with any number of streams and zeros after the last one.
    Bzip2,
    /// Snappy in its [framing format](https://github.com/google/snappy/blob/main/framing_format.txt).
    SnappyFramed,
    /// Snappy in Hadoop's block format: the length of a block, then chunks of raw Snappy, each after its own length,
    /// until that many bytes are decompressed. All lengths are 4 bytes, big-endian.
    HadoopSnappy,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::SnappyFramed => "framed snappy",
            Self::HadoopSnappy => "hadoop snappy",
        })
    }
}

/// Why a stream cannot be decompressed. Offsets count the compressed bytes that were consumed when the error was found.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecompressError {
    /// The bytes or a checksum are invalid.
    #[error("corrupt {codec} stream near byte {offset}: {detail}")]
    Corrupt {
        /// The stream's codec.
        codec: Codec,
        /// The offset in bytes.
        offset: u64,
        /// The decoder's message.
        detail: String,
    },
    /// The stream is truncated.
    #[error("truncated {codec} stream: it ends at byte {offset}")]
    Truncated {
        /// The stream's codec.
        codec: Codec,
        /// Its length.
        offset: u64,
    },
    /// The ratio of output to input exceeds the limit.
    #[error("the first {offset} bytes decompress to more than {limit} bytes each")]
    Ratio {
        /// The offset in bytes.
        offset: u64,
        /// The most decompressed bytes for each compressed byte.
        limit: u32,
    },
    /// Other bytes follow the last member.
    #[error("the {codec} stream ends at byte {offset}, and something else follows")]
    TrailingGarbage {
        /// The stream's codec.
        codec: Codec,
        /// The end of the stream.
        offset: u64,
    },
    /// The content is a compressed stream too, which cannot be decompressed.
    #[error("inside the {codec} stream: {error}")]
    Inside {
        /// The codec of the outer stream.
        codec: Codec,
        /// The error. Its offsets count the bytes of that inner stream.
        error: Box<DecompressError>,
    },
}

/// Whether to take the output and call [`Decompressor::push`] again before there is more input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All input is consumed, and all of its output is available.
    NeedsInput,
    /// The output is full. There may be more, even if all input is consumed.
    HasOutput,
}

/// The position relative to the stream's members (gzip), frames (zstd) or streams (bzip2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Within,
    /// After the end of one.
    Between,
    /// In the zeros after the last one.
    Padding,
}

/// Decompresses a stream that is pushed in chunks of any size.
pub struct Decompressor {
    max_ratio: u32,
    /// The first bytes, until the engine has consumed them.
    head: Vec<u8>,
    codec: Option<Codec>,
    engine: Option<Engine>,
    place: Place,
    compressed: u64,
    decompressed: u64,
    /// For a stream inside another one: how many bytes of the outer one were read.
    outer: Option<u64>,
    /// The output that was not taken yet.
    output: Chunk,
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor")
            .field("codec", &self.codec)
            .field("compressed", &self.compressed)
            .field("decompressed", &self.decompressed)
            .finish_non_exhaustive()
    }
}

impl Decompressor {
    /// Creates a decompressor that refuses streams with more than `max_ratio` decompressed bytes for each compressed
    /// byte (the first MiB of output is exempt).
    pub fn new(max_ratio: u32) -> Self {
        Self {
            max_ratio,
            head: Vec::new(),
            codec: None,
            engine: None,
            place: Place::Within,
            compressed: 0,
            decompressed: 0,
            outer: None,
            output: Chunk::default(),
        }
    }

    /// The output. The caller clears it after use; otherwise it grows to [`MAX_OUTPUT`] bytes.
    pub fn output(&mut self) -> &mut Chunk {
        &mut self.output
    }

    /// The codec, once enough bytes have arrived.
    pub fn codec(&self) -> Option<Codec> {
        self.codec
    }

    /// Takes bytes from the front of `input` and appends the decompressed bytes to [`output`](Self::output).
    ///
    /// # Errors
    /// [`DecompressError`]. The output until then is correct.
    pub fn push(&mut self, input: &mut &[u8]) -> Result<Status, DecompressError> {
        while self.codec.is_none() {
            let Some((&byte, rest)) = input.split_first() else {
                return Ok(Status::NeedsInput);
            };
            *input = rest;
            self.head.push(byte);
            self.open(detect(&self.head, false))?;
        }
        let mut head = std::mem::take(&mut self.head);
        let mut rest = head.as_slice();
        let mut status = self.run(&mut rest);
        let consumed = head.len() - rest.len();
        head.drain(..consumed);
        self.head = head;
        if let Ok(Status::NeedsInput) = status {
            status = self.run(input);
        }
        status
    }

    /// Marks the end of the input, after a [`push`](Self::push) that needed more.
    ///
    /// # Errors
    /// [`DecompressError::Truncated`].
    pub fn finish(&mut self) -> Result<(), DecompressError> {
        if self.codec.is_none() {
            self.open(detect(&self.head, true))?;
            let head = std::mem::take(&mut self.head);
            // A head that is too short to detect the codec fits into the output of one call.
            self.run(&mut head.as_slice())?;
        }
        let codec = self.codec.unwrap_or(Codec::None);
        let whole = match &self.engine {
            Some(engine) => self.place != Place::Within || engine.at_boundary(),
            None => true,
        };
        if whole {
            Ok(())
        } else {
            Err(DecompressError::Truncated {
                codec,
                offset: self.compressed,
            })
        }
    }

    fn open(&mut self, codec: Option<Codec>) -> Result<(), DecompressError> {
        if let Some(codec) = codec {
            self.codec = Some(codec);
            self.engine = Engine::new(codec).map_err(|detail| self.corrupt(detail))?;
        }
        Ok(())
    }

    fn corrupt(&self, detail: String) -> DecompressError {
        DecompressError::Corrupt {
            codec: self.codec.unwrap_or(Codec::None),
            offset: self.compressed,
            detail,
        }
    }

    fn take<'a>(&mut self, input: &mut &'a [u8], count: usize) -> &'a [u8] {
        let (taken, rest) = input.split_at(count.min(input.len()));
        *input = rest;
        self.compressed += taken.len() as u64;
        taken
    }

    /// Runs until the input is consumed or the output is full.
    fn run(&mut self, input: &mut &[u8]) -> Result<Status, DecompressError> {
        if self.engine.is_none() {
            let taken = self.take(input, MAX_OUTPUT - self.output.len());
            self.output.extend(taken);
            return Ok(if input.is_empty() {
                Status::NeedsInput
            } else {
                Status::HasOutput
            });
        }
        loop {
            if self.place != Place::Within && !self.next_member(input)? {
                return Ok(Status::NeedsInput);
            }
            let room = self.output.spare();
            if room.is_empty() {
                return Ok(Status::HasOutput);
            }
            let step = match &mut self.engine {
                Some(engine) => engine.step(input, room),
                None => Ok(Step::default()),
            };
            let step = step.map_err(|detail| self.corrupt(detail))?;
            self.output.fill(step.produced);
            self.take(input, step.consumed);
            self.decompressed += step.produced as u64;
            let read = self.outer.unwrap_or(self.compressed);
            let allowed = read.saturating_mul(u64::from(self.max_ratio));
            if self.decompressed > allowed.saturating_add(FREE_OUTPUT) {
                return Err(DecompressError::Ratio {
                    offset: read,
                    limit: self.max_ratio,
                });
            }
            if step.ended {
                self.place = Place::Between;
            } else if step.consumed == 0 && step.produced == 0 {
                return if input.is_empty() {
                    Ok(Status::NeedsInput)
                } else {
                    Err(self.corrupt("the decoder makes no progress".to_owned()))
                };
            }
        }
    }

    /// After the end of a member: whether `input` starts the next one.
    fn next_member(&mut self, input: &mut &[u8]) -> Result<bool, DecompressError> {
        let codec = self.codec.unwrap_or(Codec::None);
        while let Some(&byte) = input.first() {
            let begins = match codec {
                Codec::Gzip => byte == 0x1f,
                Codec::Bzip2 => byte == b'B',
                Codec::Zstd => matches!(byte, 0x28 | 0x50..=0x5f),
                Codec::None | Codec::SnappyFramed | Codec::HadoopSnappy => true,
            };
            if begins && self.place == Place::Between {
                self.engine = Engine::new(codec).map_err(|detail| self.corrupt(detail))?;
                self.place = Place::Within;
                return Ok(true);
            }
            // Tapes and block devices append zeros; gzip(1) skips them too.
            if byte != 0 || codec == Codec::Zstd {
                return Err(DecompressError::TrailingGarbage {
                    codec,
                    offset: self.compressed,
                });
            }
            self.place = Place::Padding;
            self.take(input, 1);
        }
        Ok(false)
    }
}

/// Whether the first bytes are those of a codec.
enum Match {
    Yes,
    No,
    /// Possibly; more bytes are needed.
    Perhaps,
}

fn begins_with(head: &[u8], magic: &[u8]) -> Match {
    if head.starts_with(magic) {
        Match::Yes
    } else if magic.starts_with(head) {
        Match::Perhaps
    } else {
        Match::No
    }
}

/// The codec whose magic bytes a stream begins with.
pub(crate) fn codec_of(head: &[u8]) -> Option<Codec> {
    detect(head, true).filter(|codec| !matches!(codec, Codec::None | Codec::HadoopSnappy))
}

/// The codec of a stream that begins with `head`. `None` if more bytes are needed; never for a stream that has `ended`.
fn detect(head: &[u8], ended: bool) -> Option<Codec> {
    let bzip2 = {
        // The block size is a digit; the magic number of a block, or of the end of an empty stream, follows.
        let mut plain = head.to_vec();
        if let Some(size @ b'1'..=b'9') = plain.get_mut(3) {
            *size = b'9';
        }
        let block = begins_with(&plain, b"BZh9\x31\x41\x59\x26\x53\x59");
        match begins_with(&plain, b"BZh9\x17\x72\x45\x38\x50\x90") {
            Match::No => block,
            found => found,
        }
    };
    let skippable = {
        let mut plain = head.to_vec();
        if let Some(kind @ 0x50..=0x5f) = plain.first_mut() {
            *kind = 0x50;
        }
        begins_with(&plain, b"\x50\x2a\x4d\x18")
    };
    let mut perhaps = false;
    for (codec, found) in [
        (Codec::Gzip, begins_with(head, b"\x1f\x8b\x08")),
        (Codec::Zstd, begins_with(head, b"\x28\xb5\x2f\xfd")),
        (Codec::Zstd, skippable),
        (Codec::Bzip2, bzip2),
        (
            Codec::SnappyFramed,
            begins_with(head, b"\xff\x06\x00\x00sNaPpY"),
        ),
        (Codec::HadoopSnappy, begins_hadoop_snappy(head, ended)),
    ] {
        match found {
            Match::Yes => return Some(codec),
            Match::Perhaps => perhaps = true,
            Match::No => {}
        }
    }
    (ended || !perhaps).then_some(Codec::None)
}

/// Hadoop's blocks have no magic number. They are recognised by consistent lengths: that of the block (below 16 MiB, so
/// the first byte is zero, as in no text and no Parquet file), that of the first chunk, and the one inside that chunk.
fn begins_hadoop_snappy(head: &[u8], ended: bool) -> Match {
    if !matches!(head.first(), Some(0) | None) {
        return Match::No;
    }
    let number = |at: usize| {
        let bytes = head.get(at..)?.first_chunk::<4>()?;
        usize::try_from(u32::from_be_bytes(*bytes)).ok()
    };
    if ended && head == [0; 4] {
        return Match::Yes;
    }
    let (Some(block), Some(chunk)) = (number(0), number(4)) else {
        return Match::Perhaps;
    };
    if block == 0 || chunk == 0 || chunk > engine::longest_chunk(block) {
        return Match::No;
    }
    let inner = head.get(8..).unwrap_or_default();
    if inner.is_empty() {
        return Match::Perhaps;
    }
    match snap::raw::decompress_len(inner) {
        Ok(length) if length > 0 && length <= block => Match::Yes,
        Err(_) if inner.len() < 5 && inner.iter().all(|&b| b >= 0x80) => Match::Perhaps,
        _ => Match::No,
    }
}

#[cfg(test)]
mod tests;
