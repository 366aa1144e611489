//! The columns of the files, and those that only determine a record's partition.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use lakewright_core::{
    csv, hive_type, json::Inference, partition::Partitioner, records::ColumnsError,
};

use super::{
    Budget, Ports, Settings, TableColumns,
    read::{RecordReader, misread},
    source::Source,
};
use crate::kit::{ErrorKind, JobError};

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
    pub(super) fn inferred(schema: &Schema, partitioner: &Partitioner) -> Self {
        let partition_columns = partitioner.columns();
        let is_part = |field: &&Arc<Field>| {
            let name = field.name().to_lowercase();
            partitioner.names().any(|part| part == name)
        };
        let (keys, files): (Vec<_>, Vec<_>) = schema.fields().iter().partition(is_part);
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
        Self { fields, files }
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

/// Infers the columns: for JSON from all records of an object, for CSV from its header.
pub(super) async fn infer(
    ports: &Ports,
    budget: &Budget,
    settings: &Settings,
    source: Source,
) -> Result<Schema, JobError> {
    let location = source.location().clone();
    let mut inference = Inference::new(settings.job.limits.deepest());
    let mut reader = RecordReader::new(ports, budget, settings, source)?;
    while let Some(records) = reader.more().await? {
        let names = records.infer(&mut inference).map_err(|error| match error {
            ColumnsError::Frame(error) => misread(&location, &error),
            ColumnsError::Infer(error) => {
                JobError::new(ErrorKind::SchemaUnusable, format!("{location}: {error}"))
            }
        })?;
        if let Some(names) = names {
            return Ok(csv::inferred(&names));
        }
    }
    Ok(inference.schema())
}
