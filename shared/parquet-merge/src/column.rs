//! A column chunk of the merged file, built from chunks of the files.
//!
//! Pages that do not need a dictionary are copied unchanged. Dictionaries are combined into one, and only the indices
//! into it are rewritten. A page with another type or other levels is decoded and encoded.

mod emit;
mod incoming;
mod pending;
mod values;

use bytes::Bytes;
use parquet::{basic::Encoding, bloom_filter::Sbbf, schema::types::ColumnDescPtr};

pub(super) use self::incoming::{ChunkOf, Incoming};
use self::pending::{Coding, Pending};
use super::{
    bounds::{Bounds, Order},
    codec::Codecs,
    convert::convert,
    dictionary::Dictionary,
    fault::PageFault,
    page::{Decompressed, RawPage, has_plain_levels, parts},
    schema::Source,
    thrift::PageKind,
};
use crate::Compression;

/// Smaller pages are joined with their neighbours.
const SMALL_PAGE_BYTES: usize = 64 * 1024;
const SMALL_PAGE_VALUES: usize = 5_000;

/// Options that hold for every column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The size at which a joined page ends.
    pub(super) page_bytes: usize,
    pub(super) page_rows: usize,
    /// The largest dictionary page. 0: no dictionaries.
    pub(super) dictionary_bytes: usize,
    /// The largest page that is accepted, in stored bytes.
    pub(super) largest_page: usize,
    /// The most values of a page that is decoded.
    pub(super) most_values: usize,
}

/// A page of the merged file.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) header: Bytes,
    pub(super) body: Bytes,
    /// Including its header.
    pub(super) uncompressed: usize,
    pub(super) encoding: Encoding,
    pub(super) values: usize,
    pub(super) kind: Rows,
}

/// The counts of a page.
#[derive(Debug)]
pub(super) enum Rows {
    Dictionary,
    Data {
        rows: usize,
        nulls: usize,
        bounds: Bounds,
        is_v2: bool,
    },
}

impl Page {
    /// The stored size.
    pub(super) fn size(&self) -> usize {
        self.header.len() + self.body.len()
    }
}

/// Buffers and codec state that the columns share.
#[derive(Debug)]
pub(super) struct Tools {
    codecs: Codecs,
    decompressed: Decompressed,
    numbers: Vec<u32>,
    plain: Vec<u8>,
}

impl Tools {
    /// `largest`: the largest page that is decompressed, in bytes.
    pub(super) fn new(largest: usize) -> Self {
        Self {
            codecs: Codecs::new(largest),
            decompressed: Decompressed::default(),
            numbers: Vec::new(),
            plain: Vec::new(),
        }
    }
}

/// The chunk that is being built.
#[derive(Debug)]
pub(super) struct Column {
    descr: ColumnDescPtr,
    order: Order,
    compression: Compression,
    limits: Limits,
    with_bloom_filter: bool,

    pages: Vec<Page>,
    stored: usize,
    dictionary: Dictionary,
    /// The bytes that PLAIN encoding would have taken for the values that the dictionary encodes.
    saved: usize,
    /// Whether no page may use the dictionary any more. This starts with the first page that has values and does not
    /// use it: Spark does not expect a dictionary page after such a page, and would read wrong values.
    gave_up: bool,
    /// Whether the dictionary page was copied unchanged and is written first.
    adopted: bool,
    pending: Pending,
    bloom_filter: Option<Sbbf>,
    rows: usize,
}

/// All pages of a chunk that have not been taken yet.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) pages: Vec<Page>,
    pub(super) bloom_filter: Option<Sbbf>,
}

impl Column {
    pub(super) fn new(
        descr: ColumnDescPtr,
        compression: Compression,
        limits: Limits,
        with_bloom_filter: bool,
    ) -> Self {
        Self {
            order: Order::of(&descr),
            descr,
            compression,
            limits,
            with_bloom_filter,
            pages: Vec::new(),
            stored: 0,
            dictionary: Dictionary::default(),
            saved: 0,
            gave_up: limits.dictionary_bytes == 0,
            adopted: false,
            pending: Pending::default(),
            bloom_filter: None,
            rows: 0,
        }
    }

