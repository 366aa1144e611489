//! The columns of the files, and those that only determine a record's partition.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use lakewright_core::{
    columns,
    config::{InputFormat, Output, OutputFormat, Ranged, Rekey},
    csv, hive_type,
    json::Inference,
    location::Location,
    partition::Partitioner,
};

use super::{
    TableColumns,
    member::{Left, Members, Request, Wanted, attempt},
    read::{Pieces, RecordReader, open_avro},
};
use crate::{
    kit::{ErrorKind, JobError},
    work::{
        ranged::RangedFile,
        refusal::without_columns,
        source::{Opened, Source},
    },
};

/// The columns that are read from every record: the files' columns first, then the partition columns.
pub(super) struct RecordSchema {
    fields: Vec<Arc<Field>>,
    files: usize,
}

impl RecordSchema {
    /// From the columns of a table; `partition_columns` are those of its partition keys that are not time parts.
    pub(super) fn of_table(
        table: &TableColumns,
        partition_columns: &[String],
    ) -> Result<Self, JobError> {
        let schema = hive_type::table_schema(&table.columns, &table.partition_keys)
            .map_err(|error| JobError::new(ErrorKind::SchemaUnusable, error.to_string()))?;
        let mut fields = schema.fields().to_vec();
        let files = fields.len();
        for name in partition_columns {
            let key = table
                .partition_keys
                .iter()
                .find(|key| key.name.eq_ignore_ascii_case(name));
            let field = match key {
                Some(key) => hive_type::parse_field(&key.name, &key.hive_type)
                    .map_err(|error| JobError::new(ErrorKind::SchemaUnusable, error.to_string()))?,
                None => Field::new(name.to_lowercase(), DataType::Utf8, true),
            };
            fields.push(Arc::new(field));
        }
        Ok(Self { fields, files })
    }

    /// From columns that were inferred from the records. What has the name of a part of the path is in no file.
    ///
    /// # Errors
    /// The reason, if nothing else is left for files that have columns, because their rows would be in no reader's
    /// result; or if a part of the path is no single value, or no column of its own.
    pub(super) fn inferred(
        schema: &Schema,
        partitioner: &Partitioner,
        job: &Rekey,
    ) -> Result<Self, String> {
        let partition_columns = partitioner.columns();
        let is_part = |field: &&Arc<Field>| {
            let name = field.name().to_lowercase();
            partitioner.names().any(|part| part == name)
        };
        let (keys, files): (Vec<_>, Vec<_>) = schema.fields().iter().partition(is_part);
        let has_columns = |output: &Output| {
            job.format != InputFormat::Json
                || output.format != OutputFormat::Json
                || !job.column.is_empty()
        };
        if files.is_empty() && !keys.is_empty() && job.output.iter().any(has_columns) {
            return Err("every column is a part of the path, and none is left for the files: take one out of partition_by".to_owned());
        }
        let nested = partition_columns.iter().find_map(|name| {
            let key = keys
                .iter()
                .find(|key| name.eq_ignore_ascii_case(key.name()))?;
            key.data_type().is_nested().then_some(key)
        });
        if let Some(key) = nested {
            let hive_type = hive_type::render(key.data_type());
            return Err(format!(
                "partition_by names `{}`, which is {} and has no single value",
                key.name(),
                hive_type.unwrap_or_else(|_| key.data_type().to_string())
            ));
        }
        for name in partition_columns {
            // Records of JSON need not have the same columns, so there may be none.
            columns::own(schema.fields(), name)
                .map_err(|error| format!("partition_by: {error}"))?;
        }
        let mut fields = files.into_iter().cloned().collect::<Vec<_>>();
        let files = fields.len();
        for name in partition_columns {
            let known = keys
                .iter()
                .find(|key| name.eq_ignore_ascii_case(key.name()));
            fields.push(known.map_or_else(
                || Arc::new(Field::new(name.to_lowercase(), DataType::Utf8, true)),
                |&field| Arc::clone(field),
            ));
        }
        Ok(Self { fields, files })
    }

    /// Every column.
    pub(super) fn whole(&self) -> Schema {
        Schema::new(self.fields.clone())
    }

    /// How many columns are inside the files; the partition columns follow them.
    pub(super) fn files(&self) -> usize {
        self.files
    }
}

/// The columns of members without a table.
pub(super) enum Inferred {
    Columns(Schema),
    /// These members have none, or none that fit those of the members before them.
    Left(Vec<(Wanted, Left)>),
}

