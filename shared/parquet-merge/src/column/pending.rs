//! A page that is joined from several pages.

use parquet::{
    basic::{Encoding, Type as Physical},
    schema::types::{ColumnDescPtr, ColumnDescriptor},
};

use crate::{
    bounds::{Bounds, Order},
    fault::PageFault,
    page::Parts,
    rle::{self, Levels, Run, Runs},
    schema::Source,
};

/// The encoding of a page's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// There are no values yet: the page may take either kind.
    Any,
    Plain,
    /// Indices into the dictionary.
    Indices,
    Bits,
}

#[derive(Debug)]
pub(super) struct Pending {
    coding: Coding,
    /// PLAIN values, or the elements of the Snappy stream that encodes them.
    plain: Vec<u8>,
    /// The size of the PLAIN values in bytes.
    plain_size: usize,
    numbers: Vec<u32>,
    def: Levels,
    rep: Levels,
    values: usize,
    present: usize,
    rows: usize,
    bounds: Bounds,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            coding: Coding::Any,
            plain: Vec::new(),
            plain_size: 0,
            numbers: Vec::new(),
            def: Levels::default(),
            rep: Levels::default(),
            values: 0,
            present: 0,
            rows: 0,
            bounds: Bounds::Empty,
        }
    }
}

/// A page of version 1.
#[derive(Debug)]
pub(super) struct Done {
    /// Its levels and values, uncompressed.
    pub(super) bytes: Vec<u8>,
    /// The elements of a Snappy stream that follow, and their decompressed length.
    pub(super) elements: Vec<u8>,
    pub(super) elements_size: usize,
    pub(super) encoding: Encoding,
    pub(super) values: usize,
    pub(super) rows: usize,
    pub(super) nulls: usize,
    pub(super) bounds: Bounds,
}

fn def_width(column: &ColumnDescriptor) -> u8 {
    rle::width(u32::try_from(column.max_def_level()).unwrap_or(0))
}

fn rep_width(column: &ColumnDescriptor) -> u8 {
    rle::width(u32::try_from(column.max_rep_level()).unwrap_or(0))
}

fn def_levels<'a>(
    page: &Parts<'a>,
    count: usize,
    from: &ColumnDescriptor,
) -> Result<Runs<'a>, PageFault> {
    Ok(Runs::new(page.def, def_width(from), count)?)
}

fn rep_levels<'a>(
    page: &Parts<'a>,
    count: usize,
    from: &ColumnDescriptor,
) -> Result<Runs<'a>, PageFault> {
    Ok(Runs::new(page.rep, rep_width(from), count)?)
}

/// How many values of a page have each level, from 0 to the deepest of the column. The deepest definition level is that of
/// non-null values, and a row begins where the repetition level is 0.
#[derive(Debug)]
pub(super) struct AtEachLevel(Vec<usize>);

impl AtEachLevel {
    pub(super) fn new(deepest: i16) -> Self {
        Self(vec![0; usize::try_from(deepest).unwrap_or(0) + 1])
    }

    /// Adds values of a level.
    pub(super) fn add(&mut self, level: u32, count: usize) -> Result<(), PageFault> {
        let of_level = self.0.get_mut(level as usize);
        *of_level.ok_or_else(PageFault::too_deep)? += count;
        Ok(())
    }

    fn of(mut runs: Runs<'_>, width: u8, deepest: i16) -> Result<Self, PageFault> {
        let mut counts = Self::new(deepest);
        let mut unpacked = Vec::new();
        while let Some(run) = runs.next()? {
            match run {
                Run::Repeated { value, count } => counts.add(value, count)?,
                Run::Packed { bytes, count } if width == 1 => {
                    let ones = ones(bytes, count);
                    counts.add(0, count - ones)?;
                    counts.add(1, ones)?;
                }
                Run::Packed { bytes, count } => {
                    unpacked.clear();
                    rle::unpack(bytes, width, count, &mut unpacked);
                    for level in &unpacked {
                        counts.add(*level, 1)?;
                    }
                }
            }
        }
        Ok(counts)
    }

    /// The number of values of the deepest level.
    pub(super) fn at_deepest(&self) -> usize {
        self.0.last().copied().unwrap_or(0)
    }

    /// The number of values above the deepest level.
    pub(super) fn above(&self) -> usize {
        self.0.iter().rev().skip(1).sum()
    }

    /// Whether a value has this level.
    pub(super) fn has(&self, level: i16) -> bool {
        let count = usize::try_from(level).ok().and_then(|at| self.0.get(at));
        count.is_some_and(|count| *count > 0)
    }
}

