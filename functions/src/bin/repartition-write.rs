//! `repartition-write`: runs one task of a run, or one of the preparations before the tasks.

use lakewright_aws::{repartition::Function, serve};
use lambda_runtime::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(std::env::vars_os(), Function::start, Function::write).await
}
