use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use lakewright_core::config::{Config, Rekey};
use lakewright_jobs::{
    JobError,
    rekey::{Answers, Budget, Delivered},
    report::{ObjectReport, Status},
};
use lakewright_ports::{Clock, Received};
use serde_json::Value;
use tracing::{Instrument, error, info_span};

use super::{
    answer::{Ended, Rejected, direct_answer, failed_messages, log},
    metrics::{self, Measured},
    route::{Route, Task, route},
};
use crate::{
    again::deliver_again,
    handler::{FunctionError, batch_answer},
    invocation::{self, Deadlines, Done, WorkError},
    metrics::write,
    settings::Resources,
    trigger::{self, Caller, Item},
};

/// Splits an invocation into objects, and combines their reports into its answer.
pub(super) struct Dispatcher {
    pub(super) config: Arc<Config>,
    pub(super) resources: Resources,
    /// The number of bytes that are free for temporary files.
    pub(super) scratch_bytes: u64,
    pub(super) clock: Arc<dyn Clock>,
    /// The queues of the messages.
    pub(super) received: Arc<dyn Received>,
    /// Of the metrics.
    pub(super) namespace: String,
}

impl Dispatcher {
    /// Answers one invocation. `rekey` processes the objects of one job; metrics are written to `out`.
    pub(super) async fn answer<F, W>(
        &self,
        payload: &Value,
        request_id: &str,
        deadlines: Deadlines,
        out: &mut impl Write,
        rekey: F,
    ) -> Result<Value, FunctionError>
    where
        F: Fn(Arc<Rekey>, Vec<Delivered>, Budget) -> W + Clone + Send + 'static,
        W: Future<Output = Answers> + Send,
    {
        let request = trigger::decode(payload);
        let (rejected, tasks) = self.tasks(request.caller, request.items);
        let (ended, jobs) = self.process(tasks, request_id, deadlines, rekey).await;
        for message in &rejected {
            message.log(request_id);
        }
        for object in &ended {
            object.log(request_id);
        }
        for job in &jobs {
            for report in &job.others {
                log(request_id, None, &job.name, report);
            }
        }
        if let Err(failure) = self.write_metrics(out, &ended, &jobs, request_id) {
            error!(request_id, error = %failure, "metrics were not written");
        }
        match request.caller {
            Caller::Sqs => {
                let failed = failed_messages(&rejected, &ended);
                let named = failed.iter().map(|message| (message.id, message.name));
                let time = (&*self.clock, deadlines.stop);
                deliver_again(&*self.received, time, request_id, payload, named).await;
                batch_answer(failed.into_iter().map(|message| (message.id, message.why)))
            }
            Caller::Direct => direct_answer(rejected, ended),
        }
    }

    fn tasks(&self, caller: Caller, items: Vec<Item>) -> (Vec<Rejected>, Vec<Task>) {
        let (mut rejected, mut tasks) = (Vec::new(), Vec::new());
        for Item {
            message_id,
            receives,
            outcome,
        } in items
        {
            match outcome {
                Err(error) => rejected.push(Rejected { message_id, error }),
                Ok(objects) => {
                    // S3 sends a message for each object. A message with several is a backfill's, whose objects may be done.
                    let just_landed = caller == Caller::Sqs && receives == 1 && objects.len() == 1;
                    tasks.extend(objects.into_iter().map(|object| Task {
                        message_id: message_id.clone(),
                        route: route(&self.config, &object.location),
                        delivered: Delivered {
                            object,
                            receives,
                            just_landed,
                        },
                    }));
                }
            }
        }
        (rejected, tasks)
    }

