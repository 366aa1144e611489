//! Infers the columns of a source without a table from its records.
//!
//! An attempt whose time runs out records what it has inferred from the objects so far, and the next one continues after
//! them. The record is valid for every listing that begins with the same objects, so objects that land later do not
//! invalidate it.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::Schema;
use futures::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use lakewright_core::{
    catalog::Column,
    config::Repartition,
    json::{InferError, Inference},
    location::Location,
    naming::source_id,
    reading::Reading,
};
use lakewright_ports::{Clock, Store};
use twox_hash::XxHash3_128;

use super::{
    Budget, Ports,
    ledger::{self, Inferred, SourceObject, inferring},
    read::{Content, records},
    source::{Found, named, rendered},
};
use crate::{
    kit::{JobError, Stage, Unfinished},
    work::{metered::Metered, refusal::without_columns, source::HELD},
};

/// The most objects that are read at once.
const CONCURRENT: usize = 8;

/// The bytes that are read ahead may take the memory divided by this.
const SHARE: u64 = 4;

/// What is known of the records' columns.
pub(super) struct Inferring {
    begun: Timestamp,
    /// What an earlier attempt recorded.
    reached: Option<Inferred>,
    /// How many objects were read, a hash of them, and what their records contain.
    objects: usize,
    identity: u128,
    inference: Option<Inference>,
    /// The object that is being read, its size, and the bytes that this attempt has read.
    next: Option<(Location, u64)>,
    bytes: u64,
}

/// What an object contains.
enum Held {
    /// Columns of strings with these names, whatever the other objects contain.
    Names(Vec<String>),
    Records(Inference),
}

impl Inferring {
    pub(super) fn new(clock: &dyn Clock) -> Self {
        Self {
            begun: clock.now(),
            reached: None,
            objects: 0,
            identity: 0,
            inference: None,
            next: None,
            bytes: 0,
        }
    }

