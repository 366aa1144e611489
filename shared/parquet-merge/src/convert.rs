//! Converts pages whose type or levels differ from the merged file's: the Parquet crate decodes and encodes them.

mod encode;

use bytes::Bytes;
use parquet::{
    column::{
        page::{Page, PageMetadata, PageReader},
        reader::{ColumnReader, ColumnReaderImpl, get_column_reader},
    },
    data_type::{AsBytes, ByteArray, DataType, FixedLenByteArray, Int96},
    errors::ParquetError,
    schema::types::ColumnDescPtr,
};

use self::encode::encode;
use super::{
    bounds::{Bounds, Order},
    codec::Codecs,
    fault::PageFault,
    guard::guarded,
    page::RawPage,
    schema::{Conversion, Source},
    thrift::PageKind,
};
use crate::compression::Codec;

/// The Julian day of 1970-01-01.
const EPOCH_DAY: i64 = 2_440_588;
const NANOS_OF_A_DAY: i128 = 86_400_000_000_000;

/// A page of the merged file: PLAIN, version 1, uncompressed.
#[derive(Debug)]
pub(super) struct Converted {
    pub(super) page: RawPage,
    pub(super) bounds: Bounds,
}

/// Decodes a page of the column `from` and encodes it as pages of the column `to`.
pub(super) fn convert(
    page: &RawPage,
    dictionary: Option<&RawPage>,
    source: &Source,
    (from, to): (&ColumnDescPtr, &ColumnDescPtr),
    codecs: &mut Codecs,
) -> Result<Vec<Converted>, PageFault> {
    let (values, mut def, mut rep) = guarded_read(page, dictionary, from, codecs)?;
    let values = match source.values {
        Some(conversion) => converted(values, conversion)?,
        None => Values::None,
    };
    let mut unknown = false;
    for level in &mut def {
        match usize::try_from(*level)
            .ok()
            .and_then(|level| source.levels.get(level))
        {
            Some(of_merged) => *level = i16::try_from(*of_merged).unwrap_or(i16::MAX),
            None => unknown = true,
        }
    }
    if unknown {
        return Err(PageFault::too_deep());
    }
    let count = page.values();
    if from.max_def_level() == 0 && to.max_def_level() > 0 {
        let level = source.levels.first().copied().unwrap_or(0);
        def = vec![i16::try_from(level).unwrap_or(i16::MAX); count];
    }
    if rep.iter().any(|level| *level > source.deepest) {
        let mut kept = rep.iter().map(|level| *level <= source.deepest);
        def.retain(|_| kept.next().unwrap_or(true));
        rep.retain(|level| *level <= source.deepest);
    }
    if to.max_rep_level() == 0 {
        rep.clear();
    } else if rep.is_empty() {
        // The file does not have this list.
        rep = vec![0; def.len()];
    }
    if rep.first().is_some_and(|level| *level != 0) {
        return Err(PageFault::Unsupported("a row spans two pages".to_owned()));
    }
    guarded(|| encode(to, &values, &def, &rep)).map_err(PageFault::Corrupt)
}

/// The bounds of a page's values, and its definition levels if its column has any: for encodings that only the Parquet
/// crate knows.
pub(super) fn decode(
    page: &RawPage,
    dictionary: Option<&RawPage>,
    column: &ColumnDescPtr,
    order: Order,
    codecs: &mut Codecs,
) -> Result<(Bounds, Vec<i16>), PageFault> {
    let (values, def, _) = guarded_read(page, dictionary, column, codecs)?;
    if column.max_def_level() > 0 && def.len() != page.values() {
        return Err(PageFault::Corrupt(format!(
            "a page has {} values, but its header says {}",
            def.len(),
            page.values()
        )));
    }
    Ok((values.bounds(order), def))
}

fn guarded_read(
    page: &RawPage,
    dictionary: Option<&RawPage>,
    column: &ColumnDescPtr,
    codecs: &mut Codecs,
) -> Result<Read, PageFault> {
    let mut pages = Vec::with_capacity(2);
    if let Some(dictionary) = dictionary.filter(|_| page.uses_dictionary()) {
        pages.push(decompressed(dictionary, codecs)?);
    }
    pages.push(decompressed(page, codecs)?);
    pages.reverse();
    guarded(|| read(column, pages)).map_err(PageFault::Corrupt)
}

