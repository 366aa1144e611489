//! All codecs as one step function, which consumes some input, produces some output, and never blocks.

use std::io::{self, Read};

use flate2::FlushDecompress;
use zstd::stream::raw::{DParameter, Operation};

use super::Codec;

/// The base-2 logarithm of the largest window of a zstd frame, in bytes: RFC 8878 requires decoders to support this
/// size.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The result of one step.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Step {
    /// Bytes of input used.
    pub(super) consumed: usize,
    /// Bytes of output written.
    pub(super) produced: usize,
    /// Whether a member ended and all of its output is written.
    pub(super) ended: bool,
}

/// The state of a decoder.
pub(super) enum Engine {
    Flate(flate2::Decompress),
    Zstd(Box<Frame>),
    Bzip2(bzip2::Decompress),
    Chunks(Box<Chunks>),
}

impl Engine {
    /// `None` for [`Codec::None`].
    pub(super) fn new(codec: Codec) -> Result<Option<Self>, String> {
        Ok(Some(match codec {
            Codec::None => return Ok(None),
            Codec::Gzip => Self::Flate(flate2::Decompress::new_gzip(15)),
            Codec::Zstd => {
                let mut decoder =
                    zstd::stream::raw::Decoder::new().map_err(|error| error.to_string())?;
                decoder
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))
                    .map_err(|error| error.to_string())?;
                Self::Zstd(Box::new(Frame {
                    decoder,
                    header: Vec::new(),
                    produced: 0,
                }))
            }
            Codec::Bzip2 => Self::Bzip2(bzip2::Decompress::new(false)),
            Codec::SnappyFramed => Self::Chunks(Box::new(Chunks::framed())),
            Codec::HadoopSnappy => Self::Chunks(Box::new(Chunks::hadoop())),
        }))
    }

    /// The same for DEFLATE without a header and a checksum around it (RFC 1951).
    pub(super) fn deflate() -> Self {
        Self::Flate(flate2::Decompress::new(false))
    }

    /// Whether the stream may end here without an end marker.
    pub(super) fn at_boundary(&self) -> bool {
        match self {
            Self::Flate(_) | Self::Zstd(_) | Self::Bzip2(_) => false,
            Self::Chunks(chunks) => chunks.at_boundary(),
        }
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, String> {
        match self {
            Self::Flate(decoder) => {
                let (before_in, before_out) = (decoder.total_in(), decoder.total_out());
                let status = decoder
                    .decompress(input, output, FlushDecompress::None)
                    .map_err(|error| error.to_string())?;
                Ok(Step {
                    consumed: difference(decoder.total_in(), before_in),
                    produced: difference(decoder.total_out(), before_out),
                    ended: status == flate2::Status::StreamEnd,
                })
            }
            Self::Bzip2(decoder) => {
                let (before_in, before_out) = (decoder.total_in(), decoder.total_out());
                let status = decoder
                    .decompress(input, output)
                    .map_err(|error| error.to_string())?;
                Ok(Step {
                    consumed: difference(decoder.total_in(), before_in),
                    produced: difference(decoder.total_out(), before_out),
                    ended: status == bzip2::Status::StreamEnd,
                })
            }
            Self::Zstd(frame) => frame.step(input, output),
            Self::Chunks(chunks) => chunks.step(input, output),
        }
    }
}

/// A zstd frame.
pub(super) struct Frame {
    decoder: zstd::stream::raw::Decoder<'static>,
    /// Its first bytes, up to the longest header.
    header: Vec<u8>,
    produced: u64,
}

/// The longest header of a zstd frame.
/// <https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1.1>
const ZSTD_HEADER: usize = 18;

impl Frame {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, String> {
        let status = self
            .decoder
            .run_on_buffers(input, output)
            .map_err(|error| error.to_string())?;
        let used = input.iter().take(status.bytes_read);
        let lacking = ZSTD_HEADER.saturating_sub(self.header.len());
        self.header.extend(used.take(lacking));
        self.produced += status.bytes_written as u64;
        let ended = status.remaining == 0 && status.bytes_read + status.bytes_written > 0;
        // The decoder only checks this if it gets the whole frame at once, or if the last block is not empty.
        if ended
            && let Ok(Some(size)) = zstd::zstd_safe::get_frame_content_size(&self.header)
            && size != self.produced
        {
            let produced = self.produced;
            return Err(format!("a frame of {size} bytes has {produced}"));
        }
        Ok(Step {
            consumed: status.bytes_read,
            produced: status.bytes_written,
            ended,
        })
    }
}

fn difference(after: u64, before: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}

/// The longest raw Snappy chunk that holds `length` bytes.
pub(super) fn longest_chunk(length: usize) -> usize {
    snap::raw::max_compress_len(length)
}

/// A format of length-prefixed chunks: a chunk is buffered completely, then decompressed at once.
pub(super) struct Chunks {
    format: Format,
    /// The part of the current header or chunk that has arrived.
    gathered: Vec<u8>,
    /// Its complete length.
    wanted: usize,
    /// Decompressed bytes, and how many of them have been returned.
    ready: Vec<u8>,
    handed_out: usize,
}

