//! Values of records in messages.
//!
//! Errors end up in logs, answers and executions of state machines, which more people read than the data and which are
//! kept longer. So a message only says how long a value is, unless [`show_values`] allows the whole value. In the
//! quarantine, beside the record itself, messages are always [`in_full`].

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
    Quoted(value)
}

/// A text that may quote a value of a record: another library's message, or a panic's.
pub fn words(said: &impl Display) -> impl Display + '_ {
    Words(said)
}

struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_shown() {
            write!(f, "`{}`", self.0)
        } else {
            write!(f, "a value of {} bytes", self.0.len())
        }
    }
}

struct Words<'a, T>(&'a T);

impl<T: Display> Display for Words<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_shown() {
            self.0.fmt(f)
        } else {
            f.write_str("words left out, which may hold a value of a record: LAKEWRIGHT_SHOW_VALUES=true shows them")
        }
    }
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
                expected: "an integer",
                found: text(),
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
        assert!(words(&VALUE).to_string().contains("LAKEWRIGHT_SHOW_VALUES"));
    }
}
