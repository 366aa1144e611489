//! The metrics of one report.

use serde_json::{Value, json};

use crate::metrics::{Metric, Metrics};

/// A field of a report, and the metric that counts it.
type Counted = (&'static str, Metric);

const OF_PLAN: &[Counted] = &[
    ("partitions_planned", Metric::count("PartitionsPlanned")),
    ("partitions_refused", Metric::count("PartitionsRefused")),
];

const OF_MERGE: &[Counted] = &[
    ("files", Metric::count("FilesMerged")),
    ("rows", Metric::count("RowsMerged")),
    ("bytes", Metric::bytes("BytesMerged")),
];

const OF_CARRYING: &[Counted] = &[("files", Metric::count("FilesCarried"))];

const OF_DELETION: &[Counted] = &[("files", Metric::count("FilesDeleted"))];

/// The metrics of a report, if it has any. A dry run has none, because it does nothing.
pub(super) fn of(report: &Value) -> Option<Metrics<'_>> {
    let text = |field: &str| report.get(field).and_then(Value::as_str);
    let counted = match (text("status"), text("step")) {
        (Some("merged"), _) => OF_MERGE,
        (Some("done"), Some("publish" | "sweep")) => OF_CARRYING,
        (Some("done"), Some("delete" | "abandon")) => OF_DELETION,
        (None, None) if is_run(report) => OF_PLAN,
        _ => return None,
    };
    let values = counted
        .iter()
        .map(|&(field, metric)| (metric, json!(report[field])))
        .collect();
    Some(Metrics {
        job: text("table").unwrap_or_default(),
        by: None,
        values,
    })
}

/// Whether it is the report of a plan that was made.
fn is_run(report: &Value) -> bool {
    let is_dry = report.get("dry_run").and_then(Value::as_bool) == Some(true);
    !is_dry && report.get("partitions_planned").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_of_an_answer() {
        for (report, metric, value) in [
            (
                json!({"table": "a.b", "status": "merged", "files": 3, "rows": 7, "bytes": 9}),
                Metric::count("RowsMerged"),
                json!(7),
            ),
            (
                json!({"table": "a.b", "status": "done", "step": "sweep", "files": 2}),
                Metric::count("FilesCarried"),
                json!(2),
            ),
            (
                json!({"table": "a.b", "status": "done", "step": "delete", "files": 5}),
                Metric::count("FilesDeleted"),
                json!(5),
            ),
            (
                json!({"table": "a.b", "partitions_planned": 1, "partitions_refused": 4}),
                Metric::count("PartitionsRefused"),
                json!(4),
            ),
        ] {
            let found = of(&report).unwrap();
            assert_eq!(found.job, "a.b");
            assert!(found.values.contains(&(metric, value)), "{report}");
            assert!(
                found.values.iter().all(|(_, value)| value.is_number()),
                "{report}"
            );
        }
    }

    #[test]
    fn nothing_is_counted_twice() {
        for report in [
            json!({"table": "a.b", "status": "duplicate", "files": 3, "rows": 7, "bytes": 9}),
            json!({"table": "a.b", "status": "waiting", "step": "sweep", "files": 0}),
            json!({"table": "a.b", "counts": {}}),
            json!({"table": "a.b", "dry_run": true, "partitions_planned": 1, "partitions_refused": 4}),
        ] {
            assert_eq!(of(&report), None);
        }
    }
}
