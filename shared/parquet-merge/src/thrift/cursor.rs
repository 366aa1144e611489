//! Thrift's compact protocol
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>).

/// Why bytes cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bytes end inside a value.
    Incomplete,
    /// The bytes are not what was expected.
    Malformed,
}

const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
pub(crate) const STRUCT: u8 = 12;

/// Reads values of Thrift's compact protocol from the start of the bytes.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    depth: usize,
    /// The most bytes of a value, and elements of a list.
    most: usize,
    /// The deepest nesting of structs and lists.
    deepest: usize,
}

/// A field of a struct: its id and type.
pub(crate) type Field = (i64, u8);

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], most: usize, deepest: usize) -> Self {
        Self {
            bytes,
            depth: 0,
            most,
            deepest,
        }
    }

    /// The number of bytes that are not read yet.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len()
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let (&byte, rest) = self.bytes.split_first().ok_or(Fault::Incomplete)?;
        self.bytes = rest;
        Ok(byte)
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Fault> {
        if count > self.most as u64 {
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

    pub(crate) fn integer(&mut self, (_, kind): Field) -> Result<i64, Fault> {
        if !matches!(kind, 4..=6) {
            return Err(Fault::Malformed);
        }
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(crate) fn boolean((_, kind): Field) -> Result<bool, Fault> {
        match kind {
            1 => Ok(true),
            2 => Ok(false),
            _ => Err(Fault::Malformed),
        }
    }

    pub(crate) fn binary(&mut self, (_, kind): Field) -> Result<Vec<u8>, Fault> {
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
    pub(crate) fn fields<E: From<Fault>>(
        &mut self,
        kind: Option<Field>,
        mut read: impl FnMut(&mut Self, Field) -> Result<(), E>,
    ) -> Result<(), E> {
        if kind.is_some_and(|(_, kind)| kind != STRUCT) || self.depth > self.deepest {
            return Err(Fault::Malformed.into());
        }
        self.depth += 1;
        let mut last = 0;
        while let Some(field) = self.field(&mut last)? {
            read(self, field)?;
        }
        self.depth -= 1;
        Ok(())
    }

    pub(crate) fn skip(&mut self, (_, kind): Field) -> Result<(), Fault> {
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
                let (length, kind) = self.list((0, kind))?;
                self.elements(length, &[kind])
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

    /// The length of a list and the type of its elements.
    pub(crate) fn list(&mut self, (_, kind): Field) -> Result<(u64, u8), Fault> {
        if !matches!(kind, LIST | SET) {
            return Err(Fault::Malformed);
        }
        let header = self.byte()?;
        let length = match header >> 4 {
            15 => self.varint()?,
            short => u64::from(short),
        };
        Ok((length, header & 0xf))
    }

    fn elements(&mut self, length: u64, kinds: &[u8]) -> Result<(), Fault> {
        if length > self.most as u64 || self.depth > self.deepest {
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
}
