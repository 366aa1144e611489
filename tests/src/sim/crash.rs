//! All crash points of the processing of one object: killed before and after each of its calls, paused before each of
//! them while a twin does the work, and killed again at each point of the retry.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use lakewright_core::location::Location;
use lakewright_jobs::{ports::Clock, rekey::SourceObject};

use tokio::task::{JoinHandle, spawn_local};

use super::{
    checker::Violation,
    mutant::Mutant,
    source::{Shape, Source},
    world::{End, LIMIT, SMALL_MEMORY, Setup, World},
};
use crate::{
    model::{Death, FaultCounts, FaultRates, Plan, Settings},
    virtual_time,
};

/// An object whose crash points are enumerated.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What it covers.
    pub name: &'static str,
    /// The object.
    pub shape: Shape,
    /// Whether the job has a table in the catalog.
    pub table: bool,
    /// Bytes of memory for it.
    pub memory: u64,
    /// Bytes of temporary files for it.
    pub scratch: u64,
    /// Whether the retry is killed at every point too.
    pub pairs: bool,
    /// The deployment that is killed.
    pub deployment: usize,
}

const SMALL: Shape = Shape {
    rows: 3,
    hours: 1,
    broken: 0,
    concatenated: true,
    gzip: true,
    padding: 0,
};

/// The cases, each with a different sequence of steps.
pub const CASES: &[Case] = &[
    Case {
        name: "one partition",
        shape: SMALL,
        table: false,
        memory: 64 << 20,
        scratch: u64::MAX,
        pairs: true,
        deployment: 0,
    },
    Case {
        name: "one partition of a table, with quarantine",
        shape: Shape { broken: 1, ..SMALL },
        table: true,
        memory: 64 << 20,
        scratch: u64::MAX,
        pairs: true,
        deployment: 0,
    },
    Case {
        name: "nothing but quarantine",
        shape: Shape {
            rows: 0,
            broken: 2,
            ..SMALL
        },
        table: false,
        memory: 64 << 20,
        scratch: u64::MAX,
        pairs: true,
        deployment: 0,
    },
    Case {
        name: "several partitions of a table, several at once, with quarantine",
        shape: Shape {
            rows: 12,
            hours: 5,
            broken: 2,
            ..SMALL
        },
        table: true,
        memory: 256 << 20,
        scratch: u64::MAX,
        pairs: false,
        deployment: 0,
    },
    Case {
        name: "outputs large enough for multipart uploads",
        shape: Shape::LARGE,
        table: true,
        memory: SMALL_MEMORY,
        scratch: u64::MAX,
        pairs: false,
        deployment: 0,
    },
    Case {
        name: "rows beyond memory and the temporary folder, sorted, in several files",
        shape: Shape {
            rows: 12,
            hours: 2,
            broken: 1,
            ..SMALL
        },
        table: false,
        memory: 0,
        scratch: 0,
        pairs: false,
        deployment: 3,
    },
];

/// The runs and the first violation.
#[derive(Debug, Default)]
pub struct Report {
    /// The number of crash points.
    pub points: u64,
    /// What went wrong, by kind.
    pub injected: FaultCounts,
    /// Uploads that dead invocations left unfinished; in a real bucket a lifecycle rule removes them.
    pub uploads_left: u64,
    /// The first violation, and the plans of the invocations that led to it.
    pub violation: Option<(String, Violation)>,
}

/// Enumerates the crash points of a case.
pub fn enumerate(case: &Case, seed: u64, mutant: Option<Mutant>) -> Report {
    let mut report = Report::default();
    let calls = attempt(case, seed, mutant, vec![Plan::default()], None, &mut report);
    let deaths = || (1..=calls).flat_map(|call| [Death::Before(call), Death::After(call)]);
    let dies = |death, loses_in_flight| Plan {
        death: Some(death),
        loses_in_flight,
        ..Plan::default()
    };
    for death in deaths() {
        for loses_in_flight in [false, true] {
            let plans = vec![dies(death, loses_in_flight)];
            attempt(case, seed, mutant, plans, None, &mut report);
        }
        if case.pairs {
            for again in deaths() {
                let plans = vec![dies(death, true), dies(again, false)];
                attempt(case, seed, mutant, plans, None, &mut report);
            }
        }
    }
    for call in 1..=calls {
        attempt(case, seed, mutant, Vec::new(), Some(call), &mut report);
    }
    report
}

