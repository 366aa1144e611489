//! Values as pages, which the Parquet crate encodes.

use parquet::{
    basic::Encoding,
    column::{
        page::{CompressedPage, Page, PageWriteSpec, PageWriter},
        writer::{ColumnCloseResult, ColumnWriter, ColumnWriterImpl, get_column_writer},
    },
    data_type::DataType,
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties, WriterVersion},
    schema::types::ColumnDescPtr,
};

use super::{Converted, Values};
use crate::{
    bounds::{Bounds, Order},
    compression::Codec,
    page::RawPage,
    thrift::{PageHeader, PageKind, PageStatistics},
};

/// Encodes values as PLAIN pages.
pub(super) fn encode(
    column: &ColumnDescPtr,
    values: &Values,
    def: &[i16],
    rep: &[i16],
) -> Result<Vec<Converted>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::PLAIN)
        .set_statistics_enabled(EnabledStatistics::Page)
        .build();
    let mut pages = Vec::new();
    let capture = Box::new(Capture(&mut pages));
    let mut writer = get_column_writer(column.clone(), properties.into(), capture);
    macro_rules! put {
        ($($writer:ident and $values:ident,)*) => {
            match (&mut writer, values) {
                $(
                    (ColumnWriter::$writer(writer), Values::$values(values)) => {
                        put(writer, values, def, rep)?;
                    }
                    (ColumnWriter::$writer(writer), Values::None) => put(writer, &[], def, rep)?,
                )*
                _ => return Err(ParquetError::General("values are of another type".to_owned())),
            }
        };
    }
    put! {
        BoolColumnWriter and Bool,
        Int32ColumnWriter and Int32,
        Int64ColumnWriter and Int64,
        Int96ColumnWriter and Int96,
        FloatColumnWriter and Float,
        DoubleColumnWriter and Double,
        ByteArrayColumnWriter and Bytes,
        FixedLenByteArrayColumnWriter and Fixed,
    }
    let result = writer.close()?;
    Ok(captured(column, pages, &result))
}

fn put<T: DataType>(
    writer: &mut ColumnWriterImpl<'_, T>,
    values: &[T::T],
    def: &[i16],
    rep: &[i16],
) -> Result<(), ParquetError> {
    let levels = |levels| {
        if <[i16]>::is_empty(levels) {
            None
        } else {
            Some(levels)
        }
    };
    writer.write_batch(values, levels(def), levels(rep))?;
    Ok(())
}

/// The encoded pages, each with the writer's statistics.
fn captured(
    column: &ColumnDescPtr,
    pages: Vec<(Page, usize)>,
    result: &ColumnCloseResult,
) -> Vec<Converted> {
    let order = Order::of(column);
    let alone = pages.len() == 1;
    let converted = |(index, (page, size)): (usize, (Page, usize))| {
        let bounds = match (&result.column_index, result.metadata.statistics()) {
            // Only the chunk's statistics say whether the bounds are exact.
            (Some(column), Some(statistics)) if alone && !column.is_null_page(index) => {
                Bounds::of_own(order, statistics)
            }
            (Some(column), _) => Bounds::of_index(order, column, index),
            (None, _) => Bounds::Unknown,
        };
        let nulls = result
            .column_index
            .as_ref()
            .and_then(|column| column.null_count(index));
        let header = PageHeader {
            uncompressed: size,
            compressed: page.buffer().len(),
            crc: None,
            kind: PageKind::Data {
                values: page.num_values() as usize,
                encoding: page.encoding(),
                def_encoding: Encoding::RLE,
                rep_encoding: Encoding::RLE,
                statistics: PageStatistics {
                    nulls: nulls.and_then(|nulls| usize::try_from(nulls).ok()),
                    ..PageStatistics::default()
                },
            },
        };
        Converted {
            page: RawPage {
                header,
                body: page.buffer().clone(),
                codec: Codec::NONE,
            },
            bounds,
        }
    };
    pages.into_iter().enumerate().map(converted).collect()
}

/// Collects the pages that are written, with their uncompressed sizes.
struct Capture<'a>(&'a mut Vec<(Page, usize)>);

impl PageWriter for Capture<'_> {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec, ParquetError> {
        let mut spec = PageWriteSpec::new();
        spec.page_type = page.page_type();
        spec.uncompressed_size = page.uncompressed_size();
        spec.compressed_size = page.compressed_size();
        spec.num_values = page.num_values();
        spec.bytes_written = page.compressed_size() as u64;
        self.0
            .push((page.compressed_page().clone(), page.uncompressed_size()));
        Ok(spec)
    }

    fn close(&mut self) -> Result<(), ParquetError> {
        Ok(())
    }
}
