//! Computes the bounds and the level counts of a page from its values, because the statistics of another writer's file may
//! be wrong.

use parquet::{
    basic::{Encoding, Type as Physical},
    schema::types::ColumnDescriptor,
};

use super::Incoming;
use crate::{
    bounds::{Bounds, Order},
    column::{
        Tools,
        pending::{self, AtEachLevel},
    },
    convert::decode,
    dictionary::{self, Values},
    fault::PageFault,
    page::{Decompressed, Parts, RawPage, has_plain_levels, parts},
    rle,
};

/// The bounds and the level counts of a page.
pub(super) struct Seen {
    /// Of its values, in the order of its column.
    pub(super) bounds: Bounds,
    /// How many of its values have each definition level.
    pub(super) at_each_level: AtEachLevel,
}

/// Examines a page of a chunk.
pub(super) fn look(
    chunk: &mut Incoming,
    page: &RawPage,
    order: Order,
    tools: &mut Tools,
) -> Result<Seen, PageFault> {
    chunk.indices.clear();
    let is_known = page.uses_dictionary() || page.encoding() == Encoding::PLAIN;
    if !is_known || !has_plain_levels(page, &chunk.from) {
        return look_by_decoding(chunk, page, order, tools);
    }
    let mut decompressed = std::mem::take(&mut tools.decompressed);
    let seen = look_at_parts(chunk, page, order, &mut decompressed, tools);
    tools.decompressed = decompressed;
    seen
}

fn look_by_decoding(
    chunk: &Incoming,
    page: &RawPage,
    order: Order,
    tools: &mut Tools,
) -> Result<Seen, PageFault> {
    let dictionary = chunk.dictionary.as_ref();
    if page.uses_dictionary() && dictionary.is_none() {
        return Err(PageFault::no_dictionary());
    }
    let (bounds, levels) = decode(page, dictionary, &chunk.from, order, &mut tools.codecs)?;
    let mut at_each_level = AtEachLevel::new(chunk.from.max_def_level());
    for level in levels {
        at_each_level.add(u32::try_from(level).unwrap_or(u32::MAX), 1)?;
    }
    Ok(Seen {
        bounds,
        at_each_level,
    })
}

fn look_at_parts(
    chunk: &mut Incoming,
    page: &RawPage,
    order: Order,
    decompressed: &mut Decompressed,
    tools: &mut Tools,
) -> Result<Seen, PageFault> {
    let count = page.values();
    let parts = parts(page, &chunk.from, &mut tools.codecs, decompressed)?;
    let at_each_level = pending::at_each_level(&parts, count, &chunk.from)?;
    // Only checks that its repetition levels can be read.
    pending::rows(&parts, count, &chunk.from)?;
    let present = at_each_level.at_deepest();
    let bounds = if page.uses_dictionary() {
        let mut indices = std::mem::take(&mut chunk.indices);
        pending::indices(&parts, present, &mut indices)?;
        let column = chunk.from.clone();
        let bounds = of_indices(chunk.values(&mut tools.codecs)?, &indices, &column, order)?;
        chunk.indices = indices;
        bounds
    } else {
        of_plain(&parts, present, chunk, order)?
    };
    Ok(Seen {
        bounds,
        at_each_level,
    })
}

/// The bounds of the values of a dictionary that are used.
fn of_indices(
    values: &Values,
    indices: &[u32],
    column: &ColumnDescriptor,
    order: Order,
) -> Result<Bounds, PageFault> {
    let mut used = vec![false; values.len()];
    let mut beyond = false;
    for index in indices {
        match used.get_mut(*index as usize) {
            Some(used) => *used = true,
            None => beyond = true,
        }
    }
    if beyond {
        return Err(PageFault::beyond_dictionary());
    }
    let used = (0..).zip(used).filter(|(_, used)| *used);
    let values = used.filter_map(|(index, _)| {
        let value = values.get(index)?;
        value.get(dictionary::content(column, 0..value.len()))
    });
    Ok(Bounds::of_values(order, values))
}

/// The bounds of PLAIN values.
fn of_plain(
    page: &Parts<'_>,
    present: usize,
    chunk: &Incoming,
    order: Order,
) -> Result<Bounds, PageFault> {
    let short = || PageFault::Corrupt("values are cut short".to_owned());
    if let Some(width) = dictionary::width(&chunk.from) {
        let size = present.checked_mul(width).ok_or_else(short)?;
        let bytes = page.values.get(..size).ok_or_else(short)?;
        return Ok(Bounds::of_values(order, bytes.chunks_exact(width.max(1))));
    }
    if chunk.from.physical_type() == Physical::BOOLEAN {
        let bytes = page.values.get(..present.div_ceil(8)).ok_or_else(short)?;
        let mut bits = Vec::with_capacity(present);
        rle::unpack(bytes, 1, present, &mut bits);
        let bits = bits.iter().map(|bit| [u8::from(*bit != 0)]);
        return Ok(Bounds::of_values(order, bits));
    }
    let mut ends = Vec::new();
    dictionary::find_texts(page.values, present, &mut ends)?;
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let values = starts.zip(&ends).filter_map(|(start, end)| {
        page.values
            .get(dictionary::content(&chunk.from, start..*end))
    });
    Ok(Bounds::of_values(order, values))
}
