//! Has SQS deliver a message again after seconds if its failure passes, in place of the queue's timeout, which is long enough for
//! a whole invocation and its retries.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use lakewright_jobs::{ErrorKind, again_after};
use lakewright_ports::{Clock, Hidden, Received};
use serde_json::Value;
use tracing::{info, warn};

use crate::{handler::seed, invocation::until, trigger::receives};

/// The most concurrent calls.
const CONCURRENT: usize = 8;

/// Hides the messages of a payload that failed and whose failures pass, until `stop`. `failed`: the message's id, and the name of
/// a failure in it. Where it does not succeed, left to the queue's own timeout.
pub(crate) async fn deliver_again<'a>(
    queues: &dyn Received,
    (clock, stop): (&dyn Clock, Timestamp),
    request_id: &str,
    payload: &Value,
    failed: impl IntoIterator<Item = (Option<&'a str>, &'static str)>,
) {
    let now = clock.now();
    let soon = soon(payload, failed, seed(now));
    let calls = soon.iter().map(|(queue, messages)| async move {
        (queue, messages, queues.hide(queue, messages).await)
    });
    let calls = calls.collect::<Vec<_>>();
    let mut answers = stream::iter(calls).buffer_unordered(CONCURRENT);
    let mut is_over = clock.sleep(until(stop, now));
    loop {
        let answer = tokio::select! {
            biased;
            answer = answers.next() => answer,
            () = &mut is_over => return,
        };
        match answer {
            None => return,
            Some((queue, messages, Ok(0))) => {
                let seconds = messages.iter().map(|message| message.wait.as_secs()).max();
                info!(
                    request_id,
                    queue,
                    messages = messages.len(),
                    seconds,
                    "delivered again soon"
                );
            }
            Some((queue, _, Ok(rejected))) => {
                warn!(
                    request_id,
                    queue, rejected, "left to the queue's own timeout"
                );
            }
            Some((queue, _, Err(error))) => {
                warn!(request_id, queue, %error, "left to the queue's own timeout");
            }
        }
    }
}

/// Which messages are delivered again soon, by their queue: those of which every failure passes.
fn soon<'a>(
    payload: &Value,
    failed: impl IntoIterator<Item = (Option<&'a str>, &'static str)>,
    seed: u64,
) -> BTreeMap<String, Vec<Hidden>> {
    let mut kinds: BTreeMap<&str, BTreeSet<Option<ErrorKind>>> = BTreeMap::new();
    for (id, name) in failed {
        if let Some(id) = id {
            kinds.entry(id).or_default().insert(ErrorKind::named(name));
        }
    }
    let records = payload.get("Records").unwrap_or(payload).as_array();
    let mut soon = BTreeMap::<_, Vec<_>>::new();
    for (number, record) in (0_u64..).zip(records.into_iter().flatten()) {
        let text = |name: &str| record.get(name).and_then(Value::as_str);
        let (Some(id), Some(receipt), Some(queue)) = (
            text("messageId"),
            text("receiptHandle"),
            text("eventSourceARN"),
        ) else {
            continue;
        };
        let waits = kinds
            .get(id)
            .into_iter()
            .flatten()
            .map(|kind| again_after((*kind)?, receives(record), seed.wrapping_add(number)));
        let waits = waits.collect::<Option<Vec<_>>>();
        if let Some(wait) = waits.into_iter().flatten().max() {
            let message = Hidden {
                receipt: receipt.to_owned(),
                wait,
            };
            soon.entry(queue.to_owned()).or_default().push(message);
        }
    }
    soon
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_whose_every_failure_passes_come_again_soon() {
        let record = |id: &str, receives: &str| {
            json!({
                "messageId": id,
                "receiptHandle": format!("handle of {id}"),
                "eventSource": "aws:sqs",
                "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:{}", &id[..1]),
                "attributes": {"ApproximateReceiveCount": receives},
            })
        };
        let records = [
            record("a-throttled", "1"),
            record("a-late", "3"),
            record("a-refused", "1"),
            record("a-both", "1"),
            record("a-often", "4"),
            record("a-good", "1"),
            record("b-throttled", "1"),
            json!({"messageId": "a-handleless"}),
        ];
        let failed = [
            ("a-throttled", "StoreFailed"),
            ("a-throttled", "CatalogFailed"),
            ("a-late", "Deadline"),
            ("a-refused", "RecordRefused"),
            ("a-both", "StoreFailed"),
            ("a-both", "Panicked"),
            ("a-often", "StoreFailed"),
            ("b-throttled", "StoreFailed"),
            ("a-handleless", "StoreFailed"),
        ];
        let failed = failed.map(|(id, name)| (Some(id), name));
        for payload in [json!({"Records": records}), json!(records)] {
            let found = soon(&payload, failed, 7);
            let found = found.iter().map(|(queue, messages)| {
                let waits = messages
                    .iter()
                    .map(|message| (&*message.receipt, message.wait.as_secs() / 60));
                (queue.rsplit(':').next().unwrap(), waits.collect::<Vec<_>>())
            });
            let expected = [
                ("a", vec![("handle of a-throttled", 0)]),
                ("b", vec![("handle of b-throttled", 0)]),
            ];
            let mut found = found.collect::<Vec<_>>();
            let late = found[0].1.pop().unwrap();
            assert_eq!(late.0, "handle of a-late");
            assert!((5..=10).contains(&late.1), "{late:?}");
            assert_eq!(found, expected);
        }
    }
}
