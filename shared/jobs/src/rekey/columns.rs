//! `on_unknown = "add"`: fields without a column become columns of the table.
//!
//! The members are read with the table's columns. If their records have other fields, these become columns of the table, and the
//! members are read again, before there is a plan. The plan says which columns its outputs have.
//!
//! R6: a column is in the catalog before a plan has it. It is added on condition that the table still has the columns that the
//! members were read with, so that the record that brought it is not set aside for another's column. `columns/<name>`, which is
//! written before, says which object brought it; who finds one that another invocation has written takes its type.

use std::borrow::Cow;

use futures::{StreamExt, TryStreamExt, stream};
use lakewright_core::{
    catalog::{Column, Table},
    config::UnknownPolicy,
    json::{NO_TYPE, NewColumns},
};
use lakewright_ports::CatalogErrorKind;

use super::{
    destination::Destination,
    ledger::{AddedColumn, Batch, CONCURRENT, Plan, Settings, TableColumns},
    member::Request,
    plan,
    route::Found,
};
use crate::kit::{ErrorKind, JobError};

/// How often the members of a batch are read because of columns, and how often a column is added to a table that others change,
/// before the batch fails and is delivered again.
const ROUNDS: usize = 8;

const FULL: &str =
    "the table has no room for it: it may have as many columns as limits.columns says";

/// The columns that the members of a batch are read with.
pub(super) struct Growth<'a> {
    batch: &'a Batch,
    settings: Cow<'a, Settings>,
    destinations: Vec<Destination>,
    /// Which fields may become columns, if the job adds any.
    rule: Option<NewColumns>,
    /// The fields that may not, because they have no type.
    untyped: Vec<String>,
    rounds: usize,
    /// The table, after columns were added to it.
    pub(super) table: Option<Table>,
    /// The columns that were added because of the batch's records.
    pub(super) added: Vec<AddedColumn>,
}

impl<'a> Growth<'a> {
    /// Begins with the columns that the table has now.
    pub(super) fn begin(tables: &[Table], batch: &'a Batch) -> Self {
        let mut settings = Cow::Borrowed(&batch.settings);
        let mut tables = tables.iter();
        if batch.settings.job.on_unknown == UnknownPolicy::Add
            && let Some(before) = &batch.settings.table
            && let Some(table) =
                tables.find(|of| batch.settings.job.table.as_ref() == Some(&of.name))
            && table.partition_keys == before.partition_keys
            && table.storage.columns != before.columns
        {
            settings.to_mut().table = Some(TableColumns::of(table));
        }
        Self {
            batch,
            rule: rule(&settings),
            destinations: settings.destinations(),
            settings,
            untyped: Vec::new(),
            rounds: 0,
            table: None,
            added: Vec::new(),
        }
    }

    /// The request to read the members with these columns.
    pub(super) fn request<'b>(&'b self, request: Request<'b>) -> Request<'b> {
        Request {
            settings: &self.settings,
            destinations: &self.destinations,
            adding: self.rule.as_ref(),
            ..request
        }
    }

    /// The columns for the plan, if they are not those of the batch.
    pub(super) fn of_plan(&self) -> Option<TableColumns> {
        let table = self.settings.table.as_ref();
        let other = table.filter(|table| Some(*table) != self.batch.settings.table.as_ref());
        other.cloned()
    }

