//! The failure of a call to an AWS service.

use aws_smithy_runtime_api::{client::result::SdkError, http::Response};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use lakewright_ports::ServiceErrorKind;

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
    /// The kind of failure, by the rules that most services share.
    pub(crate) fn kind(&self) -> ServiceErrorKind {
        if self.is_denied() {
            ServiceErrorKind::AccessDenied
        } else if self.is_retryable() {
            ServiceErrorKind::Retryable
        } else {
            ServiceErrorKind::Other
        }
    }

    /// Whether the service denied the call.
    pub(crate) fn is_denied(&self) -> bool {
        let code = self.code.as_deref().unwrap_or_default();
        code.contains("AccessDenied")
            || (code.is_empty() && matches!(self.reached, Reached::Answer(401 | 403)))
    }

    /// The service's message and, if the call was denied, the action that must be granted.
    pub(crate) fn message_with(self, action: &str) -> String {
        if self.is_denied() {
            with_permission(self.message, action)
        } else {
            self.message
        }
    }

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

/// Adds the action that must be granted, if the service does not name it.
pub(crate) fn with_permission(mut message: String, action: &str) -> String {
    if !message.contains(action) {
        message.push_str(", which needs ");
        message.push_str(action);
    }
    message
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_come_from_the_code_then_the_status() {
        use ServiceErrorKind::{AccessDenied, Other, Retryable};
        for (reached, code, kind) in [
            (
                Reached::Answer(400),
                Some("AccessDeniedException"),
                AccessDenied,
            ),
            (Reached::Answer(403), Some("AccessDenied"), AccessDenied),
            (
                Reached::Answer(400),
                Some("KMS.AccessDeniedException"),
                AccessDenied,
            ),
            (Reached::Answer(403), None, AccessDenied),
            (Reached::Answer(403), Some("ExpiredToken"), Other),
            (Reached::Answer(400), Some("ThrottlingException"), Retryable),
            (Reached::Answer(503), None, Retryable),
            (Reached::Network, None, Retryable),
            (Reached::NotSent, None, Other),
            (Reached::Answer(400), Some("InvalidRequestException"), Other),
        ] {
            let failure = Failure {
                reached,
                code: code.map(str::to_owned),
                message: String::new(),
            };
            assert_eq!(failure.kind(), kind, "{reached:?} {code:?}");
        }
    }

    #[test]
    fn a_denial_names_the_action_once() {
        for (code, message, expected) in [
            ("AccessDenied", "no", "no, which needs sqs:SendMessage"),
            (
                "AccessDenied",
                "not authorized to perform: sqs:SendMessage",
                "not authorized to perform: sqs:SendMessage",
            ),
            ("InvalidInput", "no", "no"),
        ] {
            let failure = Failure {
                reached: Reached::Answer(400),
                code: Some(code.to_owned()),
                message: message.to_owned(),
            };
            assert_eq!(failure.message_with("sqs:SendMessage"), expected);
        }
    }
}
