//! A stream that may be compressed twice, as Firehose compresses records that are compressed already.

use super::{Codec, DecompressError, Decompressor, Status};
use crate::chunk::Chunk;

/// Decompresses a stream and, if its content is compressed too, the content.
#[derive(Debug)]
pub struct Layers {
    outer: Decompressor,
    inner: Decompressor,
    /// How much of the outer output the inner decompressor has taken.
    taken: usize,
    /// Whether the content is not compressed, so that the outer output is the result.
    is_single: bool,
    /// Whether the inner decompressor has more output for the input that it has taken.
    inner_has_output: bool,
    /// Whether the outer decompressor has more output for its input.
    outer_has_output: bool,
}

impl Layers {
    /// Creates a decompressor that refuses streams with more than `max_ratio` bytes of final output for each byte of input,
    /// as [`Decompressor::new`] does.
    pub fn new(max_ratio: u32) -> Self {
        Self {
            outer: Decompressor::new(max_ratio),
            inner: Decompressor::new(max_ratio),
            taken: 0,
            is_single: false,
            inner_has_output: false,
            outer_has_output: false,
        }
    }

    /// The output, as [`Decompressor::output`] returns it.
    pub fn output(&mut self) -> &mut Chunk {
        if self.is_single {
            &mut self.outer.output
        } else {
            &mut self.inner.output
        }
    }

    /// The codec of the stream itself, once enough bytes have arrived.
    pub fn codec(&self) -> Option<Codec> {
        self.outer.codec()
    }

    /// Takes bytes from the front of `input`, as [`Decompressor::push`] does.
    ///
    /// # Errors
    /// [`DecompressError`]. The output until then is correct.
    pub fn push(&mut self, input: &mut &[u8]) -> Result<Status, DecompressError> {
        if !self.inner_has_output && self.is_taken() {
            if !self.is_single {
                self.outer.output.clear();
                self.taken = 0;
            }
            self.outer_has_output = self.outer.push(input)? == Status::HasOutput;
            self.is_single |= self.outer.codec() == Some(Codec::None);
        }
        if self.inner_has_output || !self.is_taken() {
            self.push_inner()?;
        }
        Ok(
            if self.inner_has_output || self.outer_has_output || !self.is_taken() {
                Status::HasOutput
            } else {
                Status::NeedsInput
            },
        )
    }

    /// Whether nothing of the outer output is left for the inner decompressor.
    fn is_taken(&self) -> bool {
        self.is_single || self.taken == self.outer.output.len()
    }

    fn push_inner(&mut self) -> Result<(), DecompressError> {
        self.inner.outer = Some(self.outer.compressed);
        let output = self.outer.output.bytes();
        let mut rest = output.get(self.taken..).unwrap_or_default();
        let passes_on = self.inner.codec == Some(Codec::None) && self.inner.head.is_empty();
        if self.taken == 0 && passes_on && self.inner.output.len() == 0 {
            // From now on the outer output need not be copied.
            self.is_single = true;
            return Ok(());
        }
        let pushed = self.inner.push(&mut rest);
        self.taken = output.len() - rest.len();
        let pushed = pushed.map_err(|error| self.inside(error))?;
        self.inner_has_output = pushed == Status::HasOutput;
        Ok(())
    }

    /// Marks the end of the input, after a [`push`](Self::push) that needed more.
    ///
    /// # Errors
    /// [`DecompressError::Truncated`].
    pub fn finish(&mut self) -> Result<(), DecompressError> {
        self.outer.finish()?;
        self.is_single |= self.outer.codec() == Some(Codec::None);
        if self.is_single {
            return Ok(());
        }
        self.inner.finish().map_err(|error| self.inside(error))
    }

    fn inside(&self, error: DecompressError) -> DecompressError {
        match error {
            // Its offset is one in the outer stream already.
            error @ DecompressError::Ratio { .. } => error,
            error => DecompressError::Inside {
                codec: self.outer.codec().unwrap_or(Codec::None),
                error: Box::new(error),
            },
        }
    }
}
