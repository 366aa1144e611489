//! Metrics in CloudWatch's embedded metric format: log lines that CloudWatch turns into metrics, with no call to it.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! The document is written as plain structs: the crates for it go through a global recorder of counters that is
//! flushed later, while here all values of an invocation are known at its end, in one place.

use std::{
    io::{self, Write},
    time::Duration,
};

use jiff::Timestamp;
use lakewright_jobs::report::{ObjectReport, Status};
use serde::Serialize;

/// The namespace of every metric.
pub const NAMESPACE: &str = "Lakewright";

/// The only dimension: the job's name in the configuration.
const DIMENSION: &str = "Job";

/// The most values of one metric in one document.
const MAX_VALUES: usize = 100;

/// What became of one object, for the metrics.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a> {
    /// The report, where the object did not fail.
    pub report: Option<&'a ObjectReport>,
    /// How long it took.
    pub duration: Duration,
}

/// Writes the metrics of one job's objects in one invocation, as lines.
///
/// # Errors
/// When the writer fails.
pub fn write(
    out: &mut impl Write,
    now: Timestamp,
    job: &str,
    request_id: &str,
    objects: &[Measured<'_>],
) -> io::Result<()> {
    for objects in objects.chunks(MAX_VALUES) {
        let document = Document {
            aws: Metadata {
                timestamp: now.as_millisecond(),
                directives: [Directive {
                    namespace: NAMESPACE,
                    dimensions: [[DIMENSION]],
                    metrics: METRICS,
                }],
            },
            job,
            request_id,
            values: Values::of(objects),
        };
        let mut line = serde_json::to_vec(&document)?;
        line.push(b'\n');
        out.write_all(&line)?;
    }
    out.flush()
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "_aws")]
    aws: Metadata,
    #[serde(rename = "Job")]
    job: &'a str,
    request_id: &'a str,
    #[serde(flatten)]
    values: Values,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    timestamp: i64,
    #[serde(rename = "CloudWatchMetrics")]
    directives: [Directive; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: [Metric; 8],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: &'static str,
    unit: &'static str,
}

const fn metric(name: &'static str, unit: &'static str) -> Metric {
    Metric { name, unit }
}

const METRICS: [Metric; 8] = [
    metric("ObjectsCommitted", "Count"),
    metric("ObjectsDuplicate", "Count"),
    metric("ObjectsFailed", "Count"),
    metric("RowsIn", "Count"),
    metric("RowsOut", "Count"),
    metric("RowsQuarantined", "Count"),
    metric("BytesOut", "Bytes"),
    metric("DurationMs", "Milliseconds"),
];

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Values {
    objects_committed: u64,
    objects_duplicate: u64,
    objects_failed: u64,
    rows_in: u64,
    rows_out: u64,
    rows_quarantined: u64,
    bytes_out: u64,
    duration_ms: Vec<u128>,
}

impl Values {
    fn of(objects: &[Measured<'_>]) -> Self {
        let mut values = Self::default();
        for object in objects {
            values.duration_ms.push(object.duration.as_millis());
            let Some(report) = object.report else {
                values.objects_failed += 1;
                continue;
            };
            match report.status {
                // A duplicate repeats the counts of the commit, which were counted then.
                Status::Duplicate => values.objects_duplicate += 1,
                Status::Committed => {
                    values.objects_committed += 1;
                    values.rows_in += report.rows_in;
                    values.rows_out += report.rows_out;
                    values.rows_quarantined += report.rows_quarantined;
                    values.bytes_out += bytes_out(report);
                }
                Status::Superseded | Status::Gone | Status::Ignored => {}
            }
        }
        values
    }
}

/// The size of what was written for an object.
pub fn bytes_out(report: &ObjectReport) -> u64 {
    report.outputs.iter().map(|output| output.bytes).sum()
}

#[cfg(test)]
mod tests {
    use lakewright_core::location::Location;
    use lakewright_jobs::report::OutputReport;
    use serde_json::{Value, json};

    use super::*;

    fn lines(objects: &[Measured<'_>]) -> Vec<Value> {
        let mut out = Vec::new();
        let now = Timestamp::from_millisecond(1_777_640_832_345).unwrap();
        write(&mut out, now, "flights", "r-1", objects).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn the_document_of_an_invocation() {
        let output = OutputReport {
            key: "k".to_owned(),
            rows: 9,
            bytes: 700,
        };
        let committed = ObjectReport {
            rows_in: 10,
            rows_out: 9,
            rows_quarantined: 1,
            outputs: vec![output],
            ..ObjectReport::without_rows(Location::new("b", "a"), Status::Committed)
        };
        let duplicate = ObjectReport {
            status: Status::Duplicate,
            ..committed.clone()
        };
        let measured = |report, millis| Measured {
            report,
            duration: Duration::from_millis(millis),
        };
        let found = lines(&[
            measured(Some(&committed), 40),
            measured(Some(&duplicate), 5),
            measured(None, 7),
        ]);
        let metric = |name: &str, unit: &str| json!({"Name": name, "Unit": unit});
        let expected = json!({
            "_aws": {
                "Timestamp": 1_777_640_832_345_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "Lakewright",
                    "Dimensions": [["Job"]],
                    "Metrics": [
                        metric("ObjectsCommitted", "Count"),
                        metric("ObjectsDuplicate", "Count"),
                        metric("ObjectsFailed", "Count"),
                        metric("RowsIn", "Count"),
                        metric("RowsOut", "Count"),
                        metric("RowsQuarantined", "Count"),
                        metric("BytesOut", "Bytes"),
                        metric("DurationMs", "Milliseconds"),
                    ],
                }],
            },
            "Job": "flights",
            "request_id": "r-1",
            "ObjectsCommitted": 1,
            "ObjectsDuplicate": 1,
            "ObjectsFailed": 1,
            "RowsIn": 10,
            "RowsOut": 9,
            "RowsQuarantined": 1,
            "BytesOut": 700,
            "DurationMs": [40, 5, 7],
        });
        assert_eq!(found, [expected]);
    }

    #[test]
    fn a_document_holds_no_more_values_than_the_format_allows() {
        let failed = Measured {
            report: None,
            duration: Duration::ZERO,
        };
        let found = lines(&vec![failed; 201]);
        let sizes: Vec<_> = found
            .iter()
            .map(|line| line["ObjectsFailed"].as_u64())
            .collect();
        assert_eq!(sizes, [Some(100), Some(100), Some(1)]);
    }
}
