//! `compact-publish`: readers are sent to the merged files, and the old ones are swept and deleted.

use lakewright_aws::{compact::Function, serve};
use lambda_runtime::Error;

// One thread: it waits for answers and computes next to nothing, and handing tasks over costs more than that.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    serve(std::env::vars_os(), Function::start, Function::publish).await
}
