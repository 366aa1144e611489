//! The metrics of one job's objects in one invocation.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use lakewright_jobs::report::{ObjectReport, Status};
use serde_json::{Value, json};

use crate::metrics::{MAX_VALUES, Metric, Metrics};

/// The results of one job's objects in one invocation.
#[derive(Debug)]
pub(super) struct Measured<'a> {
    /// The reports, without those of objects that failed.
    pub(super) reports: Vec<Option<&'a ObjectReport>>,
    /// How long all of it took.
    pub(super) duration: Duration,
}

/// The metrics of `job`'s objects: totals, then row counts by age, and by the reason for which rows were quarantined.
pub(super) fn of<'a>(job: &'a str, measured: &Measured<'_>) -> Vec<Metrics<'a>> {
    let objects = &measured.reports;
    let mut duration = Some(measured.duration);
    let mut counted = BTreeSet::new();
    let mut metrics: Vec<_> = objects
        .chunks(MAX_VALUES)
        .map(|objects| Metrics {
            job,
            by: None,
            values: totals(objects, duration.take(), &mut counted),
        })
        .collect();
    let (mut ages, mut reasons) = (BTreeMap::new(), BTreeMap::new());
    for report in objects.iter().copied().filter_map(committed) {
        for (age, rows) in report.lateness.iter().flat_map(|late| &late.rows_by_age) {
            *ages.entry(age).or_insert(0) += rows;
        }
        for (reason, rows) in &report.quarantined_by_reason {
            *reasons.entry(reason).or_insert(0) += rows;
        }
    }
    let mut by = |name, value: Value, metric: &'static str, rows: u64| {
        metrics.push(Metrics {
            job,
            by: Some((name, value)),
            values: vec![(Metric::count(metric), json!(rows))],
        });
    };
    for (age, rows) in ages {
        by("Age", json!(age), "RowsByAge", rows);
    }
    for (reason, rows) in reasons {
        by("Reason", json!(reason), "RowsQuarantined", rows);
    }
    metrics
}

/// The number of objects that a scheduled sweep found: their events were lost. A manual sweep has no such metric, because
/// the objects that it finds may never have had an event.
pub(super) fn found<'a>(request: &Value, report: &'a Value) -> Option<Metrics<'a>> {
    let is_scheduled = request.get("scheduled").and_then(Value::as_bool)?;
    let job = report.get("name")?.as_str()?;
    let sent = report.get("sent")?.clone();
    is_scheduled.then(|| Metrics {
        job,
        by: None,
        values: vec![(Metric::count("SweepFound"), sent)],
    })
}

/// The report, if this invocation committed the object. A duplicate repeats the counts of its commit, which were
/// already counted.
fn committed(object: Option<&ObjectReport>) -> Option<&ObjectReport> {
    object.filter(|report| report.status == Status::Committed)
}

/// `counted`: the files that are counted already, since a file may have rows of several objects.
fn totals<'a>(
    objects: &[Option<&'a ObjectReport>],
    duration: Option<Duration>,
    counted: &mut BTreeSet<&'a str>,
) -> Vec<(Metric, Value)> {
    let reports: Vec<_> = objects.iter().copied().filter_map(committed).collect();
    let ended = |status: Option<Status>| {
        objects
            .iter()
            .filter(|object| object.map(|report| report.status) == status)
            .count()
    };
    let sum = |value: fn(&ObjectReport) -> u64| -> u64 {
        reports.iter().map(|report| value(report)).sum()
    };
    let durations: Vec<_> = duration
        .into_iter()
        .map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
        .collect();
    let outputs = reports.iter().flat_map(|report| &report.outputs);
    let bytes_out: u64 = outputs
        .filter(|output| counted.insert(&output.key))
        .map(|output| output.bytes)
        .sum();
    let waits: Vec<_> = reports
        .iter()
        .filter_map(|report| report.landing_to_commit_seconds)
        .collect();
    let late: Vec<_> = reports
        .iter()
        .filter_map(|report| report.lateness.as_ref())
        .collect();
    let p50: Vec<_> = late.iter().map(|late| late.p50_seconds).collect();
    let p99: Vec<_> = late.iter().map(|late| late.p99_seconds).collect();
    let max: Vec<_> = late.iter().map(|late| late.max_seconds).collect();
    let added = sum(|report| report.columns_added.len() as u64);
    let added = (added > 0).then(|| (Metric::count("ColumnsAdded"), json!(added)));
    let totals = vec![
        (
            Metric::count("ObjectsCommitted"),
            json!(ended(Some(Status::Committed))),
        ),
        (
            Metric::count("ObjectsDuplicate"),
            json!(ended(Some(Status::Duplicate))),
        ),
        (Metric::count("ObjectsFailed"), json!(ended(None))),
        (Metric::count("RowsIn"), json!(sum(|report| report.rows_in))),
        (
            Metric::count("RowsOut"),
            json!(sum(|report| report.rows_out)),
        ),
        (
            Metric::count("RowsQuarantined"),
            json!(sum(|report| report.rows_quarantined)),
        ),
        (Metric::bytes("BytesOut"), json!(bytes_out)),
        (Metric::milliseconds("DurationMs"), json!(durations)),
        (Metric::seconds("LandingToCommitSeconds"), json!(waits)),
        (Metric::seconds("LatenessP50"), json!(p50)),
        (Metric::seconds("LatenessP99"), json!(p99)),
        (Metric::seconds("LatenessMax"), json!(max)),
    ];
    totals.into_iter().chain(added).collect()
}

