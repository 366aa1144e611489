use aws_smithy_runtime_api::{client::result::SdkError, http::Response};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use lakewright_core::location::Location;
use lakewright_ports::{StoreError, StoreErrorKind};

use crate::adapters::failure::{Failure, Reached, with_permission};

/// S3's code for a call, or a key of a batch, that the caller may not make.
pub(super) const DENIED: &str = "AccessDenied";

/// The call that an error message names.
pub(super) struct Call<'a> {
    pub(super) operation: &'static str,
    pub(super) location: &'a Location,
}

impl Call<'_> {
    pub(super) fn error(&self, kind: StoreErrorKind, message: impl Into<String>) -> StoreError {
        StoreError {
            kind,
            operation: self.operation,
            location: self.location.clone(),
            message: message.into(),
        }
    }

    pub(super) fn failed<E>(&self, error: &SdkError<E, Response>) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let failure = Failure::of(error);
        let kind = match failure.reached {
            Reached::NotSent => StoreErrorKind::Other,
            Reached::Network => StoreErrorKind::Network,
            Reached::Answer(status) => kind_of(failure.code.as_deref(), status),
        };
        let mut message = failure.message;
        if kind == StoreErrorKind::AccessDenied {
            message = with_permission(message, permission_of(self.operation));
        }
        self.error(kind, message)
    }
}

/// The permission that a call needs.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>
pub(super) fn permission_of(operation: &str) -> &'static str {
    match operation {
        "HeadObject" | "GetObject" => "s3:GetObject",
        "ListObjectsV2" => "s3:ListBucket",
        "DeleteObjects" | "DeleteObject" => "s3:DeleteObject",
        "AbortMultipartUpload" => "s3:AbortMultipartUpload",
        _ => "s3:PutObject",
    }
}

/// The code takes precedence: `CopyObject` and `CompleteMultipartUpload` may answer 200 with an error in the body. A
/// `HEAD` only has a status. <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn kind_of(code: Option<&str>, status: u16) -> StoreErrorKind {
    match code {
        Some("NoSuchKey" | "NoSuchVersion" | "NoSuchBucket" | "NoSuchUpload") => {
            StoreErrorKind::NotFound
        }
        Some("PreconditionFailed") => StoreErrorKind::PreconditionFailed,
        Some("ConditionalRequestConflict" | "OperationAborted") => StoreErrorKind::Conflict,
        Some("SlowDown" | "ServiceUnavailable" | "TooManyRequestsException") => {
            StoreErrorKind::SlowDown
        }
        Some("InternalError") => StoreErrorKind::Internal,
        // The server closed the connection because the request arrived too slowly.
        Some("RequestTimeout") => StoreErrorKind::Network,
        Some("InvalidRange") => StoreErrorKind::InvalidRange,
        Some(DENIED) => StoreErrorKind::AccessDenied,
        _ => match status {
            401 | 403 => StoreErrorKind::AccessDenied,
            404 => StoreErrorKind::NotFound,
            409 => StoreErrorKind::Conflict,
            412 => StoreErrorKind::PreconditionFailed,
            416 => StoreErrorKind::InvalidRange,
            429 | 503 => StoreErrorKind::SlowDown,
            500.. => StoreErrorKind::Internal,
            _ => StoreErrorKind::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_names_the_permission_once() {
        for (message, operation, expected) in [
            (
                "status 403",
                "HeadObject",
                "status 403, which needs s3:GetObject",
            ),
            (
                "not authorized to perform: s3:PutObject",
                "UploadPart",
                "not authorized to perform: s3:PutObject",
            ),
            (
                "AccessDenied",
                "DeleteObjects",
                "AccessDenied, which needs s3:DeleteObject",
            ),
            (
                "AccessDenied",
                "ListObjectsV2",
                "AccessDenied, which needs s3:ListBucket",
            ),
        ] {
            let named = with_permission(message.to_owned(), permission_of(operation));
            assert_eq!(named, expected);
        }
    }

    #[test]
    fn kinds_come_from_the_code_then_the_status() {
        for (code, status, kind) in [
            (None, 404, StoreErrorKind::NotFound),
            (Some("NoSuchKey"), 404, StoreErrorKind::NotFound),
            (Some("NoSuchUpload"), 404, StoreErrorKind::NotFound),
            (None, 412, StoreErrorKind::PreconditionFailed),
            (
                Some("PreconditionFailed"),
                412,
                StoreErrorKind::PreconditionFailed,
            ),
            (
                Some("ConditionalRequestConflict"),
                409,
                StoreErrorKind::Conflict,
            ),
            (Some("OperationAborted"), 409, StoreErrorKind::Conflict),
            (Some("SlowDown"), 503, StoreErrorKind::SlowDown),
            (Some("SlowDown"), 200, StoreErrorKind::SlowDown),
            (None, 503, StoreErrorKind::SlowDown),
            (None, 429, StoreErrorKind::SlowDown),
            (Some("InternalError"), 200, StoreErrorKind::Internal),
            (Some("InternalError"), 500, StoreErrorKind::Internal),
            (None, 502, StoreErrorKind::Internal),
            (Some("RequestTimeout"), 400, StoreErrorKind::Network),
            (None, 416, StoreErrorKind::InvalidRange),
            (Some("AccessDenied"), 403, StoreErrorKind::AccessDenied),
            (
                Some("SignatureDoesNotMatch"),
                403,
                StoreErrorKind::AccessDenied,
            ),
            (Some("EntityTooSmall"), 400, StoreErrorKind::Other),
            (Some("MethodNotAllowed"), 405, StoreErrorKind::Other),
        ] {
            assert_eq!(kind_of(code, status), kind, "{code:?} {status}");
        }
    }
}
