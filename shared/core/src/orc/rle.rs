//! The run length encodings, as far as they must be understood before a stripe is decoded: how many values are there, and how
//! many parts they have. <https://orc.apache.org/specification/ORCv1/#run-length-encoding>

/// How many of the first `count` bits of a stream are set; `None` if it has fewer.
pub(super) fn set_bits(stream: &[u8], count: u64) -> Option<u64> {
    let (mut rest, mut left, mut set) = (stream, count, 0);
    while left > 0 {
        let (&control, after) = rest.split_first()?;
        let (byte, literals, times) = if control < 0x80 {
            (after.get(..1)?, after.get(1..)?, u64::from(control) + 3)
        } else {
            let (literals, after) = after.split_at_checked(256 - usize::from(control))?;
            (literals, after, 1)
        };
        for byte in byte {
            let bits = left.min(8 * times);
            set += u64::from(byte.count_ones()) * (bits / 8);
            // The first bits are the high ones.
            let part = u32::try_from(bits % 8).unwrap_or(0);
            set += u64::from(u32::from(*byte).wrapping_shr(8 - part).count_ones());
            left -= bits;
        }
        rest = literals;
    }
    Some(set)
}

/// The integers of a stream, one after the other. They end at the first one that is not there.
pub(super) struct Integers<'a> {
    rest: &'a [u8],
    version_2: bool,
    is_signed: bool,
    /// Those of the open run, in reverse.
    run: Vec<i64>,
}

impl Iterator for Integers<'_> {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        if self.run.is_empty() {
            let run = if self.version_2 {
                self.run_2()
            } else {
                self.run_1()
            };
            // Of a run that is damaged, nothing is used.
            if run.is_none() {
                self.run.clear();
                self.rest = &[];
            }
            self.run.reverse();
        }
        self.run.pop()
    }
}

