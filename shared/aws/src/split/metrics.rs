//! The metrics of the chunks of one invocation.

use std::{collections::BTreeMap, time::Duration};

use lakewright_jobs::split::{ChunkReport, ChunkStatus};
use serde_json::json;

use crate::metrics::{MAX_VALUES, Metric, Metrics};

/// The metrics of each job in `reports`.
pub(super) fn of(reports: &[(ChunkReport, Duration)]) -> Vec<Metrics<'_>> {
    let mut by_job: BTreeMap<&str, Vec<&(ChunkReport, Duration)>> = BTreeMap::new();
    for report in reports {
        by_job.entry(&report.0.name).or_default().push(report);
    }
    by_job
        .into_iter()
        .flat_map(|(job, chunks)| {
            let documents = chunks.chunks(MAX_VALUES);
            documents
                .map(|chunks| of_job(job, chunks))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn of_job<'a>(job: &'a str, chunks: &[&(ChunkReport, Duration)]) -> Metrics<'a> {
    let count = |status: ChunkStatus| {
        chunks
            .iter()
            .filter(|(chunk, _)| chunk.status == status)
            .count()
    };
    let sum =
        |value: fn(&ChunkReport) -> u64| chunks.iter().map(|(chunk, _)| value(chunk)).sum::<u64>();
    // A duplicate repeats row counts that were already counted when the rows were written.
    let done = |chunk: &ChunkReport| match chunk.status {
        ChunkStatus::Done => chunk.rows,
        _ => 0,
    };
    let durations: Vec<u64> = chunks
        .iter()
        .map(|(_, duration)| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
        .collect();
    Metrics {
        job,
        by: None,
        values: vec![
            (Metric::count("ChunksDone"), json!(count(ChunkStatus::Done))),
            (
                Metric::count("ChunksFailed"),
                json!(count(ChunkStatus::Failed)),
            ),
            (Metric::count("RowsDone"), json!(sum(done))),
            (
                Metric::count("ObjectsWritten"),
                json!(sum(|chunk| chunk.written)),
            ),
            (
                Metric::count("ObjectsStood"),
                json!(sum(|chunk| chunk.stood)),
            ),
            (Metric::bytes("BytesOut"), json!(sum(|chunk| chunk.bytes))),
            (Metric::milliseconds("DurationMs"), json!(durations)),
        ],
    }
}

#[cfg(test)]
mod tests {
    use lakewright_jobs::split::State;

    use super::*;

    #[test]
    fn the_metrics_of_an_invocation() {
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
        let expected = Metrics {
            job: "users",
            by: None,
            values: vec![
                (Metric::count("ChunksDone"), json!(1)),
                (Metric::count("ChunksFailed"), json!(0)),
                (Metric::count("RowsDone"), json!(5)),
                (Metric::count("ObjectsWritten"), json!(4)),
                (Metric::count("ObjectsStood"), json!(2)),
                (Metric::bytes("BytesOut"), json!(20)),
                (Metric::milliseconds("DurationMs"), json!([7, 1])),
            ],
        };
        assert_eq!(of(&reports), [expected]);
        assert_eq!(of(&[]), []);
    }
}
