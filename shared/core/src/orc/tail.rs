//! The end of a file: what is in it, and where.

use std::ops::Range;

use bytes::Bytes;
use orc_rust::proto::{self, CalendarKind, CompressionKind};
use parquet::file::reader::ChunkReader;
use prost::Message;

use super::{
    OrcError,
    chunks::{Chunks, ChunksError},
    error::corrupt,
    types::{self, Column},
};
use crate::{
    compression::BlockCodec,
    config::Limits,
    content::{HEAD, instead_of_orc},
};

/// The most bytes of a chunk, compressed or not: its header has 23 bits for them.
const LARGEST_CHUNK: u64 = 1 << 23;

/// What is known of a file once its footer is read.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) columns: Vec<Column>,
    /// The same, as the file has them.
    pub(super) types: Vec<proto::Type>,
    pub(super) stripes: Vec<Stripe>,
    pub(super) chunks: Chunks,
    /// Whether days before 1582-10-15 are counted in the Julian calendar.
    pub(super) is_hybrid: bool,
}

/// Where a stripe is.
#[derive(Debug)]
pub(super) struct Stripe {
    pub(super) rows: u64,
    /// Its first byte, from which the places of its streams are counted.
    pub(super) start: u64,
    /// The streams of its columns.
    pub(super) data: Range<u64>,
    /// Its own footer follows them.
    pub(super) end: u64,
}

/// How many of the last bytes of a file must be read for its footer, if `end` has its last 256 bytes.
pub fn footer_size(end: &[u8]) -> u64 {
    postscript(end).map_or(0, |(postscript, size)| {
        postscript.footer_length().saturating_add(size)
    })
}

/// The postscript, and its size with its length, which is the last byte of a file.
fn postscript(end: &[u8]) -> Option<(proto::PostScript, u64)> {
    let (&size, rest) = end.split_last()?;
    let (_, bytes) = rest.split_at_checked(rest.len().checked_sub(usize::from(size))?)?;
    let postscript = proto::PostScript::decode(bytes).ok()?;
    (postscript.magic() == "ORC").then_some((postscript, u64::from(size) + 1))
}

fn bytes(file: &impl ChunkReader, start: u64, length: u64) -> Result<Bytes, OrcError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let bytes = file.get_bytes(start, length);
    bytes.map_err(|error| corrupt(format!("{length} bytes at {start} are not there: {error}")))
}

impl Tail {
    pub(super) fn read(file: &impl ChunkReader, limits: &Limits) -> Result<Self, OrcError> {
        let size = file.len();
        let most = size.min(u64::from(u8::MAX) + 1);
        let end = bytes(file, size - most, most)?;
        let Some((postscript, after)) = postscript(&end) else {
            let head = bytes(file, 0, size.min(HEAD as u64)).unwrap_or_default();
            let instead = instead_of_orc(&head);
            return Err(OrcError::NotOrc(
                instead.unwrap_or_else(|| "it does not end with a postscript".to_owned()),
            ));
        };
        let chunks = chunks(&postscript)?;
        let limit = limits.parquet_footer.as_u64();
        let too_large = |size| OrcError::FooterTooLarge { size, limit };
        let length = postscript.footer_length();
        if length > limit {
            return Err(too_large(length));
        }
        let Some(start) = size
            .checked_sub(after)
            .and_then(|end| end.checked_sub(length))
        else {
            return Err(corrupt("its footer is longer than the file"));
        };
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let footer = chunks.plain(&bytes(file, start, length)?, most);
        let footer = footer.map_err(|error| match error {
            ChunksError::TooLong => too_large(limit + 1),
            ChunksError::Corrupt(what) => corrupt(format!("its footer: {what}")),
        })?;
        let footer = proto::Footer::decode(&footer[..])
            .map_err(|error| corrupt(format!("its footer: {error}")))?;
        if footer.encryption.is_some() {
            return Err(OrcError::Unread(
                "has encrypted columns, which are not read".to_owned(),
            ));
        }
        let columns = types::columns(&footer.types)?;
        let stripes = footer.stripes.iter().map(|stripe| place(stripe, start));
        let stripes = stripes.collect::<Option<Vec<_>>>();
        let stripes = stripes.ok_or_else(|| corrupt("a stripe is not inside the file"))?;
        let rows = stripes
            .iter()
            .try_fold(0_u64, |sum, stripe| sum.checked_add(stripe.rows));
        if rows.is_none() || rows != footer.number_of_rows {
            return Err(corrupt(
                "its stripes do not have as many rows as its footer says",
            ));
        }
        // Java's writers say which calendar it is since 1.6, and had the hybrid one before; others do not have it.
        let is_hybrid = match footer.calendar() {
            CalendarKind::JulianGregorian => true,
            CalendarKind::ProlepticGregorian => false,
            CalendarKind::UnknownCalendar => footer.writer() == 0,
        };
        Ok(Self {
            is_hybrid,
            columns,
            types: footer.types,
            stripes,
            chunks,
        })
    }
}

/// `end`: of all stripes, where the footer begins.
fn place(stripe: &proto::StripeInformation, end: u64) -> Option<Stripe> {
    let data = stripe.offset().checked_add(stripe.index_length())?;
    let footer = data.checked_add(stripe.data_length())?;
    let place = Stripe {
        rows: stripe.number_of_rows(),
        start: stripe.offset(),
        data: data..footer,
        end: footer.checked_add(stripe.footer_length())?,
    };
    (place.end <= end).then_some(place)
}

fn chunks(postscript: &proto::PostScript) -> Result<Chunks, OrcError> {
    // 0.11 is that of Hive 0.11, and 0.12 of all after it.
    if !matches!(postscript.version[..], [] | [0, 11 | 12]) {
        let version = postscript.version.iter().map(u32::to_string);
        return Err(OrcError::Unread(format!(
            "is of the version {} of the format, which is not read",
            version.collect::<Vec<_>>().join(".")
        )));
    }
    let kind = postscript.compression.unwrap_or_default();
    let codec = match CompressionKind::try_from(kind) {
        Ok(CompressionKind::None) => None,
        Ok(CompressionKind::Zlib) => Some(BlockCodec::Deflate),
        Ok(CompressionKind::Snappy) => Some(BlockCodec::RawSnappy),
        Ok(CompressionKind::Lz4) => Some(BlockCodec::RawLz4),
        Ok(CompressionKind::Zstd) => Some(BlockCodec::Zstd),
        Ok(CompressionKind::Lzo) | Err(_) => {
            let name = match kind {
                3 => "LZO".to_owned(),
                6 => "Brotli".to_owned(),
                other => format!("the unknown codec {other}"),
            };
            return Err(OrcError::Unread(format!(
                "is compressed with {name}, which is not read: write it with zlib, Snappy, LZ4, zstd or no compression"
            )));
        }
    };
    let largest = postscript.compression_block_size.unwrap_or(256 << 10);
    Ok(Chunks {
        codec,
        largest: usize::try_from(largest.min(LARGEST_CHUNK)).unwrap_or(usize::MAX),
    })
}
