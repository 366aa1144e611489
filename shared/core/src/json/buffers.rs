//! Column buffers that can be truncated to an earlier length, so that a record that is rejected halfway leaves no
//! trace.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BinaryArray},
    buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    error::ArrowError,
};

/// A validity bitmap; only a count while there are no nulls.
pub(super) type Nulls = arrow::array::NullBufferBuilder;

/// Values of a fixed width.
#[derive(Debug)]
pub(super) struct Fixed<T> {
    pub(super) values: Vec<T>,
    pub(super) nulls: Nulls,
}

impl<T: Default + Copy> Fixed<T> {
    pub(super) fn new() -> Self {
        Self {
            values: Vec::new(),
            nulls: Nulls::new(0),
        }
    }

    #[inline]
    pub(super) fn push(&mut self, value: Option<T>) {
        self.values.push(value.unwrap_or_default());
        self.nulls.append(value.is_some());
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.nulls.truncate(len);
    }

    pub(super) fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<T>() + self.nulls.allocated_size()
    }

    pub(super) fn take(&mut self) -> (Vec<T>, Option<NullBuffer>) {
        (take_and_reserve(&mut self.values), self.nulls.finish())
    }
}

/// Takes the values of a batch, and reserves as much room for those of the next one: a buffer that grows is copied
/// again and again.
fn take_and_reserve<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = Vec::with_capacity(values.len() + values.len() / 16);
    std::mem::replace(values, room)
}

impl Fixed<i64> {
    /// The values in a narrower type, whose range was checked when they were pushed.
    pub(super) fn take_as<T: TryFrom<i64> + Default>(&mut self) -> (Vec<T>, Option<NullBuffer>) {
        let (values, nulls) = self.take();
        let narrow = values
            .into_iter()
            .map(|value| T::try_from(value).unwrap_or_default());
        (narrow.collect(), nulls)
    }
}

/// A column would exceed the 2 GiB, or 2^31 elements, that its 32-bit offsets can address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// The end of each value of variable length. The first offset is 0.
#[derive(Debug)]
pub(super) struct Offsets(Vec<i32>);

impl Offsets {
    pub(super) fn new() -> Self {
        Self(vec![0])
    }

    #[inline]
    pub(super) fn push(&mut self, end: usize) -> Result<(), Full> {
        self.0.push(i32::try_from(end).map_err(|_| Full)?);
        Ok(())
    }

    /// Repeats the last offset: an empty value.
    pub(super) fn push_empty(&mut self) {
        self.0.push(self.0.last().copied().unwrap_or(0));
    }

    /// Truncates to `len` values and returns the end of the last one.
    pub(super) fn truncate(&mut self, len: usize) -> usize {
        self.0.truncate(len + 1);
        self.0
            .last()
            .and_then(|&end| usize::try_from(end).ok())
            .unwrap_or(0)
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<i32>()
    }

    pub(super) fn take(&mut self) -> OffsetBuffer<i32> {
        let offsets = take_and_reserve(&mut self.0);
        self.0.push(0);
        OffsetBuffer::new(ScalarBuffer::from(offsets))
    }
}

/// Byte strings.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) values: Vec<u8>,
    pub(super) offsets: Offsets,
    pub(super) nulls: Nulls,
}

impl Text {
    pub(super) fn new() -> Self {
        Self {
            values: Vec::new(),
            offsets: Offsets::new(),
            nulls: Nulls::new(0),
        }
    }

    #[inline]
    pub(super) fn push(&mut self, value: &[u8]) -> Result<(), Full> {
        self.values.extend_from_slice(value);
        self.end()
    }

    /// Appends `buf[start..end]`. A short value is copied with what follows it, in blocks of a fixed size, which takes no
    /// call.
    #[inline]
    pub(super) fn push_from(&mut self, buf: &[u8], start: usize, end: usize) -> Result<(), Full> {
        const SHORT: usize = 32;
        let rest = buf.get(start..).unwrap_or_default();
        match rest.first_chunk::<SHORT>() {
            Some(block) if end - start <= SHORT => {
                let values = self.values.len();
                self.values.extend_from_slice(block);
                self.values.truncate(values + end - start);
            }
            _ => self
                .values
                .extend_from_slice(rest.get(..end - start).unwrap_or_default()),
        }
        self.end()
    }

    /// Ends a value: the bytes that were appended to `values` since the last one.
    #[expect(
        clippy::inline_always,
        reason = "a call saves and restores every register, for each text"
    )]
    #[inline(always)]
    pub(super) fn end(&mut self) -> Result<(), Full> {
        self.offsets.push(self.values.len())?;
        self.nulls.append_non_null();
        Ok(())
    }

    pub(super) fn push_null(&mut self) {
        self.offsets.push_empty();
        self.nulls.append_null();
    }

    pub(super) fn truncate(&mut self, len: usize) {
        let end = self.offsets.truncate(len);
        self.values.truncate(end);
        self.nulls.truncate(len);
    }

    pub(super) fn bytes(&self) -> usize {
        self.values.capacity() + self.offsets.bytes() + self.nulls.allocated_size()
    }

    pub(super) fn take(&mut self) -> (OffsetBuffer<i32>, Buffer, Option<NullBuffer>) {
        let values = Buffer::from(take_and_reserve(&mut self.values));
        (self.offsets.take(), values, self.nulls.finish())
    }

    pub(super) fn take_binary(&mut self) -> Result<ArrayRef, ArrowError> {
        let (offsets, values, nulls) = self.take();
        Ok(Arc::new(BinaryArray::try_new(offsets, values, nulls)?))
    }
}
