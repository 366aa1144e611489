//! A stripe, from the file to the decoder.
//!
//! The decoder, `orc-rust`, believes the lengths that a stripe has: it makes room for as many values as they say, and what is
//! short in a stream of nulls it reads as no nulls. So all that is counted in a stripe is counted here first. It also
//! decompresses without a limit, so what it gets is the stripe as a file of its own, decompressed.

use std::collections::BTreeMap;

use bytes::Bytes;
use orc_rust::proto::{
    self, CompressionKind, column_encoding::Kind as Encoding, stream::Kind as Part,
    r#type::Kind as Type,
};
use parquet::file::reader::ChunkReader;
use prost::Message;

use super::{
    OrcError,
    chunks::{self, ChunksError},
    error::corrupt,
    rle::{Integers, set_bits},
    tail::{Stripe, Tail},
    times::{self, Zone},
    types::{Column, Of},
};
use crate::{
    config::Limits,
    parquet_in::{BATCH_BYTES, BATCH_ROWS},
};

/// A stripe that is ready to be decoded.
pub(super) struct Ready {
    /// A file with this stripe alone.
    pub(super) file: Bytes,
    pub(super) batch_rows: usize,
    /// The average size of a row.
    pub(super) row_bytes: u64,
    pub(super) zone: Zone,
}

/// The sizes of batches, one of which is used for a stripe.
const SIZES: [usize; 5] = [BATCH_ROWS, 1024, 128, 16, 1];

/// A number for each size of a batch.
type PerSize = [u64; SIZES.len()];

/// The streams that are decoded, by their columns and their kinds.
type Streams = BTreeMap<(u32, i32), Vec<u8>>;

/// Reads a stripe. `room`: the most bytes that may be in memory for it, decompressed.
pub(super) fn ready(
    file: &impl ChunkReader,
    tail: &Tail,
    stripe: &Stripe,
    number: usize,
    limits: &Limits,
    room: u64,
) -> Result<Ready, OrcError> {
    let bytes = |start: u64, length: u64| {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = file.get_bytes(start, length);
        bytes.map_err(|error| corrupt(format!("{length} bytes at {start}: {error}")))
    };
    let plain = |start: u64, length: u64, left: u64| {
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let plain = tail.chunks.plain(&bytes(start, length)?, most);
        plain.map_err(|error| match error {
            ChunksError::TooLong => OrcError::Memory {
                stripe: number,
                room,
            },
            ChunksError::Corrupt(what) => corrupt(what),
        })
    };
    let footer = plain(stripe.data.end, stripe.end - stripe.data.end, room)?;
    let footer = proto::StripeFooter::decode(&footer[..])
        .map_err(|error| corrupt(format!("its footer: {error}")))?;
    if !footer.encryption.is_empty() {
        return Err(OrcError::Unread("has encrypted stripes".to_owned()));
    }
    if footer.columns.len() != tail.types.len() {
        return Err(corrupt("it does not have the columns of the file"));
    }
    let (mut streams, mut size) = (Streams::new(), 0_u64);
    let mut start = stripe.start;
    for stream in &footer.streams {
        let (from, length) = (start, stream.length());
        start = start
            .checked_add(length)
            .filter(|end| *end <= stripe.data.end)
            .ok_or_else(|| corrupt("its streams are longer than it is"))?;
        let kind = stream.kind.unwrap_or_default();
        let is_decoded = [
            Part::Present,
            Part::Data,
            Part::Length,
            Part::DictionaryData,
            Part::Secondary,
        ];
        if !is_decoded.iter().any(|part| *part as i32 == kind) {
            // Those of indexes are not needed; of others it is not known what they say.
            let is_index = [Part::RowIndex, Part::BloomFilter, Part::BloomFilterUtf8];
            if !is_index.iter().any(|part| *part as i32 == kind) {
                return Err(OrcError::Unread(format!(
                    "has streams of the kind {kind}, which are not read"
                )));
            }
            continue;
        }
        let found = plain(from, length, room - size)?;
        size += found.len() as u64;
        if streams.insert((stream.column(), kind), found).is_some() {
            return Err(corrupt("it has a stream twice"));
        }
    }
    let counting = Counting {
        streams: &streams,
        encodings: &footer.columns,
        stripe: number,
        room,
    };
    let batch_rows = counting.batch_rows(tail, stripe, limits)?;
    let zone = Zone::of(&tail.columns, footer.writer_timezone.as_deref())?;
    let zone = zone.in_calendar(tail.is_hybrid);
    Ok(Ready {
        file: alone(tail, stripe, &footer, streams),
        batch_rows,
        row_bytes: size / stripe.rows.max(1),
        zone,
    })
}