    /// Processes the objects, those of one job together, and one job after another: each has the whole memory.
    async fn process<F, W>(
        &self,
        tasks: Vec<Task>,
        request_id: &str,
        deadlines: Deadlines,
        rekey: F,
    ) -> (Vec<Ended>, Vec<JobDone>)
    where
        F: Fn(Arc<Rekey>, Vec<Delivered>, Budget) -> W + Clone + Send + 'static,
        W: Future<Output = Answers> + Send,
    {
        let mut jobs: Vec<(Arc<Rekey>, Vec<Delivered>)> = Vec::new();
        for task in &tasks {
            if let Route::Job(job) = &task.route {
                let delivered = task.delivered.clone();
                match jobs.iter_mut().find(|(other, _)| other.name == job.name) {
                    Some((_, objects)) => objects.push(delivered),
                    None => jobs.push((Arc::clone(job), vec![delivered])),
                }
            }
        }
        let budget = Budget {
            memory: self.resources.memory_for_work(),
            scratch: self.resources.scratch.clone(),
            scratch_bytes: self.scratch_bytes,
            deadline: deadlines.work,
        };
        let request_id: Arc<str> = request_id.into();
        let work = move |(job, objects): (Arc<Rekey>, Vec<Delivered>)| {
            let span = info_span!(
                "objects",
                request_id = &*request_id,
                job = job.name,
                objects = objects.len()
            );
            let answers = rekey(job, objects, budget.clone());
            async move { Ok::<_, Arc<JobError>>(answers.await) }.instrument(span)
        };
        let clock = Arc::clone(&self.clock);
        let done = invocation::run(clock, deadlines.stop, 1, jobs.clone(), work).await;
        let mut outcomes = BTreeMap::new();
        let mut ended_jobs = Vec::new();
        for ((job, objects), Done { outcome, duration }) in jobs.into_iter().zip(done) {
            let (of_objects, others) = match outcome {
                Ok(answers) => {
                    let of_objects = answers.objects.into_iter();
                    let of_objects = of_objects.map(|outcome| outcome.map_err(WorkError::Failed));
                    (of_objects.collect::<VecDeque<_>>(), answers.others)
                }
                Err(failure) => {
                    let of_objects = objects.iter().map(|_| Err(failure.clone()));
                    (of_objects.collect(), Vec::new())
                }
            };
            outcomes.insert(job.name.clone(), of_objects);
            ended_jobs.push(JobDone {
                name: job.name.clone(),
                others,
                duration,
            });
        }
        let ended = tasks.into_iter().map(|task| {
            let outcome = match &task.route {
                Route::Job(job) => {
                    let of_job = outcomes.get_mut(&job.name);
                    let outcome = of_job.and_then(VecDeque::pop_front);
                    outcome.unwrap_or(Err(WorkError::OutOfTime))
                }
                Route::Ignored { .. } => Ok(ObjectReport::without_rows(
                    task.location().clone(),
                    Status::Ignored,
                )),
            };
            Ended { task, outcome }
        });
        (ended.collect(), ended_jobs)
    }

    fn write_metrics(
        &self,
        out: &mut impl Write,
        ended: &[Ended],
        jobs: &[JobDone],
        request_id: &str,
    ) -> io::Result<()> {
        let mut jobs = jobs.iter().collect::<Vec<_>>();
        jobs.sort_by_key(|job| &job.name);
        let metrics = jobs.into_iter().flat_map(|job| {
            let mine = |route: &Route| matches!(route, Route::Job(other) if other.name == job.name);
            let of_job = ended.iter().filter(|object| mine(&object.task.route));
            let reports = of_job.map(|object| object.outcome.as_ref().ok());
            let measured = Measured {
                reports: reports.chain(job.others.iter().map(Some)).collect(),
                duration: job.duration,
            };
            metrics::of(&job.name, &measured)
        });
        let metrics = metrics.collect::<Vec<_>>();
        write(out, &self.namespace, self.clock.now(), request_id, &metrics)
    }
}

/// What one job has done in an invocation, besides its objects' own reports.
struct JobDone {
    name: String,
    /// The objects that were committed with them.
    others: Vec<ObjectReport>,
    duration: Duration,
}

#[cfg(test)]
mod tests;
