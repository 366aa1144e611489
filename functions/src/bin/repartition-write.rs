//! `repartition-write`: one task of a run, or an entry of what comes before the tasks.

use lakewright_aws::{repartition::Function, serve};
use lambda_runtime::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(std::env::vars_os(), Function::start, Function::write).await
}
