//! Tests the requests to both services as they are sent.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use aws_config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_sdk_secretsmanager::config::Credentials;
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
};
use aws_smithy_types::body::SdkBody;
use lakewright_ports::ServiceErrorKind;
use serde_json::{Value, json};

use super::*;

/// Answers one call after another, and records the requests.
#[derive(Debug, Clone, Default)]
struct Wire(Arc<Mutex<(VecDeque<Answer>, Vec<Call>)>>);

/// A status, and what is answered.
type Answer = (u16, Value);

/// An operation, and its request.
type Call = (String, Value);

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request.headers().get("x-amz-target").unwrap_or_default();
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let mut state = self.0.lock().unwrap();
        let (answers, asked) = &mut *state;
        asked.push((operation.to_owned(), body));
        let (status, answer) = answers.pop_front().unwrap();
        let body = SdkBody::from(answer.to_string());
        let response = HttpResponse::new(status.try_into().unwrap(), body);
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl Wire {
    fn answering(answers: impl IntoIterator<Item = Answer>) -> (Self, AwsSecrets) {
        let wire = Self::default();
        wire.0.lock().unwrap().0.extend(answers);
        let connector = SharedHttpConnector::new(wire.clone());
        let config = aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .retry_config(RetryConfig::disabled())
            .credentials_provider(
                aws_sdk_secretsmanager::config::SharedCredentialsProvider::new(Credentials::new(
                    "id", "secret", None, None, "test",
                )),
            )
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        let secrets = AwsSecrets::new(
            aws_sdk_secretsmanager::Client::new(&config),
            aws_sdk_ssm::Client::new(&config),
        );
        (wire, secrets)
    }

    fn asked(&self) -> Vec<Call> {
        self.0.lock().unwrap().1.clone()
    }
}

/// The HMAC-SHA-256 of a text is the only thing that can be seen of a secret.
fn is_of(secret: &Secret, value: &[u8]) -> bool {
    let hash = |secret: &Secret| {
        let mut digits = String::new();
        secret.hash(b"text", &mut digits);
        digits
    };
    hash(secret) == hash(&Secret::new(value).unwrap())
}

fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

fn parameter(version: u64, made: f64, value: &str) -> Answer {
    let parameter = json!({"Name": "/lake/a", "Type": "SecureString", "Value": value, "Version": version, "LastModifiedDate": made});
    (200, json!({"Parameter": parameter}))
}

#[tokio::test]
async fn a_version_is_asked_for_once() {
    let secrets_manager =
        |version: &str, value| (200, json!({"VersionId": version, "SecretString": value}));
    let get = "secretsmanager.GetSecretValue".to_owned();
    let (wire, secrets) = Wire::answering([
        secrets_manager("v-1", "first"),
        secrets_manager("v-2", "second"),
        secrets_manager("v-0", "before"),
        (200, json!({"VersionId": "v-3", "SecretBinary": "AAEC"})),
    ]);
    let of = name("secretsmanager:lake/a");
    for (version, found, value) in [
        (None, "v-1", &b"first"[..]),
        (None, "v-2", b"second"),
        (Some("v-1"), "v-1", b"first"),
        (Some("v-0"), "v-0", b"before"),
        (Some("v-0"), "v-0", b"before"),
        (None, "v-3", &[0, 1, 2]),
    ] {
        let (id, secret) = secrets.secret(&of, version).await.unwrap();
        assert_eq!(id, found);
        assert!(is_of(&secret, value), "{version:?}");
    }
    let current = || (get.clone(), json!({"SecretId": "lake/a"}));
    let before = (
        get.clone(),
        json!({"SecretId": "lake/a", "VersionId": "v-0"}),
    );
    assert_eq!(wire.asked(), [current(), current(), before, current()]);

    let get = "AmazonSSM.GetParameter".to_owned();
    let (wire, secrets) = Wire::answering([
        parameter(7, 1_764_557_313.123, "first"),
        parameter(8, 1_764_557_314.0, "second"),
        parameter(6, 1_764_557_312.5, "before"),
    ]);
    let of = name("ssm:/lake/a");
    for (version, found, value) in [
        (None, "7@2025-12-01T02:48:33.123Z", &b"first"[..]),
        (None, "8@2025-12-01T02:48:34Z", b"second"),
        (
            Some("7@2025-12-01T02:48:33.123Z"),
            "7@2025-12-01T02:48:33.123Z",
            b"first",
        ),
        (
            Some("6@2025-12-01T02:48:32.5Z"),
            "6@2025-12-01T02:48:32.5Z",
            b"before",
        ),
    ] {
        let (id, secret) = secrets.secret(&of, version).await.unwrap();
        assert_eq!(id, found);
        assert!(is_of(&secret, value), "{version:?}");
    }
    let asked = |name: &str| (get.clone(), json!({"Name": name, "WithDecryption": true}));
    assert_eq!(
        wire.asked(),
        [asked("/lake/a"), asked("/lake/a"), asked("/lake/a:6")]
    );
}

#[tokio::test]
async fn what_is_no_secret_is_refused() {
    use ServiceErrorKind::{AccessDenied, Other, Retryable};
    let failed = |code: &str| (400, json!({"__type": code, "message": "no"}));
    let typed = |kind| {
        (
            200,
            json!({"Parameter": {"Type": kind, "Value": "x", "Version": 1, "LastModifiedDate": 1.0}}),
        )
    };
    let manager = "secretsmanager:a";
    for (secret, version, answer, kind, says) in [
        (
            manager,
            None,
            (200, json!({"VersionId": "v", "SecretString": ""})),
            Other,
            "GetSecretValue of secretsmanager:a: the secret is empty",
        ),
        (
            manager,
            None,
            (200, json!({"SecretString": "x"})),
            Other,
            "names no version",
        ),
        (
            manager,
            Some("v"),
            failed("ResourceNotFoundException"),
            Other,
            "ResourceNotFoundException",
        ),
        (
            manager,
            None,
            failed("AccessDeniedException"),
            AccessDenied,
            "needs secretsmanager:GetSecretValue",
        ),
        (
            "ssm:a",
            None,
            typed("String"),
            Other,
            "GetParameter of ssm:a: the parameter is a String, and a secret is a SecureString",
        ),
        ("ssm:a", None, typed("StringList"), Other, "is a StringList"),
        ("ssm:a", None, (200, json!({})), Other, "is a nothing"),
        (
            "ssm:a",
            None,
            parameter(1, 1.0, ""),
            Other,
            "the parameter is empty",
        ),
        (
            "ssm:a",
            Some("1@1970-01-01T00:00:01Z"),
            parameter(1, 2.0, "x"),
            Other,
            "version 1@1970-01-01T00:00:01Z is gone: the parameter was deleted and made again, and is 1@1970-01-01T00:00:02Z now",
        ),
        (
            "ssm:a",
            Some("1@1970-01-01T00:00:01Z"),
            failed("ParameterVersionNotFound"),
            Other,
            "ParameterVersionNotFound",
        ),
        (
            "ssm:a",
            None,
            failed("AccessDeniedException"),
            AccessDenied,
            "needs ssm:GetParameter",
        ),
        (
            "ssm:a",
            None,
            failed("ThrottlingException"),
            Retryable,
            "ThrottlingException",
        ),
    ] {
        let (_, secrets) = Wire::answering([answer]);
        let error = secrets.secret(&name(secret), version).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}
