//! The sweep over millions of keys, in the memory of one page.
//!
//! This is a separate binary because it measures the peak memory of the whole process. That is read on Linux only;
//! elsewhere only the sweep's answer is checked.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "sweep_scale/listing.rs"]
mod listing;

use std::{collections::HashMap, fs, sync::Arc, time::Duration};

use jiff::Timestamp;
use lakewright_core::config::{Config, Rekey};
use lakewright_jobs::{
    retry::{Backoff, RetryPolicy, Retrying},
    sweep::{self, Ports, SweepReport, SweepRequest},
};
use lakewright_model::{SimClock, virtual_time};
use lakewright_ports::{Clock as _, MAX_LIST_PAGE, Queue, Store};

use self::listing::{BUCKET, Calls, Counting, Listing, Missing, Ticking, etag, key, landed};

/// The most memory that the sweep of two million keys may take at its peak, in bytes, the test's own included. The
/// keys and entity tags alone would take more than twice as much.
const PEAK: u64 = 64 << 20;

fn job() -> Rekey {
    let config = r#"
        [[rekey]]
        name      = "anpr"
        source    = "s3://landing/anpr/"
        target    = "s3://lake/anpr/"
        timestamp = { column = "t" }
    "#;
    Config::parse(config).unwrap().rekey.remove(0)
}

fn request(since: Option<Timestamp>) -> SweepRequest {
    SweepRequest {
        sweep: "anpr".to_owned(),
        prefix: "2026/".to_owned(),
        after: None,
        min_age_seconds: None,
        since,
        dry_run: false,
        scheduled: false,
    }
}

/// Sweeps again and again, as a schedule does, from where each sweep ended. Gives what they reported, and how often
/// each message was sent.
fn swept(
    keys: u64,
    missing: &[u64],
    seconds: u64,
    since: Option<Timestamp>,
) -> (Vec<SweepReport>, HashMap<String, u32>) {
    let job = job();
    let queue = Arc::new(Counting::default());
    let ports = Ports {
        store: Arc::new(Listing::new(keys, job.clone(), missing)),
        queue: Arc::clone(&queue) as Arc<dyn Queue>,
        clock: Arc::new(Ticking::default()),
    };
    let mut request = request(since);
    let mut reports = Vec::new();
    loop {
        let deadline = ports.clock.now() + Duration::from_secs(seconds);
        let report = virtual_time(sweep::sweep(&ports, &job, &request, "queue", deadline)).unwrap();
        request.after.clone_from(&report.next);
        reports.push(report);
        if request.after.is_none() {
            let counts = std::mem::take(&mut *queue.counts.lock().unwrap());
            return (reports, counts);
        }
    }
}

/// Each missing object once.
fn expected(missing: &[u64]) -> HashMap<String, u32> {
    let messages = missing.iter().map(|&number| {
        let (key, etag) = (key(number), etag(number));
        let message = serde_json::json!({"Bucket": BUCKET, "Key": key, "Etag": etag, "Size": 1});
        (message.to_string(), 1)
    });
    messages.collect()
}

/// The most memory that this process has held, in bytes.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<u64>().unwrap() << 10
}

#[test]
fn two_million_keys_in_the_memory_of_a_page() {
    let keys = 2_000_000;
    let missing = [0, 999, 1_000, 234_567, 1_000_000, 1_000_001, keys - 1];
    let (reports, sent) = swept(keys, &missing, u64::MAX >> 30, None);
    let [report] = reports.as_slice() else {
        panic!("{} sweeps", reports.len());
    };
    assert_eq!(report.listed, keys);
    assert_eq!(report.sent, missing.len() as u64);
    assert_eq!(report.committed, keys - missing.len() as u64);
    assert_eq!(report.passed_over, 0);
    assert_eq!(sent, expected(&missing));
    if cfg!(target_os = "linux") {
        let peak = peak_memory();
        assert!(peak < PEAK, "{} MiB at the peak", peak >> 20);
    }
}

#[test]
fn sweeps_that_run_out_of_time_find_everything_together() {
    let missing = [0, 999, 1_000, 2_999, 3_000, 7_777, 10_400];
    let (reports, sent) = swept(10_401, &missing, 3, None);
    assert!(reports.len() > 2, "{reports:?}");
    assert_eq!(reports.iter().map(|r| r.listed).sum::<u64>(), 10_401);
    assert_eq!(sent, expected(&missing));
}

