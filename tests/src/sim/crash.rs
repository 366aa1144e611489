//! All crash points of the processing of a batch: killed before and after each of its calls, paused before each of them
//! while twins do the work, and killed again at each point of the retry. The retries come in other company, and one of
//! the objects may vanish meanwhile.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use lakewright_core::location::Location;
use lakewright_jobs::rekey::{Delivered, SourceObject};
use lakewright_model::{Death, FaultCounts, FaultRates, Plan, Settings, virtual_time};
use lakewright_ports::Clock;
use tokio::task::{JoinHandle, spawn_local};

use super::{
    checker::Violation,
    mutant::Mutant,
    source::{Flaw, Shape, Source},
    world::{CUTTING, End, LIMIT, SMALL_MEMORY, Setup, World},
};

/// A batch of three objects whose crash points are enumerated.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What it covers.
    pub name: &'static str,
    /// The objects. The second one is the one that vanishes.
    pub shapes: [Shape; 3],
    /// Whether the job has a table in the catalog.
    pub table: bool,
    /// Bytes of memory for it.
    pub memory: u64,
    /// Bytes of temporary files for it.
    pub scratch: u64,
    /// Which scenes are played.
    pub scenes: Scenes,
    /// The deployment that is killed.
    pub deployment: usize,
}

/// The extent of an enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenes {
    /// Each crash point, and each pause, with retries in some company.
    Each,
    /// The same with every company, and each crash point of each retry.
    Pairs,
    /// One object vanishes at each crash point and during each pause, and the twin dies at each of its crash points.
    Vanishing,
}

const SMALL: Shape = Shape {
    rows: 3,
    hours: 1,
    broken: 0,
    concatenated: true,
    gzip: true,
    padding: 0,
    new_fields: false,
    flaw: None,
    routed: false,
};

const ROUTED: Shape = Shape {
    rows: 6,
    hours: 2,
    routed: true,
    ..SMALL
};

const SEVERAL: Shape = Shape {
    rows: 8,
    hours: 4,
    broken: 2,
    ..SMALL
};

const PLAIN: Case = Case {
    name: "one partition",
    shapes: [SMALL; 3],
    table: false,
    memory: 64 << 20,
    scratch: u64::MAX,
    scenes: Scenes::Pairs,
    deployment: 0,
};

impl Case {
    /// Whether records go to the table of their kind.
    fn is_routed(&self) -> bool {
        self.shapes.iter().any(|shape| shape.routed)
    }
}

/// The cases, each with a different sequence of steps.
pub const CASES: &[Case] = &[
    PLAIN,
    Case {
        name: "one partition of a table, with quarantine",
        shapes: [Shape { broken: 1, ..SMALL }, SMALL, SMALL],
        table: true,
        ..PLAIN
    },
    Case {
        name: "a table that gets columns, with quarantine",
        shapes: [
            Shape {
                new_fields: true,
                ..SEVERAL
            },
            SMALL,
            Shape {
                new_fields: true,
                ..SMALL
            },
        ],
        table: true,
        scenes: Scenes::Each,
        ..PLAIN
    },
    Case {
        name: "nothing but quarantine",
        shapes: [Shape {
            rows: 0,
            broken: 2,
            ..SMALL
        }; 3],
        scenes: Scenes::Each,
        ..PLAIN
    },
    Case {
        name: "several partitions of a table, several at once, with quarantine",
        shapes: [SEVERAL, SMALL, SEVERAL],
        table: true,
        memory: 256 << 20,
        scenes: Scenes::Each,
        ..PLAIN
    },
    Case {
        name: "outputs large enough for multipart uploads",
        shapes: [Shape::LARGE, SMALL, SMALL],
        table: true,
        memory: SMALL_MEMORY,
        scenes: Scenes::Each,
        ..PLAIN
    },
    Case {
        name: "rows beyond memory and the temporary folder, sorted, in several files",
        shapes: [SEVERAL, SMALL, SEVERAL],
        memory: 0,
        scratch: 0,
        scenes: Scenes::Each,
        deployment: CUTTING,
        ..PLAIN
    },
    Case {
        name: "one object that cannot be read",
        shapes: [
            SMALL,
            Shape {
                flaw: Some(Flaw::CutShort),
                ..SMALL
            },
            SMALL,
        ],
        ..PLAIN
    },
    Case {
        name: "one object that vanishes",
        scenes: Scenes::Vanishing,
        ..PLAIN
    },
    Case {
        name: "one object that vanishes from sorted partitions of several files",
        shapes: [SEVERAL, SEVERAL, SMALL],
        scenes: Scenes::Vanishing,
        deployment: CUTTING,
        ..PLAIN
    },
    Case {
        name: "two tables, with quarantine",
        shapes: [
            Shape {
                broken: 1,
                ..ROUTED
            },
            ROUTED,
            ROUTED,
        ],
        table: true,
        scenes: Scenes::Each,
        ..PLAIN
    },
];

/// In which company the objects come again.
#[derive(Debug, Clone, Copy)]
enum Company {
    /// All together, as before.
    Same,
    /// All together for the third time, so that a batch without a plan is dissolved.
    Third,
    /// The first one alone, then the others.
    Split,
    /// Each alone, at once.
    Alone,
    /// Two of them with a new object, then the third.
    Another,
}

