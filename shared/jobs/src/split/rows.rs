//! Processes one message: writes a chunk's rows, or marks it as failed.

use std::sync::Arc;

use lakewright_core::split::Chunk;
use lakewright_ports::Store;

use super::{
    Budget, ChunkReport, ChunkStatus, Ports, Task,
    ledger::{self, Failure, JOB_CANCELLED, JOB_CHUNK_FAILED, Ledger, Plan, Reached},
    settle::settle,
    write::{self, Ended, WriteReport},
};
use crate::{
    kit::{ErrorKind, JobError, Stage, Unfinished},
    work::metered::Metered,
};

/// A message's chunk, in its plan.
struct Job<'a> {
    ledger: Ledger,
    plan: Plan,
    task: &'a Task,
}

impl<'a> Job<'a> {
    async fn open(ports: &Ports, task: &'a Task) -> Result<Self, JobError> {
        let missing = || JobError::plan_missing(task.plan.clone());
        let ledger = Ledger::of_plan(&task.plan).ok_or_else(missing)?;
        let found = ledger::read_plan(&*ports.store, &ledger).await?;
        let (plan, _) = found.ok_or_else(missing)?;
        Ok(Self { ledger, plan, task })
    }

    fn chunk(&self) -> Result<Chunk, JobError> {
        let index = usize::try_from(self.task.chunk).unwrap_or(usize::MAX);
        self.plan.chunks.get(index).copied().ok_or_else(|| {
            JobError::new(
                ErrorKind::BadRequest,
                format!(
                    "the plan {} has no chunk {}",
                    self.task.plan, self.task.chunk
                ),
            )
        })
    }

    async fn is_done(&self, ports: &Ports) -> Result<bool, JobError> {
        let marker = ledger::entry(&self.ledger.done(), self.task.chunk);
        ledger::exists(&*ports.store, &marker).await
    }

    async fn is_cancelled(&self, ports: &Ports) -> Result<bool, JobError> {
        ledger::exists(&*ports.store, &self.ledger.cancelled(&self.task.run)).await
    }

    /// Marks the chunk as failed in this run.
    async fn fail(&self, ports: &Ports, error: &str, message: &str) -> Result<Failure, JobError> {
        let failure = Failure {
            chunk: self.task.chunk,
            error: error.to_owned(),
            message: message.to_owned(),
        };
        let marker = ledger::entry(&self.ledger.failed(&self.task.run), self.task.chunk);
        ledger::create(&*ports.store, &marker, &failure).await?;
        Ok(failure)
    }

    /// The answer for the chunk, after settling the job if that was its last chunk.
    async fn answer(
        &self,
        ports: &Ports,
        status: ChunkStatus,
        written: Option<WriteReport>,
        failure: Option<Failure>,
    ) -> Result<ChunkReport, JobError> {
        let near = Some(self.task.chunk);
        // S4: each message ends here, so the writer of the last marker sees all of them.
        let state = settle(ports, &self.ledger, &self.plan, &self.task.run, near).await?;
        let written = written.as_ref();
        let rows = match status {
            ChunkStatus::Done | ChunkStatus::Duplicate => self.chunk()?.rows,
            ChunkStatus::Failed | ChunkStatus::Cancelled => 0,
        };
        Ok(ChunkReport {
            job: "split".to_owned(),
            name: self.plan.settings.name.clone(),
            id: self.plan.id.clone(),
            chunk: self.task.chunk,
            status,
            rows,
            written: written.map_or(0, |written| written.written),
            stood: written.map_or(0, |written| written.stood),
            bytes: written.map_or(0, |written| written.done.bytes),
            failure,
            state,
        })
    }
}

