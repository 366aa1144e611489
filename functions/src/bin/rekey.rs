//! `rekey`: rewrites landed objects into the partitions of their records' own time.

use lakewright_aws::{rekey::Function, serve};
use lambda_runtime::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(std::env::vars_os(), Function::start, Function::handle).await
}
