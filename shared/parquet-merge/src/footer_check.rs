//! Checks a footer before the Parquet crate decodes it.
//!
//! The crate recurses into the schema's nesting, and reserves memory for as many elements as a list claims to have. So
//! a crafted footer could overflow the stack or exhaust the memory, which kills the process. The crate itself detects
//! all other errors.
//!
//! A footer is a `FileMetaData` struct
//! (<https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>) in Thrift's compact protocol
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>).

/// The deepest nesting of groups in a schema. A list or a map takes two groups, the root one.
pub const MAX_SCHEMA_DEPTH: usize = 129;

/// The deepest nesting of Thrift structs and lists. Real footers have less than ten.
const MAX_STRUCTS: usize = 32;

/// `FileMetaData.schema`.
const SCHEMA: i64 = 2;
/// `FileMetaData.encryption_algorithm`, which a plain footer over encrypted columns has.
const ENCRYPTION_ALGORITHM: i64 = 8;
/// `SchemaElement.num_children`.
const NUM_CHILDREN: i64 = 5;

/// Why a footer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FooterFault {
    /// The bytes are not a valid `FileMetaData` struct.
    Malformed,
    /// The schema is nested deeper than [`MAX_SCHEMA_DEPTH`].
    TooDeep,
    /// Columns are encrypted, though the footer is not.
    Encrypted,
}

/// Checks the bytes of a footer, without its length and magic, before the Parquet crate decodes them.
///
/// # Errors
/// Bytes that are not a footer, a schema that is nested too deep, or encrypted columns.
pub fn check_footer(footer: &[u8]) -> Result<(), FooterFault> {
    let mut cursor = Cursor(footer);
    let mut last = 0;
    let mut encrypted = false;
    while let Some((field, kind)) = cursor.field(&mut last)? {
        encrypted |= field == ENCRYPTION_ALGORITHM;
        match (field, kind) {
            (SCHEMA, Kind::List) => cursor.schema()?,
            _ => cursor.skip(kind, 0)?,
        }
    }
    if encrypted {
        return Err(FooterFault::Encrypted);
    }
    Ok(())
}

/// The type of a field, as far as it determines the field's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A boolean, whose value is in the field's header.
    Bool,
    Byte,
    Varint,
    Double,
    Binary,
    /// A list or a set.
    List,
    Map,
    Struct,
}

impl Kind {
    fn of(code: u8) -> Result<Self, FooterFault> {
        Ok(match code {
            1 | 2 => Self::Bool,
            3 => Self::Byte,
            4..=6 => Self::Varint,
            7 => Self::Double,
            8 => Self::Binary,
            9 | 10 => Self::List,
            11 => Self::Map,
            12 => Self::Struct,
            _ => return Err(FooterFault::Malformed),
        })
    }
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn byte(&mut self) -> Result<u8, FooterFault> {
        let (&byte, rest) = self.0.split_first().ok_or(FooterFault::Malformed)?;
        self.0 = rest;
        Ok(byte)
    }

    fn advance(&mut self, bytes: u64) -> Result<(), FooterFault> {
        let bytes = usize::try_from(bytes).map_err(|_| FooterFault::Malformed)?;
        self.0 = self.0.get(bytes..).ok_or(FooterFault::Malformed)?;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, FooterFault> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(FooterFault::Malformed)
    }

    fn zigzag(&mut self) -> Result<i64, FooterFault> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// The id and the type of the next field of a struct. `None` at the end of the struct.
    fn field(&mut self, last: &mut i64) -> Result<Option<(i64, Kind)>, FooterFault> {
        let header = self.byte()?;
        if header == 0 {
            return Ok(None);
        }
        *last = match header >> 4 {
            0 => self.zigzag()?,
            delta => last.saturating_add(i64::from(delta)),
        };
        Ok(Some((*last, Kind::of(header & 0xf)?)))
    }

    /// The length of a list and the type of its elements.
    fn list(&mut self) -> Result<(u64, Kind), FooterFault> {
        let header = self.byte()?;
        let length = match header >> 4 {
            15 => self.varint()?,
            short => u64::from(short),
        };
        let kind = Kind::of(header & 0xf)?;
        // Every element takes at least one byte.
        if length > self.0.len() as u64 {
            return Err(FooterFault::Malformed);
        }
        Ok((length, kind))
    }

    fn skip(&mut self, kind: Kind, depth: usize) -> Result<(), FooterFault> {
        if depth > MAX_STRUCTS {
            return Err(FooterFault::Malformed);
        }
        match kind {
            Kind::Bool => Ok(()),
            Kind::Byte => self.advance(1),
            Kind::Varint => self.varint().map(drop),
            Kind::Double => self.advance(8),
            Kind::Binary => {
                let length = self.varint()?;
                self.advance(length)
            }
            Kind::List => {
                let (length, kind) = self.list()?;
                (0..length).try_for_each(|_| self.skip_element(kind, depth + 1))
            }
            Kind::Map => {
                let length = self.varint()?;
                if length == 0 {
                    return Ok(());
                }
                let kinds = self.byte()?;
                let (key, value) = (Kind::of(kinds >> 4)?, Kind::of(kinds & 0xf)?);
                (0..length).try_for_each(|_| {
                    self.skip_element(key, depth + 1)?;
                    self.skip_element(value, depth + 1)
                })
            }
            Kind::Struct => {
                let mut last = 0;
                while let Some((_, kind)) = self.field(&mut last)? {
                    self.skip(kind, depth + 1)?;
                }
                Ok(())
            }
        }
    }

