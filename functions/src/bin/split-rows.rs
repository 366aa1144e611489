//! `split-rows`: each row of a chunk is written as an object of its own.

use lakewright_aws::{settings::Settings, split::RowsFunction, telemetry};
use lambda_runtime::{Error, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let settings = Settings::from_vars(std::env::vars_os())?;
    telemetry::init(&settings.log);
    let function = RowsFunction::start(settings).await?;
    lambda_runtime::run(service_fn(|event| function.handle(event))).await
}
