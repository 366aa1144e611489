//! `compact-publish`: switches readers to the merged files, sweeps and deletes the old ones.

use lakewright_aws::{compact::Function, serve};
use lambda_runtime::Error;

// One thread: it waits for responses and computes very little, and handing tasks over to other threads costs more.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    serve(std::env::vars_os(), Function::start, Function::publish).await
}
