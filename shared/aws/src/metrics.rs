//! Metrics in CloudWatch's embedded metric format: log lines that CloudWatch turns into metrics, with no call to it.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! The documents are made here: the crates for it go through a global recorder of counters that is
//! flushed later, while here all values of an invocation are known at its end, in one place.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use jiff::Timestamp;
use lakewright_jobs::report::{ObjectReport, Status};
use serde::Serialize;
use serde_json::{Value, json};

/// The namespace of every metric.
pub const NAMESPACE: &str = "Lakewright";

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

/// Writes the metrics of one job's objects in one invocation, as lines: one for the job, and one for each age that its
/// rows had and each reason for which some were quarantined.
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
    let base = json!({"Job": job, "request_id": request_id});
    let mut line = |dimensions: &[&str], metrics: &[Metric], values: &[Value]| {
        let mut document = base.clone();
        document["_aws"] = json!({
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics}],
        });
        for value in values {
            if let (Some(document), Some(value)) = (document.as_object_mut(), value.as_object()) {
                document.extend(value.clone());
            }
        }
        let mut line = serde_json::to_vec(&document)?;
        line.push(b'\n');
        out.write_all(&line)
    };
    for objects in objects.chunks(MAX_VALUES) {
        line(&["Job"], &METRICS, &[json!(Values::of(objects))])?;
    }
    let (mut ages, mut reasons) = (BTreeMap::new(), BTreeMap::new());
    for report in objects.iter().filter_map(committed) {
        let by_age = report.lateness.iter().flat_map(|late| &late.rows_by_age);
        for (age, rows) in by_age {
            *ages.entry(age).or_insert(0) += rows;
        }
        for (reason, rows) in &report.quarantined_by_reason {
            *reasons.entry(reason).or_insert(0) += rows;
        }
    }
    for (age, rows) in ages {
        let metrics = [metric("RowsByAge", "Count")];
        line(
            &["Job", "Age"],
            &metrics,
            &[json!({"Age": age, "RowsByAge": rows})],
        )?;
    }
    for (reason, rows) in reasons {
        let metrics = [metric("RowsQuarantined", "Count")];
        let values = json!({"Reason": reason, "RowsQuarantined": rows});
        line(&["Job", "Reason"], &metrics, &[values])?;
    }
    out.flush()
}

/// The report of an object that was committed now. A duplicate repeats the counts of its commit, which were counted
/// then.
fn committed<'a>(object: &Measured<'a>) -> Option<&'a ObjectReport> {
    object
        .report
        .filter(|report| report.status == Status::Committed)
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

const METRICS: [Metric; 11] = [
    metric("ObjectsCommitted", "Count"),
    metric("ObjectsDuplicate", "Count"),
    metric("ObjectsFailed", "Count"),
    metric("RowsIn", "Count"),
    metric("RowsOut", "Count"),
    metric("RowsQuarantined", "Count"),
    metric("BytesOut", "Bytes"),
    metric("DurationMs", "Milliseconds"),
    metric("LatenessP50", "Seconds"),
    metric("LatenessP99", "Seconds"),
    metric("LatenessMax", "Seconds"),
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
    #[serde(rename = "LatenessP50")]
    lateness_p50: Vec<u64>,
    #[serde(rename = "LatenessP99")]
    lateness_p99: Vec<u64>,
    lateness_max: Vec<u64>,
}

impl Values {
    fn of(objects: &[Measured<'_>]) -> Self {
        let mut values = Self::default();
        for object in objects {
            values.duration_ms.push(object.duration.as_millis());
            match object.report.map(|report| report.status) {
                None => values.objects_failed += 1,
                Some(Status::Duplicate) => values.objects_duplicate += 1,
                Some(Status::Committed) => values.objects_committed += 1,
                Some(Status::Superseded | Status::Gone | Status::Ignored) => {}
            }
            let Some(report) = committed(object) else {
                continue;
            };
            values.rows_in += report.rows_in;
            values.rows_out += report.rows_out;
            values.rows_quarantined += report.rows_quarantined;
            values.bytes_out += bytes_out(report);
            if let Some(lateness) = &report.lateness {
                values.lateness_p50.push(lateness.p50_seconds);
                values.lateness_p99.push(lateness.p99_seconds);
                values.lateness_max.push(lateness.max_seconds);
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
    use lakewright_core::{
        lateness::{Age, Lateness},
        location::Location,
        quarantine::Reason,
    };
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
            quarantined_by_reason: BTreeMap::from([(Reason::BadTimestamp, 1)]),
            lateness: Some(Lateness {
                p50_seconds: 60,
                p99_seconds: 7_200,
                max_seconds: 7_201,
                rows_by_age: BTreeMap::from([(Age::Hour, 8), (Age::Day, 1)]),
            }),
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
                        metric("LatenessP50", "Seconds"),
                        metric("LatenessP99", "Seconds"),
                        metric("LatenessMax", "Seconds"),
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
            "LatenessP50": [60],
            "LatenessP99": [7_200],
            "LatenessMax": [7_201],
        });
        assert_eq!(found[0], expected);
        let by = |name: &str, value: &str, metric: &str| {
            let of = found.iter().find(|line| line[name] == value);
            let line = of.unwrap_or_else(|| panic!("{name} {value}: {found:?}"));
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            assert_eq!(directive["Dimensions"], json!([["Job", name]]));
            assert_eq!(directive["Metrics"][0]["Name"], metric);
            line[metric].as_u64()
        };
        assert_eq!(by("Age", "hour", "RowsByAge"), Some(8));
        assert_eq!(by("Age", "day", "RowsByAge"), Some(1));
        assert_eq!(by("Reason", "bad_timestamp", "RowsQuarantined"), Some(1));
        assert_eq!(found.len(), 4);
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