    /// Infers the columns of the records: strings with the names in the first object, or the columns of all objects' records.
    pub(super) async fn columns(
        &mut self,
        found: &Found,
        ports: &Ports,
        job: &Repartition,
        budget: &Budget,
    ) -> Result<Vec<Column>, JobError> {
        let metered = Metered::new(&ports.store);
        let ports = &Ports {
            store: Arc::clone(&metered) as Arc<dyn Store>,
            ..ports.clone()
        };
        self.begin(found, ports, job).await?;
        // With CSV, the first object determines the columns. An object that did not fit into an attempt together with others
        // is read alone.
        let is_json = matches!(found.reading, Reading::Json { .. });
        let tries = self.reached.as_ref().map_or(0, |reached| reached.tries);
        let most = if is_json && tries == 0 { CONCURRENT } else { 1 };
        let mut rest = found.sources.get(self.objects..).unwrap_or_default();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(together(rest, most, budget.memory / SHARE));
            rest = later;
            let reads = now.iter();
            let reads = reads
                .map(|source| held(found, ports, job, budget, source).boxed())
                .collect::<Vec<_>>();
            let mut reads = stream::iter(reads).buffered(most);
            for source in now {
                self.next = Some((found.location(source), source.size));
                let held = reads.next().await.transpose();
                self.bytes = metered.bytes();
                match held? {
                    Some(Held::Names(names)) => return Ok(named(names)),
                    Some(Held::Records(records)) => self
                        .add(records)
                        .map_err(|error| without_columns(&found.location(source), &error.into()))?,
                    None => {}
                }
                self.pass(found, source);
            }
        }
        self.next = None;
        let inference = self.inference.as_ref();
        let schema = inference.map_or_else(Schema::empty, Inference::spelled);
        rendered(&found.root, &schema)
    }

    /// Continues from the attempt that came furthest.
    async fn begin(
        &mut self,
        found: &Found,
        ports: &Ports,
        job: &Repartition,
    ) -> Result<(), JobError> {
        let how = serde_json::to_vec(&(&found.reading, &job.limits));
        self.identity = XxHash3_128::oneshot(&how.unwrap_or_default());
        let store = &*ports.store;
        let notes = inferring(job);
        let page = store.list(&notes, None).await;
        let page = page.map_err(|error| JobError::store(Stage::Ledger, error))?;
        let of = |key: &str| of_name(key.strip_prefix(&notes.key)?);
        let listed = page.objects.iter();
        let listed = listed.filter_map(|note| Some((&note.key, of(&note.key)?)));
        let listed = listed.collect::<Vec<_>>();
        // What the name of each record would be for these objects.
        let counts = listed.iter().map(|(_, (objects, _))| (*objects, None));
        let mut identities = counts.collect::<BTreeMap<_, _>>();
        let most = identities.last_key_value().map_or(0, |(most, _)| *most);
        let (begin, most) = (self.identity, most.min(found.sources.len()));
        if let Some(identity) = identities.get_mut(&0) {
            *identity = Some(begin);
        }
        for source in found.sources.iter().take(most) {
            self.pass(found, source);
            if let Some(identity) = identities.get_mut(&self.objects) {
                *identity = Some(self.identity);
            }
        }
        (self.objects, self.identity) = (0, begin);
        // The furthest is the first.
        let mut mine = listed.into_iter();
        let mine = mine.find(|(_, (objects, identity))| {
            identities.get(objects).copied().flatten() == Some(*identity)
        });
        let Some((key, (objects, identity))) = mine else {
            return Ok(());
        };
        let at = Location::new(&notes.bucket, key);
        let Some(reached) = ledger::read::<Inferred>(store, &at).await? else {
            return Ok(());
        };
        let resumed = Inference::resumed(job.limits.deepest(), reached.places.clone());
        let damaged = || JobError::entry(at, "these are no places of records");
        self.inference = Some(resumed.ok_or_else(damaged)?);
        (self.objects, self.identity) = (objects, identity);
        self.reached = Some(reached);
        Ok(())
    }

    /// Counts an object as read.
    fn pass(&mut self, found: &Found, source: &SourceObject) {
        let location = found.location(source);
        let id = source_id(&location.bucket, &location.key, &source.etag);
        let both = [&self.identity.to_be_bytes()[..], id.as_bytes()].concat();
        self.identity = XxHash3_128::oneshot(&both);
        self.objects += 1;
    }

    fn add(&mut self, records: Inference) -> Result<(), InferError> {
        match &mut self.inference {
            Some(inference) => inference.merge(records),
            none => {
                *none = Some(records);
                Ok(())
            }
        }
    }

    /// Records how far this attempt came before its time ran out with `error`. Returns the error to answer with: `whole` if
    /// nothing was inferred.
    pub(super) async fn stopped(
        &self,
        ports: &Ports,
        job: &Repartition,
        error: JobError,
        whole: impl FnOnce() -> JobError,
    ) -> JobError {
        let before = self.reached.as_ref().map_or(0, |reached| reached.objects);
        let is_further = self.objects > before;
        if !is_further && self.next.is_none() {
            return whole();
        }
        let tries = self.reached.as_ref().map_or(0, |reached| reached.tries);
        let inferred = Inferred {
            version: Inferred::VERSION,
            objects: self.objects,
            places: self
                .inference
                .as_ref()
                .map_or_else(Vec::new, Inference::places),
            tries: if is_further { 0 } else { tries + 1 },
        };
        let place = ledger::place(inferred.objects, inferred.tries);
        let name = format!("{}-{:032x}", ledger::countdown(place), self.identity);
        let noted = ledger::create(&*ports.store, &inferring(job).join(&name), &inferred).await;
        if let Err(unnoted) = noted {
            tracing::warn!(error = %unnoted, "how far the attempt came was not recorded");
        } else if let Some((object, size)) = &self.next
            // The first may have begun late in its invocation.
            && inferred.tries > 1
        {
            let unfinished = Unfinished {
                begun: self.begun,
                done: self.bytes,
                all: *size,
                of: "bytes",
                tries: inferred.tries,
                instead: "name a table as the source, so that the columns need not be inferred",
            };
            let error = unfinished.too_short(&*ports.clock, Stage::Read);
            return error.of(object.clone());
        }
        error
    }
}

/// The number of objects, and their hash, in the name of a record.
fn of_name(name: &str) -> Option<(usize, u128)> {
    let (left, identity) = name.split_once('-')?;
    let objects = ledger::objects(ledger::counted_down(left)?);
    Some((objects, u128::from_str_radix(identity, 16).ok()?))
}

