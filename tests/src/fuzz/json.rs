//! JSON: framing, inference and columns.

use lakewright_core::{
    chunk::Chunk,
    config::Policy,
    json::{Broken, Framer, InferError, Inference, MAX_DEPTH},
    records::{FrameError, Records as _},
};
use serde::de::IgnoredAny;

use super::fill;

/// A frame: its offset, its bytes, and why it is not a record.
pub type Frame = (u64, Vec<u8>, Option<Broken>);

/// The frames of the chunks of a stream, and what ended them early.
pub fn frames<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    max_record: usize,
) -> (Vec<Frame>, Option<FrameError>) {
    let mut framer = Framer::new(max_record, MAX_DEPTH);
    let mut seen = Vec::new();
    for chunk in chunks.into_iter().map(Some).chain([None]) {
        match chunk {
            Some(chunk) => framer.push(&mut Chunk::of(chunk)),
            None => framer.finish(),
        }
        loop {
            match framer.next() {
                Ok(Some(frame)) => seen.push((frame.offset, frame.bytes.to_vec(), frame.broken)),
                Ok(None) => break,
                Err(error) => return (seen, Some(error)),
            }
        }
    }
    (seen, None)
}

/// The frames and the rows do not depend on the chunks; the frames cover the whole input except what is allowed between
/// records; a frame that is not broken is JSON; the inferred columns accept every record.
#[expect(clippy::expect_used, reason = "what does not hold is to panic")]
pub fn check(data: &[u8]) {
    let (chunks, input) = super::cut(data);
    for max_record in [usize::MAX, 48] {
        let whole = frames([input], max_record);
        assert_eq!(frames(chunks.iter().copied(), max_record), whole);
        cover(input, &whole);
    }
    let (whole, _) = frames([input], usize::MAX);
    let mut inference = Inference::new(MAX_DEPTH);
    let mut inferred = Ok(());
    for (offset, bytes, broken) in &whole {
        if matches!(broken, None | Some(Broken::NotAnObject(_))) {
            serde_json::from_slice::<IgnoredAny>(bytes).expect("JSON");
        }
        if broken.is_none() && inferred.is_ok() {
            inferred = inference.observe(bytes);
            let broken = matches!(inferred, Err(InferError::Broken(_)));
            assert!(!broken, "the record at {offset}: {inferred:?}");
        }
    }
    let records = whole.iter().filter(|frame| frame.2.is_none()).count();
    let table = super::table();
    let framer = || Framer::new(usize::MAX, MAX_DEPTH);
    for policy in [Policy::Drop, Policy::Quarantine] {
        let whole = fill(framer(), [input], &table, policy);
        assert_eq!(whole.2, None);
        assert_eq!(
            fill(framer(), chunks.iter().copied(), &table, policy),
            whole
        );
    }
    if inferred.is_ok() {
        let schema = inference.schema();
        let (seen, rows, failed) = fill(framer(), chunks, &schema, Policy::Quarantine);
        assert_eq!(failed, None);
        assert_eq!(seen.len(), whole.len());
        assert_eq!(rows.num_rows(), records, "{seen:?}");
    }
}

/// Checks that every byte is in a frame or is allowed between two.
#[expect(clippy::expect_used, reason = "what does not hold is to panic")]
fn cover(input: &[u8], (frames, error): &(Vec<Frame>, Option<FrameError>)) {
    let start = if input.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let mut at = start;
    let between = |from: usize, to: usize| {
        let between = input.get(from..to).expect("a range of the input");
        let allowed = |byte: &u8| b" \t\r\n[],".contains(byte);
        let newlines = str::from_utf8(between).map(|text| text.replace("\\n", ""));
        assert!(
            newlines.is_ok_and(|text| text.bytes().all(|byte| allowed(&byte))),
            "{from}..{to}"
        );
    };
    for (offset, bytes, _) in frames {
        let offset = usize::try_from(*offset).unwrap_or(usize::MAX);
        between(at, offset);
        at = offset + bytes.len();
        assert_eq!(input.get(offset..at), Some(&bytes[..]));
    }
    if error.is_none() {
        between(at.min(input.len()), input.len());
    }
}
