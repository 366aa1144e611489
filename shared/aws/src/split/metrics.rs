//! The metrics of chunks, one line for each job of an invocation, in CloudWatch's embedded metric format.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use jiff::Timestamp;
use lakewright_jobs::split::{ChunkReport, ChunkStatus};
use serde_json::{Value, json};

use crate::metrics::NAMESPACE;

/// The metrics and their units.
const METRICS: [(&str, &str); 7] = [
    ("ChunksDone", "Count"),
    ("ChunksFailed", "Count"),
    ("RowsDone", "Count"),
    ("ObjectsWritten", "Count"),
    ("ObjectsStood", "Count"),
    ("BytesOut", "Bytes"),
    ("DurationMs", "Milliseconds"),
];

/// Writes the metrics of an invocation's chunks. `errors`: how many messages of it have no report, whose job is not
/// known.
pub(super) fn write(
    out: &mut impl Write,
    now: Timestamp,
    request_id: &str,
    reports: &[(ChunkReport, Duration)],
    errors: usize,
) -> io::Result<()> {
    let mut by_job: BTreeMap<&str, Vec<&(ChunkReport, Duration)>> = BTreeMap::new();
    for report in reports {
        by_job.entry(&report.0.name).or_default().push(report);
    }
    for (job, chunks) in by_job {
        let document = document(now, job, request_id, &chunks, errors);
        writeln!(out, "{document}")?;
    }
    out.flush()
}

fn document(
    now: Timestamp,
    job: &str,
    request_id: &str,
    chunks: &[&(ChunkReport, Duration)],
    errors: usize,
) -> Value {
    let count = |status: ChunkStatus| {
        chunks
            .iter()
            .filter(|(chunk, _)| chunk.status == status)
            .count()
    };
    let sum =
        |value: fn(&ChunkReport) -> u64| chunks.iter().map(|(chunk, _)| value(chunk)).sum::<u64>();
    // A duplicate repeats the rows that were counted when they were written.
    let done = |chunk: &ChunkReport| match chunk.status {
        ChunkStatus::Done => chunk.rows,
        _ => 0,
    };
    let durations: Vec<u64> = chunks
        .iter()
        .map(|(_, duration)| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
        .collect();
    let metrics = METRICS.map(|(name, unit)| json!({"Name": name, "Unit": unit}));
    json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["Job"]],
                "Metrics": metrics,
            }],
        },
        "Job": job,
        "request_id": request_id,
        "errors": errors,
        "ChunksDone": count(ChunkStatus::Done),
        "ChunksFailed": count(ChunkStatus::Failed),
        "RowsDone": sum(done),
        "ObjectsWritten": sum(|chunk| chunk.written),
        "ObjectsStood": sum(|chunk| chunk.stood),
        "BytesOut": sum(|chunk| chunk.bytes),
        "DurationMs": durations,
    })
}

#[cfg(test)]
mod tests {
    use lakewright_jobs::split::State;

    use super::*;

    #[test]
    fn the_line_of_an_invocation() {
        let chunk = |status, rows, written| ChunkReport {
            job: "split".to_owned(),
            name: "users".to_owned(),
            id: "q".to_owned(),
            chunk: 0,
            status,
            rows,
            written,
            stood: 1,
            bytes: 10,
            failure: None,
            state: State::Running,
        };
        let reports = [
            (chunk(ChunkStatus::Done, 5, 4), Duration::from_millis(7)),
            (
                chunk(ChunkStatus::Duplicate, 5, 0),
                Duration::from_millis(1),
            ),
        ];
        let mut out = Vec::new();
        write(&mut out, Timestamp::UNIX_EPOCH, "r-1", &reports, 2).unwrap();
        let line: Value = serde_json::from_slice(&out).unwrap();
        for (name, value) in [
            ("Job", json!("users")),
            ("errors", json!(2)),
            ("ChunksDone", json!(1)),
            ("ChunksFailed", json!(0)),
            ("RowsDone", json!(5)),
            ("ObjectsWritten", json!(4)),
            ("ObjectsStood", json!(2)),
            ("BytesOut", json!(20)),
            ("DurationMs", json!([7, 1])),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(
            directive["Metrics"].as_array().unwrap().len(),
            METRICS.len()
        );
        for (name, _) in METRICS {
            assert!(!line[name].is_null(), "{name}");
        }
    }
}
