//! A reader that is never read beyond its end.

use std::io::{self, Read};

/// Reads what has to be there: the decoder, where it skips values of a page's header, does not notice the end of the
/// file, and a header of a few bytes may name two thousand million of them.
pub(super) struct Whole<T>(pub(super) T);

impl<T: Read> Read for Whole<T> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self.0.read(room)? {
            0 if !room.is_empty() => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file ends too early",
            )),
            count => Ok(count),
        }
    }
}
