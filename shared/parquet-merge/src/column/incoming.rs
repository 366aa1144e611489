//! A column chunk of a file that is merged.

mod look;

use std::sync::Arc;

use bytes::Bytes;
use parquet::{
    basic::ColumnOrder,
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData},
        statistics::Statistics,
    },
    schema::types::ColumnDescPtr,
};

use self::look::look;
use super::Tools;
use crate::{
    Compression,
    bounds::{Bound, Bounds, Order, means},
    codec::{Codecs, elements},
    compression::Codec,
    dictionary::Values,
    fault::PageFault,
    page::{Pages, RawPage},
    schema::{Source, null_keys},
    thrift::{PageKind, PageStatistics},
};

/// Which chunk of which file.
#[derive(Debug, Clone)]
pub(crate) struct ChunkOf {
    pub(crate) metadata: Arc<ParquetMetaData>,
    pub(crate) row_group: usize,
}

/// A chunk and its metadata.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(super) from: ColumnDescPtr,
    pub(super) source: Source,
    pub(super) pages: Pages,
    /// Whether its dictionary page and its data pages are copied unchanged.
    pub(super) adopts: bool,
    /// Whether the file is from a writer whose statistics are known to be correct.
    pub(super) trusted: bool,
    /// The definition levels at which a map has an entry whose key is null.
    null_keys: Vec<i16>,
    /// The nulls of the page that was counted last, as they were counted.
    counted: Option<usize>,
    of: ChunkOf,
    order: ColumnOrder,
    bounds: Bounds,
    nulls: Option<usize>,
    /// The number of values in the footer.
    expected: usize,
    seen: usize,
    data_pages: usize,
    pub(super) dictionary: Option<RawPage>,
    /// The indices of the page that was looked at last, if it uses the dictionary.
    pub(super) indices: Vec<u32>,
    /// The dictionary's values, decoded when they are first needed.
    values: Option<Values>,
    /// Whether it was tried to add the dictionary to the merged one.
    pub(super) is_merged: bool,
    /// The indices of its values in the merged dictionary. `None` if they are not in it.
    pub(super) places: Option<Vec<u32>>,
}

impl Incoming {
    /// `order`: that of the column that the chunk is merged into.
    pub(crate) fn new(
        of: ChunkOf,
        source: Source,
        order: Order,
        codec: Codec,
        largest_page: usize,
        (adopts, trusted): (bool, bool),
    ) -> Option<Self> {
        let chunk: &ColumnChunkMetaData = of
            .metadata
            .row_groups()
            .get(of.row_group)?
            .columns()
            .get(source.column)?;
        let file = of.metadata.file_metadata();
        let stated = if file
            .column_orders()
            .is_some_and(|orders| source.column < orders.len())
        {
            file.column_order(source.column)
        } else {
            ColumnOrder::UNDEFINED
        };
        let statistics = chunk.statistics();
        let nulls = statistics.and_then(Statistics::null_count_opt);
        let expected = usize::try_from(chunk.num_values()).ok()?;
        let present = nulls.and_then(|nulls| (expected as u64).checked_sub(nulls));
        let bounds = Bounds::of_statistics(order, stated, statistics, present);
        let nulls = nulls.and_then(|nulls| usize::try_from(nulls).ok());
        Some(Self {
            from: chunk.column_descr_ptr(),
            source,
            pages: Pages::new(codec, largest_page),
            adopts,
            trusted,
            null_keys: null_keys(file.schema(), chunk.column_path().parts()),
            counted: None,
            order: stated,
            bounds,
            nulls,
            expected,
            seen: 0,
            data_pages: 0,
            dictionary: None,
            indices: Vec::new(),
            values: None,
            is_merged: false,
            places: None,
            of,
        })
    }

    pub(super) fn set_dictionary(&mut self, page: RawPage) -> Result<(), PageFault> {
        if self.dictionary.is_some() || self.data_pages > 0 {
            return Err(PageFault::Corrupt(
                "a dictionary is not where it belongs".to_owned(),
            ));
        }
        self.dictionary = Some(page);
        Ok(())
    }

    /// If the dictionary is stored with Snappy: the elements of its PLAIN values, and their decompressed length.
    pub(super) fn snappy_dictionary(&self) -> Option<(Bytes, usize)> {
        let page = self.dictionary.as_ref()?;
        let size = page.header.uncompressed;
        let is_snappy = page.codec == Codec::Written(Compression::Snappy)
            && snap::raw::decompress_len(&page.body).ok() == Some(size);
        is_snappy
            .then(|| elements(&page.body))
            .flatten()
            .map(|elements| (page.body.slice_ref(elements), size))
    }

    /// The number of values that the dictionary's header states.
    pub(super) fn dictionary_values(&self) -> usize {
        self.dictionary.as_ref().map_or(0, RawPage::values)
    }

    /// The dictionary's values.
    pub(super) fn values(&mut self, codecs: &mut Codecs) -> Result<&Values, PageFault> {
        Ok(self.values_and_places(codecs)?.0)
    }

