//! CSV: framing and columns.

use lakewright_core::{
    chunk::Chunk,
    config::{Csv, Policy},
    csv::{self, Broken, Framer},
    records::{FrameError, Records as _},
};

use super::fill;

/// A record: its offset, its bytes, and its fields.
pub type Record = (u64, Vec<u8>, Result<Vec<Option<String>>, Broken>);

/// The names of the columns, the records of the chunks of a stream, and what ended them early.
pub type Records = (Vec<String>, Vec<Record>, Option<FrameError>);

/// Reads the chunks of a stream.
pub fn records<'a>(
    settings: &Csv,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    max_record: usize,
) -> Records {
    let mut names = Vec::new();
    let mut seen = Vec::new();
    let end = read(settings, chunks, max_record, &mut names, &mut seen);
    (names, seen, end.err())
}

fn read<'a>(
    settings: &Csv,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    max_record: usize,
    names: &mut Vec<String>,
    seen: &mut Vec<Record>,
) -> Result<(), FrameError> {
    let mut framer = Framer::new(settings, &[], max_record)?;
    for chunk in chunks.into_iter().map(Some).chain([None]) {
        match chunk {
            Some(chunk) => framer.push(&mut Chunk::of(chunk)),
            None => framer.finish(),
        }
        *names = framer.names()?.unwrap_or_default().to_vec();
        while let Some(record) = framer.next()? {
            let fields = record.fields.map(|fields| {
                let fields = fields.iter();
                fields.map(|field| field.map(Into::into)).collect()
            });
            seen.push((record.offset, record.bytes.to_vec(), fields));
        }
    }
    Ok(())
}

/// Derives settings from a number.
fn settings(number: u8) -> Csv {
    let columns = ["a", "b", "c"].map(str::to_owned).to_vec();
    let header = number & 1 == 0;
    Csv {
        header,
        columns: if header { Vec::new() } else { columns },
        delimiter: if number & 2 == 0 { ',' } else { '\t' },
        quote: if number & 4 == 0 { '"' } else { '\'' },
        null: (number & 8 != 0).then(|| "\\N".to_owned()),
    }
}

/// The records and the rows do not depend on the chunks; a record that is not broken has a field for each column; text
/// columns accept every record.
#[expect(clippy::expect_used, reason = "what does not hold is to panic")]
pub fn check(data: &[u8]) {
    let Some((number, data)) = data.split_first() else {
        return;
    };
    let settings = settings(*number);
    let (chunks, input) = super::cut(data);
    for max_record in [usize::MAX >> 1, 48] {
        let whole = records(&settings, [input], max_record);
        assert_eq!(
            records(&settings, chunks.iter().copied(), max_record),
            whole
        );
    }
    let (names, seen, error) = records(&settings, [input], usize::MAX >> 1);
    for (offset, bytes, fields) in &seen {
        let offset = usize::try_from(*offset).unwrap_or(usize::MAX);
        assert_eq!(input.get(offset..offset + bytes.len()), Some(&bytes[..]));
        if let Ok(fields) = fields {
            assert_eq!(fields.len(), names.len());
        }
    }
    let table = super::table();
    let framer = || Framer::new(&settings, &[], usize::MAX);
    for policy in [Policy::Drop, Policy::Quarantine] {
        let whole = framer().map(|framer| fill(framer, [input], &table, policy));
        let cut = framer().map(|framer| fill(framer, chunks.iter().copied(), &table, policy));
        assert_eq!(cut, whole);
    }
    if error.is_none() {
        let schema = csv::inferred(&names);
        let framer = framer().expect("no error before");
        let (_, rows, failed) = fill(framer, chunks, &schema, Policy::Drop);
        assert_eq!(failed, None);
        let right = seen.iter().filter(|record| record.2.is_ok());
        assert_eq!(rows.num_rows(), right.count());
    }
}
