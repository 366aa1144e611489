//! Looks at one partition: what is left to do of earlier runs, and what is to be merged now.

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
    error::CompactError,
    footers::{self, Tail},
    ledger::{self, Bin, Entries, Input, Plan},
    merge::{self, Known},
    report::Step,
};
use crate::{ports::Store, work::foreign};

/// Questions under way at a time, for one partition.
const CONCURRENT: usize = 32;

/// The largest object that S3 copies in one request, as files are carried over.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
const LARGEST_COPY: u64 = 5 << 30;

/// The longest key that S3 takes, and what is kept for the names of files that come later.
const LONGEST_KEY: usize = 1_024;
const ROOM: usize = 80;

/// Where merged files are made below a target without a catalog: readers skip what begins with `_`.
const STAGED: &str = "_compacting/";

/// What a request is about: the partitions, and where everything of them lies.
pub(super) struct Scope {
    /// With the ledger and the generations filled in.
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
    /// Below the table or the target.
    pub(super) path: String,
    pub(super) values: Vec<String>,
    /// Where readers are sent; what the catalog says if that is no location.
    pub(super) location: Result<Location, String>,
}

/// What is to be done with a partition.
pub(super) enum Verdict {
    /// Nothing.
    Left(Left),
    /// An earlier run is not done with it.
    Unfinished(&'static str),
    /// This step of the plan of this generation.
    GoOn(u32, Step),
    /// This plan, which stands or is new.
    Plan {
        plan: Box<Plan>,
        stands: bool,
        /// Files that are carried over.
        carried: u64,
        /// Their bytes.
        carried_bytes: u64,
    },
}

/// Makes sure that no other table format owns a prefix. Returns how many listings that takes.
async fn not_foreign(store: &dyn Store, prefix: &Location) -> Result<u64, CompactError> {
    let looked = foreign::not_foreign(store, prefix).await?;
    looked.map_err(|error| CompactError::Unsuited(format!("{prefix}: {error}")))?;
    Ok(marks_above(prefix).len() as u64)
}

impl Scope {
    /// # Errors
    /// When the table cannot be compacted, or the store or the catalog fails.
    pub(super) async fn find(
        ports: &Ports,
        job: &config::Compact,
        selection: Option<&str>,
    ) -> Result<Self, CompactError> {
        let mut scope = match (job.mode, &job.table, &job.target) {
            (CompactMode::Catalog, Some(table), _) => {
                Self::of_table(ports, job, table, selection).await?
            }
            (CompactMode::InPlace, _, Some(target)) => {
                Self::of_prefix(ports, job, target, selection).await?
            }
            _ => {
                return Err(CompactError::BadRequest(
                    "the job has neither a table nor a target".to_owned(),
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
    ) -> Result<Self, CompactError> {
        let table = ports.catalog.table(name).await?;
        let table = table.ok_or_else(|| CompactError::TableMissing(name.clone()))?;
        let unsuited = |reason: String| CompactError::TableUnsuited {
            table: name.clone(),
            reason,
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
    ) -> Result<Self, CompactError> {
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

    /// What is to be done with a partition. Steps of earlier runs come first, and a new generation is planned only when
    /// the one before is swept: until then somebody may still be alive who sends readers there.
    ///
    /// # Errors
    /// When the partition cannot be compacted as it is, or the store fails.
    pub(super) async fn look(
        &self,
        ports: &Ports,
        partition: &Subject,
    ) -> Result<Verdict, CompactError> {
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
            CompactError::Unsuited(format!("its location in the catalog is `{text}`"))
        })?;
        match &standing {
            Some((state, _)) if state.directory != *location => {
                return Err(CompactError::PartitionElsewhere {
                    partition: partition.path.clone(),
                    location: location.to_string(),
                    expected: Box::new(state.directory.clone()),
                });
            }
            None if self.generations()?.contains(location) => {
                return Err(CompactError::Unsuited(format!(
                    "it lies at {location}, which a compaction made, but {} is gone",
                    ledger.state()
                )));
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

    /// What is due for the first generation whose files are not deleted.
    fn leftover(&self, entries: &Entries, state: Option<&PartitionState>) -> Option<Verdict> {
        let state = state?;
        let past = (1..=state.last()).find(|past| !entries.deleted.contains(past))?;
        let is_over = |age: &SignedDuration, least| ledger::wait(*age, least).is_none();
        if past == state.abandoned || entries.abandoned.contains_key(&past) {
            // Without its mark nobody knows since when it is given up.
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
    ) -> Result<Verdict, CompactError> {
        let last = entries.planned.last().copied().unwrap_or_default();
        let generation = match entries.swept.get(&last) {
            None if last > 0 => last,
            // A twin may still put the file back that it made, which must not have been merged by then.
            Some(age) if ledger::wait(*age, self.settings.longest_invocation).is_some() => {
                return Ok(Verdict::Unfinished("settling"));
            }
            _ => last + 1,
        };
        let location = partition
            .location
            .as_ref()
            .map_err(|text| CompactError::Unsuited(format!("its location is `{text}`")))?;
        let to = generation_directory(self.generations()?, &partition.path, generation);
        self.next(store, ledger, partition, location, to, entries, generation)
            .await
    }

    fn generations(&self) -> Result<&Location, CompactError> {
        self.settings
            .generations
            .as_ref()
            .ok_or_else(|| CompactError::Unsuited("generations is not known".to_owned()))
    }

    /// The plan of the next generation: the one that stands, or a new one.
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
    ) -> Result<Verdict, CompactError> {
        let (mut files, begun) = directory::files(store, from).await?;
        if self.settings.mode == CompactMode::InPlace {
            // Deeper directories are partitions of their own.
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

    /// Which files are merged into which.
    async fn bins(
        &self,
        store: &dyn Store,
        files: &[File],
        begun: Timestamp,
    ) -> Result<Result<Vec<Vec<usize>>, Left>, CompactError> {
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
        // Mostly that already tells that there is nothing to do, and no commit need be looked for.
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
            async move { Ok::<_, CompactError>((*source, ledger::age(store, &commit).await?)) }
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

    /// The files of a bin with their rows, which can be merged into one, and what the merge has to know of them beforehand.
    async fn inputs(
        &self,
        store: &dyn Store,
        from: &Location,
        files: Vec<&File>,
    ) -> Result<(Vec<Input>, Known), CompactError> {
        let read = files.into_iter().map(|file| {
            let location = from.join(&file.name);
            async move {
                let etag = Some(file.etag.as_str());
                let footer =
                    footers::footer_of(store, &location, file.size, etag, &self.tail).await?;
                Ok::<_, CompactError>((file, location, footer))
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

    /// Whether all files can be carried and found.
    fn check(&self, files: &[File], to: &Location) -> Result<(), CompactError> {
        if self.settings.mode == CompactMode::InPlace {
            return Ok(());
        }
        if let Some(file) = files.iter().find(|file| file.size > LARGEST_COPY) {
            return Err(CompactError::Unsuited(format!(
                "its file {} has {} bytes: S3 copies at most 5 GiB, so it cannot be carried over",
                file.name, file.size
            )));
        }
        let mut keys = files
            .iter()
            .map(|file| file.name.as_str())
            .chain([to.key.as_str()]);
        if let Some(key) = keys.find(|key| !naming::fits_xml(key)) {
            return Err(CompactError::Unsuited(format!(
                "the key {key:?} has a character that XML does not have, so that S3 cannot bring a large file there"
            )));
        }
        let longest = files.iter().map(|file| file.name.len()).max();
        let length = to.key.len() + longest.unwrap_or_default().max(ROOM);
        if length > LONGEST_KEY {
            return Err(CompactError::Unsuited(format!(
                "the keys of its new files would have {length} bytes, more than S3's {LONGEST_KEY}"
            )));
        }
        Ok(())
    }
}

/// The source object that a file holds rows of and whose commit says when it was settled, where rekey wrote it.
fn source(name: &str) -> Option<&str> {
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    (!is_compacted(name)).then(|| source_of(name)).flatten()
}
