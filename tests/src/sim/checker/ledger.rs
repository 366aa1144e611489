//! The documents of the ledger, when each is written.

use std::collections::BTreeSet;

use jiff::Timestamp;
use lakewright_core::location::Location;
use lakewright_model::{ModelGlue, ModelS3, Object};

use super::{
    Checker, Fate,
    files::{named, planned, quarantined},
};
use crate::sim::{
    documents::{self, Batch, Commit, LeftOut, Plan, Version},
    source::Flaw,
};

impl Checker {
    pub(super) fn batch(&mut self, bid: &str, object: &Object) -> Result<(), String> {
        let batch = Batch::read(object)?;
        if batch.id != bid {
            return Err(format!("its name should be {}", batch.id));
        }
        self.batches.insert(bid.to_owned(), batch);
        Ok(())
    }

    /// An object was claimed for a batch: again only after the plan of the batch before left it out.
    pub(super) fn claim(&mut self, sid: &str, number: &str, object: &Object) -> Result<(), String> {
        let unreadable = |error| format!("R1: claim {number} of {sid} cannot be read: {error}");
        let bid = Batch::claimed(object).map_err(unreadable)?;
        let number: u32 = number.parse().map_err(|_| unreadable(String::new()))?;
        let Some(version) = self.sids.get(sid).cloned() else {
            return Err(format!("R1: {sid} is claimed, which is no object"));
        };
        let Some(batch) = self.batches.get(&bid) else {
            return Err(format!("R1: {sid} is claimed for {bid}, which is no batch"));
        };
        if !batch.candidates.contains(&(version.clone(), number)) {
            return Err(format!(
                "R1: claim {number} of {sid} is for {bid}, which does not name it"
            ));
        }
        if let Some(before) = number.checked_sub(1) {
            let before = self.claims.get(&(version.clone(), before));
            let plan = before.and_then(|bid| self.plans.get(bid));
            match plan.and_then(|plan| plan.left_out.get(&version)) {
                Some(LeftOut::Refused | LeftOut::Dissolved | LeftOut::Vanished)
                    if batch.candidates.len() == 1 => {}
                left_out => {
                    return Err(format!(
                        "R1: {} is claimed again for {bid}, after it was left out as {left_out:?}",
                        version.0
                    ));
                }
            }
        }
        self.claims.insert((version, number), bid);
        Ok(())
    }

    /// A plan was made: of each candidate that is claimed for its batch it says what becomes of it, and nothing of
    /// others.
    pub(super) fn plan(
        &mut self,
        bid: &str,
        object: &Object,
        now: Timestamp,
    ) -> Result<(), String> {
        let Some(batch) = self.batches.get(bid) else {
            return Err(format!("R1: {bid} has a plan, and is no batch"));
        };
        let plan = Plan::read(object, batch)
            .map_err(|error| format!("R1: the plan of {bid} cannot be read: {error}"))?;
        let mut spoken_of = BTreeSet::new();
        for version in plan.members.iter().chain(plan.left_out.keys()) {
            if !spoken_of.insert(version) {
                return Err(format!("R1: the plan of {bid} names {} twice", version.0));
            }
        }
        let sorted = batch.sorted;
        for candidate in &batch.candidates {
            let version = &candidate.0;
            let is_mine = match self.claims.get(candidate) {
                Some(owner) => owner == bid,
                None => {
                    return Err(format!(
                        "R1: {bid} is planned before {} is claimed",
                        version.0
                    ));
                }
            };
            if is_mine != spoken_of.remove(version) {
                return Err(format!(
                    "R1: the plan of {bid} and the claim of {} contradict each other",
                    version.0
                ));
            }
        }
        if let Some(other) = spoken_of.first() {
            return Err(format!(
                "R1: the plan of {bid} names {}, which is no candidate",
                other.0
            ));
        }
        self.has_columns(bid, &plan)?;
        for (version, left_out) in &plan.left_out {
            self.is_left_out_rightly(version, *left_out)?;
        }
        let files = planned(bid, &plan, sorted, &self.sources, &self.target)
            .map_err(|error| format!("R5: {error}"))?;
        for (key, file) in files {
            if let Some(other) = self.files.insert(key.clone(), file) {
                return Err(format!(
                    "R1: the plans of {bid} and of {} both name {key}",
                    other.bid
                ));
            }
        }
        for member in &plan.members {
            if let Some(other) = self.member_of.insert(member.clone(), (bid.to_owned(), now)) {
                let (other, _) = other;
                return Err(format!(
                    "R1: {} is a member of {other} and of {bid}",
                    member.0
                ));
            }
        }
        match self.plans.insert(bid.to_owned(), plan) {
            None => Ok(()),
            Some(_) => Err(format!("R1: {bid} has two plans")),
        }
    }

