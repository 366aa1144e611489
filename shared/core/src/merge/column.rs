//! A column chunk of the merged file, put together from chunks of the files.
//!
//! Pages that do not need a dictionary pass as they are. Dictionaries become one, and only the indices into it are
//! written anew. What has other types or other levels is decoded and encoded.

mod incoming;
mod pending;

use bytes::Bytes;
use parquet::{
    basic::{Encoding, Type as Physical},
    bloom_filter::Sbbf,
    schema::types::ColumnDescPtr,
};

pub(super) use self::incoming::{ChunkOf, Incoming};
use self::pending::{Kind, Pending};
use super::{
    bounds::{Bounds, Order},
    codec::{Codecs, snappy_length},
    convert::convert,
    dictionary::{self, Dictionary, Values},
    page::{PageFault, Parts, RawPage, has_plain_levels, parts},
    schema::Source,
    thrift::{self, PageHeader, PageKind, PageStatistics},
};
use crate::config::Compression;

/// A page of fewer bytes is put together with its neighbours.
const SMALL_PAGE_BYTES: usize = 64 * 1024;
const SMALL_PAGE_VALUES: usize = 5_000;
/// From this size on, a dictionary has to save something.
const USEFUL_DICTIONARY: usize = 64 * 1024;

/// What holds for every column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// What ends a page that is put together.
    pub(super) page_bytes: usize,
    pub(super) page_rows: usize,
    /// The largest dictionary page. 0: there are no dictionaries.
    pub(super) dictionary_bytes: usize,
    /// The largest page that is taken.
    pub(super) largest_page: usize,
    /// The most values of a page that is decoded.
    pub(super) most_values: usize,
}

/// A page of the merged file.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) header: Bytes,
    pub(super) body: Bytes,
    /// Its header included.
    pub(super) uncompressed: usize,
    pub(super) encoding: Encoding,
    pub(super) values: usize,
    pub(super) kind: Rows,
}

/// What a page has.
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
    /// As it is stored.
    pub(super) fn size(&self) -> usize {
        self.header.len() + self.body.len()
    }
}

/// What is shared by columns: buffers and the libraries' state.
#[derive(Debug)]
pub(super) struct Tools {
    codecs: Codecs,
    scratch: Vec<u8>,
    numbers: Vec<u32>,
    plain: Vec<u8>,
}

impl Tools {
    pub(super) fn new() -> Self {
        Self {
            codecs: Codecs::new(),
            scratch: Vec::new(),
            numbers: Vec::new(),
            plain: Vec::new(),
        }
    }
}

