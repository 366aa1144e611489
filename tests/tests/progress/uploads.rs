//! Uploads in parts whose owner fails.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use lakewright_core::config::Config;
use lakewright_jobs::{
    compact,
    rekey::{self, Delivered, SourceObject},
    repartition,
};
use lakewright_model::NoSecrets;
use lakewright_ports::{CompletedPart, StoreError, StoreErrorKind, StoreLayer, UploadId};

use super::*;

/// A store that refuses the part of this number of all parts.
struct Refusing {
    inner: Client,
    parts: AtomicU32,
    refused: u32,
}

#[async_trait]
impl StoreLayer for Refusing {
    fn inner(&self) -> &dyn Store {
        &self.inner
    }

    async fn upload_part(
        &self,
        object: &Location,
        upload: &UploadId,
        number: u16,
        body: Bytes,
    ) -> Result<CompletedPart, StoreError> {
        if self.parts.fetch_add(1, Ordering::Relaxed) + 1 == self.refused {
            return Err(StoreError {
                kind: StoreErrorKind::Other,
                operation: "UploadPart",
                location: object.clone(),
                message: "no more".to_owned(),
            });
        }
        self.inner.upload_part(object, upload, number, body).await
    }
}

/// Lines of this many MiB, of two partitions in turn, that no compression makes small.
fn large(mib: usize) -> String {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut text = String::with_capacity(mib << 20);
    while text.len() < mib << 20 {
        for place in 0..2 {
            let noise = (0..4_000).map(|_| rng.alphanumeric()).collect::<String>();
            writeln!(
                text,
                "{{\"t\":\"2026-05-01\",\"place\":\"{place}\",\"noise\":\"{noise}\"}}"
            )
            .unwrap();
        }
    }
    text
}

/// Refuses each part in turn, until there is none of that number, and checks that no upload is left open.
async fn refused_in_turn(name: &str, make: impl AsyncFn(u32) -> (Arc<Cloud>, Result<(), String>)) {
    for refused in 1.. {
        let (cloud, ended) = make(refused).await;
        let open = cloud.with(|state| state.s3.uploads_under_way().count());
        assert_eq!(open, 0, "{name}, part {refused}");
        match ended {
            Ok(()) => return assert!(refused > 2, "{name}: only {refused} parts"),
            Err(error) => assert_eq!(error, "StoreFailed", "{name}, part {refused}"),
        }
    }
}

fn name(error: &JobError) -> String {
    error.name().to_owned()
}

/// A cloud with an object of this text, and the ports of a client whose part of this number is refused.
fn refusing(text: &Bytes, refused: u32) -> (Arc<Cloud>, SourceObject, Ports, Budget) {
    let cloud = Cloud::new(1, Settings::default(), FaultRates::default());
    let location = at("s3://landing/t/a");
    let object = SourceObject {
        etag: Some(cloud.place(&location, text.clone())),
        location,
        size: Some(text.len() as u64),
    };
    let invocation = ample(&cloud);
    let (ports, budget) = invocation.ports();
    let ports = Ports {
        store: Arc::new(Refusing {
            inner: invocation.client.clone(),
            parts: AtomicU32::new(0),
            refused,
        }),
        ..ports
    };
    let budget = Budget {
        memory: 256 << 20,
        ..budget
    };
    (cloud, object, ports, budget)
}

const PLAIN: &str = "format = \"json\"\ncompression = \"none\"";

#[test]
fn an_upload_is_given_up_where_its_owner_fails() {
    let text = Bytes::from(large(40));
    virtual_time(refused_in_turn("rekey", async |refused| {
        let (cloud, object, ports, budget) = refusing(&text, refused);
        let job = format!(
            "[[rekey]]\nname = \"t\"\nsource = \"s3://landing/t/\"\ntarget = \"s3://lake/t/\"\ntimestamp = {{ column = \"t\" }}\npartition_by = [\"place\"]\n[[rekey.output]]\n{PLAIN}"
        );
        let job = Config::parse(&job).unwrap().rekey.remove(0);
        let objects = [Delivered {
            object,
            receives: 1,
            just_landed: true,
        }];
        let secrets = ample(&cloud).client;
        let answers =
            rekey::rekey(&ports, &secrets, &job, &BTreeSet::new(), &objects, &budget).await;
        let answer = answers.objects.into_iter().next().unwrap();
        (cloud, answer.map(drop).map_err(|error| name(&error)))
    }));
    virtual_time(refused_in_turn("repartition", async |refused| {
        let (cloud, _, ports, budget) = refusing(&text, refused);
        let job = format!(
            "[[repartition]]\nname = \"job\"\nsource = \"s3://landing/t/\"\nformat = \"json\"\ntarget = \"s3://lake/out/\"\npartition_by = [\"place\"]\n[[repartition.output]]\n{PLAIN}"
        );
        let job = Config::parse(&job).unwrap().repartition.remove(0);
        let plan = repartition::plan(&ports, &NoSecrets, &job, &budget)
            .await
            .unwrap();
        let written = repartition::write(&ports, &NoSecrets, &plan.tasks[0], &budget).await;
        (cloud, written.map(drop).map_err(|error| name(&error)))
    }));
    virtual_time(refused_in_turn("compact", async |refused| {
        let (cloud, _, ports, budget) = refusing(&Bytes::new(), refused);
        super::compact::table(&cloud, 1, 3, 1 << 20).await;
        let job = super::compact::job(super::compact::TABLE);
        let request = compact::PlanRequest::default();
        let budget = compact::Budget {
            memory: budget.memory,
            deadline: budget.deadline,
        };
        let plan = compact::plan(&ports, &job, &request, &budget)
            .await
            .unwrap();
        let merged = compact::merge(&ports, &plan.tasks[0].merges[0], &budget).await;
        (cloud, merged.map(drop).map_err(|error| name(&error)))
    }));
}
