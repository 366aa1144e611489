//! The Catalog port on the Glue Data Catalog.

#[cfg(test)]
mod calls;
mod convert;

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_glue::{
    Client,
    error::SdkError,
    operation::{get_table::GetTableError, update_table::UpdateTableError},
    types::{
        BatchUpdatePartitionRequestEntry, ErrorDetail, Partition as GluePartition,
        PartitionValueList,
    },
};
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::{metadata::ProvideErrorMetadata, operation::BuildError};
use lakewright_core::catalog::{Table, TableName};
use lakewright_ports::{
    Catalog, CatalogError, CatalogErrorKind, Partition, PartitionFailure, PartitionPage,
};

use self::convert::{
    listed_from_glue, partition_from_glue, partition_to_glue, table_from_glue, table_to_glue,
};
use super::failure::{Failure, Reached, with_permission};

const GET_TABLE: &str = "GetTable";
const BATCH_GET: &str = "BatchGetPartition";
const BATCH_CREATE: &str = "BatchCreatePartition";
const BATCH_UPDATE: &str = "BatchUpdatePartition";
const GET_PARTITIONS: &str = "GetPartitions";
const CREATE_TABLE: &str = "CreateTable";
const UPDATE_TABLE: &str = "UpdateTable";

/// The Glue Data Catalog of one account and region.
#[derive(Debug, Clone)]
pub struct GlueCatalog {
    client: Client,
}

