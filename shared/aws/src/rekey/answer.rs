use lakewright_jobs::{
    Failure,
    report::{ObjectReport, Report, Status},
};
use serde_json::{Value, json};
use tracing::{error, info};

use super::{metrics::bytes_out, route::Task};
use crate::{
    adapters::failure::chain, handler::FunctionError, invocation::Done, trigger::TriggerError,
};

/// The result of one object.
pub(super) struct Ended<E> {
    pub(super) task: Task,
    pub(super) done: Done<ObjectReport, E>,
}

/// A message, or a payload, that could not be decoded.
pub(super) struct Rejected {
    pub(super) message_id: Option<String>,
    pub(super) error: TriggerError,
}

impl Rejected {
    pub(super) fn log(&self, request_id: &str) {
        let message_id = self.message_id.as_deref();
        error!(
            request_id,
            message_id,
            error = chain(&self.error),
            "message rejected"
        );
    }
}

impl<E: Failure + 'static> Ended<E> {
    pub(super) fn log(&self, request_id: &str) {
        let message_id = self.task.message_id.as_deref();
        let job = self.task.route.name();
        let source = self.task.object.location.to_string();
        let duration_ms = u64::try_from(self.done.duration.as_millis()).unwrap_or(u64::MAX);
        match &self.done.outcome {
            Ok(report) => info!(
                request_id,
                message_id,
                job,
                source,
                status = status_name(report.status),
                rows_in = report.rows_in,
                rows_out = report.rows_out,
                rows_quarantined = report.rows_quarantined,
                fields_dropped = report.fields_dropped,
                values_dropped = report.values_dropped,
                outputs = report.outputs.len(),
                bytes_out = bytes_out(report),
                duration_ms,
                "object done"
            ),
            Err(failure) => error!(
                request_id,
                message_id,
                job,
                source,
                error_name = failure.name(),
                error = chain(failure),
                duration_ms,
                "object failed"
            ),
        }
    }
}

/// The name in the report.
fn status_name(status: Status) -> &'static str {
    match status {
        Status::Committed => "committed",
        Status::Duplicate => "duplicate",
        Status::Superseded => "superseded",
        Status::Gone => "gone",
        Status::Ignored => "ignored",
    }
}

/// The messages that failed, and why.
pub(super) fn failed_messages<'a, E: std::error::Error + 'static>(
    rejected: &'a [Rejected],
    ended: &'a [Ended<E>],
) -> impl Iterator<Item = (Option<&'a str>, String)> {
    let bad = rejected
        .iter()
        .map(|message| (message.message_id.as_deref(), chain(&message.error)));
    let failed = ended.iter().filter_map(|Ended { task, done }| {
        let failure = done.outcome.as_ref().err()?;
        Some((task.message_id.as_deref(), chain(failure)))
    });
    bad.chain(failed)
}

/// The report of the job, or a list of reports if there are several jobs.
pub(super) fn direct_answer<E: Failure + 'static>(
    rejected: Vec<Rejected>,
    ended: Vec<Ended<E>>,
) -> Result<Value, FunctionError> {
    if let Some(payload) = rejected.into_iter().next() {
        return Err(FunctionError::bad_trigger(chain(&payload.error)));
    }
    let total = ended.len();
    let failed = ended
        .iter()
        .filter(|object| object.done.outcome.is_err())
        .count();
    let mut reports: Vec<Report> = Vec::new();
    for Ended { task, done } in ended {
        let object = done.outcome.map_err(|failure| {
            let (first, name, why) = (&task.object.location, failure.name(), chain(&failure));
            FunctionError::named(
                "RekeyFailed",
                format!("{failed} of {total} objects failed; the first is {first}: {name}: {why}"),
            )
        })?;
        let name = task.route.name();
        match reports.iter_mut().find(|report| report.name == name) {
            Some(report) => report.objects.push(object),
            None => reports.push(Report {
                job: "rekey".to_owned(),
                name: name.to_owned(),
                objects: vec![object],
            }),
        }
    }
    Ok(match &*reports {
        [report] => json!(report),
        reports => json!(reports),
    })
}
