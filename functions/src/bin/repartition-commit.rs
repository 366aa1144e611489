//! `repartition-commit`: a run is committed, and what it replaces is removed.

use lakewright_aws::{repartition::Function, settings::Settings, telemetry};
use lambda_runtime::{Error, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let settings = Settings::from_vars(std::env::vars_os())?;
    telemetry::init(&settings.log);
    let function = Function::start(settings).await?;
    lambda_runtime::run(service_fn(|event| function.commit(event))).await
}