impl Values {
    fn bounds(&self, order: Order) -> Bounds {
        match self {
            Self::None => Bounds::Empty,
            Self::Bool(values) => {
                Bounds::of_values(order, values.iter().map(|value| [u8::from(*value)]))
            }
            Self::Int32(values) => {
                Bounds::of_values(order, values.iter().map(|value| value.to_le_bytes()))
            }
            Self::Int64(values) => {
                Bounds::of_values(order, values.iter().map(|value| value.to_le_bytes()))
            }
            Self::Float(values) => {
                Bounds::of_values(order, values.iter().map(|value| value.to_le_bytes()))
            }
            Self::Double(values) => {
                Bounds::of_values(order, values.iter().map(|value| value.to_le_bytes()))
            }
            Self::Int96(values) => Bounds::of_values(order, values.iter().map(Int96::as_bytes)),
            Self::Bytes(values) => Bounds::of_values(order, values.iter().map(ByteArray::data)),
            Self::Fixed(values) => {
                Bounds::of_values(order, values.iter().map(|value| value.data()))
            }
        }
    }
}

/// Converts a page to the Parquet crate's type.
fn decompressed(page: &RawPage, codecs: &mut Codecs) -> Result<Page, PageFault> {
    codecs.check(page.header.uncompressed)?;
    let mut all = |codec, bytes: &Bytes, size| match codec {
        Codec::NONE => Ok::<_, PageFault>(bytes.clone()),
        codec => {
            let mut buffer = Vec::new();
            codecs
                .decompress(codec, bytes, size, &mut buffer)
                .map_err(PageFault::Corrupt)?;
            Ok(Bytes::from(buffer))
        }
    };
    let number = |count: usize| {
        u32::try_from(count).map_err(|_| PageFault::Corrupt("a count is too great".to_owned()))
    };
    let size = page.header.uncompressed;
    Ok(match &page.header.kind {
        PageKind::Dictionary { values, encoding } => Page::DictionaryPage {
            buf: all(page.codec, &page.body, size)?,
            num_values: number(*values)?,
            encoding: *encoding,
            is_sorted: false,
        },
        PageKind::Data {
            values,
            encoding,
            def_encoding,
            rep_encoding,
            ..
        } => Page::DataPage {
            buf: all(page.codec, &page.body, size)?,
            num_values: number(*values)?,
            encoding: *encoding,
            def_level_encoding: *def_encoding,
            rep_level_encoding: *rep_encoding,
            statistics: None,
        },
        PageKind::DataV2 {
            values,
            nulls,
            rows,
            encoding,
            def_bytes,
            rep_bytes,
            is_compressed,
            ..
        } => {
            let levels = def_bytes + rep_bytes;
            if levels > page.body.len() || levels > size {
                return Err(PageFault::Corrupt(
                    "a page ends inside its levels".to_owned(),
                ));
            }
            let codec = match page.codec {
                _ if !is_compressed || size == levels => Codec::NONE,
                codec => codec,
            };
            let mut buffer = page.body.slice(..levels).to_vec();
            buffer.extend(all(codec, &page.body.slice(levels..), size - levels)?);
            Page::DataPageV2 {
                buf: buffer.into(),
                num_values: number(*values)?,
                encoding: *encoding,
                num_nulls: number(*nulls)?,
                num_rows: number(*rows)?,
                def_levels_byte_len: number(*def_bytes)?,
                rep_levels_byte_len: number(*rep_bytes)?,
                is_compressed: false,
                statistics: None,
            }
        }
        PageKind::Other => {
            return Err(PageFault::Corrupt("a page is not a data page".to_owned()));
        }
    })
}

/// Non-null values.
enum Values {
    /// Every value is null.
    None,
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

type Read = (Values, Vec<i16>, Vec<i16>);

/// Reads all values and levels of the pages, which are given in reverse order.
fn read(column: &ColumnDescPtr, pages: Vec<Page>) -> Result<Read, ParquetError> {
    let pages = Box::new(PageStack(pages));
    Ok(match get_column_reader(column.clone(), pages) {
        ColumnReader::BoolColumnReader(reader) => of(reader, Values::Bool)?,
        ColumnReader::Int32ColumnReader(reader) => of(reader, Values::Int32)?,
        ColumnReader::Int64ColumnReader(reader) => of(reader, Values::Int64)?,
        ColumnReader::Int96ColumnReader(reader) => of(reader, Values::Int96)?,
        ColumnReader::FloatColumnReader(reader) => of(reader, Values::Float)?,
        ColumnReader::DoubleColumnReader(reader) => of(reader, Values::Double)?,
        ColumnReader::ByteArrayColumnReader(reader) => of(reader, Values::Bytes)?,
        ColumnReader::FixedLenByteArrayColumnReader(reader) => of(reader, Values::Fixed)?,
    })
}

fn of<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    wrap: impl FnOnce(Vec<T::T>) -> Values,
) -> Result<Read, ParquetError> {
    let (mut values, mut def, mut rep) = (Vec::new(), Vec::new(), Vec::new());
    reader.read_records(usize::MAX, Some(&mut def), Some(&mut rep), &mut values)?;
    Ok((wrap(values), def, rep))
}

