//! Page headers in Thrift's compact protocol
//! (<https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>). The Parquet crate only
//! reads them together with the decompressed page.

mod write;

use parquet::basic::Encoding;

pub(super) use self::write::{varint, write};

/// The longest header that is accepted: its statistics may contain two values.
pub(super) const MAX_HEADER: usize = 16 << 20;

/// Why a header cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes end inside the header.
    Incomplete,
    /// The bytes are not a header.
    Malformed,
}

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
    let mut cursor = Cursor { bytes, depth: 0 };
    let header = cursor.page_header().map_err(|fault| match fault {
        Fault::Incomplete if bytes.len() > MAX_HEADER => Fault::Malformed,
        fault => fault,
    })?;
    Ok((header, bytes.len() - cursor.bytes.len()))
}

const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

struct Cursor<'a> {
    bytes: &'a [u8],
    depth: usize,
}

/// A field of a struct: its id and type.
type Field = (i64, u8);

impl<'a> Cursor<'a> {
    fn byte(&mut self) -> Result<u8, Fault> {
        let (&byte, rest) = self.bytes.split_first().ok_or(Fault::Incomplete)?;
        self.bytes = rest;
        Ok(byte)
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Fault> {
        if count > MAX_HEADER as u64 {
            return Err(Fault::Malformed);
        }
        let count = usize::try_from(count).map_err(|_| Fault::Malformed)?;
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or(Fault::Incomplete)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Fault::Malformed)
    }

    fn integer(&mut self, (_, kind): Field) -> Result<i64, Fault> {
        if !matches!(kind, 4..=6) {
            return Err(Fault::Malformed);
        }
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

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

    fn boolean((_, kind): Field) -> Result<bool, Fault> {
        match kind {
            1 => Ok(true),
            2 => Ok(false),
            _ => Err(Fault::Malformed),
        }
    }

    fn binary(&mut self, (_, kind): Field) -> Result<Vec<u8>, Fault> {
        if kind != BINARY {
            return Err(Fault::Malformed);
        }
        let length = self.varint()?;
        Ok(self.take(length)?.to_vec())
    }

    fn field(&mut self, last: &mut i64) -> Result<Option<Field>, Fault> {
        let header = self.byte()?;
        if header == 0 {
            return Ok(None);
        }
        let kind = header & 0xf;
        *last = match header >> 4 {
            0 => self.integer((0, 4))?,
            delta => last.saturating_add(i64::from(delta)),
        };
        Ok(Some((*last, kind)))
    }

    /// Calls `read` for each field of a struct, which reads or skips it.
    fn fields(
        &mut self,
        kind: Option<Field>,
        mut read: impl FnMut(&mut Self, Field) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if kind.is_some_and(|(_, kind)| kind != STRUCT) || self.depth > 16 {
            return Err(Fault::Malformed);
        }
        self.depth += 1;
        let mut last = 0;
        while let Some(field) = self.field(&mut last)? {
            read(self, field)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn skip(&mut self, (_, kind): Field) -> Result<(), Fault> {
        match kind {
            1 | 2 => Ok(()),
            3 => self.take(1).map(drop),
            4..=6 => self.varint().map(drop),
            7 => self.take(8).map(drop),
            BINARY => {
                let length = self.varint()?;
                self.take(length).map(drop)
            }
            LIST | SET => {
                let header = self.byte()?;
                let length = match header >> 4 {
                    15 => self.varint()?,
                    short => u64::from(short),
                };
                self.elements(length, &[header & 0xf])
            }
            MAP => {
                let length = self.varint()?;
                let kinds = if length == 0 { 0 } else { self.byte()? };
                self.elements(length, &[kinds >> 4, kinds & 0xf])
            }
            STRUCT => self.fields(None, Self::skip),
            _ => Err(Fault::Malformed),
        }
    }

    fn elements(&mut self, length: u64, kinds: &[u8]) -> Result<(), Fault> {
        if length > MAX_HEADER as u64 || self.depth > 16 {
            return Err(Fault::Malformed);
        }
        self.depth += 1;
        for _ in 0..length {
            for kind in kinds {
                match kind {
                    1 | 2 => self.take(1).map(drop)?,
                    kind => self.skip((0, *kind))?,
                }
            }
        }
        self.depth -= 1;
        Ok(())
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
