//! The stored pages of a column chunk, and their parts.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use flate2::Crc;
use parquet::{
    basic::Encoding, file::metadata::ColumnChunkMetaData, schema::types::ColumnDescriptor,
};

use super::{
    codec::Codecs,
    fault::PageFault,
    reads::chunk_range,
    thrift::{self, Fault, PageHeader, PageKind},
};
use crate::compression::Codec;

/// The bytes that are looked at at a time.
const PIECE: u64 = 1 << 20;

/// A page, as it is stored.
#[derive(Debug, Clone)]
pub(super) struct RawPage {
    pub(super) header: PageHeader,
    pub(super) body: Bytes,
    pub(super) codec: Codec,
}

impl RawPage {
    /// The number of values of a data page, including nulls.
    pub(super) fn values(&self) -> usize {
        match self.header.kind {
            PageKind::Data { values, .. }
            | PageKind::DataV2 { values, .. }
            | PageKind::Dictionary { values, .. } => values,
            PageKind::Other => 0,
        }
    }

    pub(super) fn encoding(&self) -> Encoding {
        match self.header.kind {
            PageKind::Data { encoding, .. }
            | PageKind::DataV2 { encoding, .. }
            | PageKind::Dictionary { encoding, .. } => encoding,
            PageKind::Other => Encoding::PLAIN,
        }
    }

    pub(super) fn uses_dictionary(&self) -> bool {
        let codes = [Encoding::PLAIN_DICTIONARY, Encoding::RLE_DICTIONARY];
        codes.contains(&self.encoding())
    }
}

/// Splits the bytes of a column chunk, which arrive in pieces, into pages.
#[derive(Debug)]
pub(super) struct Pages {
    /// The rest of the last piece.
    piece: Bytes,
    /// A page that spans several pieces.
    buffered: BytesMut,
    codec: Codec,
    largest: usize,
    /// Of the next page, counted from 0.
    number: usize,
}

impl Pages {
    /// `largest`: the largest page that is accepted, in stored bytes.
    pub(super) fn new(codec: Codec, largest: usize) -> Self {
        Self {
            piece: Bytes::new(),
            buffered: BytesMut::new(),
            codec,
            largest,
            number: 0,
        }
    }

    /// The next bytes.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if self.is_empty() {
            self.piece = bytes;
            return;
        }
        let rest = std::mem::take(&mut self.piece);
        self.buffered.extend_from_slice(&rest);
        self.buffered.extend_from_slice(&bytes);
    }

    /// The next page, if it is complete.
    pub(super) fn next(&mut self) -> Result<Option<RawPage>, PageFault> {
        if self.is_empty() {
            return Ok(None);
        }
        let bytes: &[u8] = if self.piece.is_empty() {
            &self.buffered
        } else {
            &self.piece
        };
        let (header, length) = match thrift::read(bytes) {
            Ok(read) => read,
            Err(Fault::Incomplete) => return Ok(None),
            Err(Fault::Malformed) => {
                return Err(PageFault::Corrupt("a page has no header".to_owned()));
            }
        };
        if header.compressed > self.largest {
            return Err(PageFault::TooLarge(header.compressed));
        }
        let there = bytes.len() - length;
        if there < header.compressed {
            if self.piece.is_empty() {
                self.buffered.reserve(header.compressed - there);
            }
            return Ok(None);
        }
        let body = if self.piece.is_empty() {
            self.buffered.advance(length);
            self.buffered.split_to(header.compressed).freeze()
        } else {
            self.piece.advance(length);
            self.piece.split_to(header.compressed)
        };
        check_crc(&header, &body, self.number)?;
        self.number += 1;
        Ok(Some(RawPage {
            header,
            body,
            codec: self.codec,
        }))
    }

    /// Whether all bytes were consumed.
    pub(super) fn is_empty(&self) -> bool {
        self.piece.is_empty() && self.buffered.is_empty()
    }
}

/// Verifies a page's checksum, if it has one.
fn check_crc(header: &PageHeader, body: &[u8], number: usize) -> Result<(), PageFault> {
    let Some(stated) = header.crc else {
        return Ok(());
    };
    let mut crc = Crc::new();
    crc.update(body);
    if crc.sum() == stated.cast_unsigned() {
        return Ok(());
    }
    Err(PageFault::Corrupt(format!(
        "page {number}, counted from 0 and with the dictionary: its bytes do not match its checksum"
    )))
}

/// Verifies the checksums of a column chunk's pages. Returns the first page that is wrong, as a message. `read` returns the
/// bytes of a range of the file, whose size is `size`; pages of more than `largest` bytes are not checked.
///
/// # Errors
/// Those of `read`.
pub fn check_pages<E>(
    chunk: &ColumnChunkMetaData,
    size: u64,
    largest: usize,
    mut read: impl FnMut(Range<u64>) -> Result<Bytes, E>,
) -> Result<Option<String>, E> {
    // Where the chunk lies is looked at by those who decode it.
    let Some(range) = chunk_range(chunk, size) else {
        return Ok(None);
    };
    let mut pages = Pages::new(Codec::NONE, largest);
    let mut at = range.start;
    while at < range.end {
        let to = range.end.min(at.saturating_add(PIECE));
        pages.push(read(at..to)?);
        at = to;
        match checked(&mut pages) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(what) => return Ok(Some(what)),
        }
    }
    Ok(None)
}

