//! Page headers in Thrift's compact protocol
//! (<https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>). The Parquet crate only
//! reads them together with the decompressed page.

mod cursor;
mod write;

use parquet::basic::Encoding;

pub(crate) use self::cursor::{Cursor, Fault, Field};
pub(super) use self::write::{varint, write};

/// The longest header that is accepted: its statistics may contain two values.
pub(super) const MAX_HEADER: usize = 16 << 20;

/// The deepest nesting of a header's structs and lists. Real headers have less than five.
const DEEPEST: usize = 16;

/// The header of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageHeader {
    /// The uncompressed size without the header, in bytes.
    pub(super) uncompressed: usize,
    /// The stored size.
    pub(super) compressed: usize,
    pub(super) crc: Option<i32>,
    pub(super) kind: PageKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PageKind {
    Data {
        values: usize,
        encoding: Encoding,
        def_encoding: Encoding,
        rep_encoding: Encoding,
        statistics: PageStatistics,
    },
    DataV2 {
        values: usize,
        nulls: usize,
        rows: usize,
        encoding: Encoding,
        def_bytes: usize,
        rep_bytes: usize,
        is_compressed: bool,
        statistics: PageStatistics,
    },
    Dictionary {
        values: usize,
        encoding: Encoding,
    },
    /// An index page, which no writer makes, or a future kind.
    Other,
}

/// The statistics that are used of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PageStatistics {
    pub(super) nulls: Option<usize>,
    pub(super) min: Option<Vec<u8>>,
    pub(super) max: Option<Vec<u8>>,
    pub(super) min_exact: bool,
    pub(super) max_exact: bool,
}

/// Reads the header at the start of `bytes` and returns its length.
pub(super) fn read(bytes: &[u8]) -> Result<(PageHeader, usize), Fault> {
    let mut cursor = Cursor::new(bytes, MAX_HEADER, DEEPEST);
    let header = cursor.page_header().map_err(|fault| match fault {
        Fault::Incomplete if bytes.len() > MAX_HEADER => Fault::Malformed,
        fault => fault,
    })?;
    Ok((header, bytes.len() - cursor.left()))
}

