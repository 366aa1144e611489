//! Tasks that end with their handle.

use tokio::task::JoinHandle;

use super::{Stage, WorkError};

/// A task that is aborted when its handle is dropped, so that an invocation that ends early leaves nothing running.
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(crate) fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    /// Waits for what the task gives. `stage`: what it is a part of.
    pub(crate) async fn join(mut self, stage: Stage) -> Result<T, WorkError> {
        (&mut self.0).await.map_err(|error| WorkError::Task {
            stage,
            message: error.to_string(),
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