/// Compares pages that follow one another with their checksums. A page of more than `largest` bytes is not looked at.
///
/// # Errors
/// The page, counted from the first of them, in words.
pub fn check_page_bytes(bytes: Bytes, largest: usize) -> Result<(), String> {
    let mut pages = Pages::new(Codec::NONE, largest);
    pages.push(bytes);
    checked(&mut pages).map(|_| ())
}

/// Compares the pages that are there with their checksums. False: something else is wrong, which those say who decode it.
fn checked(pages: &mut Pages) -> Result<bool, String> {
    loop {
        match pages.next() {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(true),
            Err(PageFault::Corrupt(what)) if what.starts_with("page ") => return Err(what),
            Err(_) => return Ok(false),
        }
    }
}

/// The parts of a data page, decompressed.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) rep: &'a [u8],
    pub(super) def: &'a [u8],
    pub(super) values: &'a [u8],
}

/// The page that was decompressed last: a page that is read twice is decompressed once.
#[derive(Debug, Default)]
pub(super) struct Decompressed {
    /// What it was decompressed from. It is kept, so that no other page can be at its address.
    stored: Bytes,
    bytes: Vec<u8>,
}

impl Decompressed {
    fn read(
        &mut self,
        stored: &Bytes,
        codec: Codec,
        size: usize,
        codecs: &mut Codecs,
    ) -> Result<&[u8], PageFault> {
        let is_same = self.stored.as_ptr() == stored.as_ptr() && self.stored.len() == stored.len();
        if !is_same || stored.is_empty() {
            self.stored = Bytes::new();
            codecs
                .decompress(codec, stored, size, &mut self.bytes)
                .map_err(PageFault::Corrupt)?;
            self.stored = stored.clone();
        }
        Ok(self.bytes.get(..size).unwrap_or_default())
    }
}

/// Decompresses a data page, as far as necessary, and splits it into its parts.
pub(super) fn parts<'a>(
    page: &'a RawPage,
    column: &ColumnDescriptor,
    codecs: &mut Codecs,
    decompressed: &'a mut Decompressed,
) -> Result<Parts<'a>, PageFault> {
    codecs.check(page.header.uncompressed)?;
    match &page.header.kind {
        PageKind::Data { .. } => {
            let bytes: &[u8] = match page.codec {
                Codec::NONE => &page.body,
                codec => decompressed.read(&page.body, codec, page.header.uncompressed, codecs)?,
            };
            if bytes.len() != page.header.uncompressed {
                return Err(PageFault::Corrupt(
                    "a page is not as long as its header says".to_owned(),
                ));
            }
            let (rep, bytes) = levels(bytes, column.max_rep_level() > 0)?;
            let (def, values) = levels(bytes, column.max_def_level() > 0)?;
            Ok(Parts { rep, def, values })
        }
        PageKind::DataV2 {
            def_bytes,
            rep_bytes,
            is_compressed,
            ..
        } => {
            let short = || PageFault::Corrupt("a page ends inside its levels".to_owned());
            let (rep, rest) = page.body.split_at_checked(*rep_bytes).ok_or_else(short)?;
            let (def, stored) = rest.split_at_checked(*def_bytes).ok_or_else(short)?;
            let size = page
                .header
                .uncompressed
                .checked_sub(def_bytes + rep_bytes)
                .ok_or_else(short)?;
            let values: &[u8] = match page.codec {
                _ if size == 0 => &[],
                Codec::NONE => stored,
                _ if !is_compressed => stored,
                codec => decompressed.read(&page.body.slice_ref(stored), codec, size, codecs)?,
            };
            Ok(Parts { rep, def, values })
        }
        PageKind::Dictionary { .. } | PageKind::Other => {
            Err(PageFault::Corrupt("a page is not a data page".to_owned()))
        }
    }
}

/// Splits the levels from a page of version 1. Four bytes before them state their length.
fn levels(bytes: &[u8], there: bool) -> Result<(&[u8], &[u8]), PageFault> {
    if !there {
        return Ok((&[], bytes));
    }
    let short = || PageFault::Corrupt("a page ends inside its levels".to_owned());
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| short())?;
    rest.split_at_checked(length).ok_or_else(short)
}

/// Whether a page's levels use the RLE/bit-packed hybrid encoding, as all writers of the last ten years do.
pub(super) fn has_plain_levels(page: &RawPage, column: &ColumnDescriptor) -> bool {
    match &page.header.kind {
        PageKind::Data {
            def_encoding,
            rep_encoding,
            ..
        } => {
            (column.max_def_level() == 0 || *def_encoding == Encoding::RLE)
                && (column.max_rep_level() == 0 || *rep_encoding == Encoding::RLE)
        }
        _ => true,
    }
}
