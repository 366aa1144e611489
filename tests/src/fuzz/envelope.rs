//! JSON in envelopes.

use lakewright_core::{
    chunk::Chunk,
    config::Policy,
    json::{Broken, Envelope, Framer, MAX_DEPTH},
    records::{FrameError, Records as _},
};
use serde::de::IgnoredAny;

use super::{fill, json::Frame};

/// The envelopes that the first byte of an input chooses from.
#[expect(clippy::expect_used, reason = "the paths are fixed")]
fn envelope(number: u8) -> Envelope {
    let (records, keep): (_, &[&str]) = match number % 5 {
        0 => ("r", &[]),
        1 => ("r", &["k", "a.b"]),
        2 => ("r.*.s", &["k", "r.*.a"]),
        3 => ("r.s.*.c.d", &["r.k"]),
        _ => ("cloudwatch-logs", &[]),
    };
    let keep: Vec<_> = keep.iter().map(|text| (*text).to_owned()).collect();
    Envelope::new(records, &keep).expect("paths")
}

fn frames<'a>(
    number: u8,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    max_record: usize,
) -> (Vec<Frame>, Option<FrameError>) {
    let mut framer = Framer::new(max_record, MAX_DEPTH).within(envelope(number));
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

/// The frames and the rows do not depend on the chunks; a frame that is not broken is one JSON object, which ends with what
/// the input has after the bracket at its offset; one that is broken is what the input has there; frames are in order.
#[expect(clippy::expect_used, reason = "what does not hold is to panic")]
pub fn check(data: &[u8]) {
    let Some((&number, data)) = data.split_first() else {
        return;
    };
    let (chunks, input) = super::cut(data);
    for max_record in [usize::MAX, 48] {
        let whole = frames(number, [input], max_record);
        assert_eq!(frames(number, chunks.iter().copied(), max_record), whole);
        let mut before = 0;
        for (offset, bytes, broken) in &whole.0 {
            let at = usize::try_from(*offset).expect("an offset");
            assert!(before <= at, "{offset} after {before}");
            let rest = input.get(at..).expect("an offset within the input");
            if broken.is_some() {
                assert!(rest.starts_with(bytes), "{offset}: {broken:?}");
                before = at + bytes.len();
            } else {
                serde_json::from_slice::<IgnoredAny>(bytes).expect("JSON");
                assert!(rest.starts_with(b"{") && bytes.starts_with(b"{"));
                // A log event is another record than it is in the envelope.
                if number % 5 == 4 {
                    before = at + 1;
                    continue;
                }
                let own = (1..=bytes.len()).rev().find(|length| {
                    let (_, end) = bytes.split_at(bytes.len() - length);
                    rest.get(1..=*length) == Some(end)
                });
                before = at + 1 + own.expect("the end of the element");
            }
            if let Some(Broken::NotAnObject(_)) = broken {
                serde_json::from_slice::<IgnoredAny>(bytes).expect("JSON");
            }
        }
    }
    let table = super::table();
    for policy in [Policy::Drop, Policy::Quarantine] {
        let framer = || Framer::new(usize::MAX, MAX_DEPTH).within(envelope(number));
        let whole = fill(framer(), [input], &table, policy);
        assert_eq!(whole.2, None);
        assert_eq!(
            fill(framer(), chunks.iter().copied(), &table, policy),
            whole
        );
    }
}