const COMPANIES: [Company; 5] = [
    Company::Same,
    Company::Third,
    Company::Split,
    Company::Alone,
    Company::Another,
];

/// What happens in a history of a case.
#[derive(Debug, Clone)]
struct Scene {
    /// An invocation starts first, and sleeps before this call until the others are done.
    paused: Option<u64>,
    /// Whether the second object vanishes: while that invocation sleeps, or else after the first death.
    vanishes: bool,
    /// Whether it comes back after all others are done, and before the sleeper wakes up.
    comes_back: bool,
    /// The invocations with their plans.
    plans: Vec<Plan>,
    /// The company of the retries.
    company: Company,
}

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
    let undisturbed = Scene {
        paused: None,
        vanishes: false,
        comes_back: false,
        plans: vec![Plan::default()],
        company: Company::Same,
    };
    let calls = attempt(case, seed, mutant, &undisturbed, &mut report);
    for scene in scenes(case.scenes, calls, &undisturbed) {
        if report.violation.is_some() {
            break;
        }
        attempt(case, seed, mutant, &scene, &mut report);
    }
    report
}

/// The scenes with an invocation of so many calls.
fn scenes(scenes: Scenes, calls: u64, undisturbed: &Scene) -> Vec<Scene> {
    let deaths = (1..=calls).flat_map(|call| [Death::Before(call), Death::After(call)]);
    let deaths = deaths.collect::<Vec<_>>();
    let dies = |death: &Death, loses_in_flight| Plan {
        death: Some(*death),
        loses_in_flight,
        ..Plan::default()
    };
    let mut all = Vec::new();
    let mut companies = COMPANIES.iter().copied().cycle();
    let mut next = || companies.next().unwrap_or(Company::Same);
    let thorough = scenes == Scenes::Pairs;
    let company_of = |scene: Scene, one: Company| {
        let several = if thorough { &COMPANIES[..] } else { &[] };
        let one = if thorough { None } else { Some(one) };
        let companies = several.iter().copied().chain(one);
        companies
            .map(|company| Scene {
                company,
                ..scene.clone()
            })
            .collect::<Vec<_>>()
    };
    if scenes == Scenes::Vanishing {
        for comes_back in [false, true] {
            let vanishes = |paused, plans, company| Scene {
                paused,
                vanishes: true,
                comes_back,
                plans,
                company,
            };
            for death in &deaths {
                all.push(vanishes(None, vec![dies(death, true)], next()));
                all.push(vanishes(None, vec![dies(death, false)], next()));
            }
            for call in 1..=calls {
                all.push(vanishes(Some(call), Vec::new(), next()));
                for death in &deaths {
                    all.push(vanishes(Some(call), vec![dies(death, false)], next()));
                }
            }
        }
        return all;
    }
    for death in &deaths {
        for loses_in_flight in [false, true] {
            let plans = vec![dies(death, loses_in_flight)];
            let scene = Scene {
                plans,
                ..undisturbed.clone()
            };
            all.extend(company_of(scene, next()));
        }
        if thorough {
            for again in &deaths {
                all.push(Scene {
                    plans: vec![dies(death, true), dies(again, false)],
                    company: next(),
                    ..undisturbed.clone()
                });
            }
        }
    }
    for call in 1..=calls {
        let scene = Scene {
            paused: Some(call),
            plans: Vec::new(),
            ..undisturbed.clone()
        };
        all.extend(company_of(scene, next()));
    }
    all
}

/// Plays one scene, then retries to the end. Returns the calls of the last invocation with a plan.
fn attempt(
    case: &Case,
    seed: u64,
    mutant: Option<Mutant>,
    scene: &Scene,
    report: &mut Report,
) -> u64 {
    report.points += 1;
    virtual_time(async {
        let mut rng = Rng::with_seed(seed);
        let setup = Setup {
            settings: Settings {
                encrypted_only: true,
                ..Settings::default()
            },
            rates: FaultRates::default(),
            table: case.table,
            routed: case.is_routed(),
            adds: case.shapes.iter().any(|shape| shape.new_fields),
            memory: case.memory,
            scratch: case.scratch,
            file_size: 200,
            mutant,
        };
        let world = World::new(rng.u64(..), setup);
        let mut objects = Vec::new();
        for (name, shape) in ["a", "b", "c"].into_iter().zip(case.shapes) {
            objects.push(land(&world, name, shape, &mut rng));
        }
        let stage = Stage {
            world: &world,
            deployment: case.deployment,
            rng,
            objects,
        };
        let calls = stage.play(scene).await;
        let now = world.cloud.clock.now();
        world.checker().finish(now);
        world.cloud.with(|state| {
            report.injected.merge(&state.injected);
            report.uploads_left += state.s3.uploads_under_way().count() as u64;
        });
        let violation = world.checker().violation().cloned();
        report.violation = violation.map(|violation| {
            let what = format!("{}: {scene:?}", case.name);
            (what, violation)
        });
        calls
    })
}

