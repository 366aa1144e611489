//! Secrets that columns are hashed with, and that are rotated while a batch is under way.

use lakewright_core::config::SecretName;
use lakewright_jobs::retry::{Backoff, RetryingService};
use lakewright_model::{Death, Fault};
use lakewright_ports::{Secrets as _, ServiceErrorKind};

use super::*;

const NAME: &str = "secretsmanager:pseudonyms";
const VALUES: [&[u8]; 2] = [b"first value", b"second value"];

/// `ann`, hashed with each of the values.
const HASHES: [&str; 2] = [
    "00d79022e7f8a0cb49608915ab1dd42a66a812397033db8b169a3899eefdaf5c",
    "4d0d44f1bfe26b68c8d0aafa6ec7e60c33c6a63d06ae63e040ff887a94e952ed",
];

const OBJECT: &[u8] =
    br#"{"t":"2026-05-01","who":"ann"}{"t":"2026-05-02","who":"ann"}{"t":"2026-05-02","who":null}"#;

fn hashing() -> Rekey {
    job(
        "",
        &format!("column = [{{ name = \"who\", hash = {{ secret = \"{NAME}\" }} }}]"),
    )
}

fn name() -> SecretName {
    NAME.parse().unwrap()
}

fn rotate(world: &World, value: &[u8]) -> String {
    world
        .cloud
        .with(|state| state.secrets.rotate(&name(), value))
}

/// One invocation, which dies there. `None` if it did.
async fn invoked(
    world: &World,
    death: Option<Death>,
) -> Option<Result<ObjectReport, Arc<JobError>>> {
    let faults = Faults {
        death,
        ..Faults::default()
    };
    let client = Client::new(Arc::clone(&world.cloud), 1, faults);
    let ports = Ports {
        store: Arc::new(client.clone()),
        catalog: Arc::new(client.clone()),
        clock: Arc::new(world.cloud.clock),
    };
    let budget = Budget {
        memory: 64 << 20,
        scratch: std::env::temp_dir(),
        scratch_bytes: u64::MAX,
        deadline: Timestamp::MAX,
    };
    let objects = [Delivered {
        object: world.object.clone(),
        receives: 1,
        just_landed: true,
    }];
    let (job, compacted) = (hashing(), BTreeSet::new());
    let work = rekey(&ports, &client, &job, &compacted, &objects, &budget);
    tokio::select! {
        () = client.died() => None,
        answers = Box::pin(work) => answers.objects.into_iter().next(),
    }
}

/// The hashes in the files, and how many rows have none.
fn hashed(world: &World) -> (Vec<String>, usize) {
    let files = world.written().into_iter();
    let files = files.filter(|key| !key.contains("/_lakewright/"));
    let rows = files.flat_map(|key| world.rows(&key)).collect::<Vec<_>>();
    let hashes = rows.iter().filter_map(|row| row.get("who").cloned());
    let hashes = hashes.collect::<Vec<_>>();
    let without = rows.len() - hashes.len();
    (hashes, without)
}

/// Whether a plan exists.
fn is_planned(world: &World) -> bool {
    world.written().iter().any(|key| key.contains("/plan/"))
}

#[test]
fn whoever_finishes_a_batch_hashes_with_the_version_that_it_was_begun_with() {
    stated(
        "A batch names the version of each secret that was the current one when it was begun, and whoever finishes it hashes with that version, also after a rotation; a version that is gone fails as `SecretFailed` before anything more is written.",
    );
    let mut seen = BTreeSet::new();
    let mut finished = false;
    for call in 1.. {
        if finished {
            break;
        }
        for death in [Death::Before(call), Death::After(call)] {
            virtual_time(async {
                let world = World::new(OBJECT);
                let versions = [rotate(&world, VALUES[0])];
                finished = invoked(&world, Some(death)).await.is_some();
                let planned = is_planned(&world);
                let versions = [versions[0].clone(), rotate(&world, VALUES[1])];
                let report = invoked(&world, None).await.unwrap().unwrap();
                let batch = format!("t/_lakewright/batch/{}", report.batch.unwrap());
                let batch: Value = serde_json::from_slice(&world.read(&batch).unwrap()).unwrap();
                let version = batch["settings"]["secrets"][NAME].as_str().unwrap();
                let place = versions.iter().position(|id| id == version).unwrap();
                assert!(place == 0 || !planned, "{death:?}");
                let (hashes, without) = hashed(&world);
                assert_eq!(hashes, [HASHES[place]; 2], "{death:?}");
                assert_eq!(without, 1);
                seen.insert((place, planned));
            });
        }
    }
    // Before there is a plan, an object that is alone is planned anew, by the settings of then.
    assert_eq!(seen, BTreeSet::from([(0, true), (1, false)]));
}

#[test]
fn a_version_that_is_gone_fails_before_anything_more_is_written() {
    virtual_time(async {
        let world = World::new(OBJECT);
        // It was never made.
        let error = invoked(&world, None).await.unwrap().unwrap_err();
        assert_eq!(error.name(), "SecretFailed");
        assert!(error.to_string().contains(NAME), "{error}");
        assert_eq!(world.existing(), BTreeMap::new());
        rotate(&world, VALUES[0]);
        let mut call = 1;
        while !is_planned(&world) {
            assert!(invoked(&world, Some(Death::After(call))).await.is_none());
            call += 1;
        }
        // But for the notes of attempts.
        let written = || {
            let keys = world.written().into_iter();
            keys.filter(|key| !key.contains("/alone/"))
                .collect::<Vec<_>>()
        };
        let before = written();
        world.cloud.with(|state| state.secrets.delete(&name()));
        rotate(&world, VALUES[1]);
        let error = invoked(&world, None).await.unwrap().unwrap_err();
        assert_eq!(error.name(), "SecretFailed");
        let says = error.to_string();
        assert!(says.contains(NAME) && !says.contains("value"), "{says}");
        assert_eq!(written(), before);
    });
}

#[test]
fn the_value_of_a_secret_is_nowhere() {
    virtual_time(async {
        let world = World::new(OBJECT);
        rotate(&world, VALUES[0]);
        let report = invoked(&world, None).await.unwrap().unwrap();
        let report = serde_json::to_vec(&report).unwrap();
        let objects = world.existing().into_keys();
        let objects = objects.map(|key| world.read(&key).unwrap().to_vec());
        for bytes in objects.chain([report]) {
            let shows = |value: &[u8]| bytes.windows(value.len()).any(|of| of == value);
            assert!(!shows(VALUES[0]), "{}", String::from_utf8_lossy(&bytes));
        }
    });
}

#[test]
fn calls_that_fail_are_made_again() {
    virtual_time(async {
        let world = World::new(OBJECT);
        let version = rotate(&world, VALUES[0]);
        let faults = Faults {
            script: [Some(Fault::SlowDown), Some(Fault::ResetAfter)].into(),
            ..Faults::default()
        };
        let client = Client::new(Arc::clone(&world.cloud), 1, faults);
        let clock = Arc::new(world.cloud.clock);
        let deadline = clock.now() + SignedDuration::from_mins(1);
        let policy = RetryPolicy::SECRETS;
        let secrets =
            RetryingService::new(client.clone(), Backoff::new(clock, deadline, 1, policy));
        let (found, _) = secrets.secret(&name(), None).await.unwrap();
        assert_eq!((found, client.calls()), (version, 3));
        world
            .cloud
            .clock
            .sleep(std::time::Duration::from_mins(1))
            .await;
        let late = secrets.secret(&name(), None).await.unwrap_err();
        assert_eq!(late.kind, ServiceErrorKind::Deadline);
    });
}
