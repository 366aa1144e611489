//! Logs of AWS's services, as their documentation shows them.

use super::*;

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html>
const ALB: &str = r#"http 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.000 0.001 0.000 200 200 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 "Root=1-58337262-36d228ad5d99923122bbe354" "-" "-" 0 2018-07-02T22:22:48.364000Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1234abcd5678ef90
https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012" 1 2018-07-02T22:22:48.364000Z "authenticate,forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1234abcd5678ef90
h2 2018-07-02T22:23:00.186641Z app/my-loadbalancer
"#;

/// The pattern of the how-to.
const ALB_PATTERN: &str = r#"(?<type>\S+) (?<time>\S+) (?<elb>\S+) (?<client_ip>\S+):(?<client_port>\d+) (?<target>\S+) (?<request_processing_time>\S+) (?<target_processing_time>\S+) (?<response_processing_time>\S+) (?<elb_status_code>\S+) (?<target_status_code>\S+) (?<received_bytes>\d+) (?<sent_bytes>\d+) "(?<request>[^"]*)" "(?<user_agent>[^"]*)" (?<ssl_cipher>\S+) (?<ssl_protocol>\S+) (?<rest>.*)"#;

/// <https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-records-examples.html>
const FLOWS: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status
2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK
2 123456789010 eni-1235b8ca123456789 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 1418530010 1418530070 REJECT OK
2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA
";

#[test]
fn logs_of_a_load_balancer_by_a_pattern() {
    stated("`no_match`: a line does not match the pattern of `regex`, or is not UTF-8.");
    let gz = lakewright_tests::not_text::gzip(ALB.as_bytes());
    for bytes in [ALB.as_bytes(), &gz] {
        for room in ROOMS {
            virtual_time(async {
                let lake = Lake::new(&format!(
                    "timestamp = {{ column = \"time\" }}\npartition_by = [\"date\", \"type\"]\nformat = \"regex\"\nregex = {{ pattern = '{ALB_PATTERN}', null = \"-\" }}\ntable = \"lake.t\""
                ));
                lake.table(
                    &[
                        ("client_ip", "string"),
                        ("client_port", "int"),
                        ("response_processing_time", "double"),
                        ("elb_status_code", "int"),
                        ("request", "string"),
                        ("ssl_protocol", "string"),
                    ],
                    &["date", "type"],
                );
                let report = lake.rekey("a.log.gz", bytes, room).await.unwrap();
                assert_eq!((report.rows_in, report.rows_out), (3, 2));
                // What the table has no column for.
                assert_eq!(report.fields_dropped, 2 * 11);
                let row = |seconds: f64, request: &str| {
                    json!({
                        "client_ip": "192.168.131.39", "client_port": 2817,
                        "response_processing_time": seconds, "elb_status_code": 200,
                        "request": request,
                    })
                };
                let mut https = row(0.037, "GET https://www.example.com:443/ HTTP/1.1");
                https["ssl_protocol"] = json!("TLSv1.2");
                assert_eq!(
                    json!(lake.rows(&report)),
                    json!({
                        "date=2018-07-02/type=http/00000.zstd.parquet": [row(0.0, "GET http://www.example.com:80/ HTTP/1.1")],
                        "date=2018-07-02/type=https/00000.zstd.parquet": [https],
                    })
                );
                let refused = &lake.quarantine(&report)[0];
                assert_eq!(refused["reason"], "no_match");
                let at = usize::try_from(refused["offset"].as_u64().unwrap()).unwrap();
                let record = refused["record"].as_str().unwrap();
                assert!(ALB[at..].starts_with(record) && record.starts_with("h2 "));
            });
        }
    }
}

#[test]
fn flow_logs_are_csv_with_spaces() {
    virtual_time(async {
        let lake = Lake::new(
            "timestamp = { column = \"start\" }\npartition_by = [\"date\"]\nformat = \"csv\"\ncsv = { delimiter = \" \", null = \"-\" }\noutput = [{ format = \"json\", compression = \"none\" }]",
        );
        let report = lake.rekey("a", FLOWS.as_bytes(), AMPLE).await.unwrap();
        assert_eq!((report.rows_in, report.rows_out), (3, 3));
        let rows = lake.rows(&report);
        assert_eq!(rows["date=2014-12-14/00000.json"][1]["action"], "REJECT");
        assert_eq!(
            rows["date=2015-05-10/00000.json"],
            [json!({
                "version": "2", "account-id": "123456789010", "interface-id": "eni-1235b8ca123456789",
                "start": "1431280876", "end": "1431280934", "log-status": "NODATA",
            })]
        );
    });
}

#[test]
fn a_pattern_without_what_the_job_names_refuses_the_object() {
    for (settings, says) in [
        ("timestamp = { column = \"when\" }", "timestamp.column"),
        (
            "timestamp = { column = \"t\" }\npartition_by = [\"plant\"]",
            "partition_by",
        ),
    ] {
        virtual_time(async {
            let lake = Lake::new(&format!(
                "{settings}\nformat = \"regex\"\nregex = {{ pattern = '(?<t>\\S+) (?<n>\\d+)' }}"
            ));
            let error = lake.rekey("a", b"2026-05-01 1\n", AMPLE).await.unwrap_err();
            assert_eq!(error.name(), "SchemaUnusable");
            assert!(error.to_string().contains(says), "{error}");
        });
    }
}