    /// The dictionary's values, and their indices in the merged dictionary if they are in it.
    pub(super) fn values_and_places(
        &mut self,
        codecs: &mut Codecs,
    ) -> Result<(&Values, Option<&Vec<u32>>), PageFault> {
        let values = match &mut self.values {
            Some(values) => values,
            none => {
                let page = self.dictionary.as_ref();
                let page = page.ok_or_else(PageFault::no_dictionary)?;
                let size = page.header.uncompressed;
                let mut bytes = Vec::new();
                codecs.check(size)?;
                codecs
                    .decompress(page.codec, &page.body, size, &mut bytes)
                    .map_err(PageFault::Corrupt)?;
                none.insert(Values::read(&self.from, bytes, page.values())?)
            }
        };
        Ok((values, self.places.as_ref()))
    }

    /// Counts the next data page, and finds the bounds of its values: the file's own if its writer is trusted, otherwise
    /// computed from the values.
    pub(super) fn next_data_page(
        &mut self,
        page: &RawPage,
        order: Order,
        tools: &mut Tools,
    ) -> Result<Bounds, PageFault> {
        let index = self.data_pages;
        self.data_pages += 1;
        self.seen += page.values();
        if self.seen > self.expected {
            return Err(PageFault::Corrupt(
                "there are more values than the footer says".to_owned(),
            ));
        }
        if !self.trusted {
            let seen = look(self, page, order, tools)?;
            if self
                .null_keys
                .iter()
                .any(|level| seen.at_each_level.has(*level))
            {
                return Err(PageFault::Unsupported(
                    "a map has a null key, which maps cannot have and readers take in different ways"
                        .to_owned(),
                ));
            }
            self.counted = Some(seen.at_each_level.above());
            return Ok(seen.bounds);
        }
        let chunk = self.bounds.clone();
        if chunk == Bounds::Empty || order == Order::Undefined {
            return Ok(chunk);
        }
        let (PageKind::Data { statistics, .. } | PageKind::DataV2 { statistics, .. }) =
            &page.header.kind
        else {
            return Ok(chunk);
        };
        if self.nulls_of(page) == Some(page.values()) {
            return Ok(Bounds::Empty);
        }
        if let Some(bounds) = self.of_header(statistics, order) {
            return Ok(bounds);
        }
        let pages = self.of.metadata.page_index_for_row_group(self.of.row_group);
        Ok(match pages.column_index(self.source.column) {
            Some(column) if means(order, self.order, false) => {
                match Bounds::of_index(order, column, index) {
                    Bounds::Unknown => chunk,
                    bounds => bounds,
                }
            }
            // The bounds of the chunk hold for every page.
            _ => chunk,
        })
    }

    fn of_header(&self, statistics: &PageStatistics, order: Order) -> Option<Bounds> {
        if !means(order, self.order, false) {
            return None;
        }
        let bound = |value: &Vec<u8>, exact| Bound {
            value: value.clone().into(),
            exact: exact || !matches!(order, Order::Bytes { .. }),
        };
        let bounds = Bounds::new(
            order,
            bound(statistics.min.as_ref()?, statistics.min_exact),
            bound(statistics.max.as_ref()?, statistics.max_exact),
        );
        (bounds != Bounds::Unknown).then_some(bounds)
    }

    /// The number of nulls in the page that was counted last, if the file states it.
    pub(super) fn nulls_of(&self, page: &RawPage) -> Option<usize> {
        let of_page = match &page.header.kind {
            _ if self.counted.is_some() => self.counted,
            _ if self.from.max_def_level() == 0 || self.nulls == Some(0) => Some(0),
            PageKind::DataV2 { nulls, .. } => Some(*nulls),
            PageKind::Data { statistics, .. } => statistics.nulls,
            _ => None,
        };
        let of_index = || {
            let pages = self.of.metadata.page_index_for_row_group(self.of.row_group);
            let column = pages.column_index(self.source.column)?;
            let page = self.data_pages.checked_sub(1)?;
            (u64::try_from(page).ok()? < column.num_pages()).then(|| column.null_count(page))?
        };
        of_page
            .or_else(|| self.nulls.filter(|_| page.values() == self.expected))
            .or_else(|| of_index().and_then(|nulls| usize::try_from(nulls).ok()))
            .filter(|nulls| *nulls <= page.values())
    }

    pub(crate) fn adopts(&self) -> bool {
        self.adopts
    }

    /// Checks that all values were read, and nothing else.
    pub(crate) fn check_complete(&self) -> Result<(), PageFault> {
        if !self.pages.is_empty() {
            return Err(PageFault::Corrupt("it ends inside a page".to_owned()));
        }
        if self.seen != self.expected {
            return Err(PageFault::Corrupt(format!(
                "it has {} values, but the footer says {}",
                self.seen, self.expected
            )));
        }
        Ok(())
    }
}