#[cfg(test)]
mod tests {
    use lakewright_core::{
        lateness::{Age, Lateness},
        location::Location,
        quarantine::Reason,
    };
    use lakewright_jobs::report::OutputReport;

    use super::*;

    fn total(metrics: &[Metrics<'_>], name: &'static str) -> Vec<Value> {
        let of_all = metrics.iter().filter(|metrics| metrics.by.is_none());
        let values = of_all.flat_map(|metrics| &metrics.values);
        values
            .filter(|(metric, _)| {
                [
                    Metric::count,
                    Metric::bytes,
                    Metric::milliseconds,
                    Metric::seconds,
                ]
                .iter()
                .any(|unit| *metric == unit(name))
            })
            .map(|(_, value)| value.clone())
            .collect()
    }

    #[test]
    fn the_metrics_of_an_invocation() {
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
            landing_to_commit_seconds: Some(61),
            ..ObjectReport::without_rows(Location::new("b", "a"), Status::Committed)
        };
        let duplicate = ObjectReport {
            status: Status::Duplicate,
            ..committed.clone()
        };
        // Of the same batch: its rows are in the same file.
        let neighbour = ObjectReport {
            rows_in: 1,
            rows_out: 1,
            rows_quarantined: 0,
            quarantined_by_reason: BTreeMap::new(),
            lateness: None,
            landing_to_commit_seconds: Some(5),
            ..committed.clone()
        };
        let reports = [Some(&committed), Some(&duplicate), None, Some(&neighbour)];
        let found = of(
            "flights",
            &Measured {
                reports: reports.to_vec(),
                duration: Duration::from_millis(40),
            },
        );
        for (name, expected) in [
            ("ObjectsCommitted", json!(2)),
            ("ObjectsDuplicate", json!(1)),
            ("ObjectsFailed", json!(1)),
            ("RowsIn", json!(11)),
            ("RowsOut", json!(10)),
            ("RowsQuarantined", json!(1)),
            ("BytesOut", json!(700)),
            ("DurationMs", json!([40])),
            ("LandingToCommitSeconds", json!([61, 5])),
            ("LatenessP50", json!([60])),
            ("LatenessP99", json!([7_200])),
            ("LatenessMax", json!([7_201])),
        ] {
            assert_eq!(total(&found, name), [expected], "{name}");
        }
        let by = |name, value: &str, metric, rows: u64| Metrics {
            job: "flights",
            by: Some((name, json!(value))),
            values: vec![(Metric::count(metric), json!(rows))],
        };
        let expected = [
            by("Age", "hour", "RowsByAge", 8),
            by("Age", "day", "RowsByAge", 1),
            by("Reason", "bad_timestamp", "RowsQuarantined", 1),
        ];
        assert_eq!(&found[1..], expected);
    }

    #[test]
    fn a_document_holds_no_more_values_than_the_format_allows() {
        let failed = Measured {
            reports: vec![None; 201],
            duration: Duration::ZERO,
        };
        let found = of("flights", &failed);
        assert_eq!(
            total(&found, "DurationMs"),
            [json!([0]), json!([]), json!([])]
        );
        assert_eq!(
            total(&found, "ObjectsFailed"),
            [100, 100, 1].map(|n| json!(n))
        );
    }

    #[test]
    fn what_a_scheduled_sweep_found_is_counted() {
        let report = json!({"job": "sweep", "name": "anpr", "sent": 7});
        let counted = Metrics {
            job: "anpr",
            by: None,
            values: vec![(Metric::count("SweepFound"), json!(7))],
        };
        for (request, expected) in [
            (json!({"sweep": "anpr", "scheduled": true}), Some(counted)),
            (json!({"sweep": "anpr", "scheduled": false}), None),
            (json!({"sweep": "anpr"}), None),
        ] {
            assert_eq!(found(&request, &report), expected, "{request}");
        }
    }
}