/// Infers the columns: for JSON from all records of all members, for CSV and Avro from their headers, for Parquet
/// and ORC from their footers.
///
/// # Errors
/// The failure is not that of a single member.
pub(super) async fn infer(request: Request<'_>, members: &[Wanted]) -> Result<Inferred, JobError> {
    let mut found = Found {
        inference: Inference::new(request.settings().job.limits.deepest()),
        names: None,
        fields: Vec::new(),
        members: 0,
    };
    let mut left = Vec::new();
    let mut opened = Members::new(request, members);
    while let Some((wanted, source)) = opened.next().await? {
        let member = match source {
            Opened::Source(source) => attempt(found.add(request, *source)).await?,
            Opened::Nothing(status) => Some(Left::of(status)),
        };
        left.extend(member.map(|member| (wanted, member)));
    }
    Ok(if left.is_empty() {
        Inferred::Columns(found.schema())
    } else {
        Inferred::Left(left)
    })
}

/// The columns that the members have.
struct Found {
    /// Of JSON.
    inference: Inference,
    /// Of CSV.
    names: Option<Vec<String>>,
    /// Of Parquet, ORC and Avro.
    fields: Vec<Field>,
    members: usize,
}

impl Found {
    async fn add(&mut self, request: Request<'_>, source: Source) -> Result<(), JobError> {
        let location = source.location().clone();
        let format = request.settings().job.format;
        let schema = match (format.by_ranges(), format) {
            (Some(format), _) => ranged_columns(format, request, &source).await?,
            (None, InputFormat::Avro) => avro_columns(request, source).await?,
            (None, _) => return self.infer(request, source).await,
        };
        self.unite(&schema, &location)
    }

    async fn infer(&mut self, request: Request<'_>, source: Source) -> Result<(), JobError> {
        let location = source.location().clone();
        let Request { ports, budget, .. } = request;
        let mut reader = RecordReader::new(ports, budget, request.settings(), source)?;
        while let Some(records) = reader.more().await? {
            let names = records
                .infer(&mut self.inference)
                .map_err(|error| without_columns(&location, &error))?;
            if let Some(names) = names {
                let known = self.names.get_or_insert_default();
                for name in names {
                    if !known.iter().any(|other| other.eq_ignore_ascii_case(&name)) {
                        known.push(name);
                    }
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// Adds the columns of a Parquet, ORC or Avro file: those of one name must be of one type.
    fn unite(&mut self, schema: &Schema, location: &Location) -> Result<(), JobError> {
        let same = |a: &Field, b: &Field| a.name().eq_ignore_ascii_case(b.name());
        let fields = schema.fields();
        for field in fields {
            let known = self.fields.iter().find(|known| same(known, field));
            if let Some(known) = known
                && (known.name(), known.data_type()) != (field.name(), field.data_type())
            {
                let message = format!(
                    "{location}: its column `{}` of type {} is `{}` of type {} in another object of its batch",
                    field.name(),
                    field.data_type(),
                    known.name(),
                    known.data_type(),
                );
                return Err(JobError::new(ErrorKind::SchemaUnusable, message));
            }
        }
        for known in &mut self.fields {
            let field = fields.iter().find(|field| same(known, field));
            if field.is_none_or(|field| field.is_nullable()) {
                known.set_nullable(true);
            }
        }
        for field in fields {
            if !self.fields.iter().any(|known| same(known, field)) {
                let is_nullable = field.is_nullable() || self.members > 0;
                let field = field.as_ref().clone();
                self.fields.push(field.with_nullable(is_nullable));
            }
        }
        self.members += 1;
        Ok(())
    }

    fn schema(self) -> Schema {
        if let Some(names) = self.names {
            return csv::inferred(&names);
        }
        if self.members > 0 {
            return Schema::new(self.fields);
        }
        self.inference.schema()
    }
}

/// The columns of a Parquet or ORC file.
async fn ranged_columns(
    format: Ranged,
    request: Request<'_>,
    source: &Source,
) -> Result<Schema, JobError> {
    let limits = &request.settings().job.limits;
    let (object, location) = (source.object(), source.location());
    let memory = request.budget.memory;
    let file = RangedFile::open(format, object, location, source.first(), limits, memory);
    file.await??.schema()
}

/// The columns of an Avro file.
async fn avro_columns(request: Request<'_>, source: Source) -> Result<Schema, JobError> {
    let limits = &request.settings().job.limits;
    let mut pieces = Pieces::new(request.ports, request.budget, limits, source);
    Ok(open_avro(&mut pieces, limits).await?.schema())
}