/// Counts the values in a stripe.
struct Counting<'a> {
    streams: &'a Streams,
    encodings: &'a [proto::ColumnEncoding],
    stripe: usize,
    /// The most bytes that may be in memory for it.
    room: u64,
}

/// The bytes of an entry of a dictionary without its text: the decoder has all lengths before it has one of the texts.
const ENTRY: u64 = 16;

/// The bytes of values, in memory.
#[derive(Clone, Copy, Default)]
struct Weight {
    all: u64,
    /// The most in a batch of each size.
    most: PerSize,
}

impl Weight {
    /// So many bytes for each value.
    fn of(width: u64, values: u64, most: PerSize) -> Self {
        Self {
            all: values.saturating_mul(width),
            most: most.map(|most| most.saturating_mul(width)),
        }
    }

    fn and(mut self, other: Self) -> Self {
        self.all = self.all.saturating_add(other.all);
        for (most, other) in self.most.iter_mut().zip(other.most) {
            *most = most.saturating_add(other);
        }
        self
    }
}

impl<'a> Counting<'a> {
    /// The rows of a batch that has few enough bytes.
    fn batch_rows(&self, tail: &Tail, stripe: &Stripe, limits: &Limits) -> Result<usize, OrcError> {
        if self.present(0, stripe.rows)? != stripe.rows {
            return Err(corrupt("a row of it is null"));
        }
        let sizes = SIZES.map(|size| size as u64);
        let weight = tail
            .columns
            .iter()
            .try_fold(Weight::default(), |sum, column| {
                Ok::<_, OrcError>(sum.and(self.column(column, stripe.rows, sizes)?))
            })?;
        let limit = limits.parquet_row_group.as_u64();
        if weight.all > limit {
            return Err(OrcError::StripeTooLarge {
                stripe: self.stripe,
                size: weight.all,
                limit,
            });
        }
        let mut found = SIZES.into_iter().zip(weight.most);
        if let Some((size, _)) = found.find(|(_, most)| *most <= BATCH_BYTES as u64) {
            return Ok(size);
        }
        let [.., size] = weight.most;
        let limit = limits.longest_record() as u64;
        if size > limit {
            return Err(OrcError::RowTooLong {
                stripe: self.stripe,
                size,
                limit,
            });
        }
        Ok(1)
    }

