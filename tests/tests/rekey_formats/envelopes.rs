//! Envelopes, on the shapes that services document.

use super::*;

/// Two events as `CloudTrail`'s user guide shows them.
const CLOUD_TRAIL: &str = r#"{"Records": [{
    "eventVersion": "1.08",
    "userIdentity": {"type": "IAMUser", "accountId": "123456789012", "userName": "Mateo"},
    "eventTime": "2023-07-19T21:17:28Z",
    "eventSource": "ec2.amazonaws.com",
    "eventName": "StartInstances",
    "awsRegion": "us-east-1",
    "requestParameters": {"instancesSet": {"items": [{"instanceId": "i-EXAMPLE56126103cb"}]}},
    "readOnly": false
},{
    "eventVersion": "1.08",
    "userIdentity": {"type": "IAMUser", "accountId": "123456789012", "userName": "Nikki"},
    "eventTime": "2023-07-19T20:14:20Z",
    "eventSource": "ec2.amazonaws.com",
    "eventName": "StopInstances",
    "awsRegion": "us-east-1",
    "requestParameters": null,
    "readOnly": false
}]}"#;

/// The example of RFC 7946, with a time for each feature.
const GEO_JSON: &str = r#"{
    "type": "FeatureCollection",
    "bbox": [100.0, 0.0, 105.0, 1.0],
    "features": [{
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [102.0, 0.5]},
        "properties": {"prop0": "value0", "at": "2026-05-01T00:00:00Z"}
    }, {
        "type": "Feature",
        "geometry": {"type": "LineString", "coordinates": [[102.0, 0.0], [103.0, 1.0]]},
        "properties": {"prop0": "value1", "at": "2026-05-02T00:00:00Z"}
    }]
}"#;

/// Two log records of OpenTelemetry's JSON, as its protocol's examples have them.
const OTLP: &str = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]},
"scopeLogs":[{"scope":{"name":"my.library","version":"1.0.0"},"logRecords":[
{"timeUnixNano":"1544712660300000000","severityText":"Information","body":{"stringValue":"Example log record"}},
{"timeUnixNano":"1544712661300000000","severityText":"Warning","body":{"stringValue":"Another"}}]}]}]}"#;

/// Settings, an object, and values of its first record by their pointers.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, Value)]);

#[test]
fn what_services_write_comes_apart() {
    stated(
        "A record's offset is that of its element in the envelope; its bytes, in the quarantine and where JSON is passed through, are those of the element with the kept fields in front.",
    );
    stated(
        "The keys of `records` and `keep` are those of the envelopes as they are spelled, upper and lower case too.",
    );
    let cases: [Case<'_>; 3] = [
        (
            "records = \"Records\"\ntimestamp = { column = \"eventTime\" }",
            CLOUD_TRAIL,
            &[
                ("/eventname", json!("StartInstances")),
                ("/useridentity/username", json!("Mateo")),
            ],
        ),
        (
            "records = \"features\"\nkeep = [\"bbox\"]\ntimestamp = { column = \"properties.at\" }",
            GEO_JSON,
            &[
                ("/geometry/type", json!("Point")),
                ("/properties/prop0", json!("value0")),
                ("/bbox", json!([100.0, 0.0, 105.0, 1.0])),
            ],
        ),
        (
            "records = \"resourceLogs.*.scopeLogs.*.logRecords\"\nkeep = [\"resourceLogs.*.resource.attributes\", \"resourceLogs.*.scopeLogs.*.scope\"]\ntimestamp = { column = \"timeUnixNano\" }",
            OTLP,
            &[
                ("/severitytext", json!("Information")),
                ("/scope/name", json!("my.library")),
                ("/attributes/0/value/stringvalue", json!("my.service")),
            ],
        ),
    ];
    for (settings, text, first) in cases {
        for room in ROOMS {
            virtual_time(async {
                let settings = format!(
                    "{settings}\npartition_by = [\"year\"]\noutput = [{{ format = \"parquet\" }}, {{ format = \"json\", compression = \"none\" }}]"
                );
                let lake = Lake::new(&settings);
                let report = lake.rekey("a.json", text.as_bytes(), room).await.unwrap();
                assert_eq!((report.rows_in, report.rows_out), (2, 2), "{settings}");
                let rows = lake.rows(&report);
                let of = |ending: &str| {
                    let found = rows.iter().find(|(name, _)| name.ends_with(ending));
                    found.unwrap().1.clone()
                };
                for (pointer, value) in first {
                    assert_eq!(of(".parquet")[0].pointer(pointer), Some(value), "{pointer}");
                }
                // JSON that is passed through has the kept fields too.
                let passed = &of(".json")[0];
                let names = passed
                    .as_object()
                    .unwrap()
                    .keys()
                    .map(|name| name.to_lowercase());
                let names = names.collect::<BTreeSet<_>>();
                let keys = first
                    .iter()
                    .map(|(pointer, _)| pointer.split('/').nth(1).unwrap());
                for key in keys {
                    assert!(names.contains(key), "{key}: {passed}");
                }
            });
        }
    }
}

