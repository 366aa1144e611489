//! A source object's records: decompressed and framed.

use lakewright_core::{
    compression::{DecompressError, Decompressor, Status},
    config::Limits,
    json::{FrameError, Framer},
    location::Location,
};

use super::{Budget, Ports, error::RekeyError, source::SourceReader};

/// Reads the whole object; `drain` is called with a framer whenever it may hold new records, and takes them
/// all.
pub(super) async fn records(
    ports: &Ports,
    budget: &Budget,
    limits: &Limits,
    mut reader: SourceReader,
    mut drain: impl FnMut(&mut Framer) -> Result<(), RekeyError>,
) -> Result<(), RekeyError> {
    let location = reader.location().clone();
    let unreadable = |error: DecompressError| RekeyError::Unreadable {
        location: location.clone(),
        message: error.to_string(),
    };
    let longest = usize::try_from(limits.record_size.as_u64()).unwrap_or(usize::MAX);
    let mut decompressor = Decompressor::new(limits.compression_ratio);
    let mut framer = Framer::new(longest);
    let mut plain = Vec::new();
    while let Some(chunk) = reader.next().await? {
        let mut input = &chunk[..];
        loop {
            plain.clear();
            let status = decompressor
                .push(&mut input, &mut plain)
                .map_err(unreadable)?;
            framer.push(&plain);
            drain(&mut framer)?;
            if status == Status::NeedsInput {
                break;
            }
        }
        if ports.clock.now() >= budget.deadline {
            return Err(RekeyError::Deadline);
        }
        // Other objects of this invocation, and the reads ahead of this one, get their turn.
        tokio::task::yield_now().await;
    }
    plain.clear();
    decompressor.finish(&mut plain).map_err(unreadable)?;
    framer.push(&plain);
    framer.finish();
    drain(&mut framer)
}

/// A framer's failure as one of this source object.
pub(super) fn unframeable(location: &Location, error: &FrameError) -> RekeyError {
    RekeyError::Unreadable {
        location: location.clone(),
        message: error.to_string(),
    }
}