fn land(world: &World, name: &str, shape: Shape, rng: &mut Rng) -> SourceObject {
    let location = Location::new("landing", format!("sim/2026/05/01/00/{name}"));
    world.land(Source::generate(location, name, shape, rng))
}

struct Stage<'a> {
    world: &'a Arc<World>,
    deployment: usize,
    rng: Rng,
    objects: Vec<SourceObject>,
}

impl Stage<'_> {
    async fn play(mut self, scene: &Scene) -> u64 {
        let sleeper = scene.paused.map(|call| self.pause_before(call));
        let mut removed = None;
        if sleeper.is_some() && scene.vanishes {
            self.wait(SignedDuration::from_secs(10)).await;
            removed = self.world.remove(&self.objects[1]);
        }
        let mut calls = 0;
        for plan in &scene.plans {
            let (_, client) = self
                .world
                .invoke(&delivered(&self.objects, 1), self.deployment, plan.clone())
                .await;
            calls = client.calls();
            if sleeper.is_none() {
                // The requests of the dead invocation arrive before the retry, because the retry waits for the
                // visibility timeout.
                self.wait(LIMIT).await;
            } else {
                self.wait(SignedDuration::from_secs(10)).await;
            }
            if scene.vanishes && removed.is_none() {
                removed = self.world.remove(&self.objects[1]);
            }
        }
        // The last death leaves the rest to the sleeper.
        if sleeper.is_none() || scene.plans.is_empty() {
            self.retry(scene.company, sleeper.is_none()).await;
        }
        let bytes = removed.filter(|_| scene.comes_back);
        if let Some(bytes) = bytes {
            self.world.put_back(&self.objects[1], bytes);
        }
        if let Some(sleeper) = sleeper {
            if let Err(error) = sleeper.await {
                let now = self.world.cloud.clock.now();
                self.world.checker().fail(now, format!("panicked: {error}"));
            }
            self.wait(LIMIT).await;
        }
        // Whatever came before, this is what everybody is told in the end.
        for company in [scene.company, Company::Same] {
            self.retry(company, true).await;
        }
        calls
    }

    /// Another deployment resumes the work. In `fair` weather nothing else happens meanwhile.
    async fn retry(&mut self, company: Company, fair: bool) {
        let objects = self.objects.clone();
        let one = |index: usize| delivered(&objects[index..=index], 1);
        match company {
            Company::Same => self.invoke(delivered(&objects, 1), fair).await,
            Company::Third => self.invoke(delivered(&objects, 3), fair).await,
            Company::Split => {
                self.invoke(one(0), fair).await;
                self.invoke(delivered(&objects[1..], 2), fair).await;
            }
            Company::Alone => {
                futures::join!(
                    self.invoke(one(0), false),
                    self.invoke(one(1), false),
                    self.invoke(one(2), false)
                );
            }
            Company::Another => {
                let shape = Shape {
                    rows: 2,
                    hours: 2,
                    routed: self.world.is_routed(),
                    ..SMALL
                };
                let name = format!("d{}", self.world.invocations());
                let another = land(self.world, &name, shape, &mut self.rng);
                let pair = [another, objects[1].clone(), objects[0].clone()];
                self.invoke(delivered(&pair, 1), fair).await;
                self.invoke(one(2), fair).await;
                if !fair {
                    self.objects.push(pair[0].clone());
                }
            }
        }
    }

    async fn invoke(&self, objects: Vec<Delivered>, fair: bool) {
        let began = self.world.cloud.clock.now();
        let (end, _) = self.world.invoke(&objects, 1, Plan::default()).await;
        answered(self.world, began, &objects, &end, fair);
    }

    fn pause_before(&self, call: u64) -> JoinHandle<()> {
        let (world, objects) = (Arc::clone(self.world), delivered(&self.objects, 1));
        let (deployment, until) = (
            self.deployment,
            self.world.deadline() - SignedDuration::from_secs(20),
        );
        spawn_local(async move {
            let plan = Plan {
                sleep: Some((call, until)),
                ..Plan::default()
            };
            let began = world.cloud.clock.now();
            let (end, _) = world.invoke(&objects, deployment, plan).await;
            answered(&world, began, &objects, &end, true);
        })
    }

    async fn wait(&self, duration: SignedDuration) {
        let clock = self.world.cloud.clock;
        clock
            .sleep(Duration::try_from(duration).unwrap_or_default())
            .await;
    }
}

fn delivered(objects: &[SourceObject], receives: u32) -> Vec<Delivered> {
    let objects = objects.iter().cloned();
    objects
        .map(|object| Delivered {
            object,
            receives,
            just_landed: receives == 1,
        })
        .collect()
}

fn answered(world: &World, began: Timestamp, objects: &[Delivered], end: &End, fair: bool) {
    let now = world.cloud.clock.now();
    let mut checker = world.checker();
    match end {
        End::Answered(answers) => {
            for (delivered, answer) in objects.iter().zip(answers) {
                checker.answered([began, now], &delivered.object, answer, fair);
            }
        }
        End::Died => checker.fail(now, "R5: an invocation died in fair weather".to_owned()),
    }
}