#[test]
fn what_an_envelope_lacks_is_set_aside() {
    stated("`bad_envelope`: an envelope lacks its records, or its records a field of `keep`.");
    let settings = format!("{BY_DAY}\nrecords = \"r\"\nkeep = [\"k\"]");
    let text = r#"{"k":1,"r":[{"t":"2026-05-01","a":1},{"t":"never"},{"t":"2026-05-01","a":x}]}
{"R":[{"t":"2026-05-01"}]}
{"r":[{"t":"2026-05-01"}],"k":2}
{"k":3,"r":[{"t":"2026-05-01"},{"t":"2026-05"#;
    for room in ROOMS {
        virtual_time(async {
            let lake = Lake::new(&settings);
            let report = lake.rekey("a.json", text.as_bytes(), room).await.unwrap();
            assert_eq!((report.rows_in, report.rows_out), (7, 2));
            let rows = &lake.rows(&report)["date=2026-05-01/00000.zstd.parquet"];
            assert_eq!(
                json!(rows),
                json!([{"k": 1, "t": "2026-05-01", "a": 1}, {"k": 3, "t": "2026-05-01"}])
            );
            let refused = lake.quarantine(&report);
            let refused = refused.iter().map(|line| {
                let at = usize::try_from(line["offset"].as_u64().unwrap()).unwrap();
                let record = line["record"].as_str().unwrap();
                // Only what is a record has the kept fields.
                let is_there = text[at..].starts_with(record);
                assert_eq!(is_there, !record.starts_with("{\"k\":1,\"t\""), "{record}");
                (
                    at,
                    line["reason"].as_str().unwrap(),
                    line["detail"].as_str().unwrap(),
                )
            });
            assert_eq!(
                refused.collect::<Vec<_>>(),
                [
                    (
                        37,
                        "bad_timestamp",
                        "`t`: `never` is not a time in a known format"
                    ),
                    (
                        51,
                        "invalid_json",
                        "unexpected byte where a value is expected (at byte 22 of the record)"
                    ),
                    (78, "bad_envelope", "in the envelope, `r` is missing"),
                    (
                        111,
                        "bad_envelope",
                        "in the envelope, `k` does not come before the records"
                    ),
                    (169, "truncated", "the input ends inside the record"),
                ]
            );
        });
    }
}

#[test]
fn aggregates_of_kinesis_are_taken_apart() {
    stated("`bad_aggregate`: an aggregate of Kinesis is damaged or cut short.");
    let one = *b"\xf3\x89\x9a\xc2\x0a\x07plant-7\x1a\"\x08\x00\x1a\x1e{\"sensor\":\"a1\",\"t\":1777593600}\x1a\"\x08\x00\x1a\x1e{\"sensor\":\"b2\",\"t\":1777593601}\x14\x9d4tT\xb0\x7f\xa0\xe3\xbf_\x16\x98!\xef\x85";
    let bytes = [
        &b"{\"sensor\":\"c3\",\"t\":1777593602}\n"[..],
        &one,
        &one[..40],
    ]
    .concat();
    for bytes in [bytes.clone(), lakewright_tests::not_text::gzip(&bytes)] {
        virtual_time(async {
            let lake = Lake::new(BY_DAY);
            let report = lake.rekey("a", &bytes, AMPLE).await.unwrap();
            assert_eq!((report.rows_in, report.rows_out), (4, 3));
            assert_eq!(
                json!(lake.rows(&report)),
                json!({"date=2026-05-01/00000.zstd.parquet": [
                    {"sensor": "c3", "t": 1_777_593_602},
                    {"sensor": "a1", "t": 1_777_593_600},
                    {"sensor": "b2", "t": 1_777_593_601},
                ]})
            );
            let line = &lake.quarantine(&report)[0];
            assert_eq!(
                (&line["reason"], &line["length"]),
                (&json!("bad_aggregate"), &json!(40))
            );
        });
    }
}

/// What a subscription delivers: the example of the user guide, and the control message that checks the destination.
const LOGS: [&str; 2] = [
    r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1432826854000,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}"#,
    r#"{"owner":"123456789012","logGroup":"CloudTrail","logStream":"123456789012_CloudTrail_us-east-1","subscriptionFilters":["Destination"],"messageType":"DATA_MESSAGE","logEvents":[{"id":"31953106606966983378809025079804211143289615424298221568","timestamp":1432826855000,"message":"{\"eventVersion\":\"1.03\",\"userIdentity\":{\"type\":\"Root\"}}"},{"id":"31953106606966983378809025079804211143289615424298221569","timestamp":1432826855000,"message":"START RequestId: 8f5"}]}"#,
];

#[test]
fn logs_of_a_subscription_come_apart() {
    let records = LOGS.map(|envelope| lakewright_tests::not_text::gzip(envelope.as_bytes()));
    // Firehose joins the records as they are, and may compress them again.
    let once = records.concat();
    let twice = lakewright_tests::not_text::gzip(&once);
    for bytes in [once, twice] {
        virtual_time(async {
            let lake = Lake::new(
                "records = \"cloudwatch-logs\"\ntimestamp = { column = \"timestamp\" }\npartition_by = [\"date\"]",
            );
            let report = lake.rekey("a", &bytes, AMPLE).await.unwrap();
            assert_eq!((report.rows_in, report.rows_out), (2, 2));
            assert_eq!(report.control_messages, 1);
            let all = json!({
                "owner": "123456789012", "loggroup": "CloudTrail",
                "logstream": "123456789012_CloudTrail_us-east-1",
                "subscriptionfilters": ["Destination"], "timestamp": 1_432_826_855_000_i64,
            });
            let mut rows = vec![all.clone(), all];
            rows[0]["id"] = json!("31953106606966983378809025079804211143289615424298221568");
            rows[0]["eventversion"] = json!("1.03");
            rows[0]["useridentity"] = json!({"type": "Root"});
            rows[1]["id"] = json!("31953106606966983378809025079804211143289615424298221569");
            rows[1]["message"] = json!("START RequestId: 8f5");
            assert_eq!(
                json!(lake.rows(&report)),
                json!({"date=2015-05-28/00000.zstd.parquet": rows})
            );
        });
    }
}