impl<'a> Integers<'a> {
    pub(super) fn new(stream: &'a [u8], version_2: bool, is_signed: bool) -> Self {
        Self {
            rest: stream,
            version_2,
            is_signed,
            run: Vec::new(),
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn signed(&self, value: u64) -> i64 {
        if self.is_signed {
            unzigzag(value)
        } else {
            value.cast_signed()
        }
    }

    fn run_1(&mut self) -> Option<()> {
        let control = self.byte()?;
        if control >= 0x80 {
            for _ in 0..256 - u32::from(control) {
                let value = self.varint()?;
                self.run.push(self.signed(value));
            }
            return Some(());
        }
        let delta = i64::from(self.byte()?.cast_signed());
        let value = self.varint()?;
        let mut value = self.signed(value);
        for _ in 0..u32::from(control) + 3 {
            self.run.push(value);
            value = value.wrapping_add(delta);
        }
        Some(())
    }

    fn run_2(&mut self) -> Option<()> {
        let first = self.byte()?;
        if first < 0x40 {
            let value = self.big_endian(usize::from(first >> 3) + 1)?;
            let value = self.signed(value);
            let times = usize::from(first & 7) + 3;
            self.run.extend(std::iter::repeat_n(value, times));
            return Some(());
        }
        let code = (first >> 1) & 0x1f;
        let count = (usize::from(first & 1) << 8 | usize::from(self.byte()?)) + 1;
        match first >> 6 {
            1 => {
                let mut values = self.bits(width(code), count)?;
                for value in &mut values {
                    *value = self.signed(value.cast_unsigned());
                }
                self.run.extend(values);
            }
            2 => self.patched(width(code), count)?,
            _ => self.deltas(code, count)?,
        }
        Some(())
    }

    fn patched(&mut self, width_of_value: u32, count: usize) -> Option<()> {
        let (third, fourth) = (self.byte()?, self.byte()?);
        let bytes = usize::from(third >> 5) + 1;
        let patch = width(third & 0x1f);
        let gap = u32::from(fourth >> 5) + 1;
        let base = self.big_endian(bytes)?;
        let sign = 1_u64 << (8 * bytes - 1);
        let base = if base & sign == 0 {
            base.cast_signed()
        } else {
            (base & !sign).cast_signed().wrapping_neg()
        };
        let mut values = self.bits(width_of_value, count)?;
        let wide = closest(gap + patch)?;
        let patches = self.bits(wide, usize::from(fourth & 0x1f))?;
        let mut place = 0_u64;
        for entry in patches {
            let entry = entry.cast_unsigned();
            place += entry.checked_shr(patch).unwrap_or(0);
            let bits = entry & 1_u64.checked_shl(patch).unwrap_or(0).wrapping_sub(1);
            // A gap of 255 with an empty patch only moves on.
            if bits != 0 {
                let value = values.get_mut(usize::try_from(place).ok()?)?;
                *value |= bits.checked_shl(width_of_value)?.cast_signed();
            }
        }
        let values = values.into_iter().map(|value| value.wrapping_add(base));
        self.run.extend(values);
        Some(())
    }

    fn deltas(&mut self, code: u8, count: usize) -> Option<()> {
        let base = self.varint()?;
        let mut value = self.signed(base);
        let first = unzigzag(self.varint()?);
        self.run.push(value);
        if count > 1 {
            value = value.wrapping_add(first);
            self.run.push(value);
        }
        let left = count.saturating_sub(2);
        let deltas = match code {
            0 => vec![first; left],
            code => {
                let mut deltas = self.bits(width(code), left)?;
                if first < 0 {
                    for delta in &mut deltas {
                        *delta = delta.wrapping_neg();
                    }
                }
                deltas
            }
        };
        for delta in deltas {
            value = value.wrapping_add(delta);
            self.run.push(value);
        }
        Some(())
    }

    fn big_endian(&mut self, bytes: usize) -> Option<u64> {
        let (found, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(
            found
                .iter()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
        )
    }

    /// Numbers of so many bits each, the high bits first, which begin and end with a byte.
    fn bits(&mut self, width: u32, count: usize) -> Option<Vec<i64>> {
        let bytes = (width as usize * count).div_ceil(8);
        let (packed, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        let (mut held, mut bits) = (0_u128, 0);
        let mut packed = packed.iter();
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            while bits < width {
                held = held << 8 | u128::from(*packed.next()?);
                bits += 8;
            }
            bits -= width;
            let value = (held >> bits) & ((1 << width) - 1);
            values.push(u64::try_from(value).ok()?.cast_signed());
            held &= (1 << bits) - 1;
        }
        Some(values)
    }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// The width that a code of five bits means.
fn width(code: u8) -> u32 {
    match code {
        0..=23 => u32::from(code) + 1,
        24..=27 => 26 + 2 * u32::from(code - 24),
        _ => 40 + 8 * u32::from(code.min(31) - 28),
    }
}

/// The next width that has a code.
fn closest(bits: u32) -> Option<u32> {
    (0..32).map(width).find(|width| *width >= bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_that_are_set() {
        // A run of 100 bytes, and five literals of which the last is used in part.
        let run = [0x61, 0b1010_0000];
        let literals = [0xfb, 0xff, 0, 0x0f, 1, 0b1100_0000];
        let both = [&run[..], &literals].concat();
        for (stream, count, expected) in [
            (&run[..], 800, Some(200)),
            (&run, 799, Some(200)),
            (&run, 1, Some(1)),
            (&run, 3, Some(2)),
            (&run, 801, None),
            (&literals, 40, Some(15)),
            (&literals, 33, Some(14)),
            (&literals, 0, Some(0)),
            (&both, 840, Some(215)),
            (&both, 841, None),
            (&[0xfb, 1], 1, None),
            (&[], 1, None),
        ] {
            assert_eq!(set_bits(stream, count), expected, "{stream:?} {count}");
        }
    }

    /// The examples of the specification.
    #[test]
    fn integers() {
        let patched = [
            0x8e, 0x13, 0x2b, 0x21, 0x07, 0xd0, 0x1e, 0x00, 0x14, 0x70, 0x28, 0x32, 0x3c, 0x46,
            0x50, 0x5a, 0x64, 0x6e, 0x78, 0x82, 0x8c, 0x96, 0xa0, 0xaa, 0xb4, 0xbe, 0xfc, 0xe8,
        ];
        let expected = [
            2030, 2000, 2020, 1_000_000, 2040, 2050, 2060, 2070, 2080, 2090, 2100, 2110, 2120,
            2130, 2140, 2150, 2160, 2170, 2180, 2190,
        ];
        for (version_2, is_signed, stream, expected) in [
            (false, false, &[0x61, 0x00, 0x07][..], &[7; 100][..]),
            (
                false,
                false,
                &[0x61, 0xff, 0x64],
                &(1..=100).rev().collect::<Vec<_>>(),
            ),
            (false, false, &[0xfb, 2, 3, 6, 7, 11], &[2, 3, 6, 7, 11]),
            (false, true, &[0xfe, 1, 2], &[-1, 1]),
            (true, false, &[0x0a, 0x27, 0x10], &[10_000; 5]),
            (true, true, &[0x02, 0x03], &[-2; 5]),
            (
                true,
                false,
                &[0x5e, 0x03, 0x5c, 0xa1, 0xab, 0x1e, 0xde, 0xad, 0xbe, 0xef],
                &[23713, 43806, 57005, 48879],
            ),
            (true, false, &patched, &expected),
            (
                true,
                false,
                &[0xc6, 0x09, 0x02, 0x02, 0x22, 0x42, 0x42, 0x46],
                &[2, 3, 5, 7, 11, 13, 17, 19, 23, 29],
            ),
            (true, true, &[0xc0, 0x03, 0x04, 0x01], &[2, 1, 0, -1]),
            (true, true, &[0xc2, 0x02, 0x04, 0x03, 0x40], &[2, 0, -1]),
        ] {
            let found = Integers::new(stream, version_2, is_signed);
            assert_eq!(found.collect::<Vec<_>>(), expected, "{stream:?}");
            let cut = &stream[..stream.len() - 1];
            let found = Integers::new(cut, version_2, is_signed).count();
            assert_eq!(found, 0, "{stream:?}");
        }
    }

    #[test]
    fn widths() {
        let found = (22..32).map(width).collect::<Vec<_>>();
        assert_eq!(found, [23, 24, 26, 28, 30, 32, 40, 48, 56, 64]);
        assert_eq!(
            [1, 25, 33, 64, 65].map(closest),
            [Some(1), Some(26), Some(40), Some(64), None]
        );
    }
}