/// How many of the first objects are read together: at most `most`, of which at most `room` bytes are read ahead.
fn together(sources: &[SourceObject], most: usize, room: u64) -> usize {
    let mut held = 0;
    let fit = sources.iter().take(most).take_while(|source| {
        held += source.size.min(HELD);
        held <= room
    });
    fit.count().max(1)
}

/// What the records of an object contain.
async fn held(
    found: &Found,
    ports: &Ports,
    job: &Repartition,
    budget: &Budget,
    source: &SourceObject,
) -> Result<Held, JobError> {
    let location = found.location(source);
    let mut inference = Inference::new(job.limits.deepest());
    let mut records = records(&found.reading, job, &location, true)?;
    let mut bytes = Content::open(ports, job, budget, location.clone(), source, None);
    loop {
        let more = bytes.next().await?;
        let ended = more.is_none();
        match more {
            Some(more) => records.push(more),
            None => records.finish(),
        }
        let names = records.infer(&mut inference);
        match names.map_err(|error| without_columns(&location, &error))? {
            Some(names) => return Ok(Held::Names(names)),
            None if ended => return Ok(Held::Records(inference)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use lakewright_model::{NoSecrets, virtual_time};
    use lakewright_ports::Clock;

    use super::super::{
        Budget,
        fixture::{
            Form::{Files, Inferred},
            Step::Columns,
            Was::{Gone, Placed},
            budget, check, columns, given, job,
        },
        plan,
    };
    use crate::fixture::{Lake, everything};

    #[test]
    fn columns_are_those_that_all_records_fit() {
        let planned: &[&str] = &["+0/plan"];
        let prepared: &[&str] = &["+0/outline", "+0/outline-hash", "+0/plan"];
        let examples = [
            (Inferred, "in/1", "", "k string, n bigint", planned),
            (
                Inferred,
                "in/1",
                "{\"n\":1.5}",
                "k string, n double",
                planned,
            ),
            (
                Inferred,
                "in/1",
                "{\"n\":\"x\"}",
                "k string, n string",
                planned,
            ),
            (
                Inferred,
                "in/1",
                "{\"n\":1,\"m\":[{\"x\":true}]}",
                "k string, n bigint, m array<struct<x:boolean>>",
                planned,
            ),
            (Inferred, "in/1", "{\"n\":", "k string, n bigint", planned),
            // Of CSV the first object says everything.
            (Files, "in/0", "x,y\n1,2\n", "x string, y string", prepared),
            (Files, "in/1", "x,y\n1,2\n", "k string, v string", prepared),
        ];
        for (form, key, text, answer, changes) in examples {
            check(&[(form, &[Placed(key, text)], Columns, answer, changes)]);
        }
        check(&[
            (Inferred, &[], Columns, "k string, n bigint", planned),
            (
                Inferred,
                &[Gone("in/0")],
                Columns,
                "k string, n bigint",
                planned,
            ),
        ]);
    }

    #[test]
    fn whenever_the_time_runs_out_the_next_attempt_infers_the_same_columns() {
        let noted = (0..40).filter(|tenths| {
            virtual_time(async {
                let lake = Lake::new();
                given(&lake, Inferred, &[]).await;
                for object in 2..40 {
                    let text = format!("{{\"of_{object}\":1}}");
                    lake.place(&format!("in/{object:02}"), text);
                }
                let short = Budget {
                    deadline: lake.cloud.clock.now() + SignedDuration::from_millis(100 * tenths),
                    ..budget(&lake)
                };
                let first = plan(&lake.ports(), &NoSecrets, &job(Inferred), &short).await;
                let keys = lake.seen(everything).into_keys();
                let notes = keys.filter(|key| key.contains("/inferring/")).count();
                let second = plan(&lake.ports(), &NoSecrets, &job(Inferred), &budget(&lake)).await;
                let found = columns(&second.unwrap());
                assert_eq!(found.split(", ").count(), 40, "{tenths}: {found}");
                first.is_err() && notes == 1
            })
        });
        assert!(
            noted.count() > 2,
            "the time never ran out while objects were read"
        );
    }
}
