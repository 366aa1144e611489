//! `compact-merge`: merges the small files of one bin into one.

use lakewright_aws::{compact::Function, serve};
use lambda_runtime::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(std::env::vars_os(), Function::start, Function::merge).await
}