fn ones(bytes: &[u8], count: usize) -> usize {
    let whole = bytes.get(..count / 8).unwrap_or_default();
    let rest = bytes.get(count / 8).copied().unwrap_or(0) & !(u8::MAX << (count % 8));
    let ones: u32 = whole.iter().map(|byte| byte.count_ones()).sum();
    (ones + rest.count_ones()) as usize
}

/// How many values of a page have each definition level.
pub(super) fn at_each_level(
    page: &Parts<'_>,
    count: usize,
    from: &ColumnDescriptor,
) -> Result<AtEachLevel, PageFault> {
    let deepest = from.max_def_level();
    if deepest == 0 {
        return Ok(AtEachLevel(vec![count]));
    }
    AtEachLevel::of(def_levels(page, count, from)?, def_width(from), deepest)
}

/// The number of non-null values in a page.
pub(super) fn present(
    page: &Parts<'_>,
    count: usize,
    from: &ColumnDescriptor,
) -> Result<usize, PageFault> {
    Ok(at_each_level(page, count, from)?.at_deepest())
}

/// The number of rows that begin in a page.
pub(super) fn rows(
    page: &Parts<'_>,
    count: usize,
    from: &ColumnDescriptor,
) -> Result<usize, PageFault> {
    if from.max_rep_level() == 0 {
        return Ok(count);
    }
    let runs = rep_levels(page, count, from)?;
    let counts = AtEachLevel::of(runs, rep_width(from), from.max_rep_level())?;
    Ok(counts.0.first().copied().unwrap_or(0))
}

/// Whether a page begins at the start of a row.
pub(super) fn starts_row(
    page: &Parts<'_>,
    count: usize,
    from: &ColumnDescriptor,
) -> Result<bool, PageFault> {
    if from.max_rep_level() == 0 || count == 0 {
        return Ok(true);
    }
    let mut runs = rep_levels(page, count, from)?;
    Ok(match runs.next()? {
        Some(Run::Repeated { value, .. }) => value == 0,
        Some(Run::Packed { bytes, .. }) => {
            let mut first = Vec::new();
            rle::unpack(bytes, rep_width(from), 1, &mut first);
            first.first() == Some(&0)
        }
        None => true,
    })
}

/// The indices of a page into its dictionary.
pub(super) fn indices(
    page: &Parts<'_>,
    present: usize,
    numbers: &mut Vec<u32>,
) -> Result<(), PageFault> {
    if present == 0 {
        return Ok(());
    }
    let (width, bytes) = page
        .values
        .split_first()
        .ok_or_else(|| PageFault::Corrupt("indices are missing".to_owned()))?;
    Ok(rle::decode(bytes, *width, present, numbers)?)
}

/// Replaces indices by those into the merged dictionary.
pub(super) fn replace(numbers: &mut [u32], places: &[u32]) -> Result<(), PageFault> {
    let mut missing = false;
    for number in numbers {
        match places.get(*number as usize) {
            Some(place) => *number = *place,
            None => missing = true,
        }
    }
    if missing {
        return Err(PageFault::beyond_dictionary());
    }
    Ok(())
}

