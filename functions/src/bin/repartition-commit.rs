//! `repartition-commit`: a run is committed, and what it replaces is removed.

use lakewright_aws::{repartition::Function, serve};
use lambda_runtime::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(std::env::vars_os(), Function::start, Function::commit).await
}
