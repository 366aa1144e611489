//! The one set of rules for a configuration: what the functions apply when they start, `cargo xtask check`, and
//! `cdk synth`, which calls it.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue, Deserializer},
};

use super::{
    Config, Mode, Rekey, UnknownPolicy,
    mistake::{ConfigError, Mistake, Path, Problem, Problems, Step, place, span_of},
    rekey, shape,
};
use crate::location::Location;

/// The kinds of jobs, as the file calls them.
const KINDS: [&str; 4] = ["rekey", "split", "compact", "repartition"];

/// Reads a configuration and checks it.
pub(super) fn parse(text: &str) -> Result<Config, ConfigError> {
    // A valid file is read once; only an invalid one is read again, with positions.
    if let Ok(config) = toml::from_str::<Config>(text)
        && config.problems().is_empty()
    {
        return Ok(config);
    }
    let (mut tree, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        return Err(ConfigError::new(
            syntax.iter().map(|error| of_toml(text, error)).collect(),
        ));
    }
    let found = shape::check(text, &tree);
    let whole = tree.clone();
    let places = without(&mut tree, &found);
    let mut mistakes: Vec<_> = found
        .into_iter()
        .map(|found| mistake(text, found.at.start, &found.path, found.message))
        .collect();
    match Config::deserialize(Deserializer::from(tree)) {
        Ok(config) => mistakes.extend(config.problems().into_iter().map(|problem| {
            let path = original(problem.path, &places);
            let at = span_of(&whole, &path).start;
            mistake(text, at, &path, problem.message)
        })),
        // Serde refuses more than the schema describes.
        Err(error) if mistakes.is_empty() => mistakes.push(of_toml(text, &error)),
        Err(_) => {}
    }
    Err(ConfigError::new(mistakes))
}

fn mistake(text: &str, offset: usize, path: &Path, message: String) -> Mistake {
    let (line, column) = place(text, offset);
    Mistake {
        line,
        column,
        key: path.to_string(),
        message,
    }
}

fn of_toml(text: &str, error: &toml::de::Error) -> Mistake {
    let at = error.span().map_or(0, |span| span.start);
    mistake(text, at, &Path::default(), error.message().to_owned())
}

/// Removes unknown keys and malformed jobs. Returns the indices in the file of the jobs that are left.
fn without(
    tree: &mut Spanned<DeTable<'_>>,
    found: &[shape::Found],
) -> BTreeMap<String, Vec<usize>> {
    let mut places = BTreeMap::new();
    let tree = tree.get_mut();
    let unknown: Vec<_> = tree
        .keys()
        .map(|name| name.get_ref().to_string())
        .filter(|name| !KINDS.contains(&name.as_str()))
        .collect();
    for name in unknown {
        tree.remove(name.as_str());
    }
    for kind in KINDS {
        let Some(jobs) = tree.get_mut(kind) else {
            continue;
        };
        let DeValue::Array(jobs) = jobs.get_mut() else {
            tree.remove(kind);
            continue;
        };
        let of_job = |index: usize| {
            let job = Path::job(kind, index).0;
            found
                .iter()
                .filter(move |found| found.path.0.starts_with(&job))
        };
        let mut left = Vec::new();
        let mut kept = Vec::new();
        for index in 0..jobs.len() {
            let keep = of_job(index).all(|found| found.superfluous);
            kept.push(keep);
            if keep {
                left.push(index);
            }
            for found in of_job(index).filter(|found| found.superfluous) {
                if let Some(job) = jobs.get_mut(index) {
                    remove(job.get_mut(), found.path.0.get(2..).unwrap_or_default());
                }
            }
        }
        let all = std::mem::replace(jobs, DeArray::new());
        let kept = all.into_iter().zip(kept);
        *jobs = kept.filter_map(|(job, keep)| keep.then_some(job)).collect();
        places.insert(kind.to_owned(), left);
    }
    places
}

