//! One HTTP client and one set of credentials for all services, created once at cold start.
//!
//! The SDK never retries: only the retry layer of `lakewright-jobs` knows the deadline and which calls may be repeated.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, SdkConfig, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_types::checksum_config::{RequestChecksumCalculation, ResponseChecksumValidation};

use crate::adapters::{
    athena::AthenaQueries,
    glue::GlueCatalog,
    s3::{Payloads, S3Store},
    secrets::AwsSecrets,
    sqs::SqsQueue,
    step_functions::StepFunctionsCallback,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The limit for one attempt, from the first byte of the request to the headers of the response. The stalled-stream
/// protection limits the body.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(1);

/// How long the transfer of a request or a response may stall.
const STALL_GRACE: Duration = Duration::from_secs(10);

/// The services' clients.
#[derive(Debug, Clone)]
pub struct Clients {
    config: SdkConfig,
}

impl Clients {
    /// Reads region, credentials and endpoint as every AWS SDK does, first from the environment.
    /// <https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html>
    pub async fn connect() -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled()
                    .grace_period(STALL_GRACE)
                    .build(),
            )
            .load()
            .await;
        Self { config }
    }

    /// The configuration of the clients.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The object store. It never retries: the jobs' retry layer does.
    pub fn store(&self) -> S3Store {
        // `Payloads` decides on checksums that S3 does not require.
        let config = aws_sdk_s3::config::Builder::from(&self.config)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // A custom endpoint has no host name for each bucket.
            .force_path_style(self.config.endpoint_url().is_some());
        let plain = self
            .config
            .endpoint_url()
            .is_some_and(|url| url.starts_with("http://"));
        let payloads = if plain {
            Payloads::Signed
        } else {
            Payloads::Unsigned
        };
        S3Store::new(aws_sdk_s3::Client::from_conf(config.build()), payloads)
    }

    /// The data catalog.
    pub fn catalog(&self) -> GlueCatalog {
        GlueCatalog::new(aws_sdk_glue::Client::new(&self.config))
    }

    /// The queues.
    pub fn queue(&self) -> SqsQueue {
        SqsQueue::new(aws_sdk_sqs::Client::new(&self.config))
    }

    /// Athena.
    pub fn queries(&self) -> AthenaQueries {
        AthenaQueries::new(aws_sdk_athena::Client::new(&self.config))
    }

    /// Secrets.
    pub fn secrets(&self) -> AwsSecrets {
        AwsSecrets::new(
            aws_sdk_secretsmanager::Client::new(&self.config),
            aws_sdk_ssm::Client::new(&self.config),
        )
    }

    /// State machines that wait for a callback.
    pub fn callback(&self) -> StepFunctionsCallback {
        StepFunctionsCallback::new(aws_sdk_sfn::Client::new(&self.config))
    }
}
