//! The RLE/bit-packed hybrid encoding of levels and dictionary indices
//! (<https://github.com/apache/parquet-format/blob/master/Encodings.md#RLE>).

use super::thrift::varint;

/// The encoded sequence is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A part of an encoded sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run<'a> {
    /// One value, repeated `count` times.
    Repeated { value: u32, count: usize },
    /// `count` bit-packed values.
    Packed { bytes: &'a [u8], count: usize },
}

/// The runs of a sequence whose number of values is known.
#[derive(Debug, Clone)]
pub(super) struct Runs<'a> {
    bytes: &'a [u8],
    width: u8,
    left: usize,
}

impl<'a> Runs<'a> {
    /// `width`: bits of a value, at most 32.
    pub(super) fn new(bytes: &'a [u8], width: u8, values: usize) -> Result<Self, Malformed> {
        if width > 32 {
            return Err(Malformed);
        }
        Ok(Self {
            bytes,
            width,
            left: values,
        })
    }

    /// The next run. `None` after the last value.
    pub(super) fn next(&mut self) -> Result<Option<Run<'a>>, Malformed> {
        if self.left == 0 {
            return Ok(None);
        }
        let header = self.varint()?;
        let length = usize::try_from(header >> 1).map_err(|_| Malformed)?;
        if header & 1 == 0 {
            let mut value = [0; 4];
            let size = usize::from(self.width.div_ceil(8));
            let bytes = self.take(size)?;
            value
                .get_mut(..size)
                .ok_or(Malformed)?
                .copy_from_slice(bytes);
            let count = length.min(self.left);
            if count == 0 {
                return Err(Malformed);
            }
            self.left -= count;
            let value = u32::from_le_bytes(value);
            if self.width < 32 && value >> self.width != 0 {
                return Err(Malformed);
            }
            return Ok(Some(Run::Repeated { value, count }));
        }
        let count = length.saturating_mul(8).min(self.left);
        if count == 0 {
            return Err(Malformed);
        }
        // The last group may be truncated after its last value.
        let needed = count
            .checked_mul(usize::from(self.width))
            .ok_or(Malformed)?
            .div_ceil(8);
        let whole = length
            .checked_mul(usize::from(self.width))
            .ok_or(Malformed)?;
        let bytes = self.take(whole.min(self.bytes.len()).max(needed))?;
        self.left -= count;
        Ok(Some(Run::Packed { bytes, count }))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Malformed)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..63).step_by(7) {
            let (&byte, rest) = self.bytes.split_first().ok_or(Malformed)?;
            self.bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

/// Appends `count` values of `width` bits. `bytes` must contain at least that many.
pub(super) fn unpack(bytes: &[u8], width: u8, count: usize, values: &mut Vec<u32>) {
    let width = usize::from(width);
    let mask = if width == 32 {
        u32::MAX
    } else {
        (1_u32 << width) - 1
    };
    values.reserve(count);
    let value = |at: usize| {
        let first = at / 8;
        let word = if let Some(word) = bytes.get(first..first + 8) {
            word.try_into().map_or(0, u64::from_le_bytes)
        } else {
            let mut word = [0; 8];
            let rest = bytes.get(first..).unwrap_or_default();
            for (to, from) in word.iter_mut().zip(rest) {
                *to = *from;
            }
            u64::from_le_bytes(word)
        };
        #[expect(clippy::cast_possible_truncation, reason = "the mask keeps these bits")]
        let low = (word >> (at % 8)) as u32;
        low & mask
    };
    values.extend((0..count).map(|index| value(index * width)));
}

/// Decodes all values of a sequence.
pub(super) fn decode(
    bytes: &[u8],
    width: u8,
    count: usize,
    values: &mut Vec<u32>,
) -> Result<(), Malformed> {
    let mut runs = Runs::new(bytes, width, count)?;
    while let Some(run) = runs.next()? {
        match run {
            Run::Repeated { value, count } => values.extend(std::iter::repeat_n(value, count)),
            Run::Packed { bytes, count } => unpack(bytes, width, count, values),
        }
    }
    Ok(())
}

/// The number of bits for values up to `max`.
pub(super) fn width(max: u32) -> u8 {
    // At most 32.
    u8::try_from(u32::BITS - max.leading_zeros()).unwrap_or(32)
}

/// Encodes values as bit-packed groups of eight, and as runs where all eight values are equal.
pub(super) fn encode(values: &[u32], width: u8, out: &mut Vec<u8>) {
    let mut rest = values;
    let mut packed = 0;
    while rest.len() > packed {
        let (before, ahead) = rest.split_at(packed);
        match ahead.first_chunk::<8>() {
            Some(group) if group.iter().all(|value| *value == group[0]) => {
                pack(before, width, out);
                let count = ahead.iter().take_while(|value| **value == group[0]).count();
                repeat(group[0], count, width, out);
                rest = ahead.get(count..).unwrap_or_default();
                packed = 0;
            }
            Some(_) => packed += 8,
            None => packed = rest.len(),
        }
    }
    pack(rest, width, out);
}

fn repeat(value: u32, count: usize, width: u8, out: &mut Vec<u8>) {
    varint((count as u64) << 1, out);
    let bytes = value.to_le_bytes();
    out.extend(bytes.iter().take(usize::from(width.div_ceil(8))));
}

fn pack(values: &[u32], width: u8, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    varint((groups as u64) << 1 | 1, out);
    let end = out.len() + groups * usize::from(width);
    let (mut word, mut bits) = (0_u64, 0);
    for value in values {
        word |= u64::from(*value) << bits;
        bits += u32::from(width);
        if bits >= 32 {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the rest stays in the word"
            )]
            out.extend((word as u32).to_le_bytes());
            word >>= 32;
            bits -= 32;
        }
    }
    out.extend(word.to_le_bytes().iter().take(bits.div_ceil(8) as usize));
    out.resize(end, 0);
}

