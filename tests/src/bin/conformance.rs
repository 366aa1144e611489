//! Runs the conformance suite of stores over a real S3: that of the local cloud or of AWS; and that of secrets over the local
//! cloud.
//!
//! With `--endpoint`, a bucket is created at that address, and the known differences of the local cloud apply.
//! Otherwise the bucket is `--bucket` or the one in `LAKEWRIGHT_S3_BUCKET`, and no differences are allowed. The suite
//! deletes what it wrote at the end.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use aws_sdk_ssm::types::ParameterType;
use clap::Parser;
use lakewright_aws::Clients;
use lakewright_core::{
    config::{SecretName, SecretService},
    location::Location,
};
use lakewright_ports::{Secrets, Store, StoreError, StoreErrorKind};
use lakewright_tests::conformance::{self, Keeper, LOCAL_CLOUD_DIFFERENCES, Outcome};

/// Checks a store against what Lakewright relies on.
#[derive(Parser)]
struct Arguments {
    /// The local cloud's address, the same that `AWS_ENDPOINT_URL` names.
    #[arg(long)]
    endpoint: Option<String>,
    /// A bucket that exists.
    #[arg(long, conflicts_with = "endpoint")]
    bucket: Option<String>,
}

#[expect(clippy::print_stderr, reason = "why it could not be run")]
fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(check(Arguments::parse())),
        Err(error) => Err(error.to_string()),
    };
    result.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::FAILURE
    })
}

async fn check(arguments: Arguments) -> Result<ExitCode, String> {
    let clients = Clients::connect().await;
    let own = format!("lakewright-conformance-{}", since_1970().as_millis());
    let (prefix, differences) = if let Some(endpoint) = &arguments.endpoint {
        create_bucket(&clients, endpoint, &own).await?;
        (Location::new(&own, "conformance/"), LOCAL_CLOUD_DIFFERENCES)
    } else {
        let bucket = arguments.bucket.or_else(named_bucket).ok_or(
            "name the bucket with --bucket or LAKEWRIGHT_S3_BUCKET, or the local cloud with --endpoint",
        )?;
        (Location::new(bucket, format!("{own}/")), &[][..])
    };
    let store = clients.store();
    let mut outcomes = conformance::run(&store, &prefix).await;
    if arguments.endpoint.is_some() {
        let connect = || Box::new(clients.secrets()) as Box<dyn Secrets>;
        outcomes.extend(conformance::run_secrets(&connect, &Own(&clients), &own).await);
    }
    let deleted = delete_all(&store, &prefix).await;
    let code = report(&outcomes, differences);
    deleted.map_err(|error| format!("what the suite wrote could not be deleted: {error}"))?;
    Ok(code)
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn report(outcomes: &[Outcome], differences: &[(&str, &str)]) -> ExitCode {
    for outcome in outcomes {
        let known = differences.iter().find(|(name, _)| *name == outcome.name);
        match (&outcome.result, known) {
            (Ok(()), _) => println!("ok        {}", outcome.name),
            (Err(_), Some((name, reason))) => println!("differs   {name}: {reason}"),
            (Err(failure), None) => println!("FAILED    {}: {failure}", outcome.name),
        }
    }
    let surprises = conformance::surprises(outcomes, differences);
    for surprise in &surprises {
        println!("surprise  {surprise}");
    }
    let failed = surprises.len();
    println!(
        "{} passed, {failed} failed",
        outcomes.len().saturating_sub(failed)
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn create_bucket(clients: &Clients, endpoint: &str, bucket: &str) -> Result<(), String> {
    let config = clients.config();
    if config.endpoint_url() != Some(endpoint) {
        return Err(format!("set AWS_ENDPOINT_URL={endpoint} as well"));
    }
    let config = aws_sdk_s3::config::Builder::from(config)
        .force_path_style(true)
        .build();
    aws_sdk_s3::Client::from_conf(config)
        .create_bucket()
        .bucket(bucket)
        .send()
        .await
        .map(|_| ())
        .map_err(|error| format!("bucket {bucket}: {error:?}"))
}

/// Makes secrets at the address that the clients are for.
struct Own<'a>(&'a Clients);

#[async_trait]
impl Keeper for Own<'_> {
    async fn put(&self, name: &SecretName, value: &str) -> Result<(), String> {
        let config = self.0.config();
        match name.service() {
            SecretService::SecretsManager => {
                let client = aws_sdk_secretsmanager::Client::new(config);
                let replaced = client.put_secret_value().secret_id(name.name());
                if replaced.secret_string(value).send().await.is_ok() {
                    return Ok(());
                }
                let made = client.create_secret().name(name.name());
                let made = made.secret_string(value).send().await;
                made.map(drop).map_err(|error| format!("{name}: {error:?}"))
            }
            SecretService::ParameterStore => {
                let client = aws_sdk_ssm::Client::new(config);
                let put = client.put_parameter().name(name.name()).value(value);
                let put = put.r#type(ParameterType::SecureString).overwrite(true);
                let put = put.send().await;
                put.map(drop).map_err(|error| format!("{name}: {error:?}"))
            }
        }
    }
}

async fn delete_all(store: &dyn Store, prefix: &Location) -> Result<(), StoreError> {
    loop {
        let page = store.list(prefix, None).await?;
        if page.objects.is_empty() {
            return Ok(());
        }
        let keys = page.objects.into_iter().map(|object| object.key.into());
        let keys: Vec<_> = keys.collect();
        let failures = store.delete(&prefix.bucket, &keys).await?;
        if let Some(failure) = failures.into_iter().next() {
            return Err(StoreError {
                kind: StoreErrorKind::Other,
                operation: "DeleteObjects",
                location: Location::new(&prefix.bucket, failure.key),
                message: failure.message,
            });
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a name that no earlier run used; nothing is compared with it"
)]
fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is a program's main, where the environment is read"
)]
fn named_bucket() -> Option<String> {
    std::env::var("LAKEWRIGHT_S3_BUCKET").ok()
}