    fn is_left_out_rightly(&self, version: &Version, left_out: LeftOut) -> Result<(), String> {
        let flaw = self.flaw(version);
        let rightly = match left_out {
            LeftOut::Vanished => self.vanished.contains(version),
            LeftOut::Ignored => flaw == Some(Flaw::Empty),
            LeftOut::Refused => matches!(flaw, Some(Flaw::CutShort | Flaw::Long)),
            LeftOut::Dissolved => true,
        };
        if rightly {
            return Ok(());
        }
        Err(format!("R5: {} is left out as {left_out:?}", version.0))
    }

    /// An attempt at an object alone was begun, or ended by an error.
    pub(super) fn alone(&mut self, bid: &str, number: &str) -> Result<(), String> {
        let batch = self.batches.get(bid);
        if batch.is_none_or(|batch| batch.candidates.len() != 1) {
            return Err(format!("R1: {bid} is no batch of one object"));
        }
        let (open, most) = self.alone.entry(bid.to_owned()).or_default();
        *open = if number.ends_with("-ended") {
            open.saturating_sub(1)
        } else {
            *open + 1
        };
        *most = (*most).max(*open);
        Ok(())
    }

    /// An object was given up: it has a flaw that no attempt mends, or attempts at it alone were killed. One of these may have
    /// been at work still, and ended since they were listed.
    pub(super) fn given_up(&self, sid: &str, object: &Object) -> Result<(), String> {
        let Some(version) = self.sids.get(sid) else {
            return Err(format!("R5: {sid} is given up, which is no object"));
        };
        if documents::given_up(object)? != "Killed" {
            return self.is_left_out_rightly(version, LeftOut::Refused);
        }
        let alone = self.batches.iter().filter(
            |(_, batch)| matches!(&*batch.candidates, [(candidate, _)] if candidate == version),
        );
        let attempts = alone.filter_map(|(bid, _)| self.alone.get(bid));
        let killed = attempts.map(|&(_, most)| most).max();
        match killed {
            Some(2..) => Ok(()),
            killed => Err(format!(
                "R5: {} is given up as killed after {killed:?} attempts",
                version.0
            )),
        }
    }

    pub(super) fn mark(&mut self, bid: &str, sid: &str) -> Result<(), String> {
        let Some(version) = self.sids.get(sid).cloned() else {
            return Err(format!("R1: {sid} is marked as lost, which is no object"));
        };
        if self.member_of.get(&version).is_none_or(|(of, _)| of != bid) {
            return Err(format!(
                "R1: {} is marked as lost from {bid}, which it is no member of",
                version.0
            ));
        }
        if !self.vanished.contains(&version) {
            return Err(format!(
                "R5: {} is marked as lost, and was never away",
                version.0
            ));
        }
        self.marks.insert((bid.to_owned(), version));
        Ok(())
    }

    pub(super) fn commit(
        &mut self,
        bid: &str,
        object: &Object,
        s3: &ModelS3,
        glue: &ModelGlue,
    ) -> Result<(), String> {
        let (Some(batch), Some(plan)) = (self.batches.get(bid), self.plans.get(bid)) else {
            return Err(format!("R1: {bid} is committed without a plan"));
        };
        let commit = Commit::read(object, batch)
            .map_err(|error| format!("R3: the commit of {bid} cannot be read: {error}"))?;
        for lost in &commit.lost {
            if !self.marks.contains(&(bid.to_owned(), lost.clone())) {
                return Err(format!(
                    "R3: the commit of {bid} calls {} lost, which has no mark",
                    lost.0
                ));
            }
        }
        self.outputs_exist(bid, plan, &commit, s3)?;
        self.is_registered(bid, &commit, glue)?;
        self.is_accounted_for(bid, plan, &commit, s3)?;
        let members = plan.members.clone();
        for member in members {
            let fate = if commit.lost.contains(&member) {
                Fate::Lost
            } else {
                Fate::Committed
            };
            self.fates.insert(member, fate);
        }
        Ok(())
    }