/// One history of one object: the invocations with their plans, then retries to the end. With `paused`, another
/// invocation starts first, and sleeps before that call until the others are done. Returns the calls of the last
/// invocation with a plan.
fn attempt(
    case: &Case,
    seed: u64,
    mutant: Option<Mutant>,
    plans: Vec<Plan>,
    paused: Option<u64>,
    report: &mut Report,
) -> u64 {
    if report.violation.is_some() {
        return 0;
    }
    report.points += 1;
    let what = format!("{}: {plans:?}, paused before call {paused:?}", case.name);
    virtual_time(async {
        let mut rng = Rng::with_seed(seed);
        let setup = Setup {
            settings: Settings {
                encrypted_only: true,
                ..Settings::default()
            },
            rates: FaultRates::default(),
            table: case.table,
            memory: case.memory,
            scratch: case.scratch,
            file_size: 200,
            mutant,
        };
        let world = World::new(rng.u64(..), setup);
        let location = Location::new("landing", "sim/2026/05/01/00/object");
        let source = world.land(Source::generate(location, "object", case.shape, &mut rng));
        let pause = paused.map(|call| pause_before(&world, &source, case.deployment, call));
        let calls = all(&world, &source, case.deployment, plans).await;
        if let Some(pause) = pause
            && let Err(error) = pause.await
        {
            let now = world.cloud.clock.now();
            world.checker().fail(now, format!("panicked: {error}"));
        }
        let now = world.cloud.clock.now();
        world.checker().finish(now);
        world.cloud.with(|state| {
            report.injected.merge(&state.injected);
            report.uploads_left += state.s3.uploads_under_way().count() as u64;
        });
        report.violation = world
            .checker()
            .violation()
            .map(|violation| (what, violation.clone()));
        calls
    })
}

fn pause_before(
    world: &Arc<World>,
    source: &SourceObject,
    deployment: usize,
    call: u64,
) -> JoinHandle<()> {
    let (world, source) = (Arc::clone(world), source.clone());
    let until = world.deadline() - jiff::SignedDuration::from_secs(20);
    spawn_local(async move {
        let plan = Plan {
            sleep: Some((call, until)),
            ..Plan::default()
        };
        let (end, _) = world.invoke(&[source], deployment, plan).await;
        if !answered(&end) {
            let now = world.cloud.clock.now();
            let message = format!("R5: the invocation that was paused ended with {end:?}");
            world.checker().fail(now, message);
        }
    })
}

async fn all(world: &World, source: &SourceObject, deployment: usize, plans: Vec<Plan>) -> u64 {
    let sources = std::slice::from_ref(source);
    let mut calls = 0;
    for plan in plans {
        let (_, client) = world.invoke(sources, deployment, plan).await;
        calls = client.calls();
        // The requests of the dead invocation arrive before the retry, because the retry waits for the visibility
        // timeout.
        let clock = world.cloud.clock;
        clock
            .sleep(Duration::try_from(LIMIT).unwrap_or_default())
            .await;
    }
    if world.checker().is_committed(source) {
        return calls;
    }
    // Another deployment resumes the work.
    let (end, _) = world.invoke(sources, 1, Plan::default()).await;
    if !answered(&end) {
        let now = world.cloud.clock.now();
        world
            .checker()
            .fail(now, format!("R5: the retry ended with {end:?}"));
    }
    calls
}

fn answered(end: &End) -> bool {
    matches!(end, End::Answered(answers) if answers.iter().all(Result::is_ok))
}
