//! An adaptive request rate: additive increase, multiplicative decrease.

use std::time::Duration;

/// How fast the rate recovers while it is fully used: requests per second, in each second, as a fraction of the ceiling.
/// From the lowest rate to the ceiling takes five seconds.
const RECOVERY: f64 = 0.2;

/// The lowest rate, as a fraction of the ceiling.
const FLOOR: f64 = 0.001;

/// Shorter waits are not worth a timer; they accumulate until they are long enough.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// How late a slot may be taken: timers wake up to a millisecond after the instant that they were set to.
const LATENESS: Duration = Duration::from_millis(2);

/// Spaces out requests. Times are durations since one common start.
#[derive(Debug)]
pub(super) struct Pacer {
    ceiling: f64,
    rate: f64,
    next: Duration,
    reduced_at: Option<Duration>,
}

impl Pacer {
    /// Starts at the ceiling, in requests per second.
    pub(super) fn new(ceiling: f64) -> Self {
        Self {
            ceiling,
            rate: ceiling,
            next: Duration::ZERO,
            reduced_at: None,
        }
    }

    /// Takes the next slot and returns the time until it.
    pub(super) fn reserve(&mut self, now: Duration) -> Duration {
        let slot = self.next.max(now.saturating_sub(LATENESS));
        self.next = slot + Duration::from_secs_f64(1.0 / self.rate);
        let wait = slot.saturating_sub(now);
        if wait < SHORTEST_WAIT {
            Duration::ZERO
        } else {
            wait
        }
    }

    /// A request that was sent at `sent` was throttled. Requests that were already in flight when the rate was last
    /// halved do not depend on the new rate, so they do not halve it again.
    pub(super) fn refused(&mut self, sent: Duration, now: Duration) {
        if self.reduced_at.is_none_or(|reduced| sent > reduced) {
            self.rate = (self.rate / 2.0).max(self.ceiling * FLOOR);
            self.reduced_at = Some(now);
        }
    }

    /// A request was answered, with whatever result: a rate that is fully used grows by [`RECOVERY`] of the ceiling per
    /// second.
    pub(super) fn answered(&mut self) {
        self.rate = (self.rate + self.ceiling * RECOVERY / self.rate).min(self.ceiling);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The number of slots within the second that begins at `now`.
    fn slots(pacer: &mut Pacer, now: Duration) -> u32 {
        let mut count = 0;
        while pacer.reserve(now) < SECOND {
            count += 1;
        }
        count
    }

    #[test]
    fn a_refusal_halves_the_rate_once_for_all_that_was_under_way() {
        let mut pacer = Pacer::new(1000.0);
        let mut now = SECOND;
        assert_eq!(slots(&mut pacer, now), 1002);
        for sent in [900, 950, 999] {
            pacer.refused(Duration::from_millis(sent), now);
        }
        now += 3 * SECOND;
        assert_eq!(slots(&mut pacer, now), 501);
        pacer.refused(2 * SECOND, now);
        now += 3 * SECOND;
        assert_eq!(slots(&mut pacer, now), 251);
    }

    #[test]
    fn answers_add_back_gradually_and_never_past_the_ceiling() {
        let mut pacer = Pacer::new(1000.0);
        pacer.refused(Duration::ZERO, Duration::ZERO);
        for _ in 0..500 {
            pacer.answered();
        }
        let after_a_second = slots(&mut pacer, SECOND);
        assert!((670..=690).contains(&after_a_second), "{after_a_second}");
        for _ in 0..100_000 {
            pacer.answered();
        }
        assert_eq!(slots(&mut pacer, 10 * SECOND), 1002);
    }

    #[test]
    fn refusals_never_stop_the_requests() {
        let mut pacer = Pacer::new(1000.0);
        for second in 1..100 {
            pacer.refused(second * SECOND, second * SECOND);
        }
        assert_eq!(slots(&mut pacer, 200 * SECOND), 2);
    }
}