impl GlueCatalog {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The partitions with these values, with everything that Glue knows of them.
    async fn existing(
        &self,
        table: &TableName,
        values: &[Vec<String>],
    ) -> Result<Vec<GluePartition>, CatalogError> {
        let call = Call {
            operation: BATCH_GET,
            table,
        };
        let mut wanted = values
            .iter()
            .map(|values| {
                PartitionValueList::builder()
                    .set_values(Some(values.clone()))
                    .build()
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| call.invalid(&error))?;
        let mut found = Vec::new();
        while !wanted.is_empty() {
            let asked = wanted.len();
            let output = self
                .client
                .batch_get_partition()
                .database_name(&table.database)
                .table_name(&table.table)
                .set_partitions_to_get(Some(wanted))
                .send()
                .await
                .map_err(|error| call.failed(&error))?;
            wanted = output.unprocessed_keys.unwrap_or_default();
            found.extend(output.partitions.unwrap_or_default());
            // `UnprocessedKeys` are "the partition values for which partitions were not returned", including those that
            // do not exist. So if a call returns no partition, none of the remaining ones exist.
            // https://docs.aws.amazon.com/glue/latest/webapi/API_BatchGetPartition.html
            if wanted.len() >= asked {
                break;
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Catalog for GlueCatalog {
    async fn table(&self, name: &TableName) -> Result<Option<Table>, CatalogError> {
        let call = Call {
            operation: GET_TABLE,
            table: name,
        };
        let answer = self
            .client
            .get_table()
            .database_name(&name.database)
            .name(&name.table)
            .send()
            .await;
        match answer {
            Ok(output) => {
                let table = output
                    .table()
                    .ok_or_else(|| call.unreadable("it holds no table"))?;
                Ok(Some(table_from_glue(name, table)))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(call.failed(&error)),
        }
    }

    async fn partitions(
        &self,
        table: &TableName,
        values: &[Vec<String>],
    ) -> Result<Vec<Partition>, CatalogError> {
        let found = self.existing(table, values).await?;
        Ok(found.iter().map(partition_from_glue).collect())
    }
    async fn create_partitions(
        &self,
        table: &TableName,
        partitions: &[Partition],
    ) -> Result<Vec<PartitionFailure>, CatalogError> {
        let call = Call {
            operation: BATCH_CREATE,
            table,
        };
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let inputs = partitions
            .iter()
            .map(|partition| partition_to_glue(partition, None))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| call.invalid(&error))?;
        let output = self
            .client
            .batch_create_partition()
            .database_name(&table.database)
            .table_name(&table.table)
            .set_partition_input_list(Some(inputs))
            .send()
            .await
            .map_err(|error| call.failed(&error))?;
        let errors = output.errors().iter();
        Ok(errors
            .map(|error| refused(error.partition_values(), error.error_detail()))
            .collect())
    }

    async fn update_partitions(
        &self,
        table: &TableName,
        partitions: &[Partition],
    ) -> Result<Vec<PartitionFailure>, CatalogError> {
        let call = Call {
            operation: BATCH_UPDATE,
            table,
        };
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        // An update removes the fields that it does not have, so the existing partitions are read first.
        let values = partitions.iter().map(|partition| partition.values.clone());
        let existing = self.existing(table, &values.collect::<Vec<_>>()).await?;
        let existing = existing
            .iter()
            .map(|partition| (partition.values(), partition))
            .collect::<BTreeMap<_, _>>();
        let entries = partitions
            .iter()
            .map(|partition| {
                let old = existing.get(&partition.values[..]).copied();
                BatchUpdatePartitionRequestEntry::builder()
                    .set_partition_value_list(Some(partition.values.clone()))
                    .partition_input(partition_to_glue(partition, old)?)
                    .build()
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| call.invalid(&error))?;
        let output = self
            .client
            .batch_update_partition()
            .database_name(&table.database)
            .table_name(&table.table)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| call.failed(&error))?;
        let errors = output.errors().iter();
        Ok(errors
            .map(|error| refused(error.partition_value_list(), error.error_detail()))
            .collect())
    }

    async fn page_of_partitions(
        &self,
        table: &TableName,
        expression: Option<&str>,
        page: Option<&str>,
    ) -> Result<PartitionPage, CatalogError> {
        let call = Call {
            operation: GET_PARTITIONS,
            table,
        };
        let answer = self
            .client
            .get_partitions()
            .database_name(&table.database)
            .table_name(&table.table)
            .exclude_column_schema(true)
            .set_expression(expression.map(str::to_owned))
            .set_next_token(page.map(str::to_owned))
            .send()
            .await
            .map_err(|error| call.failed(&error))?;
        Ok(PartitionPage {
            partitions: answer.partitions().iter().map(listed_from_glue).collect(),
            // An empty token names no page.
            next: answer.next_token.filter(|token| !token.is_empty()),
        })
    }

    async fn create_table(&self, table: &Table) -> Result<(), CatalogError> {
        let call = Call {
            operation: CREATE_TABLE,
            table: &table.name,
        };
        let input = table_to_glue(table, None).map_err(|error| call.invalid(&error))?;
        self.client
            .create_table()
            .database_name(&table.name.database)
            .table_input(input)
            .send()
            .await
            .map_err(|error| call.failed(&error))?;
        Ok(())
    }

    async fn update_table(&self, table: &Table) -> Result<(), CatalogError> {
        let call = Call {
            operation: UPDATE_TABLE,
            table: &table.name,
        };
        let existing = self
            .client
            .get_table()
            .database_name(&table.name.database)
            .name(&table.name.table)
            .send()
            .await
            .map_err(|error| call.failed(&error))?
            .table
            .ok_or_else(|| call.unreadable("it holds no table"))?;
        if existing.version_id() != table.version_id.as_deref() {
            return Err(call.error(
                CatalogErrorKind::Conflict,
                format!("the table is of version {:?}", existing.version_id()),
            ));
        }
        let input = table_to_glue(table, Some(&existing)).map_err(|error| call.invalid(&error))?;
        let answer = self
            .client
            .update_table()
            .database_name(&table.name.database)
            .table_input(input)
            .set_version_id(table.version_id.clone())
            .skip_archive(true)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if is_stale(&error) => {
                Err(call.error(CatalogErrorKind::Conflict, Failure::of(&error).message))
            }
            Err(error) => Err(call.failed(&error)),
        }
    }
}

/// Whether Glue reports that the table was changed meanwhile.
fn is_stale(error: &SdkError<UpdateTableError, Response>) -> bool {
    matches!(
        error.as_service_error(),
        Some(UpdateTableError::ConcurrentModificationException(_))
    )
}

/// Whether Glue reports that the table or its database does not exist. From a federated source, the same error only
/// concerns the connection of that source.
fn is_absent(error: &SdkError<GetTableError, Response>) -> bool {
    matches!(
        error.as_service_error(),
        Some(GetTableError::EntityNotFoundException(absent)) if absent.from_federation_source() != Some(true)
    )
}

/// The call that an error message names.
struct Call<'a> {
    operation: &'static str,
    table: &'a TableName,
}

impl Call<'_> {
    fn error(&self, kind: CatalogErrorKind, message: String) -> CatalogError {
        CatalogError {
            kind,
            operation: self.operation,
            table: self.table.clone(),
            message,
        }
    }

    fn failed<E>(&self, error: &SdkError<E, Response>) -> CatalogError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let failure = Failure::of(error);
        let kind = match failure.reached {
            Reached::NotSent => CatalogErrorKind::Other,
            Reached::Network => CatalogErrorKind::Network,
            Reached::Answer(status) => kind_of(failure.code.as_deref(), status),
        };
        let message = match kind {
            CatalogErrorKind::AccessDenied => {
                with_permission(failure.message, &format!("glue:{}", self.operation))
            }
            _ => failure.message,
        };
        self.error(kind, message)
    }

    fn invalid(&self, error: &BuildError) -> CatalogError {
        self.error(CatalogErrorKind::Invalid, error.to_string())
    }

    fn unreadable(&self, what: &str) -> CatalogError {
        self.error(
            CatalogErrorKind::Other,
            format!("the answer is incomplete: {what}"),
        )
    }
}

/// The code takes precedence, because Glue answers most failures with status 400.
/// <https://docs.aws.amazon.com/glue/latest/webapi/CommonErrors.html>
fn kind_of(code: Option<&str>, status: u16) -> CatalogErrorKind {
    match code {
        Some("AlreadyExistsException") => CatalogErrorKind::AlreadyExists,
        Some("EntityNotFoundException") => CatalogErrorKind::NotFound,
        Some("AccessDeniedException") => CatalogErrorKind::AccessDenied,
        Some("InvalidInputException" | "ValidationException") => CatalogErrorKind::Invalid,
        Some(
            "ThrottlingException"
            | "Throttling"
            | "RequestLimitExceeded"
            | "OperationTimeoutException"
            | "InternalServiceException"
            | "InternalFailure"
            | "ServiceUnavailable"
            | "ConcurrentModificationException",
        ) => CatalogErrorKind::Throttled,
        _ => match status {
            401 | 403 => CatalogErrorKind::AccessDenied,
            404 => CatalogErrorKind::NotFound,
            429 | 500.. => CatalogErrorKind::Throttled,
            _ => CatalogErrorKind::Other,
        },
    }
}

fn refused(values: &[String], detail: Option<&ErrorDetail>) -> PartitionFailure {
    let code = detail.and_then(ErrorDetail::error_code);
    let message = detail.and_then(ErrorDetail::error_message);
    PartitionFailure {
        values: values.to_vec(),
        kind: kind_of(code, 400),
        message: format!(
            "{}: {}",
            code.unwrap_or("no code"),
            message.unwrap_or("no message")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_come_from_the_code_then_the_status() {
        for (code, status, kind) in [
            (
                Some("AlreadyExistsException"),
                400,
                CatalogErrorKind::AlreadyExists,
            ),
            (
                Some("EntityNotFoundException"),
                400,
                CatalogErrorKind::NotFound,
            ),
            (
                Some("ThrottlingException"),
                400,
                CatalogErrorKind::Throttled,
            ),
            (
                Some("InternalServiceException"),
                500,
                CatalogErrorKind::Throttled,
            ),
            (
                Some("AccessDeniedException"),
                400,
                CatalogErrorKind::AccessDenied,
            ),
            (
                Some("InvalidInputException"),
                400,
                CatalogErrorKind::Invalid,
            ),
            (
                Some("ResourceNumberLimitExceededException"),
                400,
                CatalogErrorKind::Other,
            ),
            (None, 503, CatalogErrorKind::Throttled),
            (None, 403, CatalogErrorKind::AccessDenied),
        ] {
            assert_eq!(kind_of(code, status), kind, "{code:?} {status}");
        }
    }
}
