//! Values of records in messages.
//!
//! Errors end up in logs, answers and executions of state machines, which more people read than the data and which are
//! kept longer. So a message only says how long a value is, and leaves out what may be one in the words of a library,
//! unless [`show_values`] allows the whole value. In the quarantine, beside the record itself, messages are always
//! [`in_full`].

use std::{
    cell::Cell,
    fmt::{self, Display, Formatter},
    sync::atomic::{AtomicBool, Ordering},
};

static SHOWN: AtomicBool = AtomicBool::new(false);

thread_local! {
    static IN_FULL: Cell<bool> = const { Cell::new(false) };
}

/// Sets whether the messages of this process contain values of records. It is called once, at the start.
pub fn show_values(shown: bool) {
    SHOWN.store(shown, Ordering::Relaxed);
}

/// The message of an error with its values, whatever [`show_values`] is set to: for the quarantine, which contains the
/// record.
pub fn in_full(error: &impl Display) -> String {
    let before = IN_FULL.replace(true);
    let text = error.to_string();
    IN_FULL.set(before);
    text
}

fn is_shown() -> bool {
    SHOWN.load(Ordering::Relaxed) || IN_FULL.get()
}

/// A value of a record, as quoted in a message.
pub fn quoted(value: &str) -> impl Display + '_ {
    Quoted(value, "`")
}

/// A text that is or may be a value of a record: all of it is left out.
pub fn whole(said: &impl Display) -> impl Display + '_ {
    Whole(said)
}

/// A text that may quote values of a record: another library's message, or a panic's. Numbers, and what is in quotes,
/// are left out.
pub fn words(said: &impl Display) -> impl Display + '_ {
    Words(said)
}

/// The value in a record that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A value, or its start.
    Value(String),
    /// A kind of value, which is no secret.
    Kind(&'static str),
    /// A library's reason, which may quote the value.
    Reason(String),
}

impl Display for Found {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => Quoted(value, "").fmt(f),
            Self::Kind(kind) => f.write_str(kind),
            Self::Reason(reason) => Words(reason).fmt(f),
        }
    }
}

struct Quoted<'a>(&'a str, &'static str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_shown() {
            write!(f, "{quote}{}{quote}", self.0, quote = self.1)
        } else {
            write!(f, "a value of {} bytes", self.0.len())
        }
    }
}

struct Whole<'a, T>(&'a T);

impl<T: Display> Display for Whole<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_shown() {
            self.0.fmt(f)
        } else {
            f.write_str("words left out that may contain a value of a record: LAKEWRIGHT_SHOW_VALUES=true shows them")
        }
    }
}

struct Words<'a, T>(&'a T);

impl<T: Display> Display for Words<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_shown() {
            self.0.fmt(f)
        } else {
            f.write_str(&without_values(&self.0.to_string()))
        }
    }
}

/// A text with `…` for each number and for what is in quotes. A number is no part of a name, as in `Int64`.
fn without_values(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    // The character before the rest.
    let mut before = None;
    while let Some(next) = rest.chars().next() {
        let in_word = before.is_some_and(|c: char| c.is_alphanumeric() || c == '_');
        let length = match next {
            _ if in_word => 0,
            '"' | '\'' | '`' => quoted_length(rest, next),
            _ => number_length(rest),
        };
        if length > 0 {
            kept.push('…');
            before = None;
            rest = rest.get(length..).unwrap_or_default();
        } else {
            kept.push(next);
            before = Some(next);
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
        }
    }
    kept
}

/// The length of a quoted part, including its quotes. It ends at the last quote that no letter follows, because a value may
/// contain quotes; without such a quote, everything is quoted.
fn quoted_length(text: &str, quote: char) -> usize {
    let closing = text.char_indices().skip(1).filter(|(at, c)| {
        let after = text
            .get(at + c.len_utf8()..)
            .and_then(|text| text.chars().next());
        *c == quote && !after.is_some_and(char::is_alphanumeric)
    });
    closing
        .last()
        .map_or(text.len(), |(at, c)| at + c.len_utf8())
}

