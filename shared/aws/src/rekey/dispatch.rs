use std::{
    collections::BTreeMap,
    future::Future,
    io::{self, Write},
    sync::Arc,
};

use jiff::Timestamp;
use lakewright_core::config::{Config, Rekey};
use lakewright_jobs::{
    Failure,
    ports::Clock,
    rekey::{Budget, SourceObject},
    report::{ObjectReport, Status},
};
use serde_json::Value;
use tracing::{Instrument, error, info_span};

use super::{
    answer::{Ended, Rejected, direct_answer, failed_messages},
    metrics::{self, Measured},
    route::{Route, Task, route},
};
use crate::{
    handler::{FunctionError, batch_answer},
    invocation::{self, Deadlines},
    metrics::write,
    settings::Resources,
    trigger::{self, Item, Kind},
};

/// The memory for each object if several are processed at once.
const MEMORY_PER_OBJECT: u64 = 64 << 20;

/// The most objects that are processed at once. Each has some connections and files open, and Lambda allows 1,024 file
/// descriptors.
const MAX_AT_ONCE: u64 = 16;

/// Splits an invocation into objects, and combines their reports into its answer.
pub(super) struct Dispatcher {
    pub(super) config: Arc<Config>,
    pub(super) resources: Resources,
    /// The number of bytes that are free for temporary files.
    pub(super) scratch_bytes: u64,
    pub(super) clock: Arc<dyn Clock>,
    /// Of the metrics.
    pub(super) namespace: String,
}

impl Dispatcher {
    /// Answers one invocation. `rekey` processes one object; metrics are written to `out`.
    pub(super) async fn answer<E, F, W>(
        &self,
        payload: &Value,
        request_id: &str,
        deadlines: Deadlines,
        out: &mut impl Write,
        rekey: F,
    ) -> Result<Value, FunctionError>
    where
        E: Failure + Send + 'static,
        F: Fn(Arc<Rekey>, SourceObject, Budget) -> W + Clone + Send + 'static,
        W: Future<Output = Result<ObjectReport, E>> + Send,
    {
        let request = trigger::decode(payload);
        let (rejected, tasks) = self.tasks(request.items);
        let ended = self.process(tasks, request_id, deadlines, rekey).await;
        for message in &rejected {
            message.log(request_id);
        }
        for object in &ended {
            object.log(request_id);
        }
        if let Err(failure) = self.write_metrics(out, &ended, request_id) {
            error!(request_id, error = %failure, "metrics were not written");
        }
        match request.kind {
            Kind::Sqs => batch_answer(failed_messages(&rejected, &ended)),
            Kind::Direct => direct_answer(rejected, ended),
        }
    }

    fn tasks(&self, items: Vec<Item>) -> (Vec<Rejected>, Vec<Task>) {
        let (mut rejected, mut tasks) = (Vec::new(), Vec::new());
        for Item {
            message_id,
            outcome,
        } in items
        {
            match outcome {
                Err(error) => rejected.push(Rejected { message_id, error }),
                Ok(objects) => tasks.extend(objects.into_iter().map(|object| Task {
                    message_id: message_id.clone(),
                    route: route(&self.config, &object.location),
                    object,
                })),
            }
        }
        (rejected, tasks)
    }

    async fn process<E, F, W>(
        &self,
        tasks: Vec<Task>,
        request_id: &str,
        deadlines: Deadlines,
        rekey: F,
    ) -> Vec<Ended<E>>
    where
        E: Failure + Send + 'static,
        F: Fn(Arc<Rekey>, SourceObject, Budget) -> W + Clone + Send + 'static,
        W: Future<Output = Result<ObjectReport, E>> + Send,
    {
        let ours = tasks
            .iter()
            .filter(|task| matches!(task.route, Route::Job(_)))
            .count();
        let (at_once, budget) = share(&self.resources, self.scratch_bytes, ours, deadlines.work);
        let request_id: Arc<str> = request_id.into();
        let work = move |task: Task| {
            let (rekey, budget) = (rekey.clone(), budget.clone());
            let span = info_span!(
                "object",
                request_id = &*request_id,
                job = task.route.name(),
                source = %task.object.location
            );
            async move {
                match task.route {
                    Route::Job(job) => rekey(job, task.object, budget).await,
                    Route::Ignored { .. } => Ok(ObjectReport::without_rows(
                        task.object.location,
                        Status::Ignored,
                    )),
                }
            }
            .instrument(span)
        };
        let clock = Arc::clone(&self.clock);
        let done = invocation::run(clock, deadlines.stop, at_once, tasks.clone(), work).await;
        tasks
            .into_iter()
            .zip(done)
            .map(|(task, done)| Ended { task, done })
            .collect()
    }

    fn write_metrics<E>(
        &self,
        out: &mut impl Write,
        ended: &[Ended<E>],
        request_id: &str,
    ) -> io::Result<()> {
        let mut by_job: BTreeMap<&str, Vec<Measured<'_>>> = BTreeMap::new();
        for Ended { task, done } in ended {
            if let Route::Job(job) = &task.route {
                by_job.entry(&job.name).or_default().push(Measured {
                    report: done.outcome.as_ref().ok(),
                    duration: done.duration,
                });
            }
        }
        let metrics: Vec<_> = by_job
            .into_iter()
            .flat_map(|(job, objects)| metrics::of(job, &objects))
            .collect();
        write(out, &self.namespace, self.clock.now(), request_id, &metrics)
    }
}

/// How many of these objects are processed at once, and the budget of each.
fn share(
    resources: &Resources,
    scratch_bytes: u64,
    objects: usize,
    deadline: Timestamp,
) -> (usize, Budget) {
    let memory = resources.memory_for_work();
    let room = (memory / MEMORY_PER_OBJECT).clamp(1, MAX_AT_ONCE);
    let at_once = room.min(objects.max(1) as u64);
    let budget = Budget {
        memory: memory / at_once,
        scratch: resources.scratch.clone(),
        scratch_bytes: scratch_bytes / at_once,
        deadline,
    };
    (usize::try_from(at_once).unwrap_or(1), budget)
}

#[cfg(test)]
mod tests;