/// The chunk that is put together.
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
    /// The bytes that PLAIN would have taken for what the dictionary was used for.
    saved: usize,
    gave_up: bool,
    /// The dictionary page went first, as it came.
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

    /// The same column with nothing in it.
    pub(super) fn empty(&self) -> Self {
        Self::new(
            self.descr.clone(),
            self.compression,
            self.limits,
            self.with_bloom_filter,
        )
    }

    /// The bytes that it takes in the file, about.
    pub(super) fn size(&self) -> usize {
        self.stored + self.dictionary.size() + self.pending.size(&self.descr)
    }

    /// The rows so far.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Rows in which the column is null.
    pub(super) fn push_nulls(&mut self, rows: usize, tools: &mut Tools) -> Result<(), PageFault> {
        self.make_room(Kind::Any, true, tools)?;
        self.rows += rows;
        self.pending.push_nulls(rows, &self.descr);
        Ok(())
    }

    /// Takes the next bytes of a chunk in.
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
        let bounds = incoming.next_data_page(&page, self.order)?;
        let known = self.order == Order::Undefined || bounds != Bounds::Unknown;
        let as_it_is = incoming.source.values.is_some()
            && incoming.source.values == Some(super::schema::Conversion::Same)
            && known
            && has_plain_levels(&page, &incoming.from);
        if as_it_is && incoming.adopts {
            let counts = self.counts(&page, incoming, tools)?;
            if let Some((rows, nulls)) = counts {
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

    /// Decodes a page and takes in what it is encoded as.
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

    /// Takes a page in whose values are those of this column.
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
        if !uses_dictionary
            && !(is_plain && (small || self.with_bloom_filter))
            && source.has_same_levels()
            && !self.with_bloom_filter
        {
            let counts = match &incoming {
                Some(incoming) => self.counts(page, incoming, tools)?,
                None => self.counted(page, from, tools)?,
            };
            if let Some((rows, nulls)) = counts {
                self.flush(tools)?;
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
            None if uses_dictionary => {
                return Err(PageFault::Corrupt("a page lacks its dictionary".to_owned()));
            }
            None => {}
        }
        let mut scratch = std::mem::take(&mut tools.scratch);
        let appended = parts(page, from, &mut tools.codecs, &mut scratch).and_then(|parts| {
            self.append(
                &parts,
                count,
                &bounds,
                (from, source),
                dictionary.as_deref_mut(),
                tools,
            )
        });
        tools.scratch = scratch;
        match (appended?, dictionary) {
            // The Parquet crate cuts it into pages.
            (false, Some(incoming)) => self.convert(page, incoming, tools),
            _ => Ok(()),
        }
    }

    /// Makes the chunk's dictionary a part of this one, once, unless that saves nothing.
    fn merge_dictionary(
        &mut self,
        incoming: &mut Incoming,
        tools: &mut Tools,
    ) -> Result<(), PageFault> {
        let size = self.dictionary.size();
        if size >= USEFUL_DICTIONARY && size.saturating_mul(2) > self.saved {
            self.gave_up = true;
        }
        if incoming.values.is_some() || (self.gave_up && !self.with_bloom_filter) {
            return Ok(());
        }
        let values = incoming.read_dictionary(&mut tools.codecs)?;
        if self.with_bloom_filter {
            for index in 0..values.len() {
                let value = u32::try_from(index)
                    .ok()
                    .and_then(|index| values.get(index));
                self.add_to_bloom_filter(value.unwrap_or_default());
            }
        }
        if !self.gave_up {
            incoming.places = self
                .dictionary
                .include(&values, self.limits.dictionary_bytes);
            self.gave_up = incoming.places.is_none();
        }
        incoming.values = Some(values);
        Ok(())
    }

    /// Appends the values of a page, PLAIN or of a dictionary, to the page that is put together. False: they take too much
    /// for one page.
    fn append(
        &mut self,
        page: &Parts<'_>,
        count: usize,
        bounds: &Bounds,
        (from, source): (&ColumnDescPtr, &Source),
        dictionary: Option<&mut Incoming>,
        tools: &mut Tools,
    ) -> Result<bool, PageFault> {
        let present = pending::present(page, count, from)?;
        let starts_row = pending::starts_row(page, count, from)?;
        let mut numbers = std::mem::take(&mut tools.numbers);
        numbers.clear();
        let mut plain = std::mem::take(&mut tools.plain);
        plain.clear();
        let found = self.find_values(page, present, dictionary, &mut numbers, &mut plain, tools);
        let appended = found.and_then(|found| {
            let Some(found) = found else {
                return Ok(false);
            };
            let kind = match found {
                Found::Nothing => Kind::Any,
                Found::Numbers(kind) => kind,
                Found::Plain(_) | Found::Elements(..) => Kind::Plain,
            };
            self.make_room(kind, starts_row, tools)?;
            self.rows += self
                .pending
                .push_levels(page, count, from, source, &self.descr)?;
            self.pending.include(self.order, bounds);
            let as_elements = self.stores_elements();
            let store = |values: &[u8], out: &mut Vec<u8>, codecs: &mut Codecs| {
                if as_elements {
                    codecs
                        .snappy_elements(values, out)
                        .map_err(PageFault::Unsupported)
                } else {
                    out.extend_from_slice(values);
                    Ok(())
                }
            };
            match found {
                Found::Nothing => {}
                Found::Numbers(kind) => self.pending.push_numbers(kind, &numbers, present),
                Found::Plain(values) => {
                    let values = values.unwrap_or(&plain);
                    self.pending.push_plain(present, values.len(), |out| {
                        store(values, out, &mut tools.codecs)
                    })?;
                }
                Found::Elements(elements, size) => {
                    self.pending.push_plain(present, size, |out| {
                        out.extend_from_slice(&elements);
                        Ok::<_, PageFault>(())
                    })?;
                }
            }
            Ok(true)
        });
        tools.numbers = numbers;
        tools.plain = plain;
        appended
    }

    /// Whether PLAIN values wait as elements of a Snappy stream: what comes compressed need not be compressed again.
    fn stores_elements(&self) -> bool {
        self.compression == Compression::Snappy
    }

    /// The values of a page. None: as PLAIN they take too much.
    fn find_values<'p>(
        &mut self,
        page: &Parts<'p>,
        present: usize,
        dictionary: Option<&mut Incoming>,
        numbers: &mut Vec<u32>,
        plain: &mut Vec<u8>,
        tools: &mut Tools,
    ) -> Result<Option<Found<'p>>, PageFault> {
        if present == 0 {
            return Ok(Some(Found::Nothing));
        }
        let Some(incoming) = dictionary else {
            if self.descr.physical_type() == Physical::BOOLEAN {
                if page.values.len() < present.div_ceil(8) {
                    return Err(PageFault::Corrupt("values are cut short".to_owned()));
                }
                super::rle::unpack(page.values, 1, present, numbers);
                return Ok(Some(Found::Numbers(Kind::Bits)));
            }
            self.check_plain(page.values, present)?;
            return Ok(Some(Found::Plain(Some(page.values))));
        };
        pending::indices(page, present, numbers)?;
        let longest = self.limits.page_bytes.saturating_mul(2);
        if incoming.values.is_none() {
            if self.stores_elements()
                && incoming.dictionary_values() == numbers.len()
                && numbers
                    .iter()
                    .zip(0_u32..)
                    .all(|(number, place)| *number == place)
                && let Some((elements, size)) = incoming.snappy_dictionary()
                && size <= longest
            {
                // Every value is used once, in its order: the dictionary is what PLAIN values are.
                return Ok(Some(Found::Elements(elements, size)));
            }
            incoming.values = Some(incoming.read_dictionary(&mut tools.codecs)?);
        }
        let Some(values) = &incoming.values else {
            return Ok(None);
        };
        if let Some(places) = &incoming.places {
            self.saved += present * values.size() / values.len().max(1);
            pending::replace(numbers, places)?;
            return Ok(Some(Found::Numbers(Kind::Indices)));
        }
        Ok(gather(values, numbers, plain, longest)?.then_some(Found::Plain(None)))
    }

    /// PLAIN values are as many as they should be, and go into the bloom filter.
    fn check_plain(&mut self, values: &[u8], present: usize) -> Result<(), PageFault> {
        let mut ends = Vec::new();
        if self.with_bloom_filter || dictionary::width(&self.descr).is_none() {
            dictionary::find(&self.descr, values, present, &mut ends)?;
        } else if dictionary::width(&self.descr).and_then(|width| width.checked_mul(present))
            != Some(values.len())
        {
            return Err(PageFault::Corrupt("values are cut short".to_owned()));
        }
        if self.with_bloom_filter {
            let mut start = 0;
            for end in ends {
                self.add_to_bloom_filter(values.get(start..end).unwrap_or_default());
                start = end;
            }
        }
        Ok(())
    }

    fn add_to_bloom_filter(&mut self, value: &[u8]) {
        let content = dictionary::content(&self.descr, 0..value.len());
        let value = value.get(content).unwrap_or_default();
        self.bloom_filter
            .get_or_insert_with(|| Sbbf::new_with_num_of_bytes(BLOOM_FILTER_BYTES))
            .insert(value);
    }

    /// Ends the page that is put together where the next values do not belong into it.
    fn make_room(
        &mut self,
        kind: Kind,
        starts_row: bool,
        tools: &mut Tools,
    ) -> Result<(), PageFault> {
        let fits = self.pending.takes(kind);
        if !fits && !starts_row {
            return Err(PageFault::Unsupported(
                "a row goes over two pages".to_owned(),
            ));
        }
        let full = self.pending.rows() >= self.limits.page_rows
            || self.pending.size(&self.descr) >= self.limits.page_bytes;
        if !fits || (full && starts_row) {
            self.flush(tools)?;
        }
        Ok(())
    }

    /// Ends the page that is put together.
    fn flush(&mut self, tools: &mut Tools) -> Result<(), PageFault> {
        let places = u32::try_from(self.dictionary.len()).unwrap_or(u32::MAX);
        let as_elements = self.stores_elements();
        let Some(page) = self.pending.finish(&self.descr, places, as_elements) else {
            return Ok(());
        };
        let uncompressed = page.bytes.len() + page.elements_size;
        let mut body = Vec::with_capacity(page.bytes.len() / 2 + page.elements.len() + 32);
        if as_elements {
            snappy_length(uncompressed, &mut body);
            tools.codecs.snappy_elements(&page.bytes, &mut body)
        } else {
            tools
                .codecs
                .compress(self.compression, &page.bytes, &mut body)
        }
        .map_err(PageFault::Unsupported)?;
        body.extend_from_slice(&page.elements);
        let kind = Rows::Data {
            rows: page.rows,
            nulls: page.nulls,
            bounds: page.bounds,
            is_v2: false,
        };
        self.emit(body, uncompressed, page.encoding, page.values, kind)
    }

    /// Adds a page of version 1 that was made here.
    fn emit(
        &mut self,
        mut body: Vec<u8>,
        uncompressed: usize,
        encoding: Encoding,
        values: usize,
        kind: Rows,
    ) -> Result<(), PageFault> {
        if i32::try_from(uncompressed.max(body.len()).max(values)).is_err() {
            return Err(PageFault::TooLarge(uncompressed));
        }
        body.shrink_to_fit();
        let page = RawPage {
            header: PageHeader {
                uncompressed,
                compressed: body.len(),
                crc: None,
                kind: PageKind::Data {
                    values,
                    encoding,
                    def_encoding: Encoding::RLE,
                    rep_encoding: Encoding::RLE,
                    statistics: PageStatistics::default(),
                },
            },
            body: body.into(),
            compression: self.compression,
        };
        self.put_as_it_is(&page, kind);
        Ok(())
    }

    /// Adds a page whose bytes stay, but for their compression.
    fn pass(
        &mut self,
        page: &RawPage,
        rows: usize,
        nulls: usize,
        bounds: Bounds,
        tools: &mut Tools,
    ) -> Result<(), PageFault> {
        self.rows += rows;
        let is_same = page.compression == self.compression;
        let kind = Rows::Data {
            rows,
            nulls,
            bounds,
            is_v2: is_same && matches!(page.header.kind, PageKind::DataV2 { .. }),
        };
        if is_same {
            // A part of what was read would keep all of it in memory.
            self.add(page, Bytes::copy_from_slice(&page.body), kind);
            return Ok(());
        }
        let mut scratch = std::mem::take(&mut tools.scratch);
        let whole = parts(page, &self.descr, &mut tools.codecs, &mut scratch)
            .map(|parts| pending::page_of(parts.rep, parts.def, parts.values, &self.descr));
        tools.scratch = scratch;
        let whole = whole?;
        let mut body = Vec::new();
        tools
            .codecs
            .compress(self.compression, &whole, &mut body)
            .map_err(PageFault::Unsupported)?;
        self.emit(body, whole.len(), page.encoding(), page.values(), kind)
    }

    fn put_data(&mut self, page: &RawPage, rows: usize, nulls: usize, bounds: Bounds) {
        self.rows += rows;
        let is_v2 = matches!(page.header.kind, PageKind::DataV2 { .. });
        self.put_as_it_is(
            page,
            Rows::Data {
                rows,
                nulls,
                bounds,
                is_v2,
            },
        );
    }

    /// Adds a page whose bytes are written before others are read: they need no copy.
    fn put_as_it_is(&mut self, page: &RawPage, kind: Rows) {
        self.add(page, page.body.clone(), kind);
    }

    fn add(&mut self, page: &RawPage, body: Bytes, kind: Rows) {
        let mut header = Vec::with_capacity(40);
        thrift::write(&page.header, &mut header);
        let page = Page {
            uncompressed: header.len() + page.header.uncompressed,
            header: header.into(),
            body,
            encoding: page.encoding(),
            values: page.values(),
            kind,
        };
        self.stored += page.size();
        self.pages.push(page);
    }

    /// The rows and the nulls of a page, with as little decoding as possible. None: it does not begin with a row.
    fn counts(
        &self,
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
            _ => self.counted(page, &incoming.from, tools),
        }
    }

    /// The same, from the levels.
    fn counted(
        &self,
        page: &RawPage,
        from: &ColumnDescPtr,
        tools: &mut Tools,
    ) -> Result<Option<(usize, usize)>, PageFault> {
        let count = page.values();
        let mut scratch = std::mem::take(&mut tools.scratch);
        let counted = parts(page, from, &mut tools.codecs, &mut scratch).and_then(|parts| {
            if !pending::starts_row(&parts, count, from)? {
                return Ok(None);
            }
            let present = pending::present(&parts, count, from)?;
            let rows = pending::rows(&parts, count, from)?;
            Ok(Some((rows, count - present)))
        });
        tools.scratch = scratch;
        counted
    }

    /// Pages that can be written before the chunk is complete, because its dictionary went first.
    pub(super) fn take_ready(&mut self) -> Vec<Page> {
        std::mem::take(&mut self.pages)
    }

    /// Ends the chunk; the next one begins.
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

    fn dictionary_page(&self, tools: &mut Tools) -> Result<Page, PageFault> {
        let mut body = Vec::new();
        tools
            .codecs
            .compress(self.compression, self.dictionary.bytes(), &mut body)
            .map_err(PageFault::Unsupported)?;
        let header = PageHeader {
            uncompressed: self.dictionary.size(),
            compressed: body.len(),
            crc: None,
            kind: PageKind::Dictionary {
                values: self.dictionary.len(),
                encoding: Encoding::PLAIN,
            },
        };
        let mut bytes = Vec::with_capacity(32);
        thrift::write(&header, &mut bytes);
        Ok(Page {
            uncompressed: bytes.len() + header.uncompressed,
            header: bytes.into(),
            body: body.into(),
            encoding: Encoding::PLAIN,
            values: self.dictionary.len(),
            kind: Rows::Dictionary,
        })
    }
}

/// A filter of this size serves a million values; what fewer values leave of it is folded away.
const BLOOM_FILTER_BYTES: usize = 1 << 20;
/// The share of values that a filter may take for one of its own.
const BLOOM_FILTER_FPP: f64 = 0.05;

/// The values of a page.
enum Found<'a> {
    /// All are null.
    Nothing,
    /// Places in the dictionary, or bits.
    Numbers(Kind),
    /// PLAIN values; none: those that were gathered.
    Plain(Option<&'a [u8]>),
    /// Elements of a Snappy stream, and the length of the PLAIN values that they stand for.
    Elements(Bytes, usize),
}

/// Appends the values at the places, as PLAIN; false: they take more than `longest` bytes.
fn gather(
    values: &Values,
    places: &[u32],
    out: &mut Vec<u8>,
    longest: usize,
) -> Result<bool, PageFault> {
    for place in places {
        let value = values
            .get(*place)
            .ok_or_else(|| PageFault::Corrupt("an index is beyond its dictionary".to_owned()))?;
        if out.len() + value.len() > longest {
            return Ok(false);
        }
        out.extend_from_slice(value);
    }
    Ok(true)
}
