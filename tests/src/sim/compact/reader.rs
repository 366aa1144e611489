//! Queries of the table: they read the locations of its partitions from the catalog, list them page by page, and read
//! the files one after the other, while the table is written and compacted.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use fastrand::Rng;
use lakewright_core::location::Location;
use lakewright_model::{Client, Plan};
use lakewright_ports::{Catalog, Clock, GetOptions, Store};

use super::world::{GRACE, World};
use crate::sim::reader::{id, is_visible, records};

pub(super) struct Reader {
    world: Arc<World>,
    client: Client,
    /// The rows of each file that was read, by its `ETag`.
    parsed: HashMap<(String, String), Arc<Vec<String>>>,
}

impl Reader {
    pub(super) fn new(world: &Arc<World>) -> Self {
        let plan = Plan {
            immune: true,
            ..Plan::default()
        };
        Self {
            world: Arc::clone(world),
            client: world.client(plan),
            parsed: HashMap::new(),
        }
    }

    /// One query, with pauses of up to this many milliseconds. Returns how a reader's guarantee was violated, if it
    /// was.
    pub(super) async fn query(&mut self, longest_pause: u64, rng: &mut Rng) -> Result<(), String> {
        let promised = self.world.checker().promised();
        let clock = self.world.cloud.clock;
        let begun = clock.now();
        // The grace period only covers queries that take no longer.
        let is_too_slow = || clock.now().duration_since(begun) >= GRACE;
        let found = self.client.matching_partitions(self.world.table(), None);
        let found = found.await.map_err(|error| error.to_string())?;
        let mut files = Vec::new();
        for partition in found {
            let directory = Location::directory(&partition.storage.location)
                .map_err(|error| error.to_string())?;
            let mut after: Option<String> = None;
            loop {
                self.world.pause(rng.u64(0..longest_pause)).await;
                let page = self.client.list(&directory, after.as_deref());
                let page = page.await.map_err(|error| error.to_string())?;
                after = page.objects.last().map(|object| object.key.clone());
                let objects = page.objects.into_iter();
                files.extend(
                    objects
                        .filter(|object| is_visible(&object.key[directory.key.len()..]))
                        .map(|object| (object.key, object.etag)),
                );
                if !page.truncated {
                    break;
                }
            }
        }
        let mut seen = BTreeSet::new();
        for file in files {
            self.world.pause(rng.u64(0..longest_pause)).await;
            if is_too_slow() {
                return Ok(());
            }
            let rows = match self.parsed.get(&file) {
                Some(rows) => Arc::clone(rows),
                None => self.read(file).await?,
            };
            for row in rows.iter() {
                if !seen.insert(row.clone()) {
                    return Err(format!("C3: a query saw row {row} twice"));
                }
            }
        }
        match promised.difference(&seen).next() {
            None => Ok(()),
            Some(row) => Err(format!(
                "C3: a query misses row {row}, which was committed and visible when it began"
            )),
        }
    }

    async fn read(&mut self, file: (String, String)) -> Result<Arc<Vec<String>>, String> {
        let location = Location::new("lake", &file.0);
        let body = self.client.get(&location, GetOptions::default()).await;
        let body =
            body.map_err(|error| format!("C5: a query cannot read what it listed: {error}"))?;
        let records = records(body.bytes)?;
        let ids = records.iter().filter_map(|record| id(record));
        let rows = Arc::new(ids.map(str::to_owned).collect::<Vec<_>>());
        self.parsed.insert(file, Arc::clone(&rows));
        Ok(rows)
    }
}
