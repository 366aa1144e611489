//! A query's result: the position of its rows, and their values.

use bytes::BytesMut;
use lakewright_core::{
    config::{Config, ResultColumn, Types},
    split::{
        Chunk, ChunkLimit, Column, Framing, Renderer, RowReader, Scan, ScanError, Seen,
        SourceFormat, header_names, manifest, rows,
    },
};

/// Small, so that few bytes make several chunks.
const LIMIT: ChunkLimit = ChunkLimit { bytes: 20, rows: 3 };
const SOURCE: u32 = 7;
const FIRST_ROW: u64 = 100;

/// The chunks of a result, and its rows with the header.
pub type Scanned = (Vec<Chunk>, Vec<Vec<u8>>);

/// The framings.
pub const FRAMINGS: [Framing; 3] = [Framing::AthenaCsv, Framing::Lines, Framing::JsonLines];

/// Scans the pieces of a result.
///
/// # Errors
/// As [`Scan`].
pub fn scan<'a>(
    framing: Framing,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Scanned, ScanError> {
    let mut shown = Vec::new();
    let mut numbers = Vec::new();
    let mut show = |seen: Seen<'_>| {
        let row = match seen {
            Seen::Header(row) => row,
            Seen::Row(number, row) => {
                numbers.push(number);
                row
            }
        };
        shown.push(row.to_vec());
        Ok::<_, ScanError>(())
    };
    let mut scan = Scan::new(framing, SOURCE, FIRST_ROW, LIMIT, true);
    for piece in pieces {
        scan.push(piece, &mut show)?;
    }
    let (chunks, rows) = scan.finish(&mut show)?;
    assert!(numbers.into_iter().eq(FIRST_ROW..FIRST_ROW + rows));
    Ok((chunks, shown))
}

/// The rows including the header, found byte by byte.
fn slow_rows(framing: Framing, text: &[u8]) -> Result<Vec<Vec<u8>>, ScanError> {
    let (mut rows, mut row, mut quoted, mut start) = (Vec::new(), Vec::new(), false, 0);
    for (byte, next) in text.iter().zip(1..) {
        if *byte == b'"' && framing == Framing::AthenaCsv {
            quoted = !quoted;
        }
        if *byte == b'\n' && !quoted {
            if row.last() == Some(&b'\r') && framing != Framing::Lines {
                row.pop();
            }
            rows.push(std::mem::take(&mut row));
            start = next;
        } else {
            row.push(*byte);
        }
    }
    if quoted {
        return Err(ScanError::Truncated { offset: start });
    }
    if start < text.len() as u64 {
        rows.push(row);
    }
    if framing == Framing::JsonLines {
        rows.retain(|row| !row.iter().all(u8::is_ascii_whitespace));
    }
    if framing == Framing::AthenaCsv && rows.is_empty() {
        return Err(ScanError::NoHeader);
    }
    Ok(rows)
}

/// However a result is cut, its rows are those of a slow search, and its chunks contain each of them once and in order;
/// a row that is read and written is JSON.
pub fn check(data: &[u8]) {
    let Some((number, data)) = data.split_first() else {
        return;
    };
    let framing = FRAMINGS[usize::from(*number) % FRAMINGS.len()];
    let (pieces, text) = super::cut(data);
    let found = scan(framing, pieces);
    assert_eq!(
        found.as_ref().map(|(_, rows)| rows),
        slow_rows(framing, text).as_ref()
    );
    assert_eq!(scan(framing, [text]), found);
    if let Ok((chunks, shown)) = &found {
        check_chunks(framing, text, chunks, shown);
        for row in shown {
            check_row(row);
        }
    }
    // Any result is fine, as long as it does not panic.
    let _ = manifest(text, "bucket");
}

#[expect(clippy::expect_used, reason = "what does not hold is to panic")]
fn check_chunks(framing: Framing, text: &[u8], chunks: &[Chunk], shown: &[Vec<u8>]) {
    // The chunks are the same if rows are not reported.
    let mut counted = Scan::new(framing, SOURCE, FIRST_ROW, LIMIT, false);
    let unseen = |_: Seen<'_>| Ok::<_, ScanError>(());
    counted.push(text, unseen).expect("no error before");
    let (again, _) = counted.finish(unseen).expect("no error before");
    assert_eq!(again, chunks);

    let header = usize::from(framing == Framing::AthenaCsv);
    let mut held = Vec::new();
    for chunk in chunks {
        assert_eq!(chunk.source, SOURCE);
        assert_eq!(chunk.first_row, FIRST_ROW + held.len() as u64);
        assert!(chunk.rows > 0 && chunk.rows <= LIMIT.rows);
        let place = |offset: u64| usize::try_from(offset).expect("within the text");
        let bytes = text
            .get(place(chunk.offset)..place(chunk.offset + chunk.length))
            .expect("within the text");
        let before = held.len();
        held.extend(rows(framing, bytes).map(<[u8]>::to_vec));
        assert_eq!((held.len() - before) as u64, chunk.rows);
    }
    assert_eq!(Some(&held[..]), shown.get(header..));
}

#[expect(clippy::expect_used, reason = "what does not hold is to panic")]
fn check_row(bytes: &[u8]) {
    let columns = [("x", "varchar"), ("y", "bigint"), ("z", "array(integer)")];
    let columns = columns.map(|(name, athena_type)| ResultColumn {
        name: name.to_owned(),
        athena_type: athena_type.to_owned(),
    });
    let config =
        Config::parse("[[split]]\nname = 'j'\ntarget = 's3://b/p/'\nallow_any_source = true")
            .expect("is right");
    let renderer = Renderer::new(&config.split[0]).expect("is right");
    let formats = [
        SourceFormat::Csv,
        SourceFormat::Json,
        SourceFormat::Parquet,
        SourceFormat::Text { delimiter: 1 },
    ];
    for format in formats {
        let reader = RowReader::new(format, Column::all(&columns, Types::Query), Types::Query);
        if let Ok(row) = reader.read(bytes) {
            let mut out = BytesMut::new();
            renderer.render(&row, 0, "job", &mut out);
            serde_json::from_slice::<serde::de::IgnoredAny>(&out).expect("JSON");
        }
    }
    let _ = header_names(bytes);
}
