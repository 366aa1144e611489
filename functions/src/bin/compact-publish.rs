//! `compact-publish`: readers are sent to the merged files, and the old ones are swept and deleted.

use lakewright_aws::{compact::Function, settings::Settings, telemetry};
use lambda_runtime::{Error, service_fn};

// One thread: it waits for answers and computes next to nothing, and handing tasks over costs more than that.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let settings = Settings::from_vars(std::env::vars_os())?;
    telemetry::init(&settings.log);
    let function = Function::start(settings).await?;
    lambda_runtime::run(service_fn(|event| function.publish(event))).await
}
