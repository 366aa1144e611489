//! Lists the objects of a job that are given up, and sends them to rekey again: for example after the limit that they exceed
//! was raised, or after an upgrade to a version that can read them.

use futures::{StreamExt, stream};
use jiff::Timestamp;
use lakewright_core::config;
use serde::{Deserialize, Serialize};

use super::{CONCURRENT_QUESTIONS, Packer, Ports, enqueue_all, unwritten};
use crate::{
    kit::{ErrorKind, JobError},
    rekey::{Candidate, Finder, GivenUp, SourceObject},
};

/// The most objects that a report names.
const NAMED: usize = 1_000;

/// What to redrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedriveRequest {
    /// The rekey job's name.
    pub redrive: String,
    /// Only objects that are given up with an error of this name.
    #[serde(default)]
    pub error: Option<String>,
    /// The `next` of the report before.
    #[serde(default)]
    pub after: Option<String>,
    /// Whether to send nothing, and only list what would be sent.
    #[serde(default)]
    pub dry_run: bool,
}

/// The objects that are given up, and were sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveReport {
    /// `redrive`.
    pub job: String,
    /// The rekey job's name.
    pub name: String,
    /// The number of objects that are given up and were sent or, by a dry run, would be.
    pub sent: u64,
    /// The number of messages that list them.
    pub messages: u64,
    /// The first of them.
    pub given_up: Vec<GivenUp>,
    /// The `after` of the next request; `None` if all were seen.
    pub next: Option<String>,
}

/// Redrives until everything is listed or the `deadline` is reached.
///
/// # Errors
/// See [`JobError`]. The same request may be sent again.
pub async fn redrive(
    ports: &Ports,
    job: &config::Rekey,
    request: &RedriveRequest,
    queue_url: &str,
    deadline: Timestamp,
) -> Result<RedriveReport, JobError> {
    let finder = Finder::new(&*ports.store, job);
    let queue = (!request.dry_run).then_some(queue_url);
    let mut packer = Packer::new(job.batch.objects, job.batch.size.as_u64());
    let mut report = RedriveReport {
        job: "redrive".to_owned(),
        name: job.name.clone(),
        sent: 0,
        messages: 0,
        given_up: Vec::new(),
        next: request.after.clone(),
    };
    loop {
        let page = finder.given_up_page(report.next.as_deref()).await;
        let page = match page {
            // The pages so far are complete, and the next request continues after them.
            Err(error) if is_late(&error) && report.next != request.after => break,
            page => page?,
        };
        let found = page.sids.iter().enumerate().map(|(index, sid)| {
            let finder = &finder;
            async move {
                // Stop early, to have time to send what was found, but look up at least one.
                if index > 0 && ports.clock.now() >= deadline {
                    return Err(JobError::deadline());
                }
                given_up(finder, sid).await
            }
        });
        let found = stream::iter(found.collect::<Vec<_>>()).buffered(CONCURRENT_QUESTIONS);
        let mut found = stream::iter(&page.sids).zip(found);
        let mut messages = Vec::new();
        let mut is_over = false;
        while let Some((sid, given_up)) = found.next().await {
            let given_up = match given_up {
                Err(error) if is_late(&error) && report.next != request.after => {
                    is_over = true;
                    break;
                }
                given_up => given_up?,
            };
            report.next = Some(sid.clone());
            let is_asked = |given_up: &GivenUp| {
                let error = request.error.as_ref();
                error.is_none_or(|name| *name == given_up.error)
            };
            if let Some(given_up) = given_up.filter(is_asked) {
                report.sent += 1;
                let object = SourceObject {
                    location: given_up.source.clone(),
                    etag: Some(given_up.etag.clone()),
                    size: None,
                };
                messages.extend(packer.add(&object).map_err(|error| unwritten(&error))?);
                if report.given_up.len() < NAMED {
                    report.given_up.push(given_up);
                }
            }
        }
        drop(found);
        report.messages += messages.len() as u64;
        enqueue_all(ports, queue, messages).await?;
        if is_over {
            break;
        }
        report.next = page.next;
        if report.next.is_none() || ports.clock.now() >= deadline {
            break;
        }
    }
    let rest = packer.rest();
    report.messages += u64::from(rest.is_some());
    enqueue_all(ports, queue, rest.into_iter().collect()).await?;
    Ok(report)
}

fn is_late(error: &JobError) -> bool {
    error.kind() == ErrorKind::Deadline
}

/// The object, unless it has been committed or has disappeared since.
async fn given_up(finder: &Finder<'_>, sid: &str) -> Result<Option<GivenUp>, JobError> {
    let Some(given_up) = finder.given_up_by(sid).await? else {
        return Ok(None);
    };
    let candidate = Candidate {
        source: given_up.source.clone(),
        etag: given_up.etag.clone(),
        claim: 0,
    };
    let state = finder.find(&candidate).await?;
    finder.given_up(&candidate, &state).await
}
