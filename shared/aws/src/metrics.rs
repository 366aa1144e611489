//! Metrics in CloudWatch's embedded metric format: CloudWatch extracts them from log lines, without an API call.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! The documents are built here, because the crates for the format use a global recorder of counters that is flushed
//! later. Here all values of an invocation are known in one place when it ends.

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The most values of one metric in one document.
pub(crate) const MAX_VALUES: usize = 100;

/// A metric's name and unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metric {
    name: &'static str,
    unit: &'static str,
}

impl Metric {
    pub(crate) const fn count(name: &'static str) -> Self {
        let unit = "Count";
        Self { name, unit }
    }

    pub(crate) const fn bytes(name: &'static str) -> Self {
        let unit = "Bytes";
        Self { name, unit }
    }

    pub(crate) const fn milliseconds(name: &'static str) -> Self {
        let unit = "Milliseconds";
        Self { name, unit }
    }

    pub(crate) const fn seconds(name: &'static str) -> Self {
        let unit = "Seconds";
        Self { name, unit }
    }
}

/// The metrics of one log line, all with the same dimensions.
#[derive(Debug, PartialEq)]
pub(crate) struct Metrics<'a> {
    /// The value of the dimension `Job`.
    pub(crate) job: &'a str,
    /// A second dimension and its value.
    pub(crate) by: Option<(&'static str, Value)>,
    /// Each metric with its number, or with a list of at most [`MAX_VALUES`] numbers.
    pub(crate) values: Vec<(Metric, Value)>,
}

/// Writes one line for each of `metrics`, which are in `namespace`.
///
/// # Errors
/// The writer fails.
pub(crate) fn write(
    out: &mut impl Write,
    namespace: &str,
    now: Timestamp,
    request_id: &str,
    metrics: &[Metrics<'_>],
) -> io::Result<()> {
    for metrics in metrics {
        writeln!(out, "{}", document(namespace, now, request_id, metrics))?;
    }
    out.flush()
}

fn document(namespace: &str, now: Timestamp, request_id: &str, metrics: &Metrics<'_>) -> Value {
    let dimensions: Vec<_> = ["Job"]
        .into_iter()
        .chain(metrics.by.as_ref().map(|(name, _)| *name))
        .collect();
    let declared: Vec<_> = metrics
        .values
        .iter()
        .map(|(metric, _)| json!({"Name": metric.name, "Unit": metric.unit}))
        .collect();
    let mut document = Map::new();
    document.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": namespace,
                "Dimensions": [dimensions],
                "Metrics": declared,
            }],
        }),
    );
    document.insert("Job".to_owned(), json!(metrics.job));
    document.insert("request_id".to_owned(), json!(request_id));
    if let Some((name, value)) = &metrics.by {
        document.insert((*name).to_owned(), value.clone());
    }
    for (metric, value) in &metrics.values {
        document.insert(metric.name.to_owned(), value.clone());
    }
    document.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_some_metrics() {
        let metrics = [Metrics {
            job: "flights",
            by: Some(("Age", json!("hour"))),
            values: vec![
                (Metric::count("RowsByAge"), json!(8)),
                (Metric::milliseconds("DurationMs"), json!([40, 5])),
            ],
        }];
        let now = Timestamp::from_millisecond(1_777_640_832_345).unwrap();
        let mut out = Vec::new();
        write(&mut out, "Lakewright/dev", now, "r-1", &metrics).unwrap();
        let expected = json!({
            "_aws": {
                "Timestamp": 1_777_640_832_345_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "Lakewright/dev",
                    "Dimensions": [["Job", "Age"]],
                    "Metrics": [
                        {"Name": "RowsByAge", "Unit": "Count"},
                        {"Name": "DurationMs", "Unit": "Milliseconds"},
                    ],
                }],
            },
            "Job": "flights",
            "request_id": "r-1",
            "Age": "hour",
            "RowsByAge": 8,
            "DurationMs": [40, 5],
        });
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines, [expected]);
    }
}