fn remove(value: &mut DeValue<'_>, path: &[Step]) {
    match (value, path) {
        (DeValue::Table(table), [Step::Key(key)]) => {
            table.remove(key.as_str());
        }
        (DeValue::Table(table), [Step::Key(key), rest @ ..]) => {
            if let Some(value) = table.get_mut(key.as_str()) {
                remove(value.get_mut(), rest);
            }
        }
        (DeValue::Array(list), [Step::Index(index), rest @ ..]) => {
            if let Some(value) = list.get_mut(*index) {
                remove(value.get_mut(), rest);
            }
        }
        _ => {}
    }
}

/// Converts the path of a value among the jobs that are left to its path in the file.
fn original(path: Path, places: &BTreeMap<String, Vec<usize>>) -> Path {
    let mut steps = path.0;
    if let [Step::Key(kind), Step::Index(index), ..] = steps.as_mut_slice()
        && let Some(place) = places.get(kind).and_then(|places| places.get(*index))
    {
        *index = *place;
    }
    Path(steps)
}

/// A job that writes below a target.
struct Writer<'a> {
    kind: &'static str,
    index: usize,
    name: &'a str,
    /// The value whose records go there, if the job has routes.
    route: Option<&'a str>,
    target: &'a Location,
    /// What a rekey job whose source is this target would read.
    pieces: &'static str,
    /// Whether another job of this kind may have the same target.
    shares: bool,
}

impl Config {
    /// The mistakes in each job, and the conflicts between jobs.
    fn problems(&self) -> Vec<Problem> {
        let mut all = Vec::new();
        let mut add = |problems: Problems| all.extend(problems.found);
        for (index, job) in self.rekey.iter().enumerate() {
            let mut problems = Problems::of("rekey", index, &job.name);
            job.check(&mut problems);
            for other in self.rekey.iter().take(index) {
                if other.source.contains(&job.source) || job.source.contains(&other.source) {
                    problems.say(
                        "source",
                        format!(
                            "rekey `{}` and `{}` have overlapping sources, {} and {}: an object would belong to both",
                            other.name, job.name, other.source, job.source
                        ),
                    );
                }
            }
            add(problems);
        }
        for (index, job) in self.split.iter().enumerate() {
            let mut problems = Problems::of("split", index, &job.name);
            job.check(&mut problems);
            add(problems);
        }
        for (index, job) in self.repartition.iter().enumerate() {
            let mut problems = Problems::of("repartition", index, &job.name);
            job.check(&mut problems);
            let adds = self.rekey.iter().find(|adds| {
                adds.on_unknown == UnknownPolicy::Add
                    && adds.table.is_some()
                    && adds.table == job.table
            });
            if let Some(adds) = adds.filter(|_| job.manage_table) {
                problems.say(
                    "manage_table",
                    format!(
                        "manage_table would take the columns out again that rekey `{}` adds to the table (on_unknown = \"add\"): leave one of them out",
                        adds.name
                    ),
                );
            }
            add(problems);
        }
        for (index, job) in self.compact.iter().enumerate() {
            let mut problems = Problems::of("compact", index, &job.subject());
            job.check(&mut problems);
            job.check_beside(&self.rekey, &mut problems);
            let subject = job.subject();
            if self
                .compact
                .iter()
                .take(index)
                .any(|other| other.subject() == subject)
            {
                let key = if job.table.is_some() {
                    "table"
                } else {
                    "target"
                };
                problems.say(key, "two jobs compact it: write one");
            }
            add(problems);
        }
        self.check_writers(&mut add);
        self.check_routed_tables(&mut add);
        all
    }

