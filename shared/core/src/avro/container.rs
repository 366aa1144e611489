//! Finds the header and the blocks of an object container file in bytes that are pushed in chunks of any size.
//! <https://avro.apache.org/docs/1.12.0/specification/#object-container-files>

use super::error::AvroError;
use crate::{
    chunk::Chunk,
    compression::block::{BlockCodec, BlockError, decompress},
    config::Limits,
    content::{HEAD, instead_of_avro},
    records::Window,
};

const MAGIC: &[u8] = b"Obj\x01";

/// The bytes that come out of blocks before the limit of the ratio counts.
const FREE_OUTPUT: u64 = 1 << 20;

const HEADER: &str = "header";
const BLOCK: &str = "block";

/// What the header says.
#[derive(Debug)]
pub(super) struct Header {
    /// The writer's schema, as JSON.
    pub(super) schema: Vec<u8>,
    codec: Option<BlockCodec>,
    sync: [u8; 16],
}

/// Some records, one after the other.
#[derive(Debug)]
pub(super) struct Block {
    /// Its start, in bytes of the object.
    pub(super) offset: u64,
    pub(super) records: u64,
    /// Their bytes, decompressed.
    pub(super) bytes: Vec<u8>,
}

/// The bytes of an object that are not framed yet: at most those of a header or block, and one chunk.
#[derive(Debug)]
pub(super) struct Container {
    window: Window,
    /// The most bytes of a header or block, also once it is decompressed.
    limit: usize,
    max_ratio: u32,
    /// The bytes that came out of all blocks.
    plain: u64,
}

impl Container {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            window: Window::default(),
            limit: limits.longest_record(),
            max_ratio: limits.compression_ratio,
            plain: 0,
        }
    }

    pub(super) fn push(&mut self, chunk: &mut Chunk) {
        self.window.push(0, chunk);
    }

    pub(super) fn finish(&mut self) {
        self.window.ended = true;
    }

    /// Whether there are no more bytes to come.
    pub(super) fn has_ended(&self) -> bool {
        self.window.ended
    }

    /// The header, which comes first. `None` if it needs more bytes.
    pub(super) fn header(&mut self) -> Result<Option<Header>, AvroError> {
        let rest = self.window.rest();
        let enough = rest.len() >= HEAD || self.window.ended;
        if !rest.starts_with(MAGIC) && (enough || !MAGIC.starts_with(rest)) {
            let head = rest.get(..HEAD).unwrap_or(rest);
            let otherwise = || "it does not begin with Obj and the byte 1".to_owned();
            return if enough {
                let what = instead_of_avro(head).unwrap_or_else(otherwise);
                Err(AvroError::NotAvro(what))
            } else {
                Ok(None)
            };
        }
        let mut bytes = Cursor {
            rest: rest.get(MAGIC.len()..).unwrap_or_default(),
        };
        match bytes.header() {
            Ok(header) => {
                let length = rest.len() - bytes.rest.len();
                self.within_limit(HEADER, length as u64)?;
                let header = header.checked(self)?;
                self.window.at += length;
                Ok(Some(header))
            }
            Err(Stopped::Ends) => self.more(HEADER, rest.len() as u64),
            Err(Stopped::Wrong(detail)) => Err(self.corrupt(HEADER, detail)),
        }
    }

    /// The next block. `None` if it needs more bytes or, after [`finish`](Self::finish), if there are no more.
    pub(super) fn block(&mut self, header: &Header) -> Result<Option<Block>, AvroError> {
        let rest = self.window.rest();
        if rest.is_empty() {
            return Ok(None);
        }
        let offset = self.window.offset(self.window.at);
        let mut bytes = Cursor { rest };
        let (records, stored) = match bytes.block() {
            Ok(block) => block,
            Err(Stopped::Wrong(detail)) => return Err(self.corrupt(BLOCK, detail)),
            Err(Stopped::Ends) => return self.more(BLOCK, 0),
        };
        self.within_limit(BLOCK, stored as u64)?;
        let (Ok(block), Ok(sync)) = (bytes.take(stored), bytes.take(16)) else {
            return self.more(BLOCK, 0);
        };
        if sync != header.sync {
            let detail = "the sync marker after it is not that of the header".to_owned();
            return Err(self.corrupt(BLOCK, detail));
        }
        let plain = match header.codec {
            None => block.to_vec(),
            Some(codec) => decompress(codec, block, self.limit).map_err(|error| match error {
                BlockError::TooLong => AvroError::TooLarge {
                    what: BLOCK,
                    offset,
                    size: self.limit as u64 + 1,
                    limit: self.limit,
                },
                BlockError::Corrupt(detail) => self.corrupt(BLOCK, detail),
            })?,
        };
        if records > plain.len() as u64 || records == 0 && !plain.is_empty() {
            let detail = "it says another number of records than it has".to_owned();
            return Err(self.corrupt(BLOCK, detail));
        }
        self.window.at += rest.len() - bytes.rest.len();
        self.plain += plain.len() as u64;
        let end = self.window.offset(self.window.at);
        if self.plain > end.saturating_mul(self.max_ratio.into()) + FREE_OUTPUT {
            return Err(AvroError::Ratio {
                offset: end,
                limit: self.max_ratio,
            });
        }
        Ok(Some(Block {
            offset,
            records,
            bytes: plain,
        }))
    }

    fn within_limit(&self, what: &'static str, size: u64) -> Result<(), AvroError> {
        if size <= self.limit as u64 {
            return Ok(());
        }
        Err(AvroError::TooLarge {
            what,
            offset: self.window.offset(self.window.at),
            size,
            limit: self.limit,
        })
    }

    /// More bytes are needed than there are, which are so many of it.
    fn more<T>(&self, what: &'static str, size: u64) -> Result<Option<T>, AvroError> {
        self.within_limit(what, size)?;
        if self.window.ended {
            return Err(AvroError::Truncated {
                what,
                offset: self.window.offset(self.window.at),
            });
        }
        Ok(None)
    }

    fn corrupt(&self, what: &'static str, detail: String) -> AvroError {
        AvroError::Corrupt {
            what,
            offset: self.window.offset(self.window.at),
            detail,
        }
    }
}

