//! `split-plan`: cuts a query's result into chunks, and enqueues these for `split-rows`.

use lakewright_aws::{serve, split::PlanFunction};
use lambda_runtime::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(
        std::env::vars_os(),
        PlanFunction::start,
        PlanFunction::handle,
    )
    .await
}
