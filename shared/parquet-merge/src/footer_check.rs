//! Checks a footer before the Parquet crate decodes it.
//!
//! The crate recurses into the schema's nesting, and reserves memory for as many elements as a list claims to have. So
//! a crafted footer could overflow the stack or exhaust the memory, which kills the process. The crate itself detects
//! all other errors.
//!
//! A footer is a `FileMetaData` struct
//! (<https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>) in Thrift's compact protocol
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>).

use crate::thrift::{Cursor, Fault, Field};

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

impl From<Fault> for FooterFault {
    fn from(_: Fault) -> Self {
        Self::Malformed
    }
}

/// Checks the bytes of a footer, without its length and magic, before the Parquet crate decodes them.
///
/// # Errors
/// Bytes that are not a footer, a schema that is nested too deep, or encrypted columns.
pub fn check_footer(footer: &[u8]) -> Result<(), FooterFault> {
    let mut encrypted = false;
    Cursor::new(footer, footer.len(), MAX_STRUCTS).fields(None, |cursor, field| {
        encrypted |= field.0 == ENCRYPTION_ALGORITHM;
        if field.0 == SCHEMA {
            schema(cursor, field)
        } else {
            Ok(cursor.skip(field)?)
        }
    })?;
    if encrypted {
        return Err(FooterFault::Encrypted);
    }
    Ok(())
}

/// The schema: its elements in depth-first order, each group with the number of its children.
fn schema(cursor: &mut Cursor<'_>, field: Field) -> Result<(), FooterFault> {
    let (length, kind) = cursor.list(field)?;
    // For each open group, the number of children that are still to come.
    let mut open: Vec<i64> = Vec::new();
    for _ in 0..length {
        let children = children(cursor, kind)?;
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
fn children(cursor: &mut Cursor<'_>, kind: u8) -> Result<i64, Fault> {
    let mut children = 0;
    cursor.fields(Some((0, kind)), |cursor, field| {
        if field.0 == NUM_CHILDREN {
            children = cursor.integer(field)?;
            Ok(())
        } else {
            cursor.skip(field)
        }
    })?;
    Ok(children)
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
