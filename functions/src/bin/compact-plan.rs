//! `compact-plan`: a table's partitions that need it are planned, and earlier runs' work is taken up.

use lakewright_aws::{compact::Function, serve};
use lambda_runtime::Error;

// One thread: it waits for answers and computes next to nothing, and handing tasks over costs more than that.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    serve(std::env::vars_os(), Function::start, Function::plan).await
}