#[test]
fn however_little_time_it_has_each_sweep_gets_further() {
    for (milliseconds, keys) in [(1, 100), (400, 3_000), (900, 3_000)] {
        let sweeps = virtual_time(async {
            let (job, clock) = (job(), SimClock::start());
            let mut request = request(None);
            let (mut sweeps, mut listed) = (0, 0);
            loop {
                sweeps += 1;
                let work = clock.now() + Duration::from_millis(milliseconds);
                let calls = work + Duration::from_millis(700);
                let [list, lookup, _] = SLOW.map(|takes| Calls::taking(clock, takes));
                let store = Listing {
                    lists: list,
                    lookups: lookup,
                    ..Listing::new(keys, job.clone(), &[])
                };
                let (clock, policy) = (Arc::new(clock), RetryPolicy::S3);
                let ports = Ports {
                    store: Arc::new(Retrying::new(
                        store,
                        Backoff::new(clock.clone(), calls, 1, policy),
                    )),
                    queue: Arc::new(Counting::default()),
                    clock,
                };
                let report = sweep::sweep(&ports, &job, &request, "queue", work)
                    .await
                    .unwrap();
                listed += report.listed;
                assert!(report.next.is_none() || report.next > request.after);
                request.after.clone_from(&report.next);
                if request.after.is_none() {
                    assert_eq!(listed, keys);
                    return sweeps;
                }
                assert!(sweeps < 10_000);
            }
        });
        assert!(sweeps > 1, "{milliseconds} ms");
    }
}

#[test]
fn what_landed_before_the_deployment_is_neither_asked_about_nor_sent() {
    let missing = [0, 999, 1_000, 2_000];
    let (reports, sent) = swept(2_500, &missing, 9, Some(landed(1_000)));
    let [report] = reports.as_slice() else {
        panic!("{} sweeps", reports.len());
    };
    assert_eq!((report.listed, report.passed_over), (2_500, 1_000));
    assert_eq!((report.committed, report.sent), (1_498, 2));
    assert_eq!(sent, expected(&missing[2..]));
}

/// What S3 answers from one prefix in a second, of HEAD and GET requests.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html>
const LOOKUPS_A_SECOND: u64 = 5_500;

/// Calls as slow as they are on a bad day, in milliseconds: a page of a listing, a lookup in the ledger, a sent batch.
const SLOW: [u64; 3] = [300, 40, 100];

#[test]
fn ten_million_objects_are_enqueued_within_an_hour() {
    const HOUR: Duration = Duration::from_hours(1);
    const TEN_MILLION: u64 = 10_000_000;
    /// A hundredth of them: pages are alike.
    const KEYS: u64 = TEN_MILLION / 100;
    let job = job();
    let (store, queue, report, took) = virtual_time(async {
        let clock = SimClock::start();
        let [list, lookup, send] = SLOW.map(|takes| Calls::taking(clock, takes));
        let store = Arc::new(Listing {
            missing: Missing::All,
            lists: list,
            lookups: lookup,
            ..Listing::new(KEYS, job.clone(), &[])
        });
        let queue = Arc::new(Counting {
            sends: send,
            ..Counting::default()
        });
        let ports = Ports {
            store: Arc::clone(&store) as Arc<dyn Store>,
            queue: Arc::clone(&queue) as Arc<dyn Queue>,
            clock: Arc::new(clock),
        };
        let began = clock.now();
        let report = sweep::sweep(&ports, &job, &request(None), "queue", Timestamp::MAX).await;
        let took = clock.now().duration_since(began).unsigned_abs();
        (store, queue, report.unwrap(), took)
    });
    assert_eq!((report.sent, report.bytes, report.next), (KEYS, KEYS, None));
    let messages = queue.messages.lock().unwrap().clone();
    let most = u64::from(job.batch.objects);
    let expected = (0..KEYS / most).map(|_| usize::try_from(most).unwrap());
    assert_eq!(messages, expected.collect::<Vec<_>>());
    assert_eq!(report.messages, KEYS / most);
    assert_eq!(store.lists.made(), KEYS / MAX_LIST_PAGE as u64);
    assert_eq!(store.lookups.made(), KEYS, "one lookup for each");
    assert!(queue.sends.made() <= KEYS / most);
    let all = u32::try_from(TEN_MILLION / KEYS).unwrap();
    assert!(took * all < HOUR, "{took:?} for a hundredth");
    assert!(Duration::from_secs(TEN_MILLION / LOOKUPS_A_SECOND) < HOUR);
}

#[test]
fn a_dry_run_counts_and_sends_nothing() {
    let job = job();
    let queue = Arc::new(Counting::default());
    let ports = Ports {
        store: Arc::new(Listing::new(2_500, job.clone(), &[3, 1_003, 2_003])),
        queue: Arc::clone(&queue) as Arc<dyn Queue>,
        clock: Arc::new(Ticking::default()),
    };
    let request = SweepRequest {
        dry_run: true,
        ..request(None)
    };
    let report = virtual_time(sweep::sweep(
        &ports,
        &job,
        &request,
        "queue",
        Timestamp::MAX,
    ));
    let report = report.unwrap();
    assert_eq!((report.sent, report.bytes, report.messages), (3, 3, 1));
    assert_eq!(queue.sends.made(), 0);
}