/// Pages in memory, the next one last.
struct PageStack(Vec<Page>);

impl Iterator for PageStack {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.pop().map(Ok)
    }
}

impl PageReader for PageStack {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        Ok(self.0.pop())
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        Ok(self.0.last().map(|page| PageMetadata {
            num_rows: match page {
                Page::DataPageV2 { num_rows, .. } => usize::try_from(*num_rows).ok(),
                _ => None,
            },
            num_levels: usize::try_from(page.num_values()).ok(),
            is_dict: page.is_dictionary_page(),
        }))
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.0.pop();
        Ok(())
    }
}

fn converted(values: Values, conversion: Conversion) -> Result<Values, PageFault> {
    let impossible = || PageFault::Corrupt("values are of another type".to_owned());
    Ok(match (conversion, values) {
        (Conversion::Same, values) => values,
        (Conversion::Integer { signed: true }, Values::Int32(values)) => {
            Values::Int64(values.into_iter().map(i64::from).collect())
        }
        (Conversion::Integer { signed: false }, Values::Int32(values)) => Values::Int64(
            values
                .into_iter()
                .map(|value| i64::from(value.cast_unsigned()))
                .collect(),
        ),
        (Conversion::Float, Values::Float(values)) => {
            Values::Double(values.into_iter().map(f64::from).collect())
        }
        (Conversion::Times(factor), Values::Int64(values)) => {
            let scaled = |value: i64| {
                value.checked_mul(factor).ok_or_else(|| {
                    PageFault::Inexact(format!("the time {value} does not fit the finer unit"))
                })
            };
            Values::Int64(values.into_iter().map(scaled).collect::<Result<_, _>>()?)
        }
        (Conversion::Int96(unit), Values::Int96(values)) => {
            let nanos_of_a_unit = 1_000_000_000 / i128::from(unit.of_a_second());
            let count = |value: Int96| {
                let [low, high, day] = match value.data() {
                    [low, high, day] => [*low, *high, *day],
                    _ => return Err(impossible()),
                };
                let of_day = i128::from(i64::from(high) << 32 | i64::from(low));
                // Days before the Julian epoch are negative.
                let days = i128::from(i64::from(day.cast_signed()) - EPOCH_DAY);
                let nanos = days * NANOS_OF_A_DAY + of_day;
                if nanos % nanos_of_a_unit != 0 {
                    return Err(PageFault::Inexact(format!(
                        "a time of {nanos} ns is not a whole number of the unit"
                    )));
                }
                i64::try_from(nanos / nanos_of_a_unit).map_err(|_| {
                    PageFault::Inexact(format!("a time of {nanos} ns does not fit 64 bits"))
                })
            };
            Values::Int64(values.into_iter().map(count).collect::<Result<_, _>>()?)
        }
        (Conversion::Decimal(length), values) => {
            let wide = |bytes: &[u8]| {
                let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
                let fill = if negative { 0xff } else { 0 };
                let mut wide = vec![fill; length.saturating_sub(bytes.len())];
                // The extra bytes of a longer integer are only its sign: the precision does not change.
                wide.extend(bytes.iter().skip(bytes.len().saturating_sub(length)));
                FixedLenByteArray::from(wide)
            };
            Values::Fixed(match values {
                Values::Int32(values) => values
                    .iter()
                    .map(|value| wide(&value.to_be_bytes()))
                    .collect(),
                Values::Int64(values) => values
                    .iter()
                    .map(|value| wide(&value.to_be_bytes()))
                    .collect(),
                Values::Fixed(values) => values.iter().map(|value| wide(value.data())).collect(),
                Values::Bytes(values) => values
                    .iter()
                    .map(|value| {
                        let bytes = value.data();
                        let cut = bytes.len().saturating_sub(length);
                        let (left_out, kept) = bytes.split_at(cut);
                        // The bytes that are left out may only repeat the sign.
                        let negative = kept.first().is_some_and(|first| first & 0x80 != 0);
                        let fill = if negative { 0xff } else { 0 };
                        if bytes.is_empty() || left_out.iter().any(|byte| *byte != fill) {
                            return Err(PageFault::Inexact(format!(
                                "a decimal of the bytes {bytes:02x?} has more digits than its column"
                            )));
                        }
                        Ok(wide(bytes))
                    })
                    .collect::<Result<_, _>>()?,
                _ => return Err(impossible()),
            })
        }
        _ => return Err(impossible()),
    })
}
