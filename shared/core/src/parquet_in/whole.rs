//! A reader that reports reads beyond its end.

use std::io::{self, Read};

/// Fails if fewer bytes can be read than requested. The decoder does not notice the end of the file while it skips
/// values of a page's header, and a header of a few bytes may claim two thousand million of them.
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
