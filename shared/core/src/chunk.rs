//! Decompressed bytes that are handed to a reader of records without being copied.

/// The next bytes of a stream.
///
/// There is free space before them for the bytes that the reader has not used yet: instead of appending the chunk to those
/// few bytes, the reader puts them in front of the chunk and takes over its buffer ([`exchange`](Self::exchange)).
#[derive(Debug, Default)]
pub struct Chunk {
    /// [`ROOM`](Self::ROOM) unused bytes, then the bytes of the chunk. The rest of the capacity is free.
    buffer: Vec<u8>,
    length: usize,
}

impl Chunk {
    /// The most bytes of a chunk from the decompressor: few enough to stay in the processor's cache until they are read.
    pub(crate) const MAX: usize = 256 << 10;

    /// The most bytes that fit before those of a chunk.
    const ROOM: usize = 16 << 10;

    /// The initial capacity: a stream may be short.
    const LEAST: usize = 16 << 10;

    /// A chunk with a copy of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut chunk = Self::default();
        chunk.extend(bytes);
        chunk
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        let end = Self::ROOM + self.length;
        self.buffer.get(Self::ROOM..end).unwrap_or_default()
    }

    /// The number of the bytes.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Removes the bytes.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Appends bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.resize(Self::ROOM + self.length, 0);
        self.buffer.extend_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Room for more bytes, which [`fill`](Self::fill) appends; empty once there are [`MAX`](Self::MAX).
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        let start = Self::ROOM + self.length;
        if self.buffer.len() <= start && self.length < Self::MAX {
            let length = (2 * self.length).clamp(Self::LEAST, Self::MAX);
            let missing = Self::ROOM + length - self.buffer.len();
            self.buffer.reserve_exact(missing);
            self.buffer.resize(Self::ROOM + length, 0);
        }
        let end = self.buffer.len().min(Self::ROOM + Self::MAX);
        self.buffer.get_mut(start..end).unwrap_or_default()
    }

    /// Appends the first bytes of [`spare`](Self::spare).
    pub(crate) fn fill(&mut self, count: usize) {
        self.length += count;
    }

    /// Puts the bytes of `held` from `from` on in front of its own, and swaps its buffer with `held`. Returns the position
    /// of those bytes in `held`. If they are too many or the chunk is empty, returns `None` and changes nothing.
    pub(crate) fn exchange(&mut self, held: &mut Vec<u8>, from: usize) -> Option<usize> {
        let kept = held.get(from..)?;
        let at = Self::ROOM.checked_sub(kept.len())?;
        self.buffer.get_mut(at..Self::ROOM)?.copy_from_slice(kept);
        self.buffer.truncate(Self::ROOM + self.length);
        std::mem::swap(&mut self.buffer, held);
        if self.buffer.capacity() > Self::ROOM + Self::MAX {
            self.buffer = Vec::new();
        }
        self.clear();
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8] = b"of the chunk";

    #[test]
    fn what_is_left_is_put_before_the_chunk() {
        let at_most = vec![b'x'; Chunk::ROOM];
        let too_many = vec![b'x'; Chunk::ROOM + 1];
        for (case, held, from, kept) in [
            ("nothing is held", &b""[..], 0, Some(&b""[..])),
            ("everything is taken", b"abc", 3, Some(b"")),
            ("some are left", b"abc", 1, Some(b"bc")),
            ("as many as there is room for", &at_most, 0, Some(&at_most)),
            ("more than there is room for", &too_many, 0, None),
            ("their place is beyond them", b"abc", 4, None),
        ] {
            let mut chunk = Chunk::of(BYTES);
            let mut buffer = held.to_vec();
            let at = chunk.exchange(&mut buffer, from);
            if let Some(kept) = kept {
                let found = at.map(|at| &buffer[at..]);
                assert_eq!(found, Some(&[kept, BYTES].concat()[..]), "{case}");
                assert_eq!(chunk.bytes(), b"", "{case}");
            } else {
                assert_eq!(at, None, "{case}");
                assert_eq!(buffer, held, "{case}");
                assert_eq!(chunk.bytes(), BYTES, "{case}");
            }
        }
    }

    #[test]
    fn an_empty_chunk_changes_nothing() {
        let mut buffer = b"abc".to_vec();
        assert_eq!(Chunk::default().exchange(&mut buffer, 1), None);
        assert_eq!(buffer, b"abc");
    }

    #[test]
    fn there_is_never_room_for_more_than_the_most() {
        let mut chunk = Chunk::of(BYTES);
        let mut buffer = Vec::with_capacity(2 * Chunk::MAX);
        chunk.exchange(&mut buffer, 0);
        for _ in 0..2 {
            let mut seen = 0;
            while !chunk.spare().is_empty() {
                let count = chunk.spare().len();
                chunk.fill(count);
                seen += count;
            }
            assert_eq!((seen, chunk.bytes().len()), (Chunk::MAX, Chunk::MAX));
            let end = buffer.len();
            chunk.exchange(&mut buffer, end);
        }
    }
}