/// Assembles a page of version 1.
pub(super) fn page_of(rep: &[u8], def: &[u8], values: &[u8], column: &ColumnDescriptor) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rep.len() + def.len() + values.len() + 8);
    let mut levels = |levels: &[u8]| {
        bytes.extend(
            u32::try_from(levels.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        bytes.extend_from_slice(levels);
    };
    if column.max_rep_level() > 0 {
        levels(rep);
    }
    if column.max_def_level() > 0 {
        levels(def);
    }
    bytes.extend_from_slice(values);
    bytes
}

impl Pending {
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The approximate size in bytes.
    pub(super) fn size(&self, column: &ColumnDescriptor) -> usize {
        if self.values == 0 {
            return 0;
        }
        let bits = match self.coding {
            Coding::Bits => 1,
            _ => 16,
        };
        self.plain_size
            + self.numbers.len() * bits / 8
            + self.def.size(def_width(column))
            + self.rep.size(rep_width(column))
    }

    pub(super) fn takes(&self, coding: Coding) -> bool {
        self.coding == coding || coding == Coding::Any || self.coding == Coding::Any
    }

    /// Appends rows without a value.
    pub(super) fn push_nulls(&mut self, rows: usize, column: &ColumnDescPtr) {
        self.def.push_run(0, rows, def_width(column));
        self.rep.push_run(0, rows, rep_width(column));
        self.values += rows;
        self.rows += rows;
    }

    /// Appends the levels of a page, and so its rows.
    pub(super) fn push_levels(
        &mut self,
        page: &Parts<'_>,
        count: usize,
        from: &ColumnDescriptor,
        source: &Source,
        to: &ColumnDescriptor,
    ) -> Result<usize, PageFault> {
        let level = |level: u32| {
            let level = usize::try_from(level).ok()?;
            source.levels.get(level).copied().map(u32::from)
        };
        let width = def_width(to);
        let mut unpacked = Vec::new();
        if from.max_def_level() == 0 {
            self.def
                .push_run(level(0).ok_or_else(PageFault::too_deep)?, count, width);
        } else {
            let mut runs = def_levels(page, count, from)?;
            while let Some(run) = runs.next()? {
                match run {
                    Run::Repeated { value, count } => {
                        self.def.push_run(
                            level(value).ok_or_else(PageFault::too_deep)?,
                            count,
                            width,
                        );
                    }
                    Run::Packed { bytes, count } => {
                        unpacked.clear();
                        rle::unpack(bytes, def_width(from), count, &mut unpacked);
                        for value in &mut unpacked {
                            *value = level(*value).ok_or_else(PageFault::too_deep)?;
                        }
                        self.def.push(&unpacked, width);
                    }
                }
            }
        }
        let mut rows = count;
        if from.max_rep_level() > 0 {
            rows = 0;
            let deepest = u32::try_from(from.max_rep_level()).unwrap_or(0);
            let mut runs = rep_levels(page, count, from)?;
            while let Some(run) = runs.next()? {
                unpacked.clear();
                match run {
                    Run::Repeated { value, count } if value <= deepest => {
                        rows += if value == 0 { count } else { 0 };
                        self.rep.push_run(value, count, rep_width(to));
                    }
                    Run::Repeated { .. } => return Err(PageFault::too_deep()),
                    Run::Packed { bytes, count } => {
                        rle::unpack(bytes, rep_width(from), count, &mut unpacked);
                        if unpacked.iter().any(|value| *value > deepest) {
                            return Err(PageFault::too_deep());
                        }
                        rows += unpacked.iter().filter(|value| **value == 0).count();
                        self.rep.push(&unpacked, rep_width(to));
                    }
                }
            }
        }
        self.values += count;
        self.rows += rows;
        Ok(rows)
    }

    /// Appends the indices or the bits of values.
    pub(super) fn push_numbers(&mut self, coding: Coding, numbers: &[u32], present: usize) {
        self.present += present;
        if coding != Coding::Any {
            self.coding = coding;
            self.numbers.extend_from_slice(numbers);
        }
    }

    /// Appends PLAIN values of `size` bytes: `stored` writes them, or their Snappy elements.
    pub(super) fn push_plain<E>(
        &mut self,
        present: usize,
        size: usize,
        stored: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.present += present;
        self.coding = Coding::Plain;
        self.plain_size += size;
        stored(&mut self.plain)
    }

    pub(super) fn include(&mut self, order: Order, bounds: &Bounds) {
        self.bounds.include(order, bounds);
    }

    /// Returns the page and starts the next one. `places`: the number of values in the dictionary so far;
    /// `as_elements`: PLAIN values were given as elements of a Snappy stream.
    pub(super) fn finish(
        &mut self,
        column: &ColumnDescriptor,
        places: u32,
        as_elements: bool,
    ) -> Option<Done> {
        if self.values == 0 {
            return None;
        }
        let rep = self.rep.finish(rep_width(column));
        let def = self.def.finish(def_width(column));
        let mut packed = Vec::new();
        let (encoding, values): (_, &[u8]) = match self.coding {
            Coding::Any | Coding::Plain if as_elements => (Encoding::PLAIN, &[]),
            Coding::Any | Coding::Plain => (Encoding::PLAIN, &self.plain),
            Coding::Indices => {
                let width = rle::width(places.saturating_sub(1));
                packed.push(width);
                rle::encode(&self.numbers, width, &mut packed);
                (Encoding::RLE_DICTIONARY, &packed)
            }
            Coding::Bits => {
                debug_assert_eq!(column.physical_type(), Physical::BOOLEAN);
                packed.resize(self.numbers.len().div_ceil(8), 0);
                for (index, bit) in self.numbers.iter().enumerate() {
                    if let Some(byte) = packed.get_mut(index / 8) {
                        *byte |= u8::from(*bit != 0) << (index % 8);
                    }
                }
                (Encoding::PLAIN, &packed)
            }
        };
        let bytes = page_of(&rep, &def, values, column);
        let done = Done {
            bytes,
            elements: if as_elements {
                std::mem::take(&mut self.plain)
            } else {
                Vec::new()
            },
            elements_size: if as_elements { self.plain_size } else { 0 },
            encoding,
            values: self.values,
            rows: self.rows,
            nulls: self.values - self.present,
            bounds: std::mem::replace(&mut self.bounds, Bounds::Empty),
        };
        self.plain.clear();
        self.plain_size = 0;
        self.numbers.clear();
        self.coding = Coding::Any;
        self.values = 0;
        self.present = 0;
        self.rows = 0;
        Some(done)
    }
}