    /// Each row of a member that is not lost exists, and the commit says of each file what is true.
    fn outputs_exist(
        &self,
        bid: &str,
        plan: &Plan,
        commit: &Commit,
        s3: &ModelS3,
    ) -> Result<(), String> {
        for member in &plan.members {
            let source = self.sources.get(member);
            let mut rows = source.into_iter().flat_map(|source| source.rows.keys());
            if !commit.lost.contains(member)
                && let Some(row) = rows.find(|id| !self.visible.contains_key(*id))
            {
                return Err(format!(
                    "R3: {bid} is committed without row {row} of {}, which it does not call lost",
                    member.0
                ));
            }
        }
        let mut reported = BTreeSet::new();
        for output in &commit.outputs {
            let Some(file) = self.files.get(&output.key).filter(|file| file.bid == bid) else {
                return Err(format!(
                    "R3: the commit of {bid} names {}, its plan does not",
                    output.key
                ));
            };
            let size = s3
                .object(&self.in_target(&output.key))
                .map(|object| object.bytes.len() as u64);
            if size != Some(output.bytes) {
                return Err(format!(
                    "R3: the commit of {bid} says that {} has {} bytes, not {size:?}",
                    output.key, output.bytes
                ));
            }
            let rows = file.rows_without(&commit.lost)..=file.len();
            if !rows.contains(&output.rows) {
                return Err(format!(
                    "R3: the commit of {bid} says that {} has {} rows, not {rows:?}",
                    output.key, output.rows
                ));
            }
            reported.insert(&output.key);
        }
        // A file of lost members alone may have been written before they were lost.
        let needed = plan.outputs.iter().map(|output| &output.key);
        let needed = needed.filter(|key| {
            let file = self.files.get(*key);
            file.is_some_and(|file| file.rows_without(&commit.lost) > 0)
        });
        for key in needed {
            if !reported.contains(key) {
                return Err(format!("R3: the commit of {bid} does not name {key}"));
            }
        }
        Ok(())
    }

    fn in_target(&self, key: &str) -> Location {
        Location::new(&self.target.bucket, key)
    }

    /// Whether the partition of each output has the catalog's location.
    fn is_registered(&self, bid: &str, commit: &Commit, glue: &ModelGlue) -> Result<(), String> {
        for output in &commit.outputs {
            let mut tables = self.tables.iter();
            let location = self.in_target(&output.key);
            let Some((_, table)) = tables.find(|(place, _)| place.contains(&location)) else {
                continue;
            };
            let registered: BTreeSet<&str> = glue
                .registered(table)
                .map(|partition| partition.storage.location.trim_end_matches('/'))
                .collect();
            let directory = output.key.rsplit_once('/').map_or("", |(path, _)| path);
            let directory = format!("s3://{}/{directory}", self.target.bucket);
            if !registered.contains(directory.as_str()) {
                return Err(format!(
                    "R3: {bid} is committed, but the partition of {} is not registered",
                    output.key
                ));
            }
        }
        Ok(())
    }

    /// The counts of each object that is not lost, and the quarantine.
    fn is_accounted_for(
        &self,
        bid: &str,
        plan: &Plan,
        commit: &Commit,
        s3: &ModelS3,
    ) -> Result<(), String> {
        let quarantined = match &commit.quarantine {
            None => std::collections::BTreeMap::new(),
            Some(key) => match s3.object(&self.in_target(key)) {
                Some(object) => quarantined(object)?,
                None => return Err(format!("R4: the quarantine of {bid} does not exist")),
            },
        };
        for member in &plan.members {
            let Some(source) = self.sources.get(member) else {
                continue;
            };
            let set_aside = quarantined.get(&named(member));
            let set_aside = set_aside.map_or(&[][..], Vec::as_slice);
            let is_lost = commit.lost.contains(member);
            if set_aside != source.quarantined && !(is_lost && set_aside.is_empty()) {
                return Err(format!(
                    "R4: the quarantine of {bid} holds {set_aside:?} of {}, not {:?}",
                    member.0, source.quarantined
                ));
            }
            if is_lost {
                continue;
            }
            let Some((_, report)) = commit.objects.iter().find(|(of, _)| of == member) else {
                return Err(format!(
                    "R4: the commit of {bid} has no report of {}",
                    member.0
                ));
            };
            let counts = (report.rows_in, report.rows_out, report.rows_quarantined);
            let wanted = (
                source.records(),
                source.rows.len() as u64,
                source.quarantined.len() as u64,
            );
            if counts != wanted {
                return Err(format!(
                    "R4: the commit of {bid} counts (in, out, quarantined) {counts:?} of {}, not {wanted:?}",
                    member.0
                ));
            }
        }
        Ok(())
    }
}
