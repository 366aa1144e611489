//! The Catalog port, in front of the model of Glue.

use async_trait::async_trait;
use lakewright_core::catalog::{StorageDescriptor, Table, TableName};
use lakewright_ports::{
    Catalog, CatalogError, CatalogErrorKind, ListedPartition, MAX_GET_PARTITIONS, Partition,
    PartitionFailure, PartitionPage,
};

use crate::{
    client::{About, Client, Failure, Request},
    cloud::State,
    fault::Fault,
    glue,
};

impl Failure for CatalogError {
    fn of(fault: Fault, operation: &'static str, about: &About) -> Self {
        let kind = match fault {
            Fault::SlowDown | Fault::InternalBefore | Fault::InternalAfter => {
                CatalogErrorKind::Throttled
            }
            _ => CatalogErrorKind::Network,
        };
        catalog_error(operation, about, kind, &fault.to_string())
    }

    fn describe(&self) -> String {
        format!("{:?}", self.kind)
    }
}

fn catalog_error(
    operation: &'static str,
    about: &About,
    kind: CatalogErrorKind,
    message: &str,
) -> CatalogError {
    let table = match about {
        About::Table(table) => table.clone(),
        _ => TableName {
            database: String::new(),
            table: String::new(),
        },
    };
    CatalogError {
        kind,
        operation,
        table,
        message: message.to_owned(),
    }
}

impl Client {
    async fn ask_glue<T: Send + 'static>(
        &self,
        operation: &'static str,
        table: &TableName,
        effect: impl FnOnce(&mut State) -> Result<T, glue::Refusal> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let about = About::Table(table.clone());
        let request = Request {
            operation,
            about: about.clone(),
            conditional: None,
            voids: None,
            has_body: false,
        };
        self.exchange(request, move |state, _| {
            effect(state).map_err(|(kind, message)| catalog_error(operation, &about, kind, message))
        })
        .await
    }

    /// A batch that Glue accepts, except for partitions that are refused at random.
    async fn change_partitions(
        &self,
        operation: &'static str,
        table: &TableName,
        partitions: &[Partition],
        change: glue::Change,
    ) -> Result<Vec<PartitionFailure>, CatalogError> {
        let (at, batch) = (table.clone(), partitions.to_vec());
        self.ask_glue(operation, table, move |state| {
            let (mut taken, mut refused) = (batch, Vec::new());
            if state.rng.f64() < state.rates.partial_batch && taken.len() <= 100 {
                state.injected.add(Fault::PartialBatch);
                let rng = &mut state.rng;
                (refused, taken) = taken.into_iter().partition(|_| rng.bool());
            }
            let mut failures = change(&mut state.glue, &at, &taken)?;
            failures.extend(refused.into_iter().map(|partition| PartitionFailure {
                values: partition.values,
                kind: CatalogErrorKind::Throttled,
                message: "ThrottlingException".to_owned(),
            }));
            Ok(failures)
        })
        .await
    }
}

fn without_columns(partition: Partition) -> ListedPartition {
    ListedPartition {
        values: partition.values,
        storage: StorageDescriptor {
            columns: Vec::new(),
            ..partition.storage
        },
    }
}

#[async_trait]
impl Catalog for Client {
    async fn table(&self, name: &TableName) -> Result<Option<Table>, CatalogError> {
        let at = name.clone();
        self.ask_glue("GetTable", name, move |state| Ok(state.glue.table(&at)))
            .await
    }

    async fn partitions(
        &self,
        table: &TableName,
        values: &[Vec<String>],
    ) -> Result<Vec<Partition>, CatalogError> {
        let (at, values) = (table.clone(), values.to_vec());
        self.ask_glue("BatchGetPartition", table, move |state| {
            if state.rng.f64() < state.rates.partial_batch {
                state.injected.add(Fault::PartialBatch);
                return Err((CatalogErrorKind::Throttled, "UnprocessedKeys"));
            }
            state.glue.partitions(&at, &values)
        })
        .await
    }

    async fn create_partitions(
        &self,
        table: &TableName,
        partitions: &[Partition],
    ) -> Result<Vec<PartitionFailure>, CatalogError> {
        let operation = "BatchCreatePartition";
        self.change_partitions(operation, table, partitions, glue::ModelGlue::create)
            .await
    }

    async fn update_partitions(
        &self,
        table: &TableName,
        partitions: &[Partition],
    ) -> Result<Vec<PartitionFailure>, CatalogError> {
        let operation = "BatchUpdatePartition";
        self.change_partitions(operation, table, partitions, glue::ModelGlue::update)
            .await
    }

    async fn page_of_partitions(
        &self,
        table: &TableName,
        expression: Option<&str>,
        page: Option<&str>,
    ) -> Result<PartitionPage, CatalogError> {
        let (at, expression) = (table.clone(), expression.map(str::to_owned));
        let found = self.ask_glue("GetPartitions", table, move |state| {
            state.glue.matching(&at, expression.as_deref())
        });
        let begin = page.and_then(|page| page.parse().ok()).unwrap_or(0);
        let mut found = found
            .await?
            .into_iter()
            .map(without_columns)
            .collect::<Vec<_>>();
        let mut partitions = found.split_off(begin.min(found.len()));
        let next = (partitions.len() > MAX_GET_PARTITIONS).then(|| begin + MAX_GET_PARTITIONS);
        partitions.truncate(MAX_GET_PARTITIONS);
        Ok(PartitionPage {
            partitions,
            next: next.map(|next| next.to_string()),
        })
    }

    async fn create_table(&self, table: &Table) -> Result<(), CatalogError> {
        let new = table.clone();
        self.ask_glue("CreateTable", &table.name, move |state| {
            state.glue.create_table(new.clone())
        })
        .await
    }

    async fn update_table(&self, table: &Table) -> Result<(), CatalogError> {
        let new = table.clone();
        self.ask_glue("UpdateTable", &table.name, move |state| {
            state.glue.update_table(new.clone())
        })
        .await
    }
}
