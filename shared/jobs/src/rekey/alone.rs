//! Attempts at an object that is planned alone and may kill every invocation that reads it.
//!
//! A killed invocation leaves no trace, so each attempt at such an object is recorded before it begins, and again if it ends
//! with an error. An attempt without the second record was killed, or is still running. After several of them the object is
//! given up, by a document that counts only as long as the object is not committed: so a slow attempt does no harm.

use super::ledger::{Batch, Candidate, Ledger};
use crate::kit::{ErrorKind, JobError};

/// How many attempts were killed before an object is given up, besides the first one, which is not recorded.
const KILLS: usize = 2;

/// An attempt that was begun.
pub(super) struct Attempt<'a> {
    ledger: Ledger<'a>,
    bid: &'a str,
    candidate: &'a Candidate,
    number: usize,
}

/// Records an attempt at a batch that another invocation has begun, if the batch is a single object.
///
/// # Errors
/// The store fails.
pub(super) async fn begin<'a>(
    ledger: Ledger<'a>,
    bid: &'a str,
    batch: &'a Batch,
) -> Result<Option<Attempt<'a>>, JobError> {
    let [candidate] = &*batch.candidates else {
        return Ok(None);
    };
    let known = ledger.attempts(bid).await?;
    let killed = known.begun.saturating_sub(known.ended);
    if killed >= KILLS {
        let message = format!(
            "{killed} invocations that worked on it alone ended without an error: out of memory or out of time"
        );
        let error = JobError::new(ErrorKind::Killed, message).of(candidate.source.clone());
        ledger.give_up(candidate, &error).await?;
    }
    let number = known.begun;
    ledger.note_attempt(bid, candidate, number, false).await?;
    Ok(Some(Attempt {
        ledger,
        bid,
        candidate,
        number,
    }))
}

impl Attempt<'_> {
    /// Records that it ended with an error, and so was not killed.
    pub(super) async fn ended(self) {
        let Self {
            ledger,
            bid,
            candidate,
            number,
        } = self;
        if let Err(error) = ledger.note_attempt(bid, candidate, number, true).await {
            tracing::warn!(bid, %error, "the end of an attempt was not recorded");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rekey::fixture::{
        BAD, ONE, TWO,
        Was::{Died, Landed},
        attempts,
    };

    #[test]
    fn attempts_at_an_object_alone_are_noted_and_it_is_given_up_after_two_that_were_killed() {
        let claimed = [Landed("a", ONE), Died(&["a"], "/claim/")];
        let refused = [Landed("a", BAD), Died(&["a"], "/claim/")];
        let killed = Died(&["a"], "/alone/");
        let both = [
            Landed("a", ONE),
            Landed("b", TWO),
            Died(&["a", "b"], "/plan/"),
        ];
        let examples: &[(&[_], &[_], &str, &[&str])] = &[
            // The first attempt has no note: nobody was killed before it.
            (&claimed[..1], &["a"], "Committed 1", &[]),
            (&claimed, &["a"], "Committed 1", &["alone/a/0000"]),
            (
                &[claimed[0], claimed[1], killed],
                &["a"],
                "Committed 1",
                &["alone/a/0000", "alone/a/0001"],
            ),
            // The note counts only as long as it is not committed.
            (
                &[claimed[0], claimed[1], killed, killed],
                &["a"],
                "Committed 1",
                &["alone/a/0000", "alone/a/0001", "alone/a/0002", "failed/a"],
            ),
            // It was not killed, but ended.
            (
                &refused,
                &["a"],
                "Unreadable",
                &["alone/a/0000", "alone/a/0000-ended", "failed/a"],
            ),
            // Nobody knows which of several objects killed an invocation.
            (&both, &["a"], "Committed 1, also Committed 2", &[]),
        ];
        for (was, objects, answer, notes) in examples {
            let told = attempts(was, objects);
            assert_eq!(
                (&*told.0, &*told.1),
                (*answer, &owned(notes)[..]),
                "{was:?}"
            );
        }
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }
}
