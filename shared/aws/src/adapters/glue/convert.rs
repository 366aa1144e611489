//! Converts tables and partitions from and to Glue's types.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_glue::types::{self, PartitionInput, SerDeInfo, TableInput};
use aws_smithy_types::error::operation::BuildError;
use lakewright_core::catalog::{Column, StorageDescriptor, Table, TableName};
use lakewright_ports::{ListedPartition, Partition};

/// The type of a table whose objects Hive does not manage.
const EXTERNAL_TABLE: &str = "EXTERNAL_TABLE";

pub(super) fn table_from_glue(name: &TableName, table: &types::Table) -> Table {
    Table {
        name: name.clone(),
        storage: table
            .storage_descriptor()
            .map(storage_from_glue)
            .unwrap_or_default(),
        partition_keys: table
            .partition_keys()
            .iter()
            .map(column_from_glue)
            .collect(),
        parameters: ordered(table.parameters()),
        version_id: table.version_id().map(str::to_owned),
    }
}

pub(super) fn partition_from_glue(partition: &types::Partition) -> Partition {
    Partition {
        values: partition.values().to_vec(),
        storage: partition
            .storage_descriptor()
            .map(storage_from_glue)
            .unwrap_or_default(),
    }
}

pub(super) fn listed_from_glue(partition: &types::Partition) -> ListedPartition {
    let Partition { values, storage } = partition_from_glue(partition);
    ListedPartition { values, storage }
}

/// Converts to Glue's input. Fields that [`Table`] does not have are taken from `existing`.
pub(super) fn table_to_glue(
    table: &Table,
    existing: Option<&types::Table>,
) -> Result<TableInput, BuildError> {
    let kind = existing.map_or(Some(EXTERNAL_TABLE), types::Table::table_type);
    TableInput::builder()
        .name(&table.name.table)
        .set_description(
            existing
                .and_then(types::Table::description)
                .map(str::to_owned),
        )
        .set_owner(existing.and_then(types::Table::owner).map(str::to_owned))
        .set_last_access_time(existing.and_then(types::Table::last_access_time).copied())
        .set_last_analyzed_time(existing.and_then(types::Table::last_analyzed_time).copied())
        .set_retention(existing.map(types::Table::retention))
        .set_view_original_text(existing.and_then(|old| old.view_original_text.clone()))
        .set_view_expanded_text(existing.and_then(|old| old.view_expanded_text.clone()))
        .set_target_table(existing.and_then(types::Table::target_table).cloned())
        .set_table_type(kind.map(str::to_owned))
        .storage_descriptor(storage_to_glue(
            &table.storage,
            existing.and_then(types::Table::storage_descriptor),
        )?)
        .set_partition_keys(Some(columns_to_glue(
            &table.partition_keys,
            existing.map_or(&[][..], types::Table::partition_keys),
        )?))
        .set_parameters(Some(table.parameters.clone().into_iter().collect()))
        .build()
}

fn storage_from_glue(storage: &types::StorageDescriptor) -> StorageDescriptor {
    let serde = storage.serde_info();
    StorageDescriptor {
        location: storage.location().unwrap_or_default().to_owned(),
        columns: storage.columns().iter().map(column_from_glue).collect(),
        input_format: storage.input_format().map(str::to_owned),
        output_format: storage.output_format().map(str::to_owned),
        compressed: storage.compressed(),
        serde_library: serde
            .and_then(SerDeInfo::serialization_library)
            .map(str::to_owned),
        serde_parameters: ordered(serde.and_then(SerDeInfo::parameters)),
        parameters: ordered(storage.parameters()),
        bucket_columns: storage.bucket_columns().to_vec(),
    }
}

fn column_from_glue(column: &types::Column) -> Column {
    Column {
        name: column.name().to_owned(),
        hive_type: column.r#type().unwrap_or_default().to_owned(),
    }
}

