//! Values of joined pages.

use bytes::Bytes;
use parquet::{basic::Type as Physical, bloom_filter::Sbbf, schema::types::ColumnDescPtr};

use super::{
    Column, Incoming, Tools,
    pending::{self, Coding},
};
use crate::{
    Compression,
    bounds::Bounds,
    codec::Codecs,
    dictionary::{self, Values},
    fault::PageFault,
    page::Parts,
    rle,
    schema::Source,
};

/// A dictionary of this size or more is kept only if it saves bytes.
const USEFUL_DICTIONARY: usize = 64 * 1024;
/// The initial size of a filter, enough for a million values. It is folded to a smaller one if there are fewer.
const BLOOM_FILTER_BYTES: usize = 1 << 20;

impl Column {
    /// Adds the chunk's dictionary to the merged one, once, unless that saves nothing.
    pub(super) fn merge_dictionary(
        &mut self,
        incoming: &mut Incoming,
        tools: &mut Tools,
    ) -> Result<(), PageFault> {
        self.look_at_the_saving();
        if incoming.is_merged || (self.gave_up && !self.with_bloom_filter) {
            return Ok(());
        }
        incoming.is_merged = true;
        let values = incoming.values(&mut tools.codecs)?;
        if self.with_bloom_filter {
            for index in 0..values.len() {
                let value = u32::try_from(index)
                    .ok()
                    .and_then(|index| values.get(index));
                self.add_to_bloom_filter(value.unwrap_or_default());
            }
        }
        if !self.gave_up {
            let places = self
                .dictionary
                .include(values, self.limits.dictionary_bytes);
            self.gave_up = places.is_none();
            incoming.places = places;
        }
        Ok(())
    }

    fn look_at_the_saving(&mut self) {
        let size = self.dictionary.size();
        if size >= USEFUL_DICTIONARY && size.saturating_mul(2) > self.saved {
            self.gave_up = true;
        }
    }

    /// Appends the values of a page, PLAIN or of a dictionary, to the page that is being joined. False: they take too much
    /// for one page.
    pub(super) fn append(
        &mut self,
        page: &Parts<'_>,
        count: usize,
        bounds: &Bounds,
        (from, source): (&ColumnDescPtr, &Source),
        dictionary: Option<&mut Incoming>,
        tools: &mut Tools,
    ) -> Result<bool, PageFault> {
        let present = pending::present(page, count, from)?;
        let starts_row = pending::starts_row(page, count, from)?;
        let mut numbers = std::mem::take(&mut tools.numbers);
        numbers.clear();
        let mut plain = std::mem::take(&mut tools.plain);
        plain.clear();
        let found = self.find_values(page, present, dictionary, &mut numbers, &mut plain, tools);
        let appended = found.and_then(|found| {
            let Some(found) = found else {
                return Ok(false);
            };
            let coding = match found {
                Found::Nothing => Coding::Any,
                Found::Numbers(coding) => coding,
                Found::Plain(_) | Found::Elements(..) => Coding::Plain,
            };
            self.gave_up |= coding == Coding::Plain;
            self.make_room(coding, starts_row, tools)?;
            self.rows += self
                .pending
                .push_levels(page, count, from, source, &self.descr)?;
            self.pending.include(self.order, bounds);
            let as_elements = self.stores_elements();
            let store = |values: &[u8], out: &mut Vec<u8>, codecs: &mut Codecs| {
                if as_elements {
                    codecs
                        .snappy_elements(values, out)
                        .map_err(PageFault::Unsupported)
                } else {
                    out.extend_from_slice(values);
                    Ok(())
                }
            };
            match found {
                Found::Nothing => {}
                Found::Numbers(coding) => self.pending.push_numbers(coding, &numbers, present),
                Found::Plain(values) => {
                    let values = values.unwrap_or(&plain);
                    self.pending.push_plain(present, values.len(), |out| {
                        store(values, out, &mut tools.codecs)
                    })?;
                }
                Found::Elements(elements, size) => {
                    self.pending.push_plain(present, size, |out| {
                        out.extend_from_slice(&elements);
                        Ok::<_, PageFault>(())
                    })?;
                }
            }
            Ok(true)
        });
        tools.numbers = numbers;
        tools.plain = plain;
        appended
    }

    /// Whether PLAIN values are kept as Snappy elements, so that compressed input need not be compressed again.
    pub(super) fn stores_elements(&self) -> bool {
        self.compression == Compression::Snappy
    }

