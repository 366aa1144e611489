//! Examines one partition: the unfinished steps of earlier runs, and the files to merge now.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use lakewright_core::{
    catalog::{TableName, marks_above},
    compact::{
        Candidate, Left, PartitionLedger, PartitionState, choose, generation_directory,
        generations_beside, is_compacted, output_name, partition_path, source_of,
    },
    config::{self, CompactMode, Output, OutputFormat},
    location::Location,
    naming,
};

use super::{
    Ports,
    directory::{self, File},
    footers::{self, Tail},
    ledger::{self, Bin, Entries, Input, Plan},
    merge::{self, Known},
    report::Step,
};
use crate::{
    kit::{ErrorKind, JobError},
    ports::Store,
    work::foreign,
};

/// The most concurrent requests for one partition.
const CONCURRENT: usize = 32;

/// The largest object that S3 copies in one request; carrying a file is such a copy.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
const LARGEST_COPY: u64 = 5 << 30;

/// S3's limit on keys, and the room that is reserved for the names of later files.
const LONGEST_KEY: usize = 1_024;
const ROOM: usize = 80;

/// Where merged files are made below a target without a catalog: readers skip names that begin with `_`.
const STAGED: &str = "_compacting/";

/// The subject of a request: the partitions, and the locations of everything that belongs to them.
pub(super) struct Scope {
    /// With the ledger and the generations set.
    pub(super) settings: config::Compact,
    pub(super) ledger: Location,
    pub(super) partitions: Vec<Subject>,
    /// The listings that looked for another table format's log.
    pub(super) listings: u64,
    tail: Tail,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    /// Its path below the table or the target.
    pub(super) path: String,
    pub(super) values: Vec<String>,
    /// Its location in the catalog, or the catalog's text if that is not a location.
    pub(super) location: Result<Location, String>,
}

/// What to do with a partition.
pub(super) enum Verdict {
    /// Nothing.
    Left(Left),
    /// An earlier run has not finished it.
    Unfinished(&'static str),
    /// Continue with this step of this generation's plan.
    GoOn(u32, Step),
    /// Give up this generation's plan, because its merges cannot succeed.
    GiveUp(u32, String),
    /// Execute this plan, which exists or is new.
    Plan {
        plan: Box<Plan>,
        stands: bool,
        /// The number of files that are carried over.
        carried: u64,
        /// Their total size in bytes.
        carried_bytes: u64,
    },
}

/// Checks that a prefix does not belong to another table format. Returns the number of listings.
async fn not_foreign(store: &dyn Store, prefix: &Location) -> Result<u64, JobError> {
    let looked = foreign::not_foreign(store, prefix).await?;
    looked.map_err(|error| JobError::new(ErrorKind::Unsuited, format!("{prefix}: {error}")))?;
    Ok(marks_above(prefix).len() as u64)
}

impl Scope {
    /// # Errors
    /// The table cannot be compacted, or the store or the catalog fails.
    pub(super) async fn find(
        ports: &Ports,
        job: &config::Compact,
        selection: Option<&str>,
    ) -> Result<Self, JobError> {
        let mut scope = match (job.mode, &job.table, &job.target) {
            (CompactMode::Catalog, Some(table), _) => {
                Self::of_table(ports, job, table, selection).await?
            }
            (CompactMode::InPlace, _, Some(target)) => {
                Self::of_prefix(ports, job, target, selection).await?
            }
            _ => {
                return Err(JobError::new(
                    ErrorKind::BadRequest,
                    "the job has neither a table nor a target",
                ));
            }
        };
        scope.partitions.sort();
        Ok(scope)
    }

