//! The ledger's documents as the checker sees them: objects by name instead of by their place in a list.

use std::collections::BTreeMap;

use lakewright_core::location::Location;
use lakewright_jobs::{
    rekey::{self, Candidate, PlannedOutput, Why},
    report::{ObjectReport, OutputReport},
};
use lakewright_model::Object;
use serde::de::DeserializeOwned;

/// A source object: its location and its `ETag`.
pub(super) type Version = (Location, String);

/// `batch/<bid>`.
pub(super) struct Batch {
    /// The hash of the document, which is to be the batch's name.
    pub(super) id: String,
    /// The objects, and the number of each one's claim.
    pub(super) candidates: Vec<(Version, u32)>,
    /// Whether the rows are sorted by their time.
    pub(super) sorted: bool,
    /// The table's columns.
    columns: BTreeMap<String, String>,
}

/// Why a plan left an object out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// It no longer existed, or another one had taken its place.
    Vanished,
    /// It is no input.
    Ignored,
    /// It cannot be read.
    Refused,
    /// The batch was dissolved.
    Dissolved,
}

/// An output or a quarantine, and how many rows of each object it has.
pub(super) struct Planned {
    pub(super) key: String,
    pub(super) rows: Vec<(Version, u64)>,
}

/// `plan/<bid>`.
pub(super) struct Plan {
    pub(super) members: Vec<Version>,
    pub(super) left_out: BTreeMap<Version, LeftOut>,
    pub(super) outputs: Vec<Planned>,
    pub(super) quarantine: Option<Planned>,
    /// The columns that its outputs have, if there is a table.
    pub(super) columns: BTreeMap<String, String>,
}

/// `commit/<bid>`.
pub(super) struct Commit {
    pub(super) objects: Vec<(Version, ObjectReport)>,
    pub(super) lost: Vec<Version>,
    pub(super) outputs: Vec<OutputReport>,
    pub(super) quarantine: Option<String>,
}

/// `columns/<name>`.
pub(super) fn added(object: &Object) -> Result<rekey::AddedColumn, String> {
    read(object)
}

fn types(table: Option<rekey::TableColumns>) -> BTreeMap<String, String> {
    let columns = table.into_iter().flat_map(|table| table.columns);
    columns
        .map(|column| (column.name, column.hive_type))
        .collect()
}

/// The name of the error in `failed/<sid>`.
pub(super) fn given_up(object: &Object) -> Result<String, String> {
    Ok(read::<rekey::GivenUp>(object)?.error)
}

impl Batch {
    pub(super) fn read(object: &Object) -> Result<Self, String> {
        let batch: rekey::Batch = read(object)?;
        let id = batch.id().map_err(|error| error.to_string())?;
        let sorted = batch.settings.job.sort_by_time;
        let candidates = batch.candidates.into_iter();
        Ok(Self {
            id,
            candidates: candidates
                .map(|candidate| ((candidate.source, candidate.etag), candidate.claim))
                .collect(),
            sorted,
            columns: types(batch.settings.table),
        })
    }

    /// The batch that a claim names.
    pub(super) fn claimed(object: &Object) -> Result<String, String> {
        Ok(read::<rekey::Claim>(object)?.batch)
    }

    fn candidate(&self, index: u32) -> Result<Version, String> {
        let candidate = usize::try_from(index)
            .ok()
            .and_then(|index| self.candidates.get(index));
        let (version, _) = candidate.ok_or_else(|| format!("there is no candidate {index}"))?;
        Ok(version.clone())
    }

    /// The candidate of a name in the ledger.
    fn named(&self, sid: &str) -> Result<Version, String> {
        let mut candidates = self.candidates.iter();
        let candidate = candidates.find(|((source, etag), claim)| {
            let candidate = Candidate {
                source: source.clone(),
                etag: etag.clone(),
                claim: *claim,
            };
            candidate.sid() == sid
        });
        let (version, _) = candidate.ok_or_else(|| format!("{sid} is no candidate"))?;
        Ok(version.clone())
    }

    fn planned(&self, output: PlannedOutput) -> Result<Planned, String> {
        let rows = output.rows.into_iter();
        let rows = rows.map(|(index, rows)| Ok((self.candidate(index)?, rows)));
        Ok(Planned {
            key: output.key,
            rows: rows.collect::<Result<_, String>>()?,
        })
    }
}

impl Plan {
    pub(super) fn read(object: &Object, batch: &Batch) -> Result<Self, String> {
        let plan: rekey::Plan = read(object)?;
        let members = plan.members.iter();
        let left_out = plan.left_out.into_iter().map(|(sid, left_out)| {
            let why = match left_out.why {
                Why::Gone | Why::Superseded => LeftOut::Vanished,
                Why::Ignored => LeftOut::Ignored,
                Why::Refused => LeftOut::Refused,
                Why::Dissolved => LeftOut::Dissolved,
            };
            Ok((batch.named(&sid)?, why))
        });
        let outputs = plan.outputs.into_iter();
        let columns = match plan.table {
            None => batch.columns.clone(),
            table => types(table),
        };
        Ok(Self {
            columns,
            members: members
                .map(|member| batch.candidate(member.candidate))
                .collect::<Result<_, _>>()?,
            left_out: left_out.collect::<Result<_, String>>()?,
            outputs: outputs
                .map(|output| batch.planned(output))
                .collect::<Result<_, _>>()?,
            quarantine: plan
                .quarantine
                .map(|quarantine| batch.planned(quarantine))
                .transpose()?,
        })
    }
}

impl Commit {
    pub(super) fn read(object: &Object, batch: &Batch) -> Result<Self, String> {
        let commit: rekey::Commit = read(object)?;
        let objects = commit.objects.into_iter();
        let lost = commit.lost.iter();
        Ok(Self {
            objects: objects
                .map(|(sid, report)| Ok((batch.named(&sid)?, report)))
                .collect::<Result<_, String>>()?,
            lost: lost.map(|sid| batch.named(sid)).collect::<Result<_, _>>()?,
            outputs: commit.outputs,
            quarantine: commit.quarantine,
        })
    }
}

fn read<T: DeserializeOwned>(object: &Object) -> Result<T, String> {
    serde_json::from_slice(&object.bytes).map_err(|error| error.to_string())
}
