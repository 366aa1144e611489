//! Tasks that end when their handle is dropped.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::task::{JoinError, JoinHandle};

use super::{JobError, Stage};

/// A task that is aborted when its handle is dropped, so that an invocation that ends early leaves nothing running. As
/// a future it returns the task's result.
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(crate) fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    /// Waits for the task's result. `stage`: the stage that it belongs to.
    pub(crate) async fn join(self, stage: Stage) -> Result<T, JobError> {
        self.await
            .map_err(|error| JobError::task(stage, error.to_string()))
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