    fn writers(&self) -> Vec<Writer<'_>> {
        let rekey = self.rekey.iter().enumerate().map(|(index, job)| Writer {
            kind: "rekey",
            index,
            name: &job.name,
            route: None,
            target: &job.target,
            pieces: "file",
            // Files are named by their source, so several sources fill one table.
            shares: true,
        });
        let routed = self.rekey.iter().enumerate().flat_map(|(index, job)| {
            let routes = job.route.iter().flat_map(|route| &route.tables);
            routes.map(move |(value, destination)| Writer {
                kind: "rekey",
                index,
                name: &job.name,
                route: Some(value),
                target: &destination.target,
                pieces: "file",
                shares: false,
            })
        });
        let split = self.split.iter().enumerate().map(|(index, job)| Writer {
            kind: "split",
            index,
            name: &job.name,
            route: None,
            target: &job.target,
            pieces: "row",
            shares: false,
        });
        let repartition = self.repartition.iter().enumerate();
        let repartition = repartition.map(|(index, job)| Writer {
            kind: "repartition",
            index,
            name: &job.name,
            route: None,
            target: &job.target,
            pieces: "file",
            shares: job.mode == Mode::Append,
        });
        let rekey = rekey.chain(routed);
        rekey.chain(split).chain(repartition).collect()
    }

    /// Checks for conflicts between the names and targets of jobs.
    fn check_writers(&self, add: &mut impl FnMut(Problems)) {
        let writers = self.writers();
        for (place, job) in writers.iter().enumerate() {
            let mut problems = Problems::of(job.kind, job.index, job.name);
            let before = writers.iter().take(place);
            if job.route.is_none() && before.clone().any(|other| other.name == job.name) {
                problems.say(
                    "name",
                    format!("two jobs are named `{}`: names are unique", job.name),
                );
            }
            match job.route {
                Some(value) => rekey::inside(value, &mut problems, |problems| {
                    self.check_target(job, before, problems);
                }),
                None => self.check_target(job, before, &mut problems),
            }
            add(problems);
        }
    }

    /// Checks for conflicts between a target and those of the jobs before.
    fn check_target<'a>(
        &self,
        job: &Writer<'a>,
        before: impl Iterator<Item = &'a Writer<'a>>,
        problems: &mut Problems,
    ) {
        for source in &self.rekey {
            if source.source.contains(job.target) {
                let what = match job.kind {
                    "rekey" => "so its output would trigger it again".to_owned(),
                    _ => format!("which would read every {}", job.pieces),
                };
                problems.say(
                    "target",
                    format!(
                        "target {} lies inside {}, the source of rekey `{}`, {what}: choose a target outside",
                        job.target, source.source, source.name
                    ),
                );
            }
        }
        // A job with routes writes only its ledger under its own target.
        let is_own = |other: &Writer<'_>| other.index == job.index && other.route.is_none();
        for other in before.filter(|other| other.kind == job.kind && !is_own(other)) {
            let nested = other.target.contains(job.target) || job.target.contains(other.target);
            let shared = other.target == job.target && other.shares && job.shares;
            if nested && !shared {
                problems.say(
                    "target",
                    format!(
                        "target {} and that of {} `{}`, {}, lie inside one another, so each would count what the other writes as its own: choose one outside",
                        job.target, other.kind, other.name, other.target
                    ),
                );
            }
        }
    }

    /// Checks that nothing else writes the table of a route.
    fn check_routed_tables(&self, add: &mut impl FnMut(Problems)) {
        let destinations = self
            .rekey
            .iter()
            .map(Rekey::destinations)
            .collect::<Vec<_>>();
        for (index, job) in self.rekey.iter().enumerate() {
            let mut problems = Problems::of("rekey", index, &job.name);
            let routes = job.route.iter().flat_map(|route| &route.tables);
            for (place, (value, destination)) in routes.enumerate() {
                let mut others = destinations.iter().enumerate().flat_map(|(other, of)| {
                    let of = of.iter().enumerate();
                    of.filter(move |(at, _)| other != index || *at < place)
                });
                let table = &destination.table;
                if let Some((_, other)) = others.find(|(_, of)| of.table.as_ref() == Some(table)) {
                    let message = format!(
                        "table {table} is that of {} in rekey `{}` too: a route has a table of its own",
                        other.target, other.name
                    );
                    rekey::inside(value, &mut problems, |problems| {
                        problems.say("table", message);
                    });
                }
            }
            add(problems);
        }
    }
}

#[cfg(test)]
mod tests;