    pub(super) fn descr(&self) -> &ColumnDescPtr {
        &self.descr
    }

    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    pub(super) fn order(&self) -> Order {
        self.order
    }

    /// The same column without rows.
    pub(super) fn empty(&self) -> Self {
        Self::new(
            self.descr.clone(),
            self.compression,
            self.limits,
            self.with_bloom_filter,
        )
    }

    /// The approximate size in the file, in bytes.
    pub(super) fn size(&self) -> usize {
        self.stored + self.dictionary.size() + self.pending.size(&self.descr)
    }

    /// The number of rows so far.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Appends rows in which the column is null.
    pub(super) fn push_nulls(&mut self, rows: usize, tools: &mut Tools) -> Result<(), PageFault> {
        self.make_room(Coding::Any, true, tools)?;
        self.rows += rows;
        self.pending.push_nulls(rows, &self.descr);
        Ok(())
    }

    /// Takes the next bytes of a chunk.
    pub(super) fn push(
        &mut self,
        bytes: Bytes,
        incoming: &mut Incoming,
        tools: &mut Tools,
    ) -> Result<(), PageFault> {
        incoming.pages.push(bytes);
        while let Some(page) = incoming.pages.next()? {
            self.take_page(page, incoming, tools)?;
        }
        Ok(())
    }

    fn take_page(
        &mut self,
        page: RawPage,
        incoming: &mut Incoming,
        tools: &mut Tools,
    ) -> Result<(), PageFault> {
        match page.header.kind {
            PageKind::Other => return Ok(()),
            PageKind::Dictionary { .. } => {
                if incoming.adopts {
                    self.adopted = true;
                    self.put_as_it_is(&page, Rows::Dictionary);
                }
                return incoming.set_dictionary(page);
            }
            PageKind::Data { .. } | PageKind::DataV2 { .. } => {}
        }
        if page.values() > self.limits.most_values && !incoming.trusted {
            return Err(PageFault::TooLarge(page.values()));
        }
        let bounds = incoming.next_data_page(&page, self.order, tools)?;
        let known = self.order == Order::Undefined || bounds != Bounds::Unknown;
        let as_it_is = incoming.source.values.is_some()
            && incoming.source.values == Some(super::schema::Conversion::Same)
            && known
            && has_plain_levels(&page, &incoming.from);
        if as_it_is && incoming.adopts {
            let too_late = self.gave_up && page.uses_dictionary();
            let counts = counts(&page, incoming, tools)?.filter(|_| !too_late);
            if let Some((rows, nulls)) = counts {
                self.flush(tools)?;
                self.gave_up |= nulls < page.values() && !page.uses_dictionary();
                self.put_data(&page, rows, nulls, bounds);
                return Ok(());
            }
        } else if as_it_is {
            let from = incoming.from.clone();
            let source = incoming.source.clone();
            return self.splice(&page, bounds, &from, &source, Some(incoming), tools);
        }
        self.convert(&page, incoming, tools)
    }

    /// Decodes a page, encodes it again and adds the result.
    fn convert(
        &mut self,
        page: &RawPage,
        incoming: &Incoming,
        tools: &mut Tools,
    ) -> Result<(), PageFault> {
        if page.values() > self.limits.most_values {
            return Err(PageFault::TooLarge(page.values()));
        }
        let converted = convert(
            page,
            incoming.dictionary.as_ref(),
            &incoming.source,
            (&incoming.from, &self.descr),
            &mut tools.codecs,
        )?;
        let descr = self.descr.clone();
        let same = Source::same(0, &descr);
        for converted in converted {
            self.splice(
                &converted.page,
                converted.bounds,
                &descr,
                &same,
                None,
                tools,
            )?;
        }
        Ok(())
    }

