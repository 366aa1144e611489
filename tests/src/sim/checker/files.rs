//! What the files of a plan must hold, row by row.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use lakewright_core::location::Location;
use lakewright_model::Object;
use serde_json::Value;

use super::{
    Checker,
    columns::{Types, shown},
};
use crate::sim::{
    documents::{Plan, Planned, Version},
    reader::{id, records},
    source::Source,
};

/// An output or the quarantine of a plan.
pub(super) struct File {
    pub(super) bid: String,
    /// The rows of an output in their order, each with its object. Empty for a quarantine.
    rows: Vec<(Version, String)>,
    columns: Types,
}

impl File {
    /// The objects that have rows in it.
    pub(super) fn members(&self) -> BTreeSet<&Version> {
        self.rows.iter().map(|(member, _)| member).collect()
    }

    /// How many of its rows are not of these objects.
    pub(super) fn rows_without(&self, lost: &[Version]) -> u64 {
        let rows = self.rows.iter();
        rows.filter(|(member, _)| !lost.contains(member)).count() as u64
    }

    pub(super) fn len(&self) -> u64 {
        self.rows.len() as u64
    }
}

/// The files of a plan by their keys. The `n` rows of an object that the plan gives to a file are the first `n` that no
/// earlier file of the partition has, whatever becomes of other objects.
pub(super) fn planned(
    bid: &str,
    plan: &Plan,
    sorted: bool,
    sources: &BTreeMap<Version, Source>,
    target: &Location,
) -> Result<BTreeMap<String, File>, String> {
    let mut left = BTreeMap::new();
    for member in &plan.members {
        if let Some(source) = sources.get(member) {
            for (path, rows) in source.by_partition(sorted) {
                left.insert((member, path), rows);
            }
        }
    }
    let mut files = BTreeMap::new();
    let mut outputs = plan.outputs.iter().collect::<Vec<_>>();
    outputs.sort_by(|a, b| a.key.cmp(&b.key));
    for output in outputs {
        let path = output.key.strip_prefix(&target.key).unwrap_or_default();
        let path = path.rfind('/').map_or("", |end| &path[..=end]);
        let mut rows = Vec::new();
        for (place, member) in plan.members.iter().enumerate() {
            let count = of(output, member);
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            let Some(of_member) = left.get_mut(&(member, path)) else {
                if count > 0 {
                    return Err(format!("{bid} plans rows of {} in {path}", member.0));
                }
                continue;
            };
            if count > of_member.len() {
                return Err(format!(
                    "{bid} plans more rows of {} in {path} than it has",
                    member.0
                ));
            }
            let next = of_member.drain(..count);
            rows.extend(next.map(|(id, time)| (time, place, member.clone(), id.to_owned())));
        }
        if rows.is_empty() {
            return Err(format!("{bid} plans {} without a row", output.key));
        }
        if sorted {
            rows.sort_by_key(|(time, place, _, _): &(Timestamp, usize, _, _)| (*time, *place));
        }
        let file = File {
            bid: bid.to_owned(),
            rows: rows
                .into_iter()
                .map(|(_, _, member, id)| (member, id))
                .collect(),
            columns: plan.columns.clone(),
        };
        if files.insert(output.key.clone(), file).is_some() {
            return Err(format!("{bid} plans {} twice", output.key));
        }
    }
    if let Some(((member, path), _)) = left.iter().find(|(_, rows)| !rows.is_empty()) {
        return Err(format!(
            "{bid} plans fewer rows of {} in {path} than it has",
            member.0
        ));
    }
    if let Some(quarantine) = &plan.quarantine {
        let file = File {
            bid: bid.to_owned(),
            rows: Vec::new(),
            columns: Types::new(),
        };
        files.insert(quarantine.key.clone(), file);
    }
    Ok(files)
}

fn of(planned: &Planned, member: &Version) -> u64 {
    let mut rows = planned.rows.iter();
    rows.find(|(of, _)| of == member)
        .map_or(0, |(_, rows)| *rows)
}

impl Checker {
    /// An output was written: it has its planned rows, all or none of each object, none only of what is marked as lost.
    pub(super) fn output(&mut self, location: &Location, object: &Object) -> Result<(), String> {
        let Some(file) = self.files.get(&location.key) else {
            return Err(format!("R1: no existing plan names {location}"));
        };
        let records =
            records(object.bytes.clone()).map_err(|error| format!("R5: {location}: {error}"))?;
        let mut found = Vec::new();
        for record in &records {
            let id = id(record).unwrap_or_default();
            let owner = self.owners.get(id);
            let wanted = owner.and_then(|owner| self.sources.get(owner)?.rows.get(id));
            match (owner, wanted) {
                (Some(owner), Some((partition, wanted)))
                    if shown(wanted, &file.columns) == *record
                        && location.key[self.target.key.len()..].starts_with(partition) =>
                {
                    found.push((owner, id));
                }
                _ => {
                    return Err(format!(
                        "R5: {location} has the record {record:?}, wanted is {wanted:?}"
                    ));
                }
            }
        }
        let members = file.members();
        if let Some((owner, id)) = found.iter().find(|(owner, _)| !members.contains(owner)) {
            return Err(format!(
                "R1: {location} has row {id} of {}, which its plan does not give it",
                owner.0
            ));
        }
        let present: BTreeSet<&Version> = found.iter().map(|(owner, _)| *owner).collect();
        let mut absent = members.difference(&present);
        if let Some(member) = absent.find(|member| {
            let mark = (file.bid.clone(), (**member).clone());
            !self.marks.contains(&mark)
        }) {
            return Err(format!(
                "R1: {location} has no row of {}, which is not marked as lost",
                member.0
            ));
        }
        let wanted = file
            .rows
            .iter()
            .filter(|(owner, _)| present.contains(owner));
        let wanted = wanted.map(|(owner, id)| (owner, id.as_str()));
        if !wanted.clone().eq(found.iter().copied()) {
            return Err(format!(
                "R1: {location} has the rows {:?}, its plan says {:?}",
                found.iter().map(|(_, id)| id).collect::<Vec<_>>(),
                wanted.map(|(_, id)| id).collect::<Vec<_>>()
            ));
        }
        let ids = found.iter().map(|(_, id)| (*id).to_owned());
        for id in ids.collect::<Vec<_>>() {
            if let Some(other) = self.visible.insert(id.clone(), location.key.clone()) {
                return Err(format!("R5: row {id} is in {other} and in {location}"));
            }
        }
        Ok(())
    }
}

/// The records of a quarantine by the location of their object, sorted.
pub(super) fn quarantined(object: &Object) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut records = BTreeMap::<String, Vec<String>>::new();
    for line in object
        .bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let line: Value =
            serde_json::from_slice(line).map_err(|error| format!("R4: quarantine: {error}"))?;
        let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
        // The location and the `ETag`: an object may have been replaced.
        let of = format!("{} {}", text("source"), text("etag"));
        records.entry(of).or_default().push(text("record"));
    }
    for records in records.values_mut() {
        records.sort_unstable();
    }
    Ok(records)
}

/// How a quarantine names an object.
pub(super) fn named(version: &Version) -> String {
    format!("{} {}", version.0, version.1)
}
