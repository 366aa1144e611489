//! The memory that nulls in lists take. In a file a null is one byte, and in memory it is as wide as what it stands for, for a
//! record the widths of all its fields.

/// The most bytes of memory that a null may take without being counted: about as many as a number for its byte.
const NARROW: usize = 16;

/// How the values of a type lie in a file, for walking over them.
#[derive(Debug)]
pub(super) enum Layout {
    /// A value of always so many bytes.
    Fixed(usize),
    /// An integer of as many bytes as it needs.
    Varint,
    /// Bytes after their number.
    Bytes,
    /// A value or a null, which takes this width in memory.
    Nullable {
        null_first: bool,
        of: Box<Layout>,
        width: usize,
    },
    /// Elements in blocks.
    Array(Box<Layout>),
    /// Keys and values in blocks.
    Map(Box<Layout>),
    /// Values one after the other.
    Record(Vec<Layout>),
}

impl Layout {
    /// Whether nulls in its lists may take much more memory than bytes.
    pub(super) fn may_swell(&self) -> bool {
        match self {
            Self::Fixed(_) | Self::Varint | Self::Bytes => false,
            Self::Nullable { of, .. } => of.may_swell(),
            Self::Array(of) | Self::Map(of) => of.has_wide_nulls(),
            Self::Record(fields) => fields.iter().any(Self::may_swell),
        }
    }

    fn has_wide_nulls(&self) -> bool {
        match self {
            Self::Fixed(_) | Self::Varint | Self::Bytes => false,
            Self::Nullable { of, width, .. } => *width > NARROW || of.has_wide_nulls(),
            Self::Array(of) | Self::Map(of) => of.has_wide_nulls(),
            Self::Record(fields) => fields.iter().any(Self::has_wide_nulls),
        }
    }

    /// The memory of the nulls of a value at the start of `bytes`, or more than `most` once it is more. What contradicts the
    /// format ends the walk, because the decoder refuses it.
    pub(super) fn nulls(&self, mut bytes: &[u8], most: usize) -> usize {
        let mut nulls = 0;
        let _ = self.walk(&mut bytes, most, &mut nulls);
        nulls
    }

    /// `None`: the walk ends here.
    fn walk(&self, bytes: &mut &[u8], most: usize, nulls: &mut usize) -> Option<()> {
        match self {
            Self::Fixed(size) => skip(bytes, *size),
            Self::Varint => varint(bytes).map(drop),
            Self::Bytes => {
                let size = varint(bytes)?;
                skip(bytes, usize::try_from(size).ok()?)
            }
            Self::Nullable {
                null_first,
                of,
                width,
            } => {
                if (varint(bytes)? == 0) != *null_first {
                    return of.walk(bytes, most, nulls);
                }
                *nulls = nulls.saturating_add(*width);
                (*nulls <= most).then_some(())
            }
            Self::Array(of) => entries(bytes, |bytes| of.walk(bytes, most, nulls)),
            Self::Map(of) => entries(bytes, |bytes| {
                Self::Bytes.walk(bytes, most, nulls)?;
                of.walk(bytes, most, nulls)
            }),
            Self::Record(fields) => fields
                .iter()
                .try_for_each(|field| field.walk(bytes, most, nulls)),
        }
    }
}

/// Walks over the entries of an array or a map, each of which has at least a byte.
/// <https://avro.apache.org/docs/1.12.0/specification/#arrays-1>
fn entries(bytes: &mut &[u8], mut entry: impl FnMut(&mut &[u8]) -> Option<()>) -> Option<()> {
    loop {
        let count = varint(bytes)?;
        if count == 0 {
            return Some(());
        }
        if count < 0 {
            // The bytes of the block.
            varint(bytes)?;
        }
        for _ in 0..count.unsigned_abs() {
            entry(bytes)?;
        }
    }
}

fn skip(bytes: &mut &[u8], size: usize) -> Option<()> {
    *bytes = bytes.get(size..)?;
    Some(())
}

/// <https://avro.apache.org/docs/1.12.0/specification/#primitive-types-1>
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for (place, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if *byte < 0x80 {
            *bytes = bytes.get(place + 1..)?;
            return Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
        }
    }
    None
}
