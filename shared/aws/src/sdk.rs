//! One HTTP client and one set of credentials for every service, made once at cold start.
//!
//! The SDK never retries: the retry layer of `lakewright-jobs` knows the deadline and what may be repeated.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, SdkConfig, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::{client::result::SdkError, http::Response};
use aws_smithy_types::{
    checksum_config::{RequestChecksumCalculation, ResponseChecksumValidation},
    error::metadata::ProvideErrorMetadata,
};

use crate::{
    athena::AthenaQueries,
    glue::GlueCatalog,
    s3::{Payloads, S3Store},
    sqs::SqsQueue,
    step_functions::StepFunctionsCallback,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// For one attempt, from the first byte of the request to the head of the answer. The body of an answer is
/// guarded by the stalled-stream protection instead.
const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(1);

/// How long the bytes of a request or an answer may stand still.
const STALL_GRACE: Duration = Duration::from_secs(10);

/// The services' clients.
#[derive(Debug, Clone)]
pub struct Clients {
    config: SdkConfig,
}

impl Clients {
    /// Reads region, credentials and endpoint as every AWS SDK does, from the environment first.
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

    /// What the clients are made from.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The object store. It never retries: the jobs' own retry layer does.
    pub fn store(&self) -> S3Store {
        // Checksums beyond those that S3 demands are the store's to choose, by `Payloads`.
        let config = aws_sdk_s3::config::Builder::from(&self.config)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // A server on an address has no host name for each bucket.
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

    /// State machines that wait.
    pub fn callback(&self) -> StepFunctionsCallback {
        StepFunctionsCallback::new(aws_sdk_sfn::Client::new(&self.config))
    }
}

/// What a failed call says about itself, whichever service it went to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// How far the call came.
    pub(crate) reached: Reached,
    /// The service's error code, such as `NoSuchKey`.
    pub(crate) code: Option<String>,
    /// One line for people.
    pub(crate) message: String,
}

/// How far a failed call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// The request could not be made.
    NotSent,
    /// The request may or may not have arrived.
    Network,
    /// The service answered with this HTTP status.
    Answer(u16),
}

impl Failure {
    /// Whether the same call may succeed later, as most services answer.
    pub(crate) fn is_retryable(&self) -> bool {
        match self.reached {
            Reached::NotSent => false,
            Reached::Network => true,
            Reached::Answer(status) => {
                let code = self.code.as_deref().unwrap_or_default();
                status == 429
                    || status >= 500
                    || code.contains("Throttl")
                    || code == "TooManyRequestsException"
            }
        }
    }

    pub(crate) fn of<E>(error: &SdkError<E, Response>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let reached = match error {
            SdkError::ConstructionFailure(_) => Reached::NotSent,
            SdkError::ServiceError(_) | SdkError::ResponseError(_) => {
                match error.raw_response().map(|raw| raw.status().as_u16()) {
                    // An answer of success that cannot be read was cut short.
                    Some(200..=299) if matches!(error, SdkError::ResponseError(_)) => {
                        Reached::Network
                    }
                    Some(status) => Reached::Answer(status),
                    None => Reached::Network,
                }
            }
            _ => Reached::Network,
        };
        let code = error.code().map(str::to_owned);
        let mut message = match (reached, &code) {
            (Reached::Answer(status), Some(code)) => format!("{code} ({status})"),
            (Reached::Answer(status), None) => format!("status {status}"),
            _ => chain(error),
        };
        if let Some(said) = error.message() {
            message.push_str(": ");
            message.push_str(said);
        }
        if let Some(id) = error.raw_response().and_then(|raw| {
            let headers = raw.headers();
            headers
                .get("x-amz-request-id")
                .or_else(|| headers.get("x-amzn-requestid"))
        }) {
            message.push_str(", request ");
            message.push_str(id);
        }
        Self {
            reached,
            code,
            message,
        }
    }
}

/// The error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Many errors repeat their cause in their own text.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}