    async fn of_table(
        ports: &Ports,
        job: &config::Compact,
        name: &TableName,
        expression: Option<&str>,
    ) -> Result<Self, JobError> {
        let table = ports.catalog.table(name).await?;
        let table = table.ok_or_else(|| {
            JobError::new(
                ErrorKind::TableMissing,
                format!("table {name} does not exist"),
            )
        })?;
        let unsuited = |reason: String| {
            JobError::new(ErrorKind::TableUnsuited, format!("table {name}: {reason}"))
        };
        let output = Output::new(OutputFormat::Parquet);
        table
            .takes(&output)
            .map_err(|error| unsuited(error.to_string()))?;
        if table.has_partition_projection() {
            return Err(unsuited(
                "it has partition projection, with which Athena computes where partitions lie and ignores the catalog, so its readers would never see the new files: switch projection off (projection.enabled = false) once all partitions are registered".to_owned(),
            ));
        }
        if table.partition_keys.is_empty() {
            return Err(unsuited(
                "it has no partitions, and only partitions are pointed at new files".to_owned(),
            ));
        }
        let base = Location::directory(&table.storage.location)
            .map_err(|error| unsuited(error.to_string()))?;
        let listings = not_foreign(&*ports.store, &base).await?;
        let generations = job
            .generations
            .clone()
            .or_else(|| generations_beside(&base));
        let generations = generations
            .ok_or_else(|| unsuited("it fills a whole bucket: its new files have no place outside it, write generations = \"s3://…/\"".to_owned()))?;
        if base.contains(&generations) || base.bucket != generations.bucket {
            return Err(unsuited(format!(
                "generations = \"{generations}\" must lie in the table's bucket and outside the table's location {base}"
            )));
        }
        let ledger = job
            .ledger
            .clone()
            .unwrap_or_else(|| base.join("_lakewright/"));
        let found = ports.catalog.matching_partitions(name, expression).await?;
        for partition in &found {
            let as_it_says = table.with_storage(&partition.storage);
            as_it_says
                .takes(&output)
                .map_err(|error| unsuited(format!("partition {:?}: {error}", partition.values)))?;
        }
        let partitions = found.into_iter().map(|partition| Subject {
            path: partition_path(&table.partition_keys, &partition.values),
            location: Location::directory(&partition.storage.location)
                .map_err(|_| partition.storage.location),
            values: partition.values,
        });
        Ok(Self {
            partitions: partitions.collect(),
            settings: config::Compact {
                ledger: Some(ledger.clone()),
                generations: Some(generations),
                ..job.clone()
            },
            ledger,
            listings,
            tail: Tail::default(),
        })
    }

    async fn of_prefix(
        ports: &Ports,
        job: &config::Compact,
        target: &Location,
        prefix: Option<&str>,
    ) -> Result<Self, JobError> {
        let ledger = job
            .ledger
            .clone()
            .unwrap_or_else(|| target.join("_lakewright/"));
        let below = target.join(prefix.unwrap_or_default());
        let listings = not_foreign(&*ports.store, &below).await?;
        let (objects, _) = directory::list(&*ports.store, &below).await?;
        let mut paths = objects
            .iter()
            .filter_map(|object| object.key.get(target.key.len()..))
            .filter(|name| directory::is_data(name))
            .map(|name| name.rfind('/').map_or("", |end| &name[..=end]))
            .collect::<Vec<_>>();
        paths.sort_unstable();
        paths.dedup();
        let partitions = paths.into_iter().map(|path| Subject {
            path: path.to_owned(),
            values: Vec::new(),
            location: Ok(target.join(path)),
        });
        Ok(Self {
            partitions: partitions.collect(),
            settings: config::Compact {
                ledger: Some(ledger.clone()),
                generations: Some(target.join(STAGED)),
                ..job.clone()
            },
            ledger,
            listings,
            tail: Tail::default(),
        })
    }

    /// The ledger of a partition.
    pub(super) fn ledger_of(&self, partition: &Subject) -> PartitionLedger {
        PartitionLedger::new(&self.ledger, &partition.path)
    }

    /// Decides what to do with a partition. Steps of earlier runs come first. A new generation is planned only when the
    /// previous one is swept: until then a publisher may still be running that sends readers to the previous one.
    ///
    /// # Errors
    /// The partition cannot be compacted, or the store fails.
    pub(super) async fn look(
        &self,
        ports: &Ports,
        partition: &Subject,
    ) -> Result<Verdict, JobError> {
        let store = &*ports.store;
        let ledger = self.ledger_of(partition);
        let entries = ledger::entries(store, &ledger).await?;
        if self.settings.mode == CompactMode::InPlace {
            return self
                .look_in_place(store, &ledger, partition, &entries)
                .await;
        }
        let standing = if entries.state {
            ledger::read_state(store, &ledger).await?
        } else {
            None
        };
        let generation = standing.as_ref().map_or(0, |(state, _)| state.generation);
        if generation > 0 && !entries.swept.contains_key(&generation) {
            let step = if entries.published.contains(&generation) {
                Step::Sweep
            } else {
                Step::Publish
            };
            return Ok(Verdict::GoOn(generation, step));
        }
        let location = partition.location.as_ref().map_err(|text| {
            JobError::new(
                ErrorKind::Unsuited,
                format!("its location in the catalog is `{text}`"),
            )
        })?;
        match &standing {
            Some((state, _)) if state.directory != *location => {
                return Err(JobError::new(
                    ErrorKind::PartitionElsewhere,
                    format!(
                        "partition {} lies at {} in the catalog, but should be at {}: nobody else may move partitions of a compacted table",
                        partition.path, location, state.directory
                    ),
                ));
            }
            None if self.generations()?.contains(location) => {
                return Err(JobError::new(
                    ErrorKind::Unsuited,
                    format!(
                        "it lies at {location}, which a compaction made, but {} is gone",
                        ledger.state()
                    ),
                ));
            }
            _ => {}
        }
        let state = standing.as_ref().map(|(state, _)| state);
        if let Some(step) = self.leftover(&entries, state) {
            return Ok(step);
        }
        let next = state.map_or(0, PartitionState::last) + 1;
        let to = generation_directory(self.generations()?, &partition.path, next);
        self.next(store, &ledger, partition, location, to, &entries, next)
            .await
    }

