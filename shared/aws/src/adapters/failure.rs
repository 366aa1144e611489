//! The failure of a call to an AWS service.

use aws_smithy_runtime_api::{client::result::SdkError, http::Response};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// The failure of a call to any AWS service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// How far the call got.
    pub(crate) reached: Reached,
    /// The service's error code, such as `NoSuchKey`.
    pub(crate) code: Option<String>,
    /// A message in one line.
    pub(crate) message: String,
}

/// How far a failed call got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// The request could not be built.
    NotSent,
    /// The request may or may not have reached the service.
    Network,
    /// The service answered with this HTTP status.
    Answer(u16),
}

impl Failure {
    /// Whether the same call may succeed later, by the rules that most services share.
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
                    // A success response that cannot be parsed was truncated.
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
        // Many errors include the text of their cause.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}
