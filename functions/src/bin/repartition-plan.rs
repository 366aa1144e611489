//! `repartition-plan`: a run of a job is planned, or the one under way goes on.

use lakewright_aws::{repartition::Function, serve};
use lambda_runtime::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(std::env::vars_os(), Function::start, Function::plan).await
}
