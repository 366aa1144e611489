//! `repartition-plan`: plans a run of a job, or resumes the current one.

use lakewright_aws::{repartition::Function, serve};
use lambda_runtime::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(std::env::vars_os(), Function::start, Function::plan).await
}
