//! The result of an object, however its attempts end.

use std::time::Duration;

use lakewright_ports::{Precondition, Store};

use super::*;

#[test]
fn what_becomes_of_an_object() {
    stated(
        "`duplicate`: the ledger said so before; nothing of it was read, and no row was written.",
    );
    stated(
        "`superseded`: another object took the key, which has an event of its own, before anything of this one was planned.",
    );
    stated("`gone`: the object no longer exists, and nothing of it was planned.");
    stated("`ignored`: the object has no bytes, or is not a job's to read.");
    stated(
        "An object that was answered for as gone or superseded, and is back with the same content, is processed when it is delivered again.",
    );
    let (record, job) = (br#"{"t":"2026-05-01"}"#, job("", ""));
    virtual_time(async {
        let world = World::new(record);
        assert_eq!(world.rekey(&job).await.unwrap().status, Status::Committed);
        let before = world.existing();
        let time = SignedDuration::from_hours(1);
        // Its claim and its commit; at a first delivery also the batch that it would be.
        for (receives, expected) in [(1, 3), (2, 2)] {
            let (report, calls) = world.delivered(&job, time, time, receives).await;
            assert_eq!(
                (report.unwrap().status, calls),
                (Status::Duplicate, expected)
            );
            assert_eq!(world.existing(), before);
        }

        for status in [Status::Gone, Status::Superseded] {
            let world = World::new(record);
            let location = &world.object.location;
            if status == Status::Gone {
                world.cloud.remove(location);
            } else {
                world.cloud.place(location, Bytes::from_static(b"{}"));
            }
            for _ in 0..2 {
                assert_eq!(world.rekey(&job).await.unwrap().status, status);
            }
            let rows = world.existing().into_keys();
            let rows = rows.filter(|key| !key.contains("/_lakewright/"));
            assert_eq!(rows.collect::<Vec<_>>(), Vec::<String>::new());
            assert_eq!(world.plan().members, []);
            world.cloud.place(location, Bytes::from_static(record));
            for status in [Status::Committed, Status::Duplicate] {
                let report = world.rekey(&job).await.unwrap();
                assert_eq!(report.status, status);
                assert_eq!(report.batch, Some(world.batch(1)));
            }
        }

        let empty = World::new(b"");
        assert_eq!(empty.rekey(&job).await.unwrap().status, Status::Ignored);
        assert_eq!(empty.existing(), BTreeMap::new());
        assert!(!job.reads(&Location::new("landing", "elsewhere/object")));
    });
}

#[test]
fn a_refused_object_leaves_no_row() {
    stated(
        "Nothing is written for an object before all of it has been read, so one that is refused leaves no row.",
    );
    let many = r#"{"t":"2026-05-01"}"#.repeat(100_000);
    let whole = gzip(many.as_bytes());
    let mut damaged = whole.clone();
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    let long = format!("{many}{{\"t\":\"{}\"}}", "x".repeat(2_000));
    let days = r#"{"t":"2026-05-01"}{"t":"2026-05-02"}{"t":"2026-05-03"}"#;
    let cases: [(&str, &[u8], &str, &str); 5] = [
        ("cut short", &whole[..whole.len() - 1], "", "Unreadable"),
        ("damaged", &damaged, "", "Unreadable"),
        (
            "a bomb",
            &whole,
            "compression_ratio = 2",
            "CompressionRatioExceeded",
        ),
        (
            "a long record",
            long.as_bytes(),
            "record_size = \"1KiB\"",
            "RecordTooLong",
        ),
        (
            "many partitions",
            days.as_bytes(),
            "partitions = 2",
            "TooManyPartitions",
        ),
    ];
    for (what, bytes, limits, name) in cases {
        let job = job("", &format!("[rekey.limits]\n{limits}"));
        virtual_time(async {
            let world = World::new(bytes);
            assert_eq!(world.rekey(&job).await.unwrap_err().name(), name, "{what}");
            assert_eq!(world.written(), Vec::<String>::new(), "{what}");
        });
    }
}

/// Records of this many days, three of each.
fn days(days: u8) -> String {
    (1..=days).fold(String::new(), |mut text, day| {
        for n in 0..3 {
            writeln!(text, r#"{{"t":"2026-05-{day:02}","n":{n}}}"#).unwrap();
        }
        text
    })
}

#[test]
fn an_attempt_that_runs_out_of_time_is_gone_on_from() {
    stated(
        "When the deadline is near nothing new is begun and the attempt fails; what it wrote stays, and the next attempt continues from it.",
    );
    stated(
        "A plan that exists is finished with the settings that its batch was made with, whatever the configuration says by then.",
    );
    let first = job(
        "",
        "[[rekey.output]]\nformat = \"parquet\"\ncompression = \"snappy\"",
    );
    let later = job(
        "",
        "path_style = \"spark\"\n[[rekey.output]]\nformat = \"json\"",
    );
    virtual_time(async {
        let world = World::new(days(20).as_bytes());
        let mut left_behind = Vec::new();
        let mut attempts = 0;
        let report = loop {
            attempts += 1;
            assert!(attempts < 100, "{left_behind:?}");
            let before = world.existing();
            let planned = before.keys().any(|key| key.contains("/plan/"));
            let job = if planned { &later } else { &first };
            let time = SignedDuration::from_millis(150 + 100 * attempts);
            let (result, _) = world.attempt(job, time).await;
            let after = world.existing();
            for (key, written) in &before {
                assert_eq!(after.get(key), Some(written), "{key} was written again");
            }
            match result {
                Ok(report) => break report,
                Err(error) => assert_eq!(error.name(), "Deadline", "{error}"),
            }
            left_behind.push(after.keys().filter(|key| key.ends_with(".parquet")).count());
        };
        // There were attempts that wrote a part of the outputs.
        assert!(
            left_behind.iter().any(|files| (1..20).contains(files)),
            "{left_behind:?}"
        );
        // The answer of the attempt that committed may come too late: the next attempt finds the commit.
        let done = (report.status, report.rows_out);
        assert!(
            [(Status::Committed, 60), (Status::Duplicate, 0)].contains(&done),
            "{done:?}"
        );
        let existing = world.existing();
        assert!(existing.keys().any(|key| key.contains("/commit/")));
        let outputs = world.plan().outputs;
        assert_eq!(outputs.len(), 20);
        for (day, output) in (1..).zip(&outputs) {
            assert!(
                output.key.starts_with(&format!("t/date=2026-05-{day:02}/")),
                "{}",
                output.key
            );
            let rows = world.rows(&output.key);
            let numbers = rows.iter().map(|row| row["n"].as_str()).collect::<Vec<_>>();
            assert_eq!(numbers, ["0", "1", "2"], "{}", output.key);
        }
        let files = world.existing().into_keys();
        assert_eq!(
            files.filter(|key| !key.contains("/_lakewright/")).count(),
            20
        );
    });
}

#[test]
fn a_source_that_is_lost_after_its_plan_is_an_error() {
    stated(
        "An object that is gone or replaced while its plan has no commit is an error, not an answer, because some of its rows may be written and the others be lost; the other objects of its batch are committed.",
    );
    let job = job("", "");
    virtual_time(async {
        for replaced in [false, true] {
            let world = World::new(days(20).as_bytes());
            let mut time = SignedDuration::ZERO;
            while !world.existing().keys().any(|key| key.contains("/plan/")) {
                time += SignedDuration::from_millis(10);
                let (result, _) = world.attempt(&job, time).await;
                assert_eq!(result.unwrap_err().name(), "Deadline");
            }
            if replaced {
                let other = Bytes::from_static(b"{}");
                world.cloud.place(&world.object.location, other);
            } else {
                world.cloud.remove(&world.object.location);
            }
            assert_eq!(world.rekey(&job).await.unwrap_err().name(), "SourceLost");
        }
    });
}

const OUTPUTS: u32 = 1_200;

/// Records of this many partitions.
fn places(places: u32) -> String {
    (0..places).fold(String::new(), |mut text, place| {
        writeln!(text, r#"{{"t":"2026-05-01","place":"{place:05}"}}"#).unwrap();
        text
    })
}

#[test]
fn every_attempt_gets_further_than_the_one_before() {
    stated(
        "Each attempt gets further than the one before, however little time it has, as long as it can read its objects and write one file.",
    );
    let mut job = job("", "");
    job.partition_by = vec!["place".to_owned()];
    for milliseconds in [1_000, 1_300, 2_100] {
        let work = SignedDuration::from_millis(milliseconds);
        let calls = work + SignedDuration::from_millis(500);
        virtual_time(async {
            let world = World::new(places(OUTPUTS).as_bytes());
            let mut files_after = Vec::new();
            let report = loop {
                let (result, _) = world.delivered(&job, work, calls, 1).await;
                match result {
                    Ok(report) => break report,
                    Err(error) => assert_eq!(error.name(), "Deadline", "{error}"),
                }
                let files = world.existing().into_keys();
                files_after.push(files.filter(|key| key.ends_with(".parquet")).count());
                assert!(
                    files_after.is_sorted_by(|before, after| before < after),
                    "{milliseconds} ms: {files_after:?}"
                );
            };
            assert_eq!(report.rows_out, u64::from(OUTPUTS));
            assert!(files_after.len() > 1, "{milliseconds} ms: {files_after:?}");
        });
    }
}

#[test]
fn an_object_that_cannot_be_read_in_time_is_named_when_it_is_delivered_again() {
    stated(
        "An object that cannot be read within the function's time, alone and delivered again, fails as `TimeoutTooShort`, with the time that it would take.",
    );
    let mut job = job("", "");
    job.partition_by = vec!["place".to_owned()];
    let text = "{\"t\":\"2026-05-01\"}\n".repeat(1 << 20);
    let names = |receives| {
        virtual_time(async {
            let world = World::new(text.as_bytes());
            let mut names = Vec::new();
            for step in 1.. {
                let work = SignedDuration::from_millis(25 * step);
                let calls = work + SignedDuration::from_millis(500);
                let (result, _) = world.delivered(&job, work, calls, receives).await;
                let Err(error) = result else {
                    break;
                };
                let is_planned = world.existing().keys().any(|key| key.contains("/plan/"));
                names.push((error.name(), is_planned));
            }
            names
        })
    };
    let first = names(1);
    assert!(
        first.iter().all(|(name, _)| *name == "Deadline"),
        "{first:?}"
    );
    let again = names(2);
    assert!(again.contains(&("TimeoutTooShort", false)), "{again:?}");
}

/// Uploads the object again, in parts, over an hour.
async fn uploaded_in_parts(world: &mut World, bytes: &[u8]) {
    let client = Client::new(Arc::clone(&world.cloud), 7, Faults::default());
    let at = world.object.location.clone();
    let upload = client.create_multipart(&at, None, None).await.unwrap();
    world.cloud.clock.sleep(Duration::from_hours(1)).await;
    let body = Bytes::copy_from_slice(bytes);
    let parts = [client.upload_part(&at, &upload, 1, body).await.unwrap()];
    let whole = client.complete_multipart(&at, &upload, &parts, Precondition::None);
    world.object.etag = Some(whole.await.unwrap().etag);
}

#[test]
fn the_last_records_of_a_long_upload_are_not_in_the_future() {
    stated(
        "S3 dates an object that was uploaded in parts by the beginning of its upload, so in `latest`, `now` is the time when such an object was first read.",
    );
    let job = |bounds: &str| {
        let mut job = job("", "");
        job.timestamp.earliest = Some("now-2h".to_owned());
        job.timestamp.latest = Some(bounds.to_owned());
        job
    };
    virtual_time(async {
        for (in_parts, rows) in [(true, 1), (false, 0)] {
            let mut world = World::new(b"{}");
            // Half an hour after the upload began.
            let time = world.cloud.clock.now() + SignedDuration::from_mins(30);
            let record = format!(r#"{{"t":"{time}"}}"#);
            if in_parts {
                uploaded_in_parts(&mut world, record.as_bytes()).await;
            } else {
                let bytes = Bytes::from(record);
                world.object.etag = Some(world.cloud.place(&world.object.location, bytes));
            }
            let report = world.rekey(&job("now")).await.unwrap();
            assert_eq!(
                (report.rows_in, report.rows_out),
                (1, rows),
                "in parts: {in_parts}"
            );
        }
    });
}
