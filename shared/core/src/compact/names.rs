//! Names that are derived only from the partition and its generation, so that repeating a step makes the same objects.

use crate::{catalog::Column, location::Location, partition::escape};

/// The number of digits of a generation and of a bin, so that names sort in numeric order.
const GENERATION: usize = 8;
const BIN: usize = 5;

/// The prefix of a merged file's name.
const COMPACTED: &str = "compacted-";

/// The locations of one partition's entries in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLedger {
    prefix: Location,
}

impl PartitionLedger {
    /// The entries of the partition with this path (`year=2026/month=05/`) in a ledger.
    pub fn new(ledger: &Location, path: &str) -> Self {
        Self {
            prefix: ledger.join(&format!("partition/{path}")),
        }
    }

    /// The partition and the generation of a plan, from the plan's location. `None` if this is not the location of a
    /// plan.
    pub fn of_plan(plan: &Location) -> Option<(Self, u32)> {
        let (prefix, generation) = plan.key.rsplit_once("plan/")?;
        if generation.len() != GENERATION || !prefix.ends_with('/') {
            return None;
        }
        let prefix = Location::new(&plan.bucket, prefix);
        Some((Self { prefix }, generation.parse().ok()?))
    }

    /// The prefix of all its entries.
    pub fn prefix(&self) -> &Location {
        &self.prefix
    }

    /// The document that names the directory for the partition's files.
    pub fn state(&self) -> Location {
        self.prefix.join("state")
    }

    /// The plan of a generation.
    pub fn plan(&self, generation: u32) -> Location {
        self.entry("plan", generation)
    }

    /// The prefix of the records of how far attempts to verify the generation's merged files came.
    pub fn verified(&self, generation: u32) -> Location {
        self.entry("verified", generation).join("/")
    }

    /// The marker that the catalog points at the generation.
    pub fn published(&self, generation: u32) -> Location {
        self.entry("published", generation)
    }

    /// The marker that no writer can write into the previous generation any more, and that all of its files were carried.
    pub fn swept(&self, generation: u32) -> Location {
        self.entry("swept", generation)
    }

    /// The marker that the files of the previous generation are deleted.
    pub fn deleted(&self, generation: u32) -> Location {
        self.entry("deleted", generation)
    }

    /// The marker that the generation was given up and cannot be published any more.
    pub fn abandoned(&self, generation: u32) -> Location {
        self.entry("abandoned", generation)
    }

    /// The marker that a merge of the generation failed in a way that another attempt cannot change.
    pub fn failed(&self, generation: u32) -> Location {
        self.entry("failed", generation)
    }

    fn entry(&self, kind: &str, generation: u32) -> Location {
        self.prefix
            .join(&format!("{kind}/{generation:0GENERATION$}"))
    }
}

/// The list of the tasks of one planner run.
pub fn run_list(ledger: &Location, hash: &str) -> Location {
    ledger.join(&format!("compact/{hash}.json"))
}

/// The list of the merges of one planner run.
pub fn merge_list(ledger: &Location, hash: &str) -> Location {
    ledger.join(&format!("compact/{hash}.merges.json"))
}

/// The default prefix for the generations of the table at `table`. `None` if the table is a whole bucket, because then
/// no prefix is outside it.
pub fn generations_beside(table: &Location) -> Option<Location> {
    let path = table.key.trim_end_matches('/');
    (!path.is_empty()).then(|| Location::new(&table.bucket, format!("{path}.generations/")))
}

/// The directory of one generation of a partition.
pub fn generation_directory(generations: &Location, path: &str, generation: u32) -> Location {
    generations.join(&format!("{path}g{generation:0GENERATION$}/"))
}

/// The name of a merged file: `compacted-<generation>-<bin>.<extension>`.
pub fn output_name(generation: u32, bin: usize, extension: &str) -> String {
    format!("{COMPACTED}{generation:0GENERATION$}-{bin:0BIN$}.{extension}")
}

/// Whether a file of this name was made by a compaction.
pub fn is_compacted(name: &str) -> bool {
    name.starts_with(COMPACTED)
}

/// The id of the batch that wrote a file of this name, if rekey wrote it.
pub fn batch_of(name: &str) -> Option<&str> {
    let (stem, _) = name.split_once('.')?;
    let mut parts = stem.split('-');
    let (source, plan, part) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_ours = parts.next().is_none()
        && source.len() == 32
        && is_hexadecimal(source)
        && plan.len() == 8
        && is_hexadecimal(plan)
        && part.len() >= 5
        && part.bytes().all(|byte| byte.is_ascii_digit());
    is_ours.then_some(source)
}

/// The path of a partition below its table, as rekey writes it: `year=2026/month=05/`.
pub fn partition_path(keys: &[Column], values: &[String]) -> String {
    let mut path = String::new();
    for (key, value) in keys.iter().zip(values) {
        path.push_str(&escape(&key.name.to_lowercase()));
        path.push('=');
        path.push_str(&escape(value));
        path.push('/');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naming::{output_name as rekey_name, plan_hash, source_id};

    #[test]
    fn the_ledger_of_a_partition() {
        let root = Location::new("lake", "t/_lakewright/");
        let ledger = PartitionLedger::new(&root, "year=2026/");
        assert_eq!(
            ledger.state().key,
            "t/_lakewright/partition/year=2026/state"
        );
        let plan = ledger.plan(12);
        assert_eq!(plan.key, "t/_lakewright/partition/year=2026/plan/00000012");
        assert_eq!(PartitionLedger::of_plan(&plan), Some((ledger.clone(), 12)));
        for other in [
            ledger.state(),
            ledger.swept(12),
            root.join("plan"),
            root.join("partition/plan/12"),
            root.join("partition/plan/0000001x"),
            root.join("partition/year=2026/noplan/00000012"),
        ] {
            assert_eq!(PartitionLedger::of_plan(&other), None, "{other}");
        }
    }

    #[test]
    fn generations_lie_beside_the_table() {
        let at = |key: &str| generations_beside(&Location::new("lake", key));
        for table in ["a/flights/", "a/flights"] {
            let generations = at(table).unwrap();
            assert!(!Location::new("lake", "a/flights/").contains(&generations));
            let directory = generation_directory(&generations, "year=2026/", 3);
            assert_eq!(directory.key, "a/flights.generations/year=2026/g00000003/");
        }
        assert_eq!(at(""), None);
    }

    #[test]
    fn names_tell_who_made_a_file() {
        let ours = rekey_name(
            "",
            &source_id("b", "k", "e"),
            &plan_hash("p"),
            3,
            "zstd.parquet",
        );
        assert_eq!(batch_of(&ours), Some(&*source_id("b", "k", "e")));
        let merged = output_name(7, 2, "parquet");
        assert_eq!(merged, "compacted-00000007-00002.parquet");
        assert!(is_compacted(&merged) && !is_compacted(&ours));
        for foreign in [
            "part-00000-4f2a.snappy.parquet",
            "0123.parquet",
            &ours.replacen('-', "_", 1),
            &ours.replacen("00003", "0000x", 1),
            &format!("x{ours}"),
            &merged,
        ] {
            assert_eq!(batch_of(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn paths_are_those_of_rekey() {
        let key = |name: &str| Column {
            name: name.to_owned(),
            hive_type: "string".to_owned(),
        };
        let keys = [key("Year"), key("make")];
        let values = ["2026".to_owned(), "a/b".to_owned()];
        assert_eq!(partition_path(&keys, &values), "year=2026/make=a%2Fb/");
    }
}
