//! The functions `split-plan` and `split-rows`.

mod metrics;
mod plan;
mod rows;

pub use self::{plan::PlanFunction, rows::RowsFunction};
pub use crate::function::FunctionError;