    /// The values of a page. `None` if they are too large as PLAIN.
    fn find_values<'p>(
        &mut self,
        page: &Parts<'p>,
        present: usize,
        dictionary: Option<&mut Incoming>,
        numbers: &mut Vec<u32>,
        plain: &mut Vec<u8>,
        tools: &mut Tools,
    ) -> Result<Option<Found<'p>>, PageFault> {
        if present == 0 {
            return Ok(Some(Found::Nothing));
        }
        let Some(incoming) = dictionary else {
            if self.descr.physical_type() == Physical::BOOLEAN {
                if page.values.len() < present.div_ceil(8) {
                    return Err(PageFault::Corrupt("values are cut short".to_owned()));
                }
                rle::unpack(page.values, 1, present, numbers);
                return Ok(Some(Found::Numbers(Coding::Bits)));
            }
            self.check_plain(page.values, present)?;
            if self.find_places(page.values, present, numbers)? {
                return Ok(Some(Found::Numbers(Coding::Indices)));
            }
            return Ok(Some(Found::Plain(Some(page.values))));
        };
        if incoming.indices.is_empty() {
            pending::indices(page, present, numbers)?;
        } else {
            std::mem::swap(numbers, &mut incoming.indices);
            incoming.indices.clear();
        }
        let longest = self.limits.page_bytes.saturating_mul(2);
        if !incoming.is_merged
            && self.stores_elements()
            && incoming.dictionary_values() == numbers.len()
            && numbers
                .iter()
                .zip(0_u32..)
                .all(|(number, place)| *number == place)
            && let Some((elements, size)) = incoming.snappy_dictionary()
            && size <= longest
        {
            // Every value is used once and in order, so the dictionary equals the PLAIN values.
            return Ok(Some(Found::Elements(elements, size)));
        }
        let (values, places) = incoming.values_and_places(&mut tools.codecs)?;
        if let Some(places) = places.filter(|_| !self.gave_up) {
            self.saved += present * values.size() / values.len().max(1);
            pending::replace(numbers, places)?;
            return Ok(Some(Found::Numbers(Coding::Indices)));
        }
        Ok(gather(values, numbers, plain, longest)?.then_some(Found::Plain(None)))
    }

    /// The indices of PLAIN values in the dictionary, if there is one: otherwise the dictionary would end with these
    /// values.
    fn find_places(
        &mut self,
        values: &[u8],
        present: usize,
        numbers: &mut Vec<u32>,
    ) -> Result<bool, PageFault> {
        self.look_at_the_saving();
        if self.gave_up || self.dictionary.len() == 0 {
            return Ok(false);
        }
        let values = Values::read(&self.descr, values.to_vec(), present)?;
        let Some(places) = self
            .dictionary
            .include(&values, self.limits.dictionary_bytes)
        else {
            return Ok(false);
        };
        self.saved += values.size();
        numbers.extend(places);
        Ok(true)
    }

    /// Checks the number of PLAIN values and adds them to the bloom filter.
    pub(super) fn check_plain(&mut self, values: &[u8], present: usize) -> Result<(), PageFault> {
        let mut ends = Vec::new();
        if self.with_bloom_filter || dictionary::width(&self.descr).is_none() {
            dictionary::find(&self.descr, values, present, &mut ends)?;
        } else if dictionary::width(&self.descr).and_then(|width| width.checked_mul(present))
            != Some(values.len())
        {
            return Err(PageFault::Corrupt("values are cut short".to_owned()));
        }
        if self.with_bloom_filter {
            let mut start = 0;
            for end in ends {
                self.add_to_bloom_filter(values.get(start..end).unwrap_or_default());
                start = end;
            }
        }
        Ok(())
    }

    fn add_to_bloom_filter(&mut self, value: &[u8]) {
        let content = dictionary::content(&self.descr, 0..value.len());
        let value = value.get(content).unwrap_or_default();
        self.bloom_filter
            .get_or_insert_with(|| Sbbf::new_with_num_of_bytes(BLOOM_FILTER_BYTES))
            .insert(value);
    }

    /// Ends the page that is being joined if the next values do not belong in it.
    pub(super) fn make_room(
        &mut self,
        coding: Coding,
        starts_row: bool,
        tools: &mut Tools,
    ) -> Result<(), PageFault> {
        let fits = self.pending.takes(coding);
        if !fits && !starts_row {
            return Err(PageFault::Unsupported("a row spans two pages".to_owned()));
        }
        let full = self.pending.rows() >= self.limits.page_rows
            || self.pending.size(&self.descr) >= self.limits.page_bytes;
        if !fits || (full && starts_row) {
            self.flush(tools)?;
        }
        Ok(())
    }
}

/// The values of a page.
enum Found<'a> {
    /// All values are null.
    Nothing,
    /// Indices into the dictionary, or bits.
    Numbers(Coding),
    /// PLAIN values. `None`: the gathered values.
    Plain(Option<&'a [u8]>),
    /// Elements of a Snappy stream, and the length of the PLAIN values that they encode.
    Elements(Bytes, usize),
}

/// Appends the values at these indices as PLAIN. Returns false if they take more than `longest` bytes.
fn gather(
    values: &Values,
    places: &[u32],
    out: &mut Vec<u8>,
    longest: usize,
) -> Result<bool, PageFault> {
    for place in places {
        let value = values
            .get(*place)
            .ok_or_else(|| PageFault::Corrupt("an index is beyond its dictionary".to_owned()))?;
        if out.len() + value.len() > longest {
            return Ok(false);
        }
        out.extend_from_slice(value);
    }
    Ok(true)
}
