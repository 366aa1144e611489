//! `split-rows`: writes each row of a chunk as a separate object.

use lakewright_aws::{serve, split::RowsFunction};
use lambda_runtime::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(
        std::env::vars_os(),
        RowsFunction::start,
        RowsFunction::handle,
    )
    .await
}
