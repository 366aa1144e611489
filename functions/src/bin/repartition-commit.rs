//! `repartition-commit`: commits a run, and removes what it replaces.

use lakewright_aws::{repartition::Function, serve};
use lambda_runtime::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(std::env::vars_os(), Function::start, Function::commit).await
}
