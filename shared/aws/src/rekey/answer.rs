use std::sync::Arc;

use lakewright_jobs::{
    Failure, JobError,
    report::{ObjectReport, Report, Status},
};
use serde_json::{Value, json};
use tracing::{error, info};

use super::route::Task;
use crate::{
    adapters::failure::chain, handler::FunctionError, invocation::WorkError, trigger::TriggerError,
};

/// The result of one object.
pub(super) struct Ended {
    pub(super) task: Task,
    pub(super) outcome: Outcome,
}

pub(super) type Outcome = Result<ObjectReport, WorkError<Arc<JobError>>>;

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

impl Ended {
    pub(super) fn log(&self, request_id: &str) {
        let message_id = self.task.message_id.as_deref();
        let job = self.task.route.name();
        match &self.outcome {
            Ok(report) => log(request_id, message_id, job, report),
            Err(failure) => error!(
                request_id,
                message_id,
                job,
                source = self.task.location().to_string(),
                error_name = failure.name(),
                error = chain(failure),
                "object failed"
            ),
        }
    }
}

/// Logs the result of an object. `message_id`: the id of the message that named it, if there was one.
pub(super) fn log(request_id: &str, message_id: Option<&str>, job: &str, report: &ObjectReport) {
    info!(
        request_id,
        message_id,
        job,
        source = report.source.to_string(),
        status = status_name(report.status),
        batch = report.batch,
        rows_in = report.rows_in,
        rows_out = report.rows_out,
        rows_quarantined = report.rows_quarantined,
        fields_dropped = report.fields_dropped,
        values_dropped = report.values_dropped,
        control_messages = report.control_messages,
        outputs = report.outputs.len(),
        without_values = report.without_values().join(", "),
        landing_to_commit_seconds = report.landing_to_commit_seconds,
        "object done"
    );
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

/// A failure of a message.
pub(super) struct FailedMessage<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) name: &'static str,
    pub(super) why: String,
}

/// The failures of the messages.
pub(super) fn failed_messages<'a>(
    rejected: &'a [Rejected],
    ended: &'a [Ended],
) -> Vec<FailedMessage<'a>> {
    let bad = rejected.iter().map(|message| FailedMessage {
        id: message.message_id.as_deref(),
        name: "BadTrigger",
        why: chain(&message.error),
    });
    let failed = ended.iter().filter_map(|Ended { task, outcome }| {
        let failure = outcome.as_ref().err()?;
        Some(FailedMessage {
            id: task.message_id.as_deref(),
            name: failure.name(),
            why: chain(failure),
        })
    });
    bad.chain(failed).collect()
}

/// The report of the job, or a list of reports if there are several jobs.
pub(super) fn direct_answer(
    rejected: Vec<Rejected>,
    ended: Vec<Ended>,
) -> Result<Value, FunctionError> {
    if let Some(payload) = rejected.into_iter().next() {
        return Err(FunctionError::bad_trigger(chain(&payload.error)));
    }
    let total = ended.len();
    let failed = ended
        .iter()
        .filter(|object| object.outcome.is_err())
        .count();
    let mut reports: Vec<Report> = Vec::new();
    for Ended { task, outcome } in ended {
        let object = outcome.map_err(|failure| {
            let (first, name, why) = (task.location(), failure.name(), chain(&failure));
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