/// The length of the number that a text begins with, including what is attached to it.
fn number_length(text: &str) -> usize {
    let unsigned = text.trim_start_matches(['-', '+', '.']);
    if !unsigned.starts_with(|c: char| c.is_numeric()) {
        return 0;
    }
    let more = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '+' | ':' | '_' | '/');
    let end = unsigned.find(|c| !more(c)).unwrap_or(unsigned.len());
    let number = unsigned.get(..end).unwrap_or_default();
    text.len() - unsigned.len() + number.trim_end_matches(['.', ':']).len()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        json::RecordError, parquet_in::ReadError, repartition::RouteError, semantics::stated,
        split::RowProblem, time::TimeError,
    };

    const VALUE: &str = "Zürich 42";

    /// All messages that quote a value.
    fn messages() -> Vec<Box<dyn Display>> {
        let text = || VALUE.to_owned();
        let now = Timestamp::UNIX_EPOCH;
        vec![
            Box::new(TimeError::Unrecognised { text: text() }),
            Box::new(TimeError::OutOfRange { text: text() }),
            Box::new(TimeError::BeforeEarliest {
                text: text(),
                earliest: now,
            }),
            Box::new(TimeError::AfterLatest {
                text: text(),
                latest: now,
            }),
            Box::new(RecordError::Mismatch {
                column: "c".to_owned(),
                expected: "int".into(),
                found: Found::Value(text()),
            }),
            Box::new(ReadError::Value {
                column: "c".to_owned(),
                message: format!("Cannot cast string '{VALUE}' to Int64"),
            }),
            Box::new(RouteError::ValueTooLong {
                column: "c".to_owned(),
                length: 2_000,
                start: text(),
            }),
            Box::new(RouteError::PathTooLong {
                path: format!("c={VALUE}"),
                room: 9,
            }),
            Box::new(RowProblem::NotAnObject(format!("unexpected `{VALUE}`"))),
        ]
    }

    #[test]
    fn a_value_is_in_a_message_only_where_it_is_asked_for() {
        stated(
            "No message of an error and no line of a log has a value of a record, unless `LAKEWRIGHT_SHOW_VALUES` is `true`: it says how many bytes the value has.",
        );
        stated(
            "Names of columns, keys of objects and values of partitions are in messages, because they name what is to be looked at; so are the details in the quarantine, beside the record.",
        );
        for message in messages() {
            let text = message.to_string();
            assert!(!text.contains(VALUE), "{text}");
            let whole = in_full(&message);
            assert!(whole.contains(VALUE), "{whole}");
            assert_eq!(message.to_string(), text);
        }
        assert_eq!(quoted(VALUE).to_string(), "a value of 10 bytes");
        assert!(whole(&VALUE).to_string().contains("LAKEWRIGHT_SHOW_VALUES"));
        assert_eq!(Found::Kind("an array").to_string(), "an array");
    }

    #[test]
    fn what_a_library_says_is_kept_without_its_values() {
        stated(
            "Of what a library says, a message keeps the words, and leaves out numbers and what is in quotes.",
        );
        for (said, kept) in [
            (
                "Cast error: Cannot cast string 'Zürich 42' to value of Int64 type",
                "Cast error: Cannot cast string … to value of Int64 type",
            ),
            (
                "a time outside the years of four digits: -62135596800000000 in Timestamp(Microsecond, None)",
                "a time outside the years of four digits: … in Timestamp(Microsecond, None)",
            ),
            (
                "index out of bounds: the len is 3 but the index is 5",
                "index out of bounds: the len is … but the index is …",
            ),
            (
                "invalid type: string \"it's \"mine\"\", expected a map",
                "invalid type: string …, expected a map",
            ),
            (
                "it doesn't fit, and it's 7.5e3 or 2026-05-01T10:00:00Z.",
                "it doesn't fit, and it's … or ….",
            ),
            ("unexpected `Zürich 42", "unexpected …"),
            ("[1, -2, .5]", "[…, …, …]"),
            ("UTF8 in a column_2", "UTF8 in a column_2"),
            ("", ""),
        ] {
            assert_eq!(words(&said).to_string(), kept);
        }
    }
}