/// Levels of a page that is being joined. A run takes the same memory whatever its length.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// The last value and its number of repetitions.
    value: u32,
    count: usize,
    /// Earlier values that are not in `bytes` yet.
    loose: Vec<u32>,
    bytes: Vec<u8>,
}

impl Levels {
    /// Appends `value`, `count` times.
    pub(super) fn push_run(&mut self, value: u32, count: usize, width: u8) {
        if value != self.value {
            self.settle(width);
            self.value = value;
        }
        self.count += count;
    }

    /// Appends single values.
    pub(super) fn push(&mut self, values: &[u32], width: u8) {
        for value in values {
            self.push_run(*value, 1, width);
        }
    }

    /// Moves the last run to the earlier values.
    fn settle(&mut self, width: u8) {
        let mut count = std::mem::take(&mut self.count);
        // Fill a group of eight first.
        let missing = (8 - self.loose.len() % 8) % 8;
        let fill = if count >= missing + 8 { missing } else { count };
        self.loose.extend(std::iter::repeat_n(self.value, fill));
        count -= fill;
        if count > 0 {
            pack(&self.loose, width, &mut self.bytes);
            self.loose.clear();
            repeat(self.value, count, width, &mut self.bytes);
        }
    }

    /// The approximate encoded size in bytes.
    pub(super) fn size(&self, width: u8) -> usize {
        self.bytes.len() + self.loose.len() * usize::from(width) / 8 + 8
    }

    /// Takes the encoded levels and resets.
    pub(super) fn finish(&mut self, width: u8) -> Vec<u8> {
        self.settle(width);
        pack(&self.loose, width, &mut self.bytes);
        self.loose.clear();
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(bytes: &[u8], width: u8, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        decode(bytes, width, count, &mut values).unwrap();
        values
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            width in 0_u8..=32,
            runs in prop::collection::vec((any::<u32>(), prop_oneof![1_usize..3, 1_usize..40]), 0..60),
        ) {
            let mask = u32::try_from((1_u64 << width) - 1).unwrap();
            let values: Vec<u32> = runs
                .iter()
                .flat_map(|(value, count)| std::iter::repeat_n(value & mask, *count))
                .collect();
            let mut encoded = Vec::new();
            encode(&values, width, &mut encoded);
            prop_assert_eq!(&decoded(&encoded, width, values.len()), &values);

            let mut levels = Levels::default();
            for (value, count) in &runs {
                levels.push_run(value & mask, *count, width);
            }
            let encoded = levels.finish(width);
            prop_assert_eq!(&decoded(&encoded, width, values.len()), &values);
        }

        #[test]
        fn any_bytes_are_decoded_in_bounded_time(
            bytes: Vec<u8>, width in 0_u8..=40, count in 0_usize..5_000,
        ) {
            let mut values = Vec::new();
            if decode(&bytes, width, count, &mut values).is_ok() {
                prop_assert_eq!(values.len(), count);
            }
        }
    }

    #[test]
    fn a_run_of_levels_is_a_few_bytes() {
        let mut levels = Levels::default();
        for _ in 0..1_000 {
            levels.push_run(1, 3_000, 1);
        }
        assert!(levels.finish(1).len() < 8);
    }

    #[test]
    fn sequences_that_end_too_early_are_malformed() {
        for (bytes, width, count) in [
            (&b""[..], 1, 1),
            (b"\x00\x01", 1, 1), // a run of none
            (b"\x04\x02", 1, 2), // a value wider than its width
            (b"\x03\x00", 3, 8), // a group cut short
            (b"\x02", 8, 1),     // a run without its value
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 1, 1),
        ] {
            assert_eq!(
                decode(bytes, width, count, &mut Vec::new()),
                Err(Malformed),
                "{bytes:?}"
            );
        }
    }
}
