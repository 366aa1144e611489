use std::{ops::Range, sync::Arc};

use arrow::{
    array::{Int64Array, StringArray},
    datatypes::{DataType, Field, Schema},
};
use async_trait::async_trait;
use bytes::Bytes;
use lakewright_core::config::Encryption;
use lakewright_ports::{
    Attributes, CompletedPart, DeleteFailure, Deletion, GetOptions, ListPage, ObjectBody,
    ObjectMeta, Precondition, PutOptions, StoreError, StoreErrorKind, UploadId, Written,
};

use super::*;

/// A store to which nothing may be written.
struct NoStore;

fn unused<T>(location: &Location) -> Result<T, StoreError> {
    Err(StoreError {
        kind: StoreErrorKind::Other,
        operation: "any",
        location: location.clone(),
        message: "nothing should go to the store".to_owned(),
    })
}

#[async_trait]
impl Store for NoStore {
    async fn head(&self, object: &Location, _: Option<&str>) -> Result<ObjectMeta, StoreError> {
        unused(object)
    }
    async fn get(&self, object: &Location, _: GetOptions) -> Result<ObjectBody, StoreError> {
        unused(object)
    }
    async fn put(&self, object: &Location, _: Bytes, _: PutOptions) -> Result<Written, StoreError> {
        unused(object)
    }
    async fn list(&self, prefix: &Location, _: Option<&str>) -> Result<ListPage, StoreError> {
        unused(prefix)
    }
    async fn copy(
        &self,
        source: &Location,
        _: Option<&str>,
        _: &Location,
        _: Precondition,
        _: Option<&Encryption>,
    ) -> Result<Written, StoreError> {
        unused(source)
    }
    async fn delete(&self, bucket: &str, _: &[Deletion]) -> Result<Vec<DeleteFailure>, StoreError> {
        unused(&Location::new(bucket, ""))
    }
    async fn create_multipart(
        &self,
        object: &Location,
        _: Option<&str>,
        _: Option<&Attributes>,
    ) -> Result<UploadId, StoreError> {
        unused(object)
    }
    async fn upload_part(
        &self,
        object: &Location,
        _: &UploadId,
        _: u16,
        _: Bytes,
    ) -> Result<CompletedPart, StoreError> {
        unused(object)
    }
    async fn complete_multipart(
        &self,
        object: &Location,
        _: &UploadId,
        _: &[CompletedPart],
        _: Precondition,
    ) -> Result<Written, StoreError> {
        unused(object)
    }
    async fn abort_multipart(&self, object: &Location, _: &UploadId) -> Result<(), StoreError> {
        unused(object)
    }
}

/// Rows with ascending numbers and descending times.
fn batch(values: Range<i64>) -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("n", DataType::Int64, false),
        Field::new("s", DataType::Utf8, true),
        Field::new("time", DataType::Int64, false),
    ]);
    let text = values
        .clone()
        .map(|n| (n % 3 != 0).then(|| format!("row {n}")))
        .collect::<Vec<_>>();
    RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(Int64Array::from_iter_values(values.clone())),
            Arc::new(StringArray::from(text)),
            Arc::new(Int64Array::from_iter_values(values.map(|n| -(n / 20)))),
        ],
    )
    .unwrap()
}

async fn numbers(spool: &Spool, partition: usize) -> Vec<i64> {
    let mut reader = spool.read(partition);
    let mut numbers = Vec::new();
    while let Some(batch) = reader.next().await.unwrap() {
        numbers.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
    }
    numbers
}

/// A spool whose temporary file is limited to `scratch` bytes.
fn spool(folder: &tempfile::TempDir, memory: u64, scratch: u64, time: Option<usize>) -> Spool {
    let room = Room {
        memory,
        folder: folder.path().to_owned(),
        scratch,
        store: Arc::new(NoStore),
        prefix: Location::new("lake", "spool/"),
    };
    Spool::new(batch(0..0).schema(), time, room)
}

#[tokio::test]
async fn compresses_when_the_temporary_file_is_half_full() {
    let folder = tempfile::tempdir().unwrap();
    let rows = batch(0..1000);
    let ids = [0; 1000];
    let mut probe = spool(&folder, 0, u64::MAX, None);
    probe.push(&rows, &ids).unwrap();
    probe.spill().await.unwrap();
    let plain = probe.runs[0].bytes();

    let mut spool = spool(&folder, 0, 5 * plain, None);
    for _ in 0..4 {
        spool.push(&rows, &ids).unwrap();
        spool.spill().await.unwrap();
    }
    let sizes = spool.runs.iter().map(Run::bytes).collect::<Vec<_>>();
    assert_eq!(sizes[..2], [plain, plain]);
    assert!(sizes[2..].iter().all(|&size| size < plain / 2), "{sizes:?}");
    let expected = (0..4).flat_map(|_| 0..1000).collect::<Vec<_>>();
    assert_eq!(numbers(&spool, 0).await, expected);
}

