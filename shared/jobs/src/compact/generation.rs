//! Plans the next generation of a partition: chooses the files to merge, and checks that they can be.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use lakewright_core::{
    compact::{
        Candidate, Left, PartitionLedger, batch_of, choose, generation_directory, is_compacted,
        output_name,
    },
    config::CompactMode,
    location::Location,
    naming,
};
use lakewright_ports::Store;

use super::{
    directory::{self, File},
    footers,
    ledger::{self, Bin, Input, Plan},
    merge::{self, Known},
    scope::{Scope, Subject},
};
use crate::kit::{ErrorKind, JobError};

/// The most concurrent requests for one partition.
const CONCURRENT: usize = 32;

/// The largest object that S3 copies in one request; carrying a file is such a copy.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
const LARGEST_COPY: u64 = 5 << 30;

/// S3's limit on keys, and the room that is reserved for the names of later files.
const LONGEST_KEY: usize = 1_024;
const ROOM: usize = 80;

/// A generation of a partition that does not exist yet.
pub(super) struct Generation<'a> {
    pub(super) scope: &'a Scope,
    pub(super) store: &'a dyn Store,
    pub(super) ledger: &'a PartitionLedger,
    pub(super) partition: &'a Subject,
    /// The directory of the previous one.
    pub(super) from: &'a Location,
    pub(super) number: u32,
}

/// A plan, and the files that it carries over.
pub(super) struct Planned {
    pub(super) plan: Box<Plan>,
    /// Whether the plan is written.
    pub(super) is_written: bool,
    /// The number of files that are carried over.
    pub(super) carried: u64,
    /// Their total size in bytes.
    pub(super) carried_bytes: u64,
}

/// The files that are merged together.
enum Chosen {
    /// The indices of the files of each merge.
    Bins(Vec<Vec<usize>>),
    /// None, for this reason.
    Nothing(Left),
}

/// The plan of a generation, or why there is none.
pub(super) enum Next {
    Planned(Planned),
    Nothing(Left),
}

impl Generation<'_> {
    /// The plan of the generation: a new one, or the existing one if `is_planned`.
    ///
    /// # Errors
    /// The files cannot be compacted, or the store fails.
    pub(super) async fn plan(&self, is_planned: bool) -> Result<Next, JobError> {
        let (mut files, begun) = directory::files(self.store, self.from).await?;
        if self.scope.settings.mode == CompactMode::InPlace {
            // Deeper directories are separate partitions.
            files.retain(|file| !file.name.contains('/'));
        }
        if is_planned {
            let (_, plan) = ledger::read_plan(self.store, &self.ledger.plan(self.number)).await?;
            return Ok(Next::Planned(Planned::of(plan, true, &files)));
        }
        let bins = match self.choose(&files, begun).await? {
            Chosen::Bins(bins) => bins,
            Chosen::Nothing(left) => return Ok(Next::Nothing(left)),
        };
        let generations = self.scope.generations()?;
        let to = generation_directory(generations, &self.partition.path, self.number);
        self.check(&files, &to)?;
        let extension = self.scope.settings.compression.extension();
        let mut planned = Vec::with_capacity(bins.len());
        for (index, bin) in bins.iter().enumerate() {
            let files = bin.iter().filter_map(|file| files.get(*file));
            let (inputs, known) = self.inputs(files.collect()).await?;
            planned.push(Bin {
                output: output_name(self.number, index, extension),
                rows: inputs.iter().map(|input| input.rows).sum(),
                bytes: inputs.iter().map(|input| input.size).sum(),
                inputs,
                firsts: known.firsts,
                compressions: known.compressions,
            });
        }
        let plan = Plan {
            version: Plan::VERSION,
            settings: self.scope.settings.clone(),
            partition: self.partition.path.clone(),
            values: self.partition.values.clone(),
            generation: self.number,
            from: self.from.clone(),
            to,
            bins: planned,
        };
        Ok(Next::Planned(Planned::of(plan, false, &files)))
    }

    /// Chooses the files that are merged together.
    async fn choose(&self, files: &[File], begun: Timestamp) -> Result<Chosen, JobError> {
        let rules = &self.scope.settings;
        // C1: a twin could still write younger files again under their old names.
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
        // Usually this shows that there is nothing to do, so that no commits need to be looked up.
        if let Err(left) = choose(&candidates, rules) {
            return Ok(Chosen::Nothing(left));
        }
        let mut ages = BTreeMap::<&str, Option<SignedDuration>>::new();
        let asked = files.iter().zip(&candidates);
        let batches = asked
            .filter(|(_, candidate)| candidate.settled)
            .filter_map(|(file, _)| batch(&file.name));
        ages.extend(batches.map(|batch| (batch, None)));
        let questions = ages.keys().map(|batch| {
            let commits = self.scope.settings.commits.as_ref();
            let commit = naming::commit(commits.unwrap_or(&self.scope.ledger), batch);
            async move { Ok::<_, JobError>((*batch, ledger::age(self.store, &commit).await?)) }
        });
        let answers = stream::iter(questions).buffer_unordered(CONCURRENT);
        let ages = answers.try_collect::<BTreeMap<_, _>>().await?;
        for (file, candidate) in files.iter().zip(&mut candidates) {
            if let Some(batch) = batch(&file.name) {
                let age = ages.get(batch).copied().flatten();
                candidate.settled &= age.is_some_and(is_old);
            }
        }
        Ok(match choose(&candidates, rules) {
            Ok(bins) => Chosen::Bins(bins),
            Err(left) => Chosen::Nothing(left),
        })
    }

    /// Checks that the files of a bin can be merged. Returns them with their row counts, and what the merge needs to know in
    /// advance.
    async fn inputs(&self, files: Vec<&File>) -> Result<(Vec<Input>, Known), JobError> {
        let read = files.into_iter().map(|file| {
            let location = self.from.join(&file.name);
            async move {
                let etag = Some(file.etag.as_str());
                let footer =
                    footers::footer_of(self.store, &location, file.size, etag, &self.scope.tail)
                        .await?;
                Ok::<_, JobError>((file, location, footer))
            }
        });
        let mut read = stream::iter(read).buffered(CONCURRENT);
        let (mut inputs, mut survey) = (Vec::new(), merge::Survey::new(&self.scope.settings));
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
        if self.scope.settings.mode == CompactMode::InPlace {
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

impl Planned {
    fn of(plan: Plan, is_written: bool, files: &[File]) -> Self {
        let inputs = plan.inputs();
        let carried = files
            .iter()
            .filter(|file| !inputs.contains_key(file.name.as_str()));
        let (count, bytes) = carried.fold((0, 0), |(count, bytes), file| {
            (count + 1, bytes + file.size)
        });
        Self {
            is_written,
            carried: count,
            carried_bytes: bytes,
            plan: Box::new(plan),
        }
    }
}

/// The id of the batch that wrote a file, if rekey wrote it: the age of its commit tells whether the file is settled.
fn batch(name: &str) -> Option<&str> {
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    (!is_compacted(name)).then(|| batch_of(name)).flatten()
}