/// Writes the rows of a message's chunk. `receives`: how often the message was received; if it was received before, some of
/// them probably exist.
///
/// # Errors
/// See [`JobError`]: the message should be delivered again. A chunk that can never succeed is a [`ChunkStatus::Failed`].
pub async fn rows(
    ports: &Ports,
    task: &Task,
    receives: u32,
    budget: &Budget,
) -> Result<ChunkReport, JobError> {
    let job = Job::open(ports, task).await?;
    let ports = &ports.writing(&job.plan.settings);
    let chunk = job.chunk()?;
    if job.is_done(ports).await? {
        return job.answer(ports, ChunkStatus::Duplicate, None, None).await;
    }
    if job.is_cancelled(ports).await? {
        let failure = job.fail(ports, JOB_CANCELLED, "not begun").await?;
        let status = ChunkStatus::Cancelled;
        return job.answer(ports, status, None, Some(failure)).await;
    }
    let (store, clock) = (&ports.store, &*ports.clock);
    let (plan, index, resumed) = (&job.plan, task.chunk, receives > 1 || task.resumed);
    let progress = ledger::entry(&job.ledger.progress(), index);
    let resume = if resumed {
        let reached: Option<Reached> = ledger::read(&**store, &progress).await?;
        Some(reached.map_or(chunk.first_row, |reached| reached.next_row))
    } else {
        None
    };
    let metered = Metered::new(store);
    let reading: Arc<dyn Store> = metered.clone();
    let started = clock.now();
    match write::write_rows(&reading, clock, plan, index, &chunk, resume, budget).await {
        Ok(Ended::OutOfTime { next_row }) => {
            let begun = resume.unwrap_or(chunk.first_row);
            // The first attempt may have begun late in its invocation.
            if next_row <= begun && receives > 1 {
                let (done, all) = (metered.bytes(), metered.size());
                let unfinished = Unfinished {
                    begun: started,
                    done,
                    all,
                    of: "bytes of its object",
                    tries: receives,
                    instead: "write the result uncompressed or in smaller objects",
                };
                return Err(unfinished
                    .too_short(clock, Stage::Read)
                    .of(job.ledger.plan()));
            }
            if next_row > begun {
                let reached = Reached {
                    version: Reached::VERSION,
                    next_row,
                };
                // If two attempts run at once, the slower one may write last: its count is true as well.
                ledger::replace(&**store, &progress, &reached).await?;
            }
            Err(JobError::deadline())
        }
        Ok(Ended::Written(written)) => {
            // S1: the marker follows its rows.
            let marker = ledger::entry(&job.ledger.done(), index);
            ledger::create(&**store, &marker, &written.done).await?;
            job.answer(ports, ChunkStatus::Done, Some(written), None)
                .await
        }
        Err(error) if is_final(&error) => {
            let failure = job.fail(ports, error.name(), &error.to_string()).await?;
            job.answer(ports, ChunkStatus::Failed, None, Some(failure))
                .await
        }
        Err(error) => Err(error),
    }
}

/// Gives up a message from the dead-letter queue: its chunk has failed, unless it is done after all.
///
/// # Errors
/// See [`JobError`].
pub async fn abandon(ports: &Ports, task: &Task) -> Result<ChunkReport, JobError> {
    let job = Job::open(ports, task).await?;
    let ports = &ports.writing(&job.plan.settings);
    job.chunk()?;
    if job.is_done(ports).await? {
        return job.answer(ports, ChunkStatus::Duplicate, None, None).await;
    }
    if job.is_cancelled(ports).await? {
        let failure = job.fail(ports, JOB_CANCELLED, "given up").await?;
        let status = ChunkStatus::Cancelled;
        return job.answer(ports, status, None, Some(failure)).await;
    }
    let message = "its message reached the dead-letter queue: the function's log says why";
    let failure = job.fail(ports, JOB_CHUNK_FAILED, message).await?;
    job.answer(ports, ChunkStatus::Failed, None, Some(failure))
        .await
}

/// Whether the chunk can never succeed, so that a retry is useless.
fn is_final(error: &JobError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::SourceChanged | ErrorKind::Unreadable | ErrorKind::BadRow | ErrorKind::KeyTaken
    )
}

#[cfg(test)]
mod tests {
    use crate::split::fixture::{
        Step::{Abandon, Rows},
        Was::{Abandoned, Cancelled, Died, Gone, Planned, Replaced, Taken, Wrote},
        check,
    };

