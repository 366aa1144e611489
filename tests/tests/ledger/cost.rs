//! What docs/OPERATIONS.md says that rekey's requests cost.

use lakewright_ports::Store;
use lakewright_tests::counting::Counting;

use super::{
    batches::{cloud, ports, through},
    *,
};

const OPERATIONS: &str = include_str!("../../../docs/OPERATIONS.md");

/// The PUTs for this many objects, which touch the same days, in batches of this many.
async fn puts(objects: usize, days: usize, batch: usize) -> u64 {
    let cloud = cloud();
    let client = Client::new(Arc::clone(&cloud), 1, Faults::default());
    let counting = Arc::new(Counting::new(client));
    let mut ports = ports(&cloud);
    ports.store = Arc::clone(&counting) as Arc<dyn Store>;
    let job = job("", "");
    let record = |day: usize| format!("{{\"t\":\"2026-{:02}-{:02}\"}}", 1 + day / 28, 1 + day % 28);
    let bytes = (0..days).map(record).collect::<String>();
    let keys = (0..objects).map(|key| key.to_string()).collect::<Vec<_>>();
    for batch in keys.chunks(batch) {
        let batch = batch.iter().map(|key| (&**key, bytes.as_bytes()));
        for answer in through(&ports, &cloud, &job, &batch.collect::<Vec<_>>(), 1).await {
            assert_eq!(answer.unwrap().status, Status::Committed);
        }
    }
    counting.taken().put
}

#[test]
fn an_object_costs_its_claim_and_a_batch_its_files_and_three_more() {
    assert!(OPERATIONS.contains("- now: N + N / b x (h + 3) PUTs, N / b x h files"));
    virtual_time(async {
        for (objects, days, batch) in [(1, 1, 1), (12, 97, 12), (12, 97, 1), (12, 3, 6)] {
            let batches = objects / batch;
            let expected = objects + batches * (days + 3);
            assert_eq!(
                Box::pin(puts(objects, days, batch)).await,
                expected as u64,
                "{objects} objects of {days} days in batches of {batch}"
            );
        }
    });
}

#[test]
fn the_table_of_dollars_follows_from_the_formula() {
    let table = OPERATIONS
        .split_once("| objects | hours | in a batch |")
        .and_then(|(_, table)| table.split_once("\n\n"))
        .map(|(table, _)| table)
        .unwrap();
    let mut rows = 0;
    for row in table.lines().skip(2) {
        let cells = row
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().replace(',', ""));
        let [
            size,
            hours,
            batch,
            puts_before,
            dollars_before,
            puts_now,
            dollars_now,
            files_before,
            files_now,
        ] = <[String; 9]>::try_from(cells.collect::<Vec<_>>()).unwrap();
        // 200 GB a day for 30 days.
        let objects = match &size[..] {
            "5 MB" => 40_000.0 * 30.0,
            "64 MB" => 3_125.0 * 30.0,
            other => panic!("{other}"),
        };
        let number = |cell: &str| cell.parse::<f64>().unwrap();
        let (hours, batches) = (number(&hours), (objects / number(&batch)).floor());
        let close = |cell: &str, expected: f64, within: f64| {
            assert!(
                (number(cell) - expected).abs() <= within,
                "{row}: {cell} is {expected}"
            );
        };
        let (before, now) = (objects * (hours + 2.0), objects + batches * (hours + 3.0));
        close(&puts_before, before, 1.0);
        close(&puts_now, now, 1.0);
        close(&dollars_before, before * 5e-6, 0.006);
        close(&dollars_now, now * 5e-6, 0.006);
        close(&files_before, objects * hours, 1.0);
        close(&files_now, batches * hours, 1.0);
        rows += 1;
    }
    assert_eq!(rows, 8);
}