/// Metadata of the header.
struct Found<'a> {
    schema: Option<&'a [u8]>,
    codec: Option<&'a [u8]>,
    sync: [u8; 16],
}

impl Found<'_> {
    fn checked(self, of: &Container) -> Result<Header, AvroError> {
        let codec = match self.codec {
            None | Some(b"null") => None,
            Some(b"deflate") => Some(BlockCodec::Deflate),
            Some(b"snappy") => Some(BlockCodec::Snappy),
            Some(b"zstandard") => Some(BlockCodec::Zstd),
            Some(b"bzip2") => Some(BlockCodec::Bzip2),
            Some(other) => {
                return Err(AvroError::Codec(
                    String::from_utf8_lossy(other).into_owned(),
                ));
            }
        };
        let Some(schema) = self.schema else {
            return Err(of.corrupt(HEADER, "it has no schema".to_owned()));
        };
        Ok(Header {
            schema: schema.to_vec(),
            codec,
            sync: self.sync,
        })
    }
}

/// Why there is no value.
enum Stopped {
    /// The bytes end before it does.
    Ends,
    Wrong(String),
}

/// Reads numbers and bytes from the front.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn header(&mut self) -> Result<Found<'a>, Stopped> {
        let (mut schema, mut codec) = (None, None);
        loop {
            let mut entries = self.long()?;
            if entries == 0 {
                break;
            }
            if entries < 0 {
                // The size of the entries follows, for whoever passes over them.
                self.long()?;
            }
            while entries != 0 {
                let (name, value) = (self.bytes()?, self.bytes()?);
                match name {
                    b"avro.schema" => schema = Some(value),
                    b"avro.codec" => codec = Some(value),
                    _ => {}
                }
                entries -= entries.signum();
            }
        }
        let sync = self.take(16)?.first_chunk().copied();
        Ok(Found {
            schema,
            codec,
            sync: sync.unwrap_or_default(),
        })
    }

    /// The number of records in a block, and its bytes.
    fn block(&mut self) -> Result<(u64, usize), Stopped> {
        let records = u64::try_from(self.long()?);
        let records = records.map_err(|_| wrong("its number of records is negative"))?;
        Ok((records, self.length()?))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Stopped> {
        let length = self.length()?;
        self.take(length)
    }

    fn length(&mut self) -> Result<usize, Stopped> {
        usize::try_from(self.long()?).map_err(|_| wrong("a length is negative"))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Stopped> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Stopped::Ends)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A number of variable length, zig-zag coded.
    fn long(&mut self) -> Result<i64, Stopped> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take(1)? else {
                return Err(Stopped::Ends);
            };
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && byte > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(wrong("a number has more than 64 bits"))
    }
}

fn wrong(what: &str) -> Stopped {
    Stopped::Wrong(what.to_owned())
}
