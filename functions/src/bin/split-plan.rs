//! `split-plan`: a query's result is cut into chunks, which are enqueued for `split-rows`.

use lakewright_aws::{settings::Settings, split::PlanFunction, telemetry};
use lambda_runtime::{Error, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let settings = Settings::from_vars(std::env::vars_os())?;
    telemetry::init(&settings.log);
    let function = PlanFunction::start(settings).await?;
    lambda_runtime::run(service_fn(|event| function.handle(event))).await
}