    /// Adds a page whose values have the type of this column.
    fn splice(
        &mut self,
        page: &RawPage,
        bounds: Bounds,
        from: &ColumnDescPtr,
        source: &Source,
        incoming: Option<&mut Incoming>,
        tools: &mut Tools,
    ) -> Result<(), PageFault> {
        let count = page.values();
        let small = page.header.uncompressed < SMALL_PAGE_BYTES && count < SMALL_PAGE_VALUES;
        let is_plain = page.encoding() == Encoding::PLAIN;
        let uses_dictionary = page.uses_dictionary();
        let to_append = uses_dictionary || (is_plain && small) || self.with_bloom_filter;
        if !to_append && source.has_same_levels() {
            let counts = match &incoming {
                Some(incoming) => counts(page, incoming, tools)?,
                None => counted(page, from, tools)?,
            };
            if let Some((rows, nulls)) = counts {
                self.flush(tools)?;
                self.gave_up |= nulls < count;
                return self.pass(page, rows, nulls, bounds, tools);
            }
        }
        if count > self.limits.most_values {
            return Err(PageFault::TooLarge(count));
        }
        if !uses_dictionary && !is_plain {
            return match incoming {
                Some(incoming) => self.convert(page, incoming, tools),
                None => Err(PageFault::Unsupported(format!("{:?}", page.encoding()))),
            };
        }
        let mut dictionary = incoming.filter(|_| uses_dictionary);
        match &mut dictionary {
            Some(incoming) => self.merge_dictionary(incoming, tools)?,
            None if uses_dictionary => return Err(PageFault::no_dictionary()),
            None => {}
        }
        let mut decompressed = std::mem::take(&mut tools.decompressed);
        let appended = parts(page, from, &mut tools.codecs, &mut decompressed).and_then(|parts| {
            self.append(
                &parts,
                count,
                &bounds,
                (from, source),
                dictionary.as_deref_mut(),
                tools,
            )
        });
        tools.decompressed = decompressed;
        match (appended?, dictionary) {
            // The Parquet crate splits it into pages.
            (false, Some(incoming)) => self.convert(page, incoming, tools),
            _ => Ok(()),
        }
    }

    /// Takes the pages that can be written before the chunk is complete, because its dictionary is written first.
    pub(super) fn take_ready(&mut self) -> Vec<Page> {
        std::mem::take(&mut self.pages)
    }

    /// Ends the chunk and starts the next one.
    pub(super) fn finish(&mut self, tools: &mut Tools) -> Result<Finished, PageFault> {
        self.flush(tools)?;
        let mut pages = Vec::with_capacity(self.pages.len() + 1);
        if self.dictionary.len() > 0 && !self.adopted {
            pages.push(self.dictionary_page(tools)?);
        }
        pages.append(&mut self.pages);
        let mut bloom_filter = self.bloom_filter.take();
        if self.with_bloom_filter && bloom_filter.is_none() {
            // All values are null.
            bloom_filter = Some(Sbbf::new_with_num_of_bytes(0));
        }
        if let Some(filter) = &mut bloom_filter {
            filter.fold_to_target_fpp(BLOOM_FILTER_FPP);
        }
        *self = self.empty();
        Ok(Finished {
            pages,
            bloom_filter,
        })
    }
}

/// The false positive rate of a bloom filter.
const BLOOM_FILTER_FPP: f64 = 0.05;

/// Counts the rows and the nulls of a page with as little decoding as possible. `None` if the page does not start at a
/// row.
fn counts(
    page: &RawPage,
    incoming: &Incoming,
    tools: &mut Tools,
) -> Result<Option<(usize, usize)>, PageFault> {
    let flat = incoming.from.max_rep_level() == 0;
    let rows = match page.header.kind {
        _ if flat => Some(page.values()),
        PageKind::DataV2 { rows, .. } => Some(rows),
        _ => None,
    };
    match (rows, incoming.nulls_of(page)) {
        (Some(rows), Some(nulls)) => Ok(Some((rows, nulls))),
        _ => counted(page, &incoming.from, tools),
    }
}

/// Counts the rows and the nulls of a page from its levels. `None` if the page does not start at a row.
fn counted(
    page: &RawPage,
    from: &ColumnDescPtr,
    tools: &mut Tools,
) -> Result<Option<(usize, usize)>, PageFault> {
    let count = page.values();
    let mut decompressed = std::mem::take(&mut tools.decompressed);
    let counted = parts(page, from, &mut tools.codecs, &mut decompressed).and_then(|parts| {
        if !pending::starts_row(&parts, count, from)? {
            return Ok(None);
        }
        let present = pending::present(&parts, count, from)?;
        let rows = pending::rows(&parts, count, from)?;
        Ok(Some((rows, count - present)))
    });
    tools.decompressed = decompressed;
    counted
}