    #[test]
    fn a_chunk_is_written_once() {
        check(&[
            (&[], Rows(0, 1), "PlanMissing", &[]),
            (&[Planned], Rows(3, 1), "BadRequest", &[]),
            (
                &[Planned],
                Rows(0, 1),
                "Done: 2 written, 0 stood, failure none, Running",
                &["+ledger/done/0000000000", "+rows/a", "+rows/b"],
            ),
            (
                &[Planned, Wrote(0)],
                Rows(0, 1),
                "Duplicate: 0 written, 0 stood, failure none, Running",
                &[],
            ),
            (
                &[Planned, Died(0, "rows/a")],
                Rows(0, 2),
                "Done: 0 written, 2 stood, failure none, Running",
                &["+ledger/done/0000000000"],
            ),
            (
                &[Planned, Taken("b")],
                Rows(0, 1),
                "Failed: 0 written, 0 stood, failure KeyTaken, Running",
                &["+ledger/failed/r/0000000000", "+rows/a"],
            ),
            (
                &[Planned, Replaced],
                Rows(0, 1),
                "Failed: 0 written, 0 stood, failure SourceChanged, Running",
                &["+ledger/failed/r/0000000000"],
            ),
            (
                &[Planned, Gone],
                Rows(0, 1),
                "Failed: 0 written, 0 stood, failure SourceChanged, Running",
                &["+ledger/failed/r/0000000000"],
            ),
            (
                &[Planned, Cancelled],
                Rows(0, 1),
                "Cancelled: 0 written, 0 stood, failure Cancelled, Running",
                &["+ledger/failed/r/0000000000"],
            ),
            (
                &[Planned, Wrote(0), Cancelled],
                Rows(0, 1),
                "Duplicate: 0 written, 0 stood, failure none, Running",
                &[],
            ),
            (
                &[Planned, Abandoned(0)],
                Rows(0, 1),
                "Done: 2 written, 0 stood, failure none, Running",
                &["+ledger/done/0000000000", "+rows/a", "+rows/b"],
            ),
        ]);
    }

    #[test]
    fn the_last_chunk_ends_its_run() {
        check(&[
            (
                &[Planned, Wrote(0), Wrote(2)],
                Rows(1, 1),
                "Done: 2 written, 0 stood, failure none, Succeeded",
                &[
                    "+ledger/_SUCCESS",
                    "+ledger/done/0000000001",
                    "+rows/c",
                    "+rows/d",
                    "+told success",
                ],
            ),
            (
                &[Planned, Wrote(0), Abandoned(2)],
                Rows(1, 1),
                "Done: 2 written, 0 stood, failure none, Failed",
                &[
                    "+ledger/done/0000000001",
                    "+ledger/outcome/r",
                    "+rows/c",
                    "+rows/d",
                    "+told Lakewright.ChunkFailed",
                ],
            ),
            (
                &[Planned, Wrote(0), Wrote(2), Cancelled],
                Rows(1, 1),
                "Cancelled: 0 written, 0 stood, failure Cancelled, Cancelled",
                &[
                    "+ledger/failed/r/0000000001",
                    "+ledger/outcome/r",
                    "+told Lakewright.Cancelled",
                ],
            ),
        ]);
    }

    #[test]
    fn a_message_of_the_dead_letter_queue_fails_its_chunk() {
        check(&[
            (
                &[Planned],
                Abandon(0),
                "Failed, Running",
                &["+ledger/failed/r/0000000000"],
            ),
            (&[Planned, Wrote(0)], Abandon(0), "Duplicate, Running", &[]),
            (
                &[Planned, Cancelled],
                Abandon(0),
                "Cancelled, Running",
                &["+ledger/failed/r/0000000000"],
            ),
            (
                &[Planned, Wrote(0), Wrote(1)],
                Abandon(2),
                "Failed, Failed",
                &[
                    "+ledger/failed/r/0000000002",
                    "+ledger/outcome/r",
                    "+told Lakewright.ChunkFailed",
                ],
            ),
            (
                &[Planned, Wrote(0), Wrote(1), Abandoned(2)],
                Abandon(2),
                "Failed, Failed",
                &[],
            ),
        ]);
    }
}
