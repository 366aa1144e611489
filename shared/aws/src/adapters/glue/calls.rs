//! Tests the requests to Glue as they are sent.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use aws_sdk_glue::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
};
use aws_smithy_types::body::SdkBody;
use lakewright_core::catalog::TableName;
use lakewright_ports::Catalog;
use serde_json::{Value, json};

use super::GlueCatalog;

/// Answers one call after another, and records the requests.
#[derive(Debug, Clone, Default)]
struct Wire(Arc<Mutex<(VecDeque<Value>, Vec<Call>)>>);

/// An operation, and its request.
type Call = (String, Value);

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = operation.rsplit('.').next().unwrap().to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let mut state = self.0.lock().unwrap();
        let (answers, asked) = &mut *state;
        asked.push((operation, body));
        let answer = answers.pop_front().unwrap().to_string();
        let response = HttpResponse::new(200.try_into().unwrap(), SdkBody::from(answer));
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl Wire {
    fn answering(answers: impl IntoIterator<Item = Value>) -> (Self, GlueCatalog) {
        let wire = Self::default();
        wire.0.lock().unwrap().0.extend(answers);
        let connector = SharedHttpConnector::new(wire.clone());
        let config = aws_sdk_glue::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        (wire, GlueCatalog::new(Client::from_conf(config)))
    }

    fn asked(&self) -> Vec<Call> {
        self.0.lock().unwrap().1.clone()
    }
}

fn table() -> TableName {
    "lake.t".parse().unwrap()
}

fn existing(location: &str) -> Value {
    json!({"Values": ["5"], "Parameters": {"owner": "ada"}, "StorageDescriptor": {
        "Location": location,
        "Columns": [{"Name": "a", "Type": "bigint", "Comment": "how many"}],
        "SortColumns": [{"Column": "a", "SortOrder": 1}],
        "SchemaReference": {"SchemaVersionNumber": 3},
        "Parameters": {"numRows": "7"},
    }})
}

#[tokio::test]
async fn partitions_are_listed_page_by_page_without_columns() {
    let (wire, catalog) = Wire::answering([
        json!({"Partitions": [{"Values": ["5"], "StorageDescriptor": {"Location": "s3://lake/5/"}}], "NextToken": "more"}),
        json!({"Partitions": [{"Values": ["6"]}], "NextToken": ""}),
    ]);
    let listed = catalog.matching_partitions(&table(), Some("p > 4")).await;
    let values = listed.unwrap().into_iter().map(|listed| listed.values);
    assert_eq!(values.collect::<Vec<_>>(), [["5"], ["6"]]);
    let ask = |token: Option<&str>| {
        let mut ask = json!({"DatabaseName": "lake", "TableName": "t", "Expression": "p > 4", "ExcludeColumnSchema": true});
        if let Some(token) = token {
            ask["NextToken"] = json!(token);
        }
        ("GetPartitions".to_owned(), ask)
    };
    assert_eq!(wire.asked(), [ask(None), ask(Some("more"))]);
}

#[tokio::test]
async fn a_partition_is_read_whole_where_it_is_used_and_moves_with_all_that_it_has() {
    let (old, new) = ("s3://lake/old/", "s3://lake/new/");
    let whole = json!({"Partitions": [existing(old)]});
    let (wire, catalog) = Wire::answering([whole.clone(), whole, json!({})]);
    let values = [vec!["5".to_owned()]];
    let mut found = catalog.partitions(&table(), &values).await.unwrap();
    assert_eq!(found[0].storage.columns[0].hive_type, "bigint");
    new.clone_into(&mut found[0].storage.location);
    let failures = catalog.update_partitions(&table(), &found).await;
    assert_eq!(failures.unwrap(), []);

    let asked = wire.asked();
    let operations = asked.iter().map(|(operation, _)| operation.as_str());
    let expected = [
        "BatchGetPartition",
        "BatchGetPartition",
        "BatchUpdatePartition",
    ];
    assert_eq!(operations.collect::<Vec<_>>(), expected);
    assert_eq!(asked[0].1["PartitionsToGet"], json!([{"Values": ["5"]}]));
    let written = &asked[2].1["Entries"][0]["PartitionInput"];
    let expected = existing(new);
    for field in ["Values", "Parameters"] {
        assert_eq!(written[field], expected[field]);
    }
    for (field, value) in expected["StorageDescriptor"].as_object().unwrap() {
        assert_eq!(written["StorageDescriptor"][field], *value, "{field}");
    }
}
