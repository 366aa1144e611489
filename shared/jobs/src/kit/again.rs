//! How soon a message whose failure is temporary is delivered again.

use std::time::Duration;

use fastrand::Rng;

use super::ErrorKind;

/// The longest waits after the first deliveries, in seconds. Later deliveries wait for the queue's own visibility timeout,
/// so that a service that is down for an hour sends no message to the dead-letter queue.
const WAITS: [u64; 3] = [10, 120, 600];

impl ErrorKind {
    /// Whether the same work may succeed a moment later although nobody has changed anything.
    pub fn passes(self) -> bool {
        matches!(
            self,
            Self::StoreFailed
                | Self::CatalogFailed
                | Self::AthenaFailed
                | Self::QueueFailed
                | Self::CallbackFailed
                | Self::SecretFailed
                | Self::Deadline
        )
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// How long to hide a message that failed with `kind` after it was received `receives` times; `None` to leave it to the
/// queue's own visibility timeout. Half of the wait is random, from `seed`, so that messages that failed together do not
/// return together.
pub fn again_after(kind: ErrorKind, receives: u32, seed: u64) -> Option<Duration> {
    if !kind.passes() {
        return None;
    }
    let longest = WAITS.get(usize::try_from(receives).ok()?.checked_sub(1)?)?;
    let fraction = f64::midpoint(1.0, Rng::with_seed(seed).f64());
    Some(Duration::from_secs(*longest).mul_f64(fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again_after_seconds() {
        for (kind, receives, expected) in [
            (ErrorKind::StoreFailed, 1, Some(5..=10)),
            (ErrorKind::CatalogFailed, 2, Some(60..=120)),
            (ErrorKind::Deadline, 3, Some(300..=600)),
            (ErrorKind::StoreFailed, 4, None),
            (ErrorKind::StoreFailed, 0, None),
            (ErrorKind::AccessDenied, 1, None),
            (ErrorKind::Unreadable, 1, None),
            (ErrorKind::TaskFailed, 1, None),
        ] {
            for seed in 0..100 {
                let found = again_after(kind, receives, seed).map(|wait| wait.as_secs());
                assert_eq!(found.is_some(), expected.is_some(), "{kind:?} {receives}");
                let lies = expected.as_ref().zip(found);
                assert!(
                    lies.is_none_or(|(range, wait)| range.contains(&wait)),
                    "{found:?}"
                );
            }
        }
        let waits = (0..10).map(|seed| again_after(ErrorKind::StoreFailed, 1, seed));
        let waits = waits.collect::<std::collections::BTreeSet<_>>();
        assert!(waits.len() > 5, "{waits:?}");
    }

    #[test]
    fn kinds_are_found_by_their_names() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::named(kind.name()), Some(*kind));
        }
        assert_eq!(ErrorKind::named("BadTrigger"), None);
    }
}
