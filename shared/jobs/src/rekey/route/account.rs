//! The members that are read, and what becomes of their records.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lakewright_core::{
    json::{NewColumns, NewFields},
    lateness::LatenessMeter,
    quarantine::{Quarantined, Reason},
};

use super::{ReadMember, adding::Found};
use crate::{
    kit::{ErrorKind, JobError},
    rekey::{
        member::{Request, Wanted},
        quarantine::Quarantine,
    },
    work::upload::Upload,
};

/// The members that are read, and what becomes of their records. Rows go to the routers of their destinations.
pub(super) struct Account<'a> {
    pub(super) request: Request<'a>,
    /// The member that is being read or routed: if something fails, it is the cause.
    pub(super) at: usize,
    wanted: Vec<Wanted>,
    pub(super) members: Vec<ReadMember>,
    pub(super) quarantine: Quarantine,
    /// The fields of routed records that may become columns of the table.
    pub(super) new: Found,
    /// The lateness of the rows of the member with this index.
    meter: Option<(usize, LatenessMeter)>,
    /// With several destinations: the members and times of rows that are not measured yet.
    times: Option<Vec<(usize, Timestamp)>>,
    /// The number of partitions of all destinations.
    partitions: u32,
}

impl<'a> Account<'a> {
    /// `hash`: that of the settings.
    pub(super) fn new(request: Request<'a>, hash: &str) -> Self {
        let quarantine = Upload::new(
            request.ports.store.clone(),
            request.ledger.quarantine_at(request.bid, hash),
            "application/jsonl",
        );
        Self {
            request,
            at: 0,
            wanted: Vec::new(),
            members: Vec::new(),
            quarantine: Quarantine::new(quarantine),
            new: Found::default(),
            meter: None,
            times: (request.destinations.len() > 1).then(Vec::new),
            partitions: 0,
        }
    }

    /// Starts with the next member.
    pub(super) fn begin(&mut self, wanted: Wanted, landed: Timestamp, seen: Option<Timestamp>) {
        self.at = self.members.len();
        self.wanted.push(wanted);
        self.members.push(ReadMember {
            candidate: wanted.candidate,
            landed,
            seen,
            rows_in: 0,
            fields_dropped: 0,
            values_dropped: 0,
            control_messages: 0,
            quarantined: BTreeMap::new(),
            lateness: None,
        });
    }

    /// The current member.
    pub(super) fn member(&mut self) -> Option<&mut ReadMember> {
        self.members.get_mut(self.at)
    }

    /// The index of its candidate.
    pub(super) fn candidate(&self) -> u32 {
        let member = self.members.get(self.at);
        member.map_or(u32::MAX, |member| member.candidate)
    }

    /// The member at which something failed.
    pub(super) fn culprit(&self) -> Wanted {
        let nobody = Wanted {
            candidate: u32::MAX,
            landed: None,
            seen: None,
        };
        self.wanted.get(self.at).copied().unwrap_or(nobody)
    }

    /// Adds a row's time to the lateness of its member. The rows of one destination come in the order of the members.
    pub(super) fn meter(&mut self, time: Timestamp) {
        match &mut self.times {
            Some(times) => times.push((self.at, time)),
            None => self.add_time(self.at, time),
        }
    }

    /// Measures the rows of all destinations so far, in the order of the members.
    pub(super) fn measure(&mut self) {
        let Some(times) = &mut self.times else { return };
        let mut times = std::mem::take(times);
        times.sort_by_key(|(member, _)| *member);
        for (member, time) in times.drain(..) {
            self.add_time(member, time);
        }
        self.times = Some(times);
    }

    fn add_time(&mut self, at: usize, time: Timestamp) {
        if self.meter.as_ref().is_none_or(|(of, _)| *of != at) {
            self.end_meter();
            let landed = self.members.get(at).map(|member| member.landed);
            self.meter = landed.map(|landed| (at, LatenessMeter::new(landed)));
        }
        if let Some((_, meter)) = &mut self.meter {
            meter.record(time);
        }
    }

    pub(super) fn finish_meter(&mut self) {
        self.measure();
        self.end_meter();
    }

    fn end_meter(&mut self) {
        if let Some((of, meter)) = self.meter.take()
            && let Some(member) = self.members.get_mut(of)
        {
            member.lateness = meter.finish();
        }
    }

    /// Takes the fields without a column of routed rows of the members with these indexes.
    pub(super) fn bring(&mut self, new: impl IntoIterator<Item = (usize, NewFields)>) {
        let room = self.request.adding.map_or(0, NewColumns::room);
        for (member, fields) in new {
            if let Some(member) = self.members.get(member) {
                self.new.add(member.candidate, fields, room);
            }
        }
    }

    /// Counts a new partition.
    pub(super) fn add_partition(&mut self) -> Result<(), JobError> {
        let limit = self.request.settings().job.limits.partitions;
        if self.partitions >= limit {
            let of = self.request.candidate(self.candidate())?;
            return Err(JobError::new(
                ErrorKind::TooManyPartitions,
                format!("refused: it touches more than {limit} partitions (limits.partitions)"),
            )
            .of(of.source.clone()));
        }
        self.partitions += 1;
        Ok(())
    }

    pub(super) fn set_aside(
        &mut self,
        offset: u64,
        record: &[u8],
        reason: Reason,
        detail: &str,
    ) -> Result<(), JobError> {
        let candidate = self.request.candidate(self.candidate())?;
        let source = candidate.source.to_string();
        self.quarantine.push(&Quarantined {
            source: &source,
            etag: &candidate.etag,
            offset,
            reason,
            detail,
            record,
        })?;
        if let Some(member) = self.member() {
            // R4
            *member.quarantined.entry(reason).or_default() += 1;
        }
        Ok(())
    }
}