    /// The next step of the first generation whose files are not deleted.
    fn leftover(&self, entries: &Entries, state: Option<&PartitionState>) -> Option<Verdict> {
        let state = state?;
        let past = (1..=state.last()).find(|past| !entries.deleted.contains(past))?;
        let is_over = |age: &SignedDuration, least| ledger::wait(*age, least).is_none();
        if past == state.abandoned || entries.abandoned.contains_key(&past) {
            // No `abandoned` marker: its age is unknown.
            let is_due = entries
                .abandoned
                .get(&past)
                .is_none_or(|age| is_over(age, self.settings.longest_invocation));
            return is_due.then_some(Verdict::GoOn(past, Step::Abandon));
        }
        let age = entries.swept.get(&past)?;
        let is_due = is_over(age, self.settings.grace_period);
        is_due.then_some(Verdict::GoOn(past, Step::Delete))
    }

    async fn look_in_place(
        &self,
        store: &dyn Store,
        ledger: &PartitionLedger,
        partition: &Subject,
        entries: &Entries,
    ) -> Result<Verdict, JobError> {
        let last = entries.planned.last().copied().unwrap_or_default();
        let generation = match entries.swept.get(&last) {
            None if last > 0 => last,
            // A twin may still write its file again, which must not have been merged by then.
            Some(age) if ledger::wait(*age, self.settings.longest_invocation).is_some() => {
                return Ok(Verdict::Unfinished("settling"));
            }
            _ => last + 1,
        };
        let location = partition.location.as_ref().map_err(|text| {
            JobError::new(ErrorKind::Unsuited, format!("its location is `{text}`"))
        })?;
        let to = generation_directory(self.generations()?, &partition.path, generation);
        self.next(store, ledger, partition, location, to, entries, generation)
            .await
    }

    fn generations(&self) -> Result<&Location, JobError> {
        self.settings
            .generations
            .as_ref()
            .ok_or_else(|| JobError::new(ErrorKind::Unsuited, "generations is not known"))
    }