fn ordered(parameters: Option<&HashMap<String, String>>) -> BTreeMap<String, String> {
    let entries = parameters.into_iter().flatten();
    entries
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Converts to Glue's input. Fields that [`Partition`] does not have are taken from `existing`.
pub(super) fn partition_to_glue(
    partition: &Partition,
    existing: Option<&types::Partition>,
) -> Result<PartitionInput, BuildError> {
    let descriptor = existing.and_then(types::Partition::storage_descriptor);
    Ok(PartitionInput::builder()
        .set_values(Some(partition.values.clone()))
        .set_last_access_time(
            existing
                .and_then(types::Partition::last_access_time)
                .copied(),
        )
        .set_last_analyzed_time(
            existing
                .and_then(types::Partition::last_analyzed_time)
                .copied(),
        )
        .set_parameters(existing.and_then(types::Partition::parameters).cloned())
        .storage_descriptor(storage_to_glue(&partition.storage, descriptor)?)
        .build())
}

/// Columns that have the same names in `existing` keep their comments and parameters.
fn columns_to_glue(
    columns: &[Column],
    existing: &[types::Column],
) -> Result<Vec<types::Column>, BuildError> {
    let columns = columns.iter().map(|column| {
        let old = existing
            .iter()
            .find(|old| old.name().eq_ignore_ascii_case(&column.name));
        types::Column::builder()
            .name(&column.name)
            .r#type(&column.hive_type)
            .set_comment(old.and_then(types::Column::comment).map(str::to_owned))
            .set_parameters(old.and_then(types::Column::parameters).cloned())
            .build()
    });
    columns.collect()
}

fn storage_to_glue(
    storage: &StorageDescriptor,
    existing: Option<&types::StorageDescriptor>,
) -> Result<types::StorageDescriptor, BuildError> {
    let old = existing
        .cloned()
        .unwrap_or_else(|| types::StorageDescriptor::builder().build());
    let serde = SerDeInfo::builder()
        .set_name(old.serde_info.as_ref().and_then(|serde| serde.name.clone()))
        .set_serialization_library(storage.serde_library.clone())
        .set_parameters(Some(storage.serde_parameters.clone().into_iter().collect()))
        .build();
    // Settings that depend on the columns or the buckets are only valid for the same ones.
    let same_columns = existing.is_some_and(|old| {
        let old = old.columns().iter().map(column_from_glue);
        old.eq(storage.columns.iter().cloned())
    });
    let same_buckets = old.bucket_columns() == storage.bucket_columns;
    let is_sorted = |order: &types::Order| {
        let mut columns = storage.columns.iter();
        columns.any(|column| column.name.eq_ignore_ascii_case(order.column()))
    };
    let sorted = old
        .sort_columns
        .filter(|sorted| sorted.iter().all(is_sorted));
    Ok(types::StorageDescriptor::builder()
        .location(&storage.location)
        .set_columns(Some(columns_to_glue(
            &storage.columns,
            old.columns.as_deref().unwrap_or_default(),
        )?))
        .set_additional_locations(old.additional_locations)
        .set_input_format(storage.input_format.clone())
        .set_output_format(storage.output_format.clone())
        .compressed(storage.compressed)
        .number_of_buckets(if same_buckets {
            old.number_of_buckets
        } else {
            0
        })
        .set_bucket_columns(same_buckets.then_some(old.bucket_columns).flatten())
        .set_sort_columns(sorted)
        .set_skewed_info(same_columns.then_some(old.skewed_info).flatten())
        .stored_as_sub_directories(old.stored_as_sub_directories)
        .set_schema_reference(same_columns.then_some(old.schema_reference).flatten())
        .serde_info(serde)
        .set_parameters(Some(storage.parameters.clone().into_iter().collect()))
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_survives_the_round_trip() {
        let pairs = |name: &str| BTreeMap::from([(name.to_owned(), "1".to_owned())]);
        let partition = Partition {
            values: vec!["2026".to_owned(), "05".to_owned()],
            storage: StorageDescriptor {
                location: "s3://lake/t/year=2026/month=05/".to_owned(),
                columns: vec![Column {
                    name: "a".to_owned(),
                    hive_type: "array<bigint>".to_owned(),
                }],
                input_format: Some("in".to_owned()),
                output_format: Some("out".to_owned()),
                compressed: true,
                serde_library: Some("serde".to_owned()),
                serde_parameters: pairs("serialization.format"),
                parameters: pairs("classification"),
                bucket_columns: Vec::new(),
            },
        };
        let bucketed = types::StorageDescriptor::builder()
            .bucket_columns("a")
            .build();
        assert_eq!(storage_from_glue(&bucketed).bucket_columns, ["a"]);
        let input = partition_to_glue(&partition, None).unwrap();
        assert_eq!(input.values(), partition.values);
        assert_eq!(
            storage_from_glue(input.storage_descriptor().unwrap()),
            partition.storage
        );
    }

    /// A descriptor with everything that Glue knows.
    fn whole(location: &str) -> types::StorageDescriptor {
        let column = types::Column::builder()
            .name("a")
            .r#type("bigint")
            .comment("how many")
            .parameters("iceberg.field.id", "1");
        let reference = types::SchemaReference::builder().schema_version_number(3);
        let order = types::Order::builder().column("a").sort_order(1);
        types::StorageDescriptor::builder()
            .location(location)
            .columns(column.build().unwrap())
            .additional_locations("s3://lake/more/")
            .input_format("in")
            .output_format("out")
            .compressed(true)
            .number_of_buckets(-1)
            .sort_columns(order.build().unwrap())
            .skewed_info(
                types::SkewedInfo::builder()
                    .skewed_column_names("a")
                    .build(),
            )
            .stored_as_sub_directories(true)
            .schema_reference(reference.build())
            .serde_info(
                SerDeInfo::builder()
                    .name("its name")
                    .serialization_library("serde")
                    .parameters("p", "1")
                    .build(),
            )
            .parameters("numRows", "7")
            .build()
    }

    #[test]
    fn a_partition_that_moves_keeps_what_is_not_known_of_it() {
        let existing = types::Partition::builder()
            .values("5")
            .storage_descriptor(whole("s3://lake/old/"))
            .parameters("owner", "ada")
            .last_access_time(aws_smithy_types::DateTime::from_secs(1))
            .last_analyzed_time(aws_smithy_types::DateTime::from_secs(2))
            .build();
        let mut moved = partition_from_glue(&existing);
        "s3://lake/new/".clone_into(&mut moved.storage.location);
        let input = partition_to_glue(&moved, Some(&existing)).unwrap();
        assert_eq!(input.storage_descriptor(), Some(&whole("s3://lake/new/")));
        assert_eq!(input.values(), existing.values());
        assert_eq!(input.parameters(), existing.parameters());
        assert_eq!(input.last_access_time(), existing.last_access_time());
        assert_eq!(input.last_analyzed_time(), existing.last_analyzed_time());

        // Another column has neither the comment nor the schema of the old one.
        "b".clone_into(&mut moved.storage.columns[0].name);
        let input = partition_to_glue(&moved, Some(&existing)).unwrap();
        let changed = input.storage_descriptor().unwrap();
        assert_eq!(changed.columns()[0].comment(), None);
        assert_eq!(changed.schema_reference(), None);
        assert_eq!(changed.sort_columns(), []);
    }

    #[test]
    fn a_table_survives_the_round_trip_and_keeps_what_it_does_not_say() {
        let column = |name: &str| Column {
            name: name.to_owned(),
            hive_type: "int".to_owned(),
        };
        let table = Table {
            name: "lake.flights".parse().unwrap(),
            storage: StorageDescriptor {
                location: "s3://lake/flights/".to_owned(),
                columns: vec![column("a")],
                ..StorageDescriptor::default()
            },
            partition_keys: vec![column("year")],
            parameters: BTreeMap::from([("classification".to_owned(), "parquet".to_owned())]),
            version_id: None,
        };
        let new = table_to_glue(&table, None).unwrap();
        assert_eq!(new.table_type(), Some(EXTERNAL_TABLE));

        let existing = types::Table::builder()
            .name("flights")
            .description("all of them")
            .owner("ada")
            .table_type("GOVERNED")
            .set_storage_descriptor(new.storage_descriptor)
            .set_partition_keys(new.partition_keys)
            .set_parameters(new.parameters)
            .build()
            .unwrap();
        assert_eq!(table_from_glue(&table.name, &existing), table);
        let update = table_to_glue(&table, Some(&existing)).unwrap();
        assert_eq!(
            (update.description(), update.owner(), update.table_type()),
            (Some("all of them"), Some("ada"), Some("GOVERNED"))
        );
    }
}
