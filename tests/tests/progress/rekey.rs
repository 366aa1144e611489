//! rekey, its sweep and its redrive.

use std::{collections::BTreeSet, fmt::Write as _};

use bytes::Bytes;
use lakewright_core::config::{Config, Rekey};
use lakewright_jobs::{
    rekey::{Delivered, SourceObject, rekey},
    sweep::{self, RedriveRequest, SweepRequest},
};
use serde_json::json;

use super::*;

fn job() -> Rekey {
    let config = r#"
        [[rekey]]
        name = "t"
        source = "s3://landing/t/"
        target = "s3://lake/t/"
        timestamp = { column = "t" }
        partition_by = ["place"]
        table = "lake.t"
        batch = { objects = 10 }
    "#;
    Config::parse(config).unwrap().rekey.remove(0)
}

struct Rekeyed {
    cloud: Arc<Cloud>,
    job: Rekey,
    objects: Vec<SourceObject>,
}

impl Rekeyed {
    /// Records of 400 partitions in each of two objects.
    fn new(cloud: Arc<Cloud>) -> Self {
        let objects = ["a", "b"].map(|name| {
            let text = (0..400).fold(String::new(), |mut text, place| {
                writeln!(text, r#"{{"t":"2026-05-01","place":"{name}{place:03}"}}"#).unwrap();
                text
            });
            let location = at(&format!("s3://landing/t/{name}"));
            let size = Some(text.len() as u64);
            let etag = Some(cloud.place(&location, Bytes::from(text)));
            SourceObject {
                location,
                etag,
                size,
            }
        });
        table(
            &cloud,
            "lake.t",
            "s3://lake/t/",
            &[("t", "string")],
            &["place"],
        );
        let (job, objects) = (job(), objects.into());
        Self {
            cloud,
            job,
            objects,
        }
    }
}

impl Work for Rekeyed {
    fn cloud(&self) -> &Arc<Cloud> {
        &self.cloud
    }

    async fn attempt(&mut self, invocation: &Invocation) -> Result<bool, Arc<JobError>> {
        let (ports, budget) = invocation.ports();
        let objects = self.objects.iter().map(|object| Delivered {
            object: object.clone(),
            receives: invocation.attempt,
            just_landed: invocation.attempt == 1,
        });
        let objects = objects.collect::<Vec<_>>();
        let answers = rekey(
            &ports,
            &invocation.client,
            &self.job,
            &BTreeSet::new(),
            &objects,
            &budget,
        )
        .await;
        for answer in answers.objects {
            answer?;
        }
        Ok(true)
    }
}

/// The sweep, or the redrive, of many objects.
struct Swept {
    cloud: Arc<Cloud>,
    job: Rekey,
    after: Option<String>,
    redrives: bool,
}

const OBJECTS: usize = 2_500;

impl Swept {
    async fn new(cloud: Arc<Cloud>, redrives: bool) -> Self {
        let job = job();
        cloud.with(|state| state.sqs.create("queue", Duration::from_hours(1), None));
        for number in 0..OBJECTS {
            let source = at(&format!("s3://landing/t/{number:05}"));
            let etag = cloud.place(&source, Bytes::from_static(b"{}"));
            if redrives {
                let note = json!({"version": 1, "source": source, "etag": etag, "error": "Unreadable", "message": "it is cut short"});
                let sid = lakewright_core::naming::source_id("landing", &source.key, &etag);
                let claim = json!({"version": 1, "batch": sid});
                for (at, entry) in [
                    (format!("failed/{sid}"), note),
                    (format!("claim/{sid}/0"), claim),
                ] {
                    let entry = Bytes::from(entry.to_string());
                    cloud.place(&job.ledger().join(&at), entry);
                }
            }
        }
        cloud.clock.sleep(Duration::from_hours(2)).await;
        Self {
            cloud,
            job,
            after: None,
            redrives,
        }
    }
}

impl Work for Swept {
    fn cloud(&self) -> &Arc<Cloud> {
        &self.cloud
    }

    async fn attempt(&mut self, invocation: &Invocation) -> Result<bool, Arc<JobError>> {
        let ports = sweep::Ports {
            store: invocation.store(),
            queue: invocation.service(),
            clock: invocation.clock.clone(),
        };
        let after = self.after.take();
        let (job, work) = (&self.job, invocation.work());
        let next = if self.redrives {
            let request = RedriveRequest {
                redrive: job.name.clone(),
                error: None,
                after: after.clone(),
                dry_run: false,
            };
            let report = sweep::redrive(&ports, job, &request, "queue", work).await;
            report.map(|report| report.next)
        } else {
            let request = SweepRequest {
                sweep: job.name.clone(),
                prefix: String::new(),
                after: after.clone(),
                min_age_seconds: None,
                since: None,
                dry_run: false,
                scheduled: false,
            };
            let report = sweep::sweep(&ports, job, &request, "queue", work).await;
            report.map(|report| report.next)
        };
        match next {
            Ok(next) => self.after = next,
            Err(error) => {
                self.after = after;
                return Err(error.into());
            }
        }
        if self.after.is_some() {
            return Ok(false);
        }
        let sent = self.cloud.with(|state| {
            let now = invocation.clock.now();
            let mut rng = fastrand::Rng::with_seed(1);
            let (received, ..) = state.sqs.receive("queue", OBJECTS, now, 0.0, &mut rng);
            let of = |text: &str| {
                let message: serde_json::Value = serde_json::from_str(text).unwrap();
                let objects = message["objects"].as_array().unwrap().clone();
                objects
                    .into_iter()
                    .map(|object| object["Key"].as_str().unwrap().to_owned())
            };
            received
                .iter()
                .flat_map(|message| of(&message.body))
                .collect::<BTreeSet<_>>()
        });
        assert_eq!(sent.len(), OBJECTS);
        Ok(true)
    }
}

pub(super) async fn done() {
    Box::pin(super::done(
        "rekey",
        &[700, 1_000, 1_500, 2_500],
        async |cloud| Rekeyed::new(cloud),
    ))
    .await;
    super::done("sweep", &[50, 300, 900], |cloud| Swept::new(cloud, false)).await;
    super::done("redrive", &[50, 300, 900], |cloud| Swept::new(cloud, true)).await;
}