    /// The plan of the next generation: the existing one, or a new one.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one fact about the partition"
    )]
    async fn next(
        &self,
        store: &dyn Store,
        ledger: &PartitionLedger,
        partition: &Subject,
        from: &Location,
        to: Location,
        entries: &Entries,
        generation: u32,
    ) -> Result<Verdict, JobError> {
        let (mut files, begun) = directory::files(store, from).await?;
        if self.settings.mode == CompactMode::InPlace {
            // Deeper directories are separate partitions.
            files.retain(|file| !file.name.contains('/'));
        }
        let verdict = |plan: Plan, stands| {
            let inputs = plan.inputs();
            let carried = files
                .iter()
                .filter(|file| !inputs.contains_key(file.name.as_str()));
            let (count, bytes) = carried.fold((0, 0), |(count, bytes), file| {
                (count + 1, bytes + file.size)
            });
            Verdict::Plan {
                stands,
                carried: count,
                carried_bytes: bytes,
                plan: Box::new(plan),
            }
        };
        // In place, some of a plan's files may be deleted already.
        if entries.failed.contains(&generation) && self.settings.mode != CompactMode::InPlace {
            let failed = ledger::failure(store, ledger, generation).await?;
            let reason = failed.map_or_else(String::new, |failed| failed.reason);
            return Ok(Verdict::GiveUp(generation, reason));
        }
        if entries.planned.contains(&generation) {
            let (_, plan) = ledger::read_plan(store, &ledger.plan(generation)).await?;
            return Ok(verdict(plan, true));
        }
        let bins = match self.bins(store, &files, begun).await? {
            Ok(bins) => bins,
            Err(left) => return Ok(Verdict::Left(left)),
        };
        self.check(&files, &to)?;
        let extension = self.settings.compression.extension();
        let mut planned = Vec::with_capacity(bins.len());
        for (index, bin) in bins.iter().enumerate() {
            let files = bin.iter().filter_map(|file| files.get(*file));
            let (inputs, known) = self.inputs(store, from, files.collect()).await?;
            planned.push(Bin {
                output: output_name(generation, index, extension),
                rows: inputs.iter().map(|input| input.rows).sum(),
                bytes: inputs.iter().map(|input| input.size).sum(),
                inputs,
                firsts: known.firsts,
                compressions: known.compressions,
            });
        }
        let plan = Plan {
            version: Plan::VERSION,
            settings: self.settings.clone(),
            partition: partition.path.clone(),
            values: partition.values.clone(),
            generation,
            from: from.clone(),
            to,
            bins: planned,
        };
        Ok(verdict(plan, false))
    }

    /// Chooses the files that are merged together.
    async fn bins(
        &self,
        store: &dyn Store,
        files: &[File],
        begun: Timestamp,
    ) -> Result<Result<Vec<Vec<usize>>, Left>, JobError> {
        let rules = &self.settings;
        let is_old = |age| ledger::wait(age, rules.longest_invocation).is_none();
        let mut candidates = files
            .iter()
            .map(|file| {
                let age = begun.duration_since(file.last_modified);
                Candidate {
                    size: file.size,
                    age,
                    settled: is_old(age),
                }
            })
            .collect::<Vec<_>>();
        // Usually this is enough to see that there is nothing to do, and no commits need to be looked up.
        if let Err(left) = choose(&candidates, rules) {
            return Ok(Err(left));
        }
        let mut ages = BTreeMap::<&str, Option<SignedDuration>>::new();
        let asked = files.iter().zip(&candidates);
        let sources = asked
            .filter(|(_, candidate)| candidate.settled)
            .filter_map(|(file, _)| source(&file.name));
        ages.extend(sources.map(|source| (source, None)));
        let questions = ages.keys().map(|source| {
            let commit = naming::commit(&self.ledger, source);
            async move { Ok::<_, JobError>((*source, ledger::age(store, &commit).await?)) }
        });
        let answers = stream::iter(questions).buffer_unordered(CONCURRENT);
        let ages = answers.try_collect::<BTreeMap<_, _>>().await?;
        for (file, candidate) in files.iter().zip(&mut candidates) {
            if let Some(source) = source(&file.name) {
                let age = ages.get(source).copied().flatten();
                candidate.settled &= age.is_some_and(is_old);
            }
        }
        Ok(choose(&candidates, rules))
    }

    /// Checks that the files of a bin can be merged. Returns them with their row counts, and what the merge has to know
    /// beforehand.
    async fn inputs(
        &self,
        store: &dyn Store,
        from: &Location,
        files: Vec<&File>,
    ) -> Result<(Vec<Input>, Known), JobError> {
        let read = files.into_iter().map(|file| {
            let location = from.join(&file.name);
            async move {
                let etag = Some(file.etag.as_str());
                let footer =
                    footers::footer_of(store, &location, file.size, etag, &self.tail).await?;
                Ok::<_, JobError>((file, location, footer))
            }
        });
        let mut read = stream::iter(read).buffered(CONCURRENT);
        let (mut inputs, mut survey) = (Vec::new(), merge::Survey::new(&self.settings));
        while let Some((file, location, metadata)) = read.try_next().await? {
            inputs.push(Input {
                name: file.name.clone(),
                size: file.size,
                etag: file.etag.clone(),
                rows: footers::rows(&metadata),
            });
            survey.add(merge::Input {
                name: location.to_string(),
                size: file.size,
                metadata,
            })?;
        }
        Ok((inputs, survey.finish()?))
    }

    /// Checks that all files can be carried and verified.
    fn check(&self, files: &[File], to: &Location) -> Result<(), JobError> {
        if self.settings.mode == CompactMode::InPlace {
            return Ok(());
        }
        if let Some(file) = files.iter().find(|file| file.size > LARGEST_COPY) {
            return Err(JobError::new(
                ErrorKind::Unsuited,
                format!(
                    "its file {} has {} bytes: S3 copies at most 5 GiB, so it cannot be carried over",
                    file.name, file.size
                ),
            ));
        }
        let mut keys = files
            .iter()
            .map(|file| file.name.as_str())
            .chain([to.key.as_str()]);
        if let Some(key) = keys.find(|key| !naming::fits_xml(key)) {
            return Err(JobError::new(
                ErrorKind::Unsuited,
                format!(
                    "the key {key:?} has a character that XML does not have, so that S3 cannot bring a large file there"
                ),
            ));
        }
        let longest = files.iter().map(|file| file.name.len()).max();
        let length = to.key.len() + longest.unwrap_or_default().max(ROOM);
        if length > LONGEST_KEY {
            return Err(JobError::new(
                ErrorKind::Unsuited,
                format!(
                    "the keys of its new files would have {length} bytes, more than S3's {LONGEST_KEY}"
                ),
            ));
        }
        Ok(())
    }
}

/// The id of the source object whose rows a file has and whose commit tells when it was settled, if rekey wrote the
/// file.
fn source(name: &str) -> Option<&str> {
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    (!is_compacted(name)).then(|| source_of(name)).flatten()
}
