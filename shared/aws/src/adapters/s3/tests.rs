use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::HttpRequest,
};
use tokio::time::Instant;

use super::*;
use crate::clients::ATTEMPT_TIMEOUT;

/// A service that never answers.
#[derive(Debug)]
struct Silent;

impl HttpConnector for Silent {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_at_a_copy_has_time_for_the_largest_object() {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT);
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .http_client(http_client_fn(|_, _| SharedHttpConnector::new(Silent)))
        .build();
    let store = S3Store::new(Client::from_conf(config), Payloads::Signed);
    let (from, to) = (Location::new("lake", "a"), Location::new("lake", "b"));
    let begun = Instant::now();
    let error = store.head(&from, None).await.unwrap_err();
    assert_eq!(
        (error.kind, begun.elapsed()),
        (StoreErrorKind::Network, ATTEMPT_TIMEOUT)
    );
    let begun = Instant::now();
    let copied = store
        .copy(&from, None, &to, Precondition::Absent, None)
        .await;
    assert_eq!(copied.unwrap_err().kind, StoreErrorKind::Network);
    // 5 GiB at 10 MiB a second.
    assert_eq!(begun.elapsed(), Duration::from_secs(512));
}
