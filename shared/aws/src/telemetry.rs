//! Logs: one JSON object per line on standard output, which Lambda sends to CloudWatch Logs.

use std::panic::PanicHookInfo;

use lakewright_core::shown::words;
use tracing::Subscriber;
use tracing_subscriber::{
    Layer, filter::Targets, fmt::MakeWriter, layer::SubscriberExt, registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::invocation::panic_message;

/// Sends all log events to standard output.
///
/// An event's fields are at the top level, next to `timestamp`, `level`, `target` and `message`; those of the innermost
/// span are under `span`.
pub fn init(log: &Targets) {
    let lines = json_lines(std::io::stdout).with_filter(log.clone());
    tracing_subscriber::registry().with(lines).init();
    std::panic::set_hook(Box::new(log_panic));
}

/// Logs a panic as JSON instead of the default plain text.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    // The message may quote values of records.
    let reason = words(&panic_message(panic.payload())).to_string();
    tracing::error!(place, reason, "panic");
}

fn json_lines<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(writer)
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_flat_object() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::registry().with(json_lines(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("object", source = "s3://b/k");
            let _entered = span.enter();
            tracing::info!(request_id = "r-1", rows_in = 3, "line\nbreak");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "line\nbreak");
        assert_eq!(
            (&line["request_id"], &line["rows_in"]),
            (&json!("r-1"), &json!(3))
        );
        assert_eq!(line["span"]["source"], "s3://b/k");
        assert!(line["timestamp"].is_string() && line["level"] == "INFO");
    }
}