#[tokio::test]
async fn keeps_partitions_apart_and_rows_in_order_in_memory_and_in_files() {
    for (memory, runs) in [(u64::MAX, 0), (2_000, 2), (0, 10)] {
        for time in [None, Some(2)] {
            let folder = tempfile::tempdir().unwrap();
            let mut spool = spool(&folder, memory, u64::MAX, time);
            for start in (0..100).step_by(10) {
                let ids = (start..start + 10)
                    .map(|n| match n % 5 {
                        4 => NO_PARTITION,
                        id => u32::try_from(id).unwrap(),
                    })
                    .collect::<Vec<_>>();
                spool.push(&batch(start..start + 10), &ids).unwrap();
                if spool.is_over() {
                    spool.spill().await.unwrap();
                }
            }
            assert!(spool.runs.len() >= runs, "{memory}: {}", spool.runs.len());
            assert_eq!(spool.runs.is_empty(), runs == 0);
            for id in 0..4 {
                let mut expected = (0..100).filter(|n| n % 5 == id).collect::<Vec<_>>();
                if time.is_some() {
                    expected.sort_by_key(|n| -(n / 20));
                }
                let partition = usize::try_from(id).unwrap();
                for _ in 0..2 {
                    assert_eq!(
                        numbers(&spool, partition).await,
                        expected,
                        "{memory} {time:?}"
                    );
                }
            }
            assert!(numbers(&spool, 4).await.is_empty());
        }
    }
}

#[tokio::test]
async fn the_blocks_of_any_number_of_runs_take_half_of_the_memory() {
    const MEMORY: u64 = 8 << 20;
    const RUNS: usize = 7_000;
    for time in [None, Some(2)] {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = spool(&folder, MEMORY, u64::MAX, time);
        let (rows, ids) = (batch(0..64), (0..64).map(|n| n % 4).collect::<Vec<_>>());
        let (mut most, mut merges) = (0, 0);
        for _ in 0..RUNS {
            let before = spool.runs.len();
            spool.push(&rows, &ids).unwrap();
            spool.spill().await.unwrap();
            most = most.max(spool.runs.len());
            merges += usize::from(spool.runs.len() < before);
        }
        assert!(
            most < MOST_RUNS && merges > 64,
            "{most} runs, {merges} merges"
        );
        assert!(spool.runs.iter().any(|run| run.level > 1), "{time:?}");
        let mut held = 0;
        for partition in 0..4 {
            let mut reader = spool.read(partition);
            let mut numbers = Vec::new();
            while let Some(batch) = reader.next().await.unwrap() {
                numbers.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
                let mut sum = 0;
                for run in &spool.runs {
                    sum += run.held().await;
                }
                held = held.max(sum);
            }
            let own = (0..64).filter(|n| n % 4 == i64::try_from(partition).unwrap());
            let mut expected = (0..RUNS).flat_map(|_| own.clone()).collect::<Vec<_>>();
            if time.is_some() {
                expected.sort_by_key(|n| -(n / 20));
            }
            assert!(numbers == expected, "{time:?} {partition}");
        }
        // If each run kept its last block, they would take more than twice the memory.
        let each = rows.get_array_memory_size() as u64;
        assert!(RUNS as u64 * each > 2 * MEMORY, "{each} bytes of a run");
        assert!(held as u64 <= MEMORY / 2, "{held} bytes");
    }
}

#[test]
fn rows_that_follow_each_other_are_gathered_at_once() {
    let batch = |from: i64| {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
        let rows = Int64Array::from_iter_values(from..from + 100);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(rows)]).unwrap()
    };
    let (first, second) = (batch(0), batch(100));
    let all = |batch, rows: Range<usize>| rows.map(move |row| (batch, row));
    for rows in [
        Vec::new(),
        vec![(0, 7)],
        all(0, 0..100).chain(all(1, 0..100)).collect(),
        // A row of one batch does not follow one of another.
        all(0, 0..50).chain(all(1, 50..100)).collect(),
        all(0, 90..100)
            .chain(all(1, 0..20))
            .chain(all(1, 40..60))
            .collect(),
        all(0, 0..30).chain(all(0, 10..40)).collect(),
        all(1, 0..50).rev().chain(all(0, 0..50)).collect(),
        all(0, 0..16).chain(all(0, 0..1)).collect::<Vec<_>>(),
    ] {
        let found = gather(&[&first, &second], &rows).unwrap();
        let values = found
            .column(0)
            .as_primitive::<Int64Type>()
            .values()
            .to_vec();
        let expected = rows
            .iter()
            .map(|&(batch, row)| i64::try_from(batch * 100 + row).unwrap());
        assert_eq!(values[..], expected.collect::<Vec<_>>()[..], "{rows:?}");
    }
}
