//! Queries, results and requests that are refused, by name.

use super::*;

#[test]
fn queries_without_a_result_that_can_be_split_are_refused_by_name() {
    stated(
        "A result is read only from below the prefixes in `sources`, or from any bucket of the account where `allow_any_source` is `true`; a job has one of the two, and a result elsewhere fails as `SourceNotAllowed` before anything is written.",
    );
    let with = |change: fn(&mut QueryExecution)| {
        let mut execution = succeeded();
        change(&mut execution);
        execution
    };
    for (execution, name) in [
        (
            with(|e| e.state = QueryState::Unfinished),
            "QueryUnfinished",
        ),
        (with(|e| e.state = QueryState::Failed), "QueryFailed"),
        (with(|e| e.state = QueryState::Cancelled), "QueryFailed"),
        (with(|e| e.managed = true), "ManagedResult"),
        (with(|e| e.output = None), "NoRows"),
        (
            with(|e| e.output = Some(location("s3://results/q.txt"))),
            "NoRows",
        ),
        (with(|e| e.unload = true), "NoRows"),
        (
            with(|e| e.output = Some(location("s3://other/q.csv"))),
            "SourceNotAllowed",
        ),
        (
            with(|e| e.output = Some(location("s3://results/gone.csv"))),
            "Unreadable",
        ),
    ] {
        virtual_time(async {
            let stage = Stage::new("sources = [\"s3://results/\"]");
            stage
                .cloud
                .with(|state| state.athena.put("q", execution.clone(), Vec::new()));
            let error = stage.plan(&by_query()).await.unwrap_err();
            assert_eq!(error.name(), name, "{execution:?}: {error}");
            assert_eq!(stage.objects(), 0);
        });
    }
}

#[test]
fn results_and_requests_that_mean_nothing_are_refused_by_name() {
    let other = |id: &str| PlanRequest {
        query_execution_id: Some(id.to_owned()),
        ..by_query()
    };
    let both = PlanRequest {
        result: Some(location("s3://results/q.csv")),
        ..by_query()
    };
    for (more, text, request, name) in [
        ("", CSV, other("unknown"), "QueryMissing"),
        ("", CSV, other("../x"), "BadRequest"),
        ("", CSV, both, "BadRequest"),
        ("", "", by_query(), "Unreadable"),
        ("", "\"id\"\n\"a", by_query(), "Unreadable"),
        ("", "\"id\",\"id\"\n", by_query(), "DuplicateColumn"),
        ("key = \"{who}\"", CSV, by_query(), "UnknownColumn"),
        (
            "key = \"{ID}\"",
            "\"id\",\"Id\"\n",
            by_query(),
            "UnknownColumn",
        ),
        ("key = \"{ID}\"", CSV, by_query(), "KeyCollision"),
        (
            "key = \"{id}\"",
            "\"id\",\"n\"\n\"a\"\n",
            by_query(),
            "BadRow",
        ),
        ("key = \"{id}\"", CSV, by_query(), "KeyCollision"),
        (
            "",
            "PAR1",
            by_result("s3://results/m-manifest.csv"),
            "Unreadable",
        ),
        ("max_puts = 5", CSV, by_query(), "ConfirmationNeeded"),
    ] {
        virtual_time(async {
            let stage = Stage::new(more);
            let bytes = Bytes::from_static(text.as_bytes());
            stage.cloud.place(&location("s3://results/q.csv"), bytes);
            stage.cloud.place(
                &location("s3://results/m-manifest.csv"),
                Bytes::from_static(b"s3://results/q.csv\n"),
            );
            let error = stage.plan(&request).await.unwrap_err();
            assert_eq!(error.name(), name, "{text}: {error}");
            assert_eq!(stage.objects(), 0, "{name}: nothing was to be written");
        });
    }
}

#[test]
fn one_fault_of_a_result_is_one_refusal() {
    stated(
        "An object of text that is UTF-16 or UTF-32, by its byte order mark or by its zeros, or begins with NULs, is refused by every job by that name.",
    );
    stated(
        "A result that begins with a byte order mark, which Athena does not write, is refused by that name.",
    );
    let parquet = Bytes::from_static(b"PAR1\x15\0\x15\x0a");
    let mut objects = objects(CSV, &parquet);
    objects.push(("byte order mark", format!("\u{feff}{CSV}").into_bytes()));
    objects.push(("compressed with gzip", gzip(CSV.as_bytes())));
    for (says, bytes) in objects {
        // Athena does not compress a CSV, so nothing is taken out of what is compressed.
        let says = if bytes.starts_with(b"\x1f\x8b") {
            "compressed with gzip"
        } else {
            says
        };
        virtual_time(async {
            let stage = Stage::new("");
            stage
                .cloud
                .place(&location("s3://results/q.csv"), bytes.into());
            let error = stage.plan(&by_query()).await.unwrap_err();
            assert_eq!(error.name(), "Unreadable", "{says}: {error}");
            assert!(error.to_string().contains(says), "{says}: {error}");
            assert_eq!(stage.objects(), 0);
        });
    }
}

#[test]
fn one_fault_of_what_unload_wrote_is_one_refusal() {
    let parquet = Bytes::from_static(b"PAR1\x15\0\x15\x0a");
    let objects = objects("{\"id\":\"a\"}\n", &parquet);
    for (says, bytes) in objects {
        for unload in [
            "",
            "unload = { format = \"json\" }",
            "unload = { format = \"text\" }",
        ] {
            // Without a word about the format, Parquet is read as such, and this one is not whole.
            if unload.is_empty() && says == "Parquet" {
                continue;
            }
            virtual_time(async {
                let columns = "columns = [{ name = \"id\", type = \"varchar\" }]";
                let stage = Stage::new(if unload.contains("text") {
                    Box::leak(format!("{unload}\n{columns}").into_boxed_str())
                } else {
                    unload
                });
                let manifest = Bytes::from_static(b"s3://results/q.csv\n");
                stage
                    .cloud
                    .place(&location("s3://results/m-manifest.csv"), manifest);
                stage
                    .cloud
                    .place(&location("s3://results/q.csv"), bytes.clone().into());
                let request = by_result("s3://results/m-manifest.csv");
                let error = stage.plan(&request).await.unwrap_err();
                assert_eq!(error.name(), "Unreadable", "{says}: {error}");
                assert!(error.to_string().contains(says), "{unload} {says}: {error}");
                assert_eq!(stage.objects(), 0);
            });
        }
    }
}
