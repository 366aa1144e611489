use std::fmt;

use jiff::Timestamp;
use lakewright_ports::Clock;

use super::{JobError, Stage};

/// Lambda's longest timeout. <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const LONGEST_TIMEOUT: u64 = 900;

/// Work that was not finished when an invocation's time ran out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unfinished<'a> {
    /// When it was begun.
    pub(crate) begun: Timestamp,
    /// How many items were done.
    pub(crate) done: u64,
    /// How many items there are; 0 if unknown.
    pub(crate) all: u64,
    /// What the items are, such as `files`.
    pub(crate) of: &'a str,
    /// How many attempts, including this one, came no further.
    pub(crate) tries: u32,
    /// What to change if the time that it needs exceeds Lambda's longest timeout.
    pub(crate) instead: &'a str,
}

impl Unfinished<'_> {
    /// The error: the work does not fit one invocation, and how much time it needs.
    pub(crate) fn too_short(&self, clock: &dyn Clock, stage: Stage) -> JobError {
        let took = clock.now().duration_since(self.begun).as_secs();
        let took = u64::try_from(took).unwrap_or_default().max(1);
        JobError::timeout_too_short(Told { work: self, took }).during(stage)
    }
}

struct Told<'a> {
    work: &'a Unfinished<'a>,
    took: u64,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { work, took } = self;
        let Unfinished {
            done,
            all,
            of,
            tries,
            instead,
            ..
        } = work;
        write!(f, "at try {tries}, {done} ")?;
        if *done < *all {
            write!(f, "of {all} ")?;
        }
        write!(f, "{of} were done in {took} s, so ")?;
        let takes = if *done > 0 && done < all {
            let takes = took.saturating_mul(*all) / done;
            write!(f, "all of it takes about {takes} s")?;
            takes
        } else {
            write!(f, "it takes more than {took} s")?;
            *took
        };
        if takes < LONGEST_TIMEOUT {
            write!(
                f,
                ": raise the function's timeout above {takes} s, or its memory, which also adds CPU"
            )?;
        } else {
            write!(
                f,
                ", longer than a function may run: raise its memory, which also adds CPU"
            )?;
        }
        write!(f, ", or {instead}")
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use std::time::Duration;

    use super::*;

    /// A clock that is stopped at this second.
    struct At(i64);

    #[async_trait]
    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0).unwrap()
        }

        async fn sleep(&self, _: Duration) {}
    }

    #[test]
    fn it_says_what_it_would_take_and_after_how_many_tries() {
        for (seconds, done, all, says) in [
            (
                10,
                200,
                1_000,
                "200 of 1000 bytes were done in 10 s, so all of it takes about 50 s: raise the function's timeout above 50 s, or its memory, which also adds CPU, or x",
            ),
            (
                10,
                1,
                1_000,
                "1 of 1000 bytes were done in 10 s, so all of it takes about 10000 s, longer than a function may run: raise its memory, which also adds CPU, or x",
            ),
            (
                10,
                0,
                1_000,
                "0 of 1000 bytes were done in 10 s, so it takes more than 10 s: raise the function's timeout above 10 s, or its memory, which also adds CPU, or x",
            ),
            (
                10,
                7,
                0,
                "7 bytes were done in 10 s, so it takes more than 10 s: raise the function's timeout above 10 s, or its memory, which also adds CPU, or x",
            ),
            (
                899,
                0,
                0,
                "0 bytes were done in 899 s, so it takes more than 899 s: raise the function's timeout above 899 s, or its memory, which also adds CPU, or x",
            ),
            (
                0,
                0,
                0,
                "0 bytes were done in 1 s, so it takes more than 1 s: raise the function's timeout above 1 s, or its memory, which also adds CPU, or x",
            ),
        ] {
            let work = Unfinished {
                begun: Timestamp::UNIX_EPOCH,
                done,
                all,
                of: "bytes",
                tries: 2,
                instead: "x",
            };
            let error = work.too_short(&At(seconds), Stage::Read);
            assert_eq!(error.name(), "TimeoutTooShort");
            let text = error.to_string();
            assert!(text.contains(&format!("at try 2, {says}. ")), "{text}");
        }
    }
}