    /// The weight of a column of so many values, of which so many are in a batch.
    fn column(&self, column: &Column, values: u64, most: PerSize) -> Result<Weight, OrcError> {
        let version_2 = self.version_2(column)?;
        let is_there = self.present(column.id, values)?;
        let own = |width| Weight::of(width, values, most);
        Ok(match &column.of {
            Of::Boolean | Of::Byte => own(1),
            Of::Float => own(4),
            Of::Short | Of::Int | Of::Long | Of::Double | Of::Date => own(8),
            Of::Timestamp { .. } => {
                // The decoder takes what is no fraction of a second for hundreds of years.
                let stream = self.stream(column.id, Part::Secondary);
                let found = Integers::new(stream, version_2, false);
                let found = found.take_while(|stored| times::is_fraction(*stored));
                if count(found, is_there) < is_there {
                    return Err(corrupt(format!(
                        "column {}: a time lacks its nanoseconds, or has some that are no part of a second, as pyarrow writes times before 1970",
                        column.id
                    )));
                }
                own(16)
            }
            Of::Decimal { scale, .. } => {
                let stream = self.stream(column.id, Part::Secondary);
                let scales = Integers::new(stream, version_2, true);
                let fit = |found: &i64| (0..=i64::from(*scale)).contains(found);
                if count(scales.take_while(fit), is_there) < is_there {
                    return Err(corrupt(format!(
                        "column {}: a decimal lacks its scale, or has a larger one than its type",
                        column.id
                    )));
                }
                own(16)
            }
            Of::Binary | Of::String => own(8).and(self.texts(column, is_there, most)?),
            Of::Struct(fields) => fields.iter().try_fold(own(1), |sum, field| {
                Ok::<_, OrcError>(sum.and(self.column(field, is_there, most)?))
            })?,
            Of::List(element) => {
                let (all, most) = self.lengths(column, is_there, most)?;
                own(8).and(self.column(element, all, most)?)
            }
            Of::Map(entries) => {
                let (all, most) = self.lengths(column, is_there, most)?;
                let [key, value] = entries.as_ref();
                if self.present(key.id, all)? != all {
                    return Err(corrupt("a key of a map is null"));
                }
                let key = self.column(key, all, most)?;
                own(8).and(key).and(self.column(value, all, most)?)
            }
        })
    }

    fn texts(&self, column: &Column, values: u64, most: PerSize) -> Result<Weight, OrcError> {
        let encoding = self.encodings.get(column.id as usize);
        let size = encoding.and_then(|encoding| encoding.dictionary_size);
        let (kind, size) = match encoding.map(proto::ColumnEncoding::kind) {
            Some(Encoding::Dictionary | Encoding::DictionaryV2) => {
                (Part::DictionaryData, Some(u64::from(size.unwrap_or(0))))
            }
            _ => (Part::Data, None),
        };
        if size.is_some_and(|size| size.saturating_mul(ENTRY) > self.room) {
            return Err(OrcError::Memory {
                stripe: self.stripe,
                room: self.room,
            });
        }
        let (all, of_batch) = self.lengths(column, size.unwrap_or(values), most)?;
        let held = self.stream(column.id, kind).len() as u64;
        if all > held {
            return Err(corrupt(format!("column {}: a text is cut off", column.id)));
        }
        let [.., longest] = of_batch;
        Ok(match size {
            None => Weight {
                all,
                most: of_batch,
            },
            Some(_) => Weight {
                all,
                ..Weight::of(longest, 0, most)
            },
        })
    }

    /// The sum of the lengths of a column's values, and the most of those that may be in a batch.
    fn lengths(
        &self,
        column: &Column,
        values: u64,
        most: PerSize,
    ) -> Result<(u64, PerSize), OrcError> {
        let stream = self.stream(column.id, Part::Length);
        let lengths = Integers::new(stream, self.version_2(column)?, false);
        // Nulls have no lengths, so a batch may begin anywhere in them: it has parts of at most two blocks of its size.
        let (mut sum, mut blocks) = (0_u64, [(0_u64, 0_u64, 0_u64); SIZES.len()]);
        let (mut seen, mut found) = (0_u64, PerSize::default());
        for length in lengths.take(usize::try_from(values).unwrap_or(usize::MAX)) {
            let length = u64::try_from(length).ok();
            let Some(next) = length.and_then(|length| sum.checked_add(length)) else {
                return Err(corrupt(format!(
                    "column {}: a length is negative",
                    column.id
                )));
            };
            let length = next - sum;
            (sum, seen) = (next, seen + 1);
            for ((before, open, places), (size, found)) in
                blocks.iter_mut().zip(most.iter().zip(&mut found))
            {
                if *places >= *size {
                    (*before, *open, *places) = (*open, 0, 0);
                }
                *open = open.saturating_add(length);
                *places += 1;
                let around = if *size > 1 { *before } else { 0 };
                *found = (*found).max(around.saturating_add(*open));
            }
        }
        if seen < values {
            return Err(corrupt(format!(
                "column {}: a length is missing",
                column.id
            )));
        }
        Ok((sum, found))
    }