    /// Adds the fields of the members' records to the table, or takes the columns that it has by now. The members are to be read
    /// again.
    pub(super) async fn add(
        &mut self,
        request: Request<'_>,
        found: &Found,
    ) -> Result<(), JobError> {
        self.rounds += 1;
        let columns = match found.columns() {
            Ok(columns) => columns,
            Err(untyped) => {
                self.untyped.extend(untyped);
                self.rule = self.rule();
                return self.is_in_time();
            }
        };
        if columns.is_empty() {
            if let Some(rule) = &mut self.rule {
                rule.close(FULL);
            }
            return Ok(());
        }
        let wanted = documents(request, columns)?;
        let catalog = &*request.ports.catalog;
        for _ in 0..ROUNDS {
            let Some(mut table) = plan::table(catalog, &self.settings.job).await? else {
                break;
            };
            let columns = TableColumns::of(&table);
            if self.settings.table.as_ref() != Some(&columns) {
                self.read_with(columns, table);
                break;
            }
            let added = brought(request, &wanted).await?;
            let new = added.iter().map(|added| Column {
                name: added.name.clone(),
                hive_type: added.hive_type.clone(),
            });
            table.storage.columns.extend(new);
            // R6: on condition that the table has the columns that the members were read with.
            match catalog.update_table(&table).await {
                Ok(()) => {
                    for AddedColumn {
                        name,
                        hive_type,
                        source,
                        ..
                    } in &added
                    {
                        tracing::info!(table = %table.name, column = name, hive_type, %source, "column added");
                    }
                    self.added.extend(added);
                    self.read_with(TableColumns::of(&table), table);
                    break;
                }
                Err(error) if error.kind == CatalogErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        let is_read_with = self.table.as_ref().map(TableColumns::of) == self.settings.table;
        if !is_read_with {
            self.rounds = ROUNDS;
        }
        self.is_in_time()
    }

    fn is_in_time(&self) -> Result<(), JobError> {
        if self.rounds < ROUNDS {
            return Ok(());
        }
        Err(JobError::new(
            ErrorKind::CatalogFailed,
            "columns were added to the table, or others changed it, so often that the objects could not be read with its columns: they are read again with the next delivery",
        ))
    }

    fn read_with(&mut self, columns: TableColumns, table: Table) {
        self.settings.to_mut().table = Some(columns);
        self.destinations = self.settings.destinations();
        self.rule = self.rule();
        self.table = Some(table);
    }

    fn rule(&self) -> Option<NewColumns> {
        let mut rule = rule(&self.settings)?;
        for name in &self.untyped {
            rule.refuse(name, NO_TYPE);
        }
        Some(rule)
    }
}

/// The documents that say who brought these columns.
fn documents(
    request: Request<'_>,
    columns: Vec<(Column, u32)>,
) -> Result<Vec<AddedColumn>, JobError> {
    let documents = columns.into_iter().map(|(column, candidate)| {
        let candidate = request.candidate(candidate)?;
        Ok(AddedColumn {
            version: AddedColumn::VERSION,
            name: column.name,
            hive_type: column.hive_type,
            source: candidate.source.clone(),
            etag: candidate.etag.clone(),
            batch: request.bid.to_owned(),
        })
    });
    documents.collect()
}

/// The columns to add: those that others have brought with another type, before anything of this batch, because its records may
/// not fit them; otherwise all.
async fn brought(
    request: Request<'_>,
    wanted: &[AddedColumn],
) -> Result<Vec<AddedColumn>, JobError> {
    let ledger = request.ledger;
    let differs = |(one, other): &(AddedColumn, &AddedColumn)| one.hive_type != other.hive_type;
    let known = wanted.iter().map(|wanted| async move {
        let known = ledger.column(&wanted.name).await?;
        Ok::<_, JobError>(known.map(|known| (known, wanted)))
    });
    let known = stream::iter(known.collect::<Vec<_>>()).buffered(CONCURRENT);
    let known = known.try_collect::<Vec<_>>().await?;
    let mut others = known.into_iter().flatten().filter(differs).peekable();
    if others.peek().is_some() {
        return Ok(others.map(|(known, _)| known).collect());
    }
    let proposed = wanted.iter().map(|wanted| async move {
        let first = ledger.propose_column(wanted.clone()).await?;
        Ok::<_, JobError>((first, wanted))
    });
    let proposed = stream::iter(proposed.collect::<Vec<_>>()).buffered(CONCURRENT);
    let proposed = proposed.try_collect::<Vec<_>>().await?;
    let are_others = proposed.iter().any(differs);
    let proposed = proposed.into_iter();
    let proposed = proposed.filter(|both| !are_others || differs(both));
    Ok(proposed.map(|(first, _)| first).collect())
}

/// The settings of a batch with the columns of its plan, and which fields may become columns: none any more.
pub(super) fn planned<'a>(
    batch: &'a Batch,
    plan: &Plan,
) -> (Cow<'a, Settings>, Option<NewColumns>) {
    let mut settings = Cow::Borrowed(&batch.settings);
    if let Some(table) = &plan.table {
        settings.to_mut().table = Some(table.clone());
    }
    let mut rule = rule(&settings);
    if let Some(rule) = &mut rule {
        rule.close("the columns of its batch were decided without it");
    }
    (settings, rule)
}

/// Which fields may become columns, if the job adds any.
fn rule(settings: &Settings) -> Option<NewColumns> {
    let job = &settings.job;
    let table = settings.table.as_ref()?;
    if job.on_unknown != UnknownPolicy::Add {
        return None;
    }
    let mut rule = NewColumns::default();
    for column in &table.columns {
        rule.refuse(
            &column.name,
            "the table's column of its name is made of another field",
        );
    }
    for operation in &job.column {
        for name in [&*operation.name, operation.field()] {
            rule.refuse(name, "`column` has an operation of its name");
        }
    }
    let keys = table.partition_keys.iter().map(|key| &key.name);
    for name in keys.chain(&job.partition_by) {
        rule.refuse(name, "the table is partitioned by a key of its name");
    }
    let room = (job.limits.columns as usize).saturating_sub(table.columns.len());
    rule.limit(room);
    if room == 0 {
        rule.close(FULL);
    }
    Some(rule)
}
