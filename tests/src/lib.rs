//! The project's test bed: models of the services with faults, the conformance suite of stores, and simulations of the
//! jobs.

pub mod conformance;
pub mod counting;
pub mod fuzz;
pub mod model;
pub mod not_text;
pub mod semantics;
pub mod sim;

/// Runs a future to its end on one thread, in virtual time: the clock advances when nothing else can happen.
pub fn virtual_time<T>(future: impl Future<Output = T>) -> T {
    #[expect(
        clippy::expect_used,
        reason = "a runtime without I/O has nothing that can fail to open"
    )]
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime in virtual time");
    tokio::task::LocalSet::new().block_on(&runtime, future)
}