    /// How many of so many values are not null.
    fn present(&self, column: u32, values: u64) -> Result<u64, OrcError> {
        let Some(stream) = self.streams.get(&(column, Part::Present as i32)) else {
            return Ok(values);
        };
        let set = set_bits(stream, values);
        set.ok_or_else(|| {
            corrupt(format!(
                "column {column}: it is not said which values are null"
            ))
        })
    }

    fn stream(&self, column: u32, part: Part) -> &'a [u8] {
        let stream = self.streams.get(&(column, part as i32));
        stream.map_or(&[], Vec::as_slice)
    }

    fn version_2(&self, column: &Column) -> Result<bool, OrcError> {
        let kind = self
            .encodings
            .get(column.id as usize)
            .and_then(|one| one.kind);
        let kind = kind.unwrap_or_default();
        match (Encoding::try_from(kind), &column.of) {
            (Ok(Encoding::Direct), _) | (Ok(Encoding::Dictionary), Of::String) => Ok(false),
            (Ok(Encoding::DirectV2), _) | (Ok(Encoding::DictionaryV2), Of::String) => Ok(true),
            _ => Err(OrcError::Unread(format!(
                "has a column {} in the encoding {kind}, which is not read",
                column.id
            ))),
        }
    }
}

/// How many there are, up to `most`.
fn count(values: impl Iterator, most: u64) -> u64 {
    values
        .take(usize::try_from(most).unwrap_or(usize::MAX))
        .count() as u64
}

/// A file with one stripe. Integers and dates are all `bigint` in it, because they are stored alike, and the decoder wraps the
/// narrow ones around.
fn alone(tail: &Tail, stripe: &Stripe, footer: &proto::StripeFooter, streams: Streams) -> Bytes {
    let mut file = b"ORC".to_vec();
    let start = file.len() as u64;
    let mut kept = Vec::new();
    for ((column, kind), stream) in streams {
        // The rows themselves are never null.
        if column > 0 {
            let from = file.len();
            chunks::append(&mut file, &stream);
            kept.push(proto::Stream {
                kind: Some(kind),
                column: Some(column),
                length: Some((file.len() - from) as u64),
            });
        }
    }
    let data = file.len() as u64 - start;
    let own = proto::StripeFooter {
        streams: kept,
        columns: footer.columns.clone(),
        ..proto::StripeFooter::default()
    };
    chunks::append(&mut file, &own.encode_to_vec());
    let stripe = proto::StripeInformation {
        offset: Some(start),
        index_length: Some(0),
        data_length: Some(data),
        footer_length: Some(file.len() as u64 - start - data),
        number_of_rows: Some(stripe.rows),
        ..proto::StripeInformation::default()
    };
    let types = tail.types.iter().map(|of| {
        let kind = match of.kind() {
            Type::Short | Type::Int | Type::Date => Type::Long,
            Type::Char | Type::Varchar => Type::String,
            Type::TimestampInstant => Type::Timestamp,
            other => other,
        };
        proto::Type {
            kind: Some(kind as i32),
            ..of.clone()
        }
    });
    let whole = proto::Footer {
        header_length: Some(start),
        content_length: Some(file.len() as u64 - start),
        number_of_rows: stripe.number_of_rows,
        stripes: vec![stripe],
        types: types.collect(),
        ..proto::Footer::default()
    };
    let before = file.len();
    chunks::append(&mut file, &whole.encode_to_vec());
    let postscript = proto::PostScript {
        footer_length: Some((file.len() - before) as u64),
        compression: Some(CompressionKind::Zlib as i32),
        version: vec![0, 12],
        metadata_length: Some(0),
        magic: Some("ORC".to_owned()),
        ..proto::PostScript::default()
    };
    let postscript = postscript.encode_to_vec();
    file.extend_from_slice(&postscript);
    file.push(u8::try_from(postscript.len()).unwrap_or(u8::MAX));
    file.into()
}