    /// In a list or a map, a boolean is a byte.
    fn skip_element(&mut self, kind: Kind, depth: usize) -> Result<(), FooterFault> {
        match kind {
            Kind::Bool => self.advance(1),
            kind => self.skip(kind, depth),
        }
    }

    /// The schema: its elements in depth-first order, each group with the number of its children.
    fn schema(&mut self) -> Result<(), FooterFault> {
        let (length, kind) = self.list()?;
        if kind != Kind::Struct {
            return Err(FooterFault::Malformed);
        }
        // For each open group, the number of children that are still to come.
        let mut open: Vec<i64> = Vec::new();
        for _ in 0..length {
            let children = self.children()?;
            while open.pop_if(|children| *children <= 0).is_some() {}
            if let Some(siblings) = open.last_mut() {
                *siblings -= 1;
            }
            if children > 0 {
                open.push(children);
                if open.len() > MAX_SCHEMA_DEPTH {
                    return Err(FooterFault::TooDeep);
                }
            }
        }
        Ok(())
    }

    /// The number of children of the schema's next element.
    fn children(&mut self) -> Result<i64, FooterFault> {
        let mut children = 0;
        let mut last = 0;
        while let Some((field, kind)) = self.field(&mut last)? {
            match (field, kind) {
                (NUM_CHILDREN, Kind::Varint) => children = self.zigzag()?,
                _ => self.skip(kind, 0)?,
            }
        }
        Ok(children)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A footer with groups nested `depth` deep, each around the next.
    fn nested(depth: usize) -> Vec<u8> {
        // version = 1; schema: a list of structs with its length as a varint.
        let mut footer = vec![0x15, 0x02, 0x19, 0xfc];
        let length = depth + 1;
        footer.extend([
            u8::try_from(length & 0x7f).unwrap() | 0x80,
            u8::try_from(length >> 7).unwrap(),
        ]);
        for _ in 0..depth {
            // num_children = 1
            footer.extend([0x55, 0x02, 0x00]);
        }
        // The leaf has a name.
        footer.extend([0x48, 0x01, b'x', 0x00]);
        footer.push(0);
        footer
    }

    #[test]
    fn depth_is_limited() {
        assert_eq!(check_footer(&nested(1)), Ok(()));
        assert_eq!(check_footer(&nested(MAX_SCHEMA_DEPTH)), Ok(()));
        assert_eq!(
            check_footer(&nested(MAX_SCHEMA_DEPTH + 1)),
            Err(FooterFault::TooDeep)
        );
        assert_eq!(check_footer(&nested(10_000)), Err(FooterFault::TooDeep));
    }

    #[test]
    fn siblings_are_no_depth() {
        // A root of 200 groups of one leaf each.
        let mut footer = vec![0x19, 0xfc, 0x91, 0x03, 0x55, 0x90, 0x03, 0x00];
        for _ in 0..200 {
            footer.extend([0x55, 0x02, 0x00, 0x48, 0x01, b'x', 0x00]);
        }
        footer.push(0);
        // The first field's delta is one; change it to the id of the schema.
        footer[0] = 0x29;
        assert_eq!(check_footer(&footer), Ok(()));
    }

    #[test]
    fn encrypted_columns_behind_a_plain_footer() {
        let mut footer = nested(1);
        assert_eq!(footer.pop(), Some(0));
        // encryption_algorithm = AES_GCM_V1 of its defaults
        footer.extend([0x6c, 0x1c, 0, 0, 0]);
        assert_eq!(check_footer(&footer), Err(FooterFault::Encrypted));
    }

    #[test]
    fn what_is_no_footer() {
        for bytes in [
            &b""[..],
            b"\x15",
            b"\x19\x5c",                     // a list of five structs that are not there
            b"\x19\xfc\xff\xff\xff\xff\x07", // a list of 2^31 structs
            b"\x18\xff\xff\xff\xff\x07a",    // a string of 2^31 bytes
            b"\x15\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x0f\x02\x00",
        ] {
            assert_eq!(
                check_footer(bytes),
                Err(FooterFault::Malformed),
                "{bytes:?}"
            );
        }
        assert_eq!(
            check_footer(&vec![0x1c; 100_000]),
            Err(FooterFault::Malformed)
        );
        assert_eq!(
            check_footer(&vec![0x19; 100_000]),
            Err(FooterFault::Malformed)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_in_bounded_time(bytes: Vec<u8>) {
            let _ = check_footer(&bytes);
        }
    }
}
