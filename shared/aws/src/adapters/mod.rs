//! The ports of `lakewright-jobs`, each implemented with one AWS service.

pub mod athena;
pub mod clock;
pub mod failure;
pub mod glue;
pub mod s3;
pub mod secrets;
pub mod sqs;
pub mod step_functions;
