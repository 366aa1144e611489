//! The metrics of one answer, one line in CloudWatch's embedded metric format.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::metrics::NAMESPACE;

/// What is counted of a report: the report's field, the metric's name and its unit.
type Metric = (&'static str, &'static str, &'static str);

const OF_PLAN: &[Metric] = &[
    ("partitions_planned", "PartitionsPlanned", "Count"),
    ("partitions_unseen", "PartitionsUnseen", "Count"),
    ("partitions_refused", "PartitionsRefused", "Count"),
];

const OF_MERGE: &[Metric] = &[
    ("files", "FilesMerged", "Count"),
    ("rows", "RowsMerged", "Count"),
    ("bytes", "BytesMerged", "Bytes"),
];

/// Writes the metrics of a report, if there is anything to count in it.
pub(super) fn write(
    out: &mut impl Write,
    now: Timestamp,
    request_id: &str,
    report: &Value,
) -> io::Result<()> {
    let text = |field: &str| report.get(field).and_then(Value::as_str);
    let counted = match (text("status"), text("step")) {
        (Some("merged"), _) => OF_MERGE,
        (Some("done"), Some("publish" | "sweep")) => &[("files", "FilesCarried", "Count")],
        (Some("done"), Some("delete" | "abandon")) => &[("files", "FilesDeleted", "Count")],
        (None, None) if report.get("partitions_planned").is_some() => OF_PLAN,
        _ => return Ok(()),
    };
    let metrics = counted
        .iter()
        .map(|(_, name, unit)| json!({"Name": name, "Unit": unit}));
    let mut line = json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["Job"]],
                "Metrics": metrics.collect::<Vec<_>>(),
            }],
        },
        "Job": report["table"],
        "request_id": request_id,
    });
    for (field, name, _) in counted {
        line[name] = report[field].clone();
    }
    writeln!(out, "{line}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_an_answer() {
        for (report, name, value) in [
            (
                json!({"table": "a.b", "status": "merged", "files": 3, "rows": 7, "bytes": 9}),
                "RowsMerged",
                json!(7),
            ),
            (
                json!({"table": "a.b", "status": "done", "step": "sweep", "files": 2}),
                "FilesCarried",
                json!(2),
            ),
            (
                json!({"table": "a.b", "status": "done", "step": "delete", "files": 5}),
                "FilesDeleted",
                json!(5),
            ),
            (
                json!({"table": "a.b", "partitions_planned": 1, "partitions_unseen": 0, "partitions_refused": 4}),
                "PartitionsRefused",
                json!(4),
            ),
        ] {
            let mut out = Vec::new();
            write(&mut out, Timestamp::UNIX_EPOCH, "r-1", &report).unwrap();
            let line: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(line["Job"], json!("a.b"));
            assert_eq!(line[name], value, "{name}");
            let metrics = &line["_aws"]["CloudWatchMetrics"][0]["Metrics"];
            for metric in metrics.as_array().unwrap() {
                let name = metric["Name"].as_str().unwrap();
                assert!(line[name].is_number(), "{name}");
            }
        }
    }

    #[test]
    fn nothing_is_counted_twice() {
        for report in [
            json!({"table": "a.b", "status": "duplicate", "files": 3, "rows": 7, "bytes": 9}),
            json!({"table": "a.b", "status": "waiting", "step": "sweep", "files": 0}),
            json!({"table": "a.b", "counts": {}}),
        ] {
            let mut out = Vec::new();
            write(&mut out, Timestamp::UNIX_EPOCH, "r-1", &report).unwrap();
            assert!(out.is_empty());
        }
    }
}