impl Cursor<'_> {
    fn count(&mut self, field: Field) -> Result<usize, Fault> {
        let count = i32::try_from(self.integer(field)?).map_err(|_| Fault::Malformed)?;
        usize::try_from(count).map_err(|_| Fault::Malformed)
    }

    fn encoding(&mut self, field: Field) -> Result<Encoding, Fault> {
        #[expect(deprecated, reason = "old files have it")]
        Ok(match self.integer(field)? {
            0 => Encoding::PLAIN,
            2 => Encoding::PLAIN_DICTIONARY,
            3 => Encoding::RLE,
            4 => Encoding::BIT_PACKED,
            5 => Encoding::DELTA_BINARY_PACKED,
            6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            7 => Encoding::DELTA_BYTE_ARRAY,
            8 => Encoding::RLE_DICTIONARY,
            9 => Encoding::BYTE_STREAM_SPLIT,
            _ => return Err(Fault::Malformed),
        })
    }

    fn statistics(&mut self, field: Field) -> Result<PageStatistics, Fault> {
        let mut statistics = PageStatistics::default();
        self.fields(Some(field), |cursor, field| {
            match field.0 {
                3 => statistics.nulls = usize::try_from(cursor.integer(field)?).ok(),
                5 => statistics.max = Some(cursor.binary(field)?),
                6 => statistics.min = Some(cursor.binary(field)?),
                7 => statistics.max_exact = Self::boolean(field)?,
                8 => statistics.min_exact = Self::boolean(field)?,
                _ => cursor.skip(field)?,
            }
            Ok(())
        })?;
        Ok(statistics)
    }

    fn page_header(&mut self) -> Result<PageHeader, Fault> {
        let (mut uncompressed, mut compressed, mut crc) = (None, None, None);
        let (mut code, mut kind) = (None, None);
        self.fields(None, |cursor, field| {
            match field.0 {
                1 => code = Some(cursor.integer(field)?),
                2 => uncompressed = Some(cursor.count(field)?),
                3 => compressed = Some(cursor.count(field)?),
                4 => crc = i32::try_from(cursor.integer(field)?).ok(),
                5 => kind = Some((0, cursor.data(field)?)),
                7 => kind = Some((2, cursor.dictionary(field)?)),
                8 => kind = Some((3, cursor.data_v2(field)?)),
                _ => cursor.skip(field)?,
            }
            Ok(())
        })?;
        let kind = match (code.ok_or(Fault::Malformed)?, kind) {
            (code, Some((of, kind))) if code == of => kind,
            (0 | 2 | 3, _) => return Err(Fault::Malformed),
            _ => PageKind::Other,
        };
        Ok(PageHeader {
            uncompressed: uncompressed.ok_or(Fault::Malformed)?,
            compressed: compressed.ok_or(Fault::Malformed)?,
            crc,
            kind,
        })
    }

    fn data(&mut self, field: Field) -> Result<PageKind, Fault> {
        let (mut values, mut encoding) = (None, None);
        let (mut def_encoding, mut rep_encoding) = (Encoding::RLE, Encoding::RLE);
        let mut statistics = PageStatistics::default();
        self.fields(Some(field), |cursor, field| {
            match field.0 {
                1 => values = Some(cursor.count(field)?),
                2 => encoding = Some(cursor.encoding(field)?),
                3 => def_encoding = cursor.encoding(field)?,
                4 => rep_encoding = cursor.encoding(field)?,
                5 => statistics = cursor.statistics(field)?,
                _ => cursor.skip(field)?,
            }
            Ok(())
        })?;
        Ok(PageKind::Data {
            values: values.ok_or(Fault::Malformed)?,
            encoding: encoding.ok_or(Fault::Malformed)?,
            def_encoding,
            rep_encoding,
            statistics,
        })
    }

    fn data_v2(&mut self, field: Field) -> Result<PageKind, Fault> {
        let mut numbers = [None; 5];
        let mut encoding = None;
        let mut is_compressed = true;
        let mut statistics = PageStatistics::default();
        self.fields(Some(field), |cursor, field| {
            match field.0 {
                1 => numbers[0] = Some(cursor.count(field)?),
                2 => numbers[1] = Some(cursor.count(field)?),
                3 => numbers[2] = Some(cursor.count(field)?),
                4 => encoding = Some(cursor.encoding(field)?),
                5 => numbers[3] = Some(cursor.count(field)?),
                6 => numbers[4] = Some(cursor.count(field)?),
                7 => is_compressed = Self::boolean(field)?,
                8 => statistics = cursor.statistics(field)?,
                _ => cursor.skip(field)?,
            }
            Ok(())
        })?;
        let [
            Some(values),
            Some(nulls),
            Some(rows),
            Some(def_bytes),
            Some(rep_bytes),
        ] = numbers
        else {
            return Err(Fault::Malformed);
        };
        Ok(PageKind::DataV2 {
            values,
            nulls,
            rows,
            encoding: encoding.ok_or(Fault::Malformed)?,
            def_bytes,
            rep_bytes,
            is_compressed,
            statistics,
        })
    }

    fn dictionary(&mut self, field: Field) -> Result<PageKind, Fault> {
        let (mut values, mut encoding) = (None, None);
        self.fields(Some(field), |cursor, field| {
            match field.0 {
                1 => values = Some(cursor.count(field)?),
                2 => encoding = Some(cursor.encoding(field)?),
                _ => cursor.skip(field)?,
            }
            Ok(())
        })?;
        Ok(PageKind::Dictionary {
            values: values.ok_or(Fault::Malformed)?,
            encoding: encoding.ok_or(Fault::Malformed)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers() -> impl Strategy<Value = PageHeader> {
        let count = || 0_usize..0x7fff_ffff;
        let kind = prop_oneof![
            count().prop_map(|values| PageKind::Data {
                values,
                encoding: Encoding::PLAIN,
                def_encoding: Encoding::RLE,
                rep_encoding: Encoding::RLE,
                statistics: PageStatistics::default(),
            }),
            (count(), count(), count(), any::<bool>()).prop_map(
                |(values, nulls, rows, is_compressed)| PageKind::DataV2 {
                    values,
                    nulls,
                    rows,
                    encoding: Encoding::DELTA_BYTE_ARRAY,
                    def_bytes: nulls / 8,
                    rep_bytes: rows / 8,
                    is_compressed,
                    statistics: PageStatistics::default(),
                }
            ),
            count().prop_map(|values| PageKind::Dictionary {
                values,
                encoding: Encoding::PLAIN,
            }),
        ];
        (count(), count(), any::<Option<i32>>(), kind).prop_map(
            |(uncompressed, compressed, crc, kind)| PageHeader {
                uncompressed,
                compressed,
                crc,
                kind,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(header in headers(), rest: Vec<u8>) {
            let mut bytes = Vec::new();
            write(&header, &mut bytes);
            let length = bytes.len();
            for cut in 0..length {
                prop_assert_eq!(read(&bytes[..cut]), Err(Fault::Incomplete));
            }
            bytes.extend(rest);
            prop_assert_eq!(read(&bytes), Ok((header, length)));
        }

        #[test]
        fn any_bytes_are_looked_at_in_bounded_time(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn deep_nesting_is_no_header() {
        assert_eq!(read(&vec![0x9c; 100_000]), Err(Fault::Malformed));
        assert_eq!(read(&vec![0x99; 100_000]), Err(Fault::Malformed));
    }
}
