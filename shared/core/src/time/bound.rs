//! `earliest` and `latest`: a time, or an offset from now.

use jiff::{Span, Timestamp, tz::TimeZone};

use super::{RuleError, TimestampReader};

/// A bound of the plausible times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) at: Timestamp,
    /// Whether it is relative to the time of the run.
    pub(super) relative: bool,
}

impl Bound {
    /// Parses the setting `key`; `reader` parses absolute times.
    pub(super) fn parse(
        key: &'static str,
        text: &str,
        now: Timestamp,
        reader: &TimestampReader,
    ) -> Result<Self, RuleError> {
        let error = |reason: String| RuleError::Bound {
            key,
            text: text.to_owned(),
            reason,
        };
        let trimmed = text.trim();
        let Some(offset) = trimmed.strip_prefix("now") else {
            let at = reader
                .read_text(trimmed)
                .map_err(|problem| error(problem.to_string()))?;
            return Ok(Self {
                at,
                relative: false,
            });
        };
        let offset = offset.trim_start();
        let (negative, span) = match offset.strip_prefix('-') {
            Some(span) => (true, span),
            None => (false, offset.strip_prefix('+').unwrap_or(offset)),
        };
        if span.len() == offset.len() && !offset.is_empty() {
            return Err(error("`now` is followed by + or -".to_owned()));
        }
        let span: Span = if offset.is_empty() {
            Span::new()
        } else {
            span.trim_start()
                .parse()
                .map_err(|problem: jiff::Error| error(problem.to_string()))?
        };
        let now = now.to_zoned(TimeZone::UTC);
        let at = if negative {
            now.checked_sub(span)
        } else {
            now.checked_add(span)
        }
        .map_err(|problem| error(problem.to_string()))?;
        Ok(Self {
            at: at.timestamp(),
            relative: true,
        })
    }
}