enum Format {
    Framed(Box<snap::read::FrameDecoder<Feed>>),
    Hadoop {
        /// The decompressed bytes of the current block that are still to come.
        left: usize,
        decoder: snap::raw::Decoder,
        /// What is being buffered.
        part: HadoopPart,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HadoopPart {
    BlockLength,
    ChunkLength,
    Chunk,
}

/// Passes whole chunks to Snappy's own reader.
#[derive(Default)]
struct Feed(io::Cursor<Vec<u8>>);

impl Read for Feed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

/// The type byte and three bytes of length.
const FRAME_HEADER: usize = 4;

impl Chunks {
    fn framed() -> Self {
        let decoder = snap::read::FrameDecoder::new(Feed::default());
        Self::new(Format::Framed(Box::new(decoder)))
    }

    fn hadoop() -> Self {
        Self::new(Format::Hadoop {
            left: 0,
            decoder: snap::raw::Decoder::new(),
            part: HadoopPart::BlockLength,
        })
    }

    fn new(format: Format) -> Self {
        Self {
            format,
            gathered: Vec::new(),
            wanted: FRAME_HEADER,
            ready: Vec::new(),
            handed_out: 0,
        }
    }

    fn at_boundary(&self) -> bool {
        let within_block = matches!(
            self.format,
            Format::Hadoop {
                part: HadoopPart::ChunkLength | HadoopPart::Chunk,
                ..
            }
        );
        self.gathered.is_empty() && !within_block
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, String> {
        let mut step = Step::default();
        loop {
            let ready = self.ready.get(self.handed_out..).unwrap_or_default();
            let room = output.get_mut(step.produced..).unwrap_or_default();
            let count = ready.len().min(room.len());
            if let (Some(from), Some(to)) = (ready.get(..count), room.get_mut(..count)) {
                to.copy_from_slice(from);
            }
            self.handed_out += count;
            step.produced += count;
            if self.handed_out < self.ready.len() {
                return Ok(step);
            }
            let rest = input.get(step.consumed..).unwrap_or_default();
            let count = rest.len().min(self.wanted - self.gathered.len());
            self.gathered
                .extend_from_slice(rest.get(..count).unwrap_or_default());
            step.consumed += count;
            if self.gathered.len() < self.wanted {
                return Ok(step);
            }
            self.take_part()?;
        }
    }

    /// Continues after a complete header or chunk.
    fn take_part(&mut self) -> Result<(), String> {
        match &mut self.format {
            Format::Framed(decoder) => {
                if self.gathered.len() == FRAME_HEADER
                    && let [_, length @ ..] = self.gathered.as_slice()
                {
                    let length = length
                        .iter()
                        .rev()
                        .fold(0, |length, &byte| length << 8 | usize::from(byte));
                    self.wanted = FRAME_HEADER + length;
                    if length > 0 {
                        return Ok(());
                    }
                }
                decoder.get_mut().0 = io::Cursor::new(std::mem::take(&mut self.gathered));
                self.ready.clear();
                self.handed_out = 0;
                decoder
                    .read_to_end(&mut self.ready)
                    .map_err(|error| error.to_string())?;
                self.gathered = std::mem::take(&mut decoder.get_mut().0).into_inner();
                self.wanted = FRAME_HEADER;
            }
            Format::Hadoop {
                left,
                decoder,
                part,
            } => {
                if *part == HadoopPart::Chunk {
                    let length = snap::raw::decompress_len(&self.gathered)
                        .map_err(|error| error.to_string())?;
                    *left = left
                        .checked_sub(length)
                        .ok_or("a chunk holds more than is left of its block")?;
                    self.ready.resize(length, 0);
                    self.handed_out = 0;
                    decoder
                        .decompress(&self.gathered, &mut self.ready)
                        .map_err(|error| error.to_string())?;
                } else {
                    let bytes = self.gathered.first_chunk::<4>().copied();
                    let length = usize::try_from(u32::from_be_bytes(bytes.unwrap_or_default()))
                        .map_err(|error| error.to_string())?;
                    if *part == HadoopPart::BlockLength {
                        if length > MAX_BLOCK {
                            return Err(format!("a block of {length} bytes"));
                        }
                        *left = length;
                    } else {
                        if length > longest_chunk(*left) {
                            return Err(format!("a chunk of {length} bytes"));
                        }
                        self.gathered.clear();
                        self.wanted = length;
                        *part = HadoopPart::Chunk;
                        return Ok(());
                    }
                }
                self.wanted = 4;
                *part = if *left == 0 {
                    HadoopPart::BlockLength
                } else {
                    HadoopPart::ChunkLength
                };
            }
        }
        self.gathered.clear();
        Ok(())
    }
}

/// The longest Hadoop block: in a longer one, the first byte of the stream would not be zero.
const MAX_BLOCK: usize = (16 << 20) - 1;
