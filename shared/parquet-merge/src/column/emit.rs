//! Pages that go into the merged file.

use bytes::Bytes;
use parquet::basic::Encoding;

use super::{Column, Page, Rows, Tools, pending};
use crate::{
    bounds::Bounds,
    codec::snappy_length,
    compression::Codec,
    fault::PageFault,
    page::{RawPage, parts},
    thrift::{self, PageHeader, PageKind, PageStatistics},
};

impl Column {
    /// Ends the page that is being joined.
    pub(super) fn flush(&mut self, tools: &mut Tools) -> Result<(), PageFault> {
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

    /// Adds a page of version 1 that was encoded here.
    pub(super) fn emit(
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
            codec: Codec::Written(self.compression),
        };
        self.put_as_it_is(&page, kind);
        Ok(())
    }

    /// Adds a page whose bytes do not change, except for their compression.
    pub(super) fn pass(
        &mut self,
        page: &RawPage,
        rows: usize,
        nulls: usize,
        bounds: Bounds,
        tools: &mut Tools,
    ) -> Result<(), PageFault> {
        self.rows += rows;
        let is_same = page.codec == Codec::Written(self.compression);
        let kind = Rows::Data {
            rows,
            nulls,
            bounds,
            is_v2: is_same && matches!(page.header.kind, PageKind::DataV2 { .. }),
        };
        if is_same {
            // Copied, because a slice would keep the whole read in memory.
            self.add(page, Bytes::copy_from_slice(&page.body), kind);
            return Ok(());
        }
        let mut decompressed = std::mem::take(&mut tools.decompressed);
        let whole = parts(page, &self.descr, &mut tools.codecs, &mut decompressed)
            .map(|parts| pending::page_of(parts.rep, parts.def, parts.values, &self.descr));
        tools.decompressed = decompressed;
        let whole = whole?;
        let mut body = Vec::new();
        tools
            .codecs
            .compress(self.compression, &whole, &mut body)
            .map_err(PageFault::Unsupported)?;
        self.emit(body, whole.len(), page.encoding(), page.values(), kind)
    }

    pub(super) fn put_data(&mut self, page: &RawPage, rows: usize, nulls: usize, bounds: Bounds) {
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

    /// Adds a page that is written before more is read, so its bytes need no copy.
    pub(super) fn put_as_it_is(&mut self, page: &RawPage, kind: Rows) {
        self.add(page, page.body.clone(), kind);
    }

    pub(super) fn add(&mut self, page: &RawPage, body: Bytes, kind: Rows) {
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

    pub(super) fn dictionary_page(&self, tools: &mut Tools) -> Result<Page, PageFault> {
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
