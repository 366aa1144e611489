//! A cloud with one job.

use std::{collections::BTreeMap, io::Read, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch},
    compute::{cast, concat_batches},
    datatypes::DataType,
};
use bytes::Bytes;
use jiff::SignedDuration;
use lakewright_core::{
    catalog::{Column, StorageDescriptor, Table},
    config::{Config, Repartition},
    location::Location,
};
use lakewright_jobs::{
    JobError,
    repartition::{self, Budget, CommitReport, CommitRequest, PlanReport, Ports, TaskRequest},
    retry::{Backoff, RetryPolicy, Retrying},
};
use lakewright_model::{Client, Cloud, FaultRates, Plan, Settings};
use lakewright_ports::{Clock, Partition};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};

/// Memory in which everything fits, and none at all.
pub(crate) const AMPLE: u64 = 256 << 20;

pub(crate) struct Lake {
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) job: Repartition,
    pub(crate) memory: u64,
    pub(crate) scratch: u64,
}

/// Rows by the directory that they are in, in the order of the files; a null is `None`.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

pub(crate) fn column(name: &str, hive_type: &str) -> Column {
    Column {
        name: name.to_owned(),
        hive_type: hive_type.to_owned(),
    }
}

impl Lake {
    pub(crate) fn new(settings: &str) -> Self {
        Self {
            cloud: Cloud::new(1, Settings::default(), FaultRates::default()),
            job: job(settings),
            memory: AMPLE,
            scratch: u64::MAX,
        }
    }

    /// The same cloud with other settings.
    pub(crate) fn set(&mut self, settings: &str) {
        self.job = job(settings);
    }

    pub(crate) fn place(&self, key: &str, bytes: impl Into<Bytes>) {
        self.cloud.place(&Location::new("lake", key), bytes.into());
    }

    pub(crate) fn remove(&self, key: &str) {
        self.cloud.remove(&Location::new("lake", key));
    }

    /// Registers a table over a prefix of the bucket.
    pub(crate) fn table(
        &self,
        name: &str,
        prefix: &str,
        serde: &str,
        columns: &[(&str, &str)],
        parameters: &[(&str, &str)],
    ) -> Table {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let own = |&(k, v): &(&str, &str)| (k.to_owned(), v.to_owned());
            pairs.iter().map(own).collect()
        };
        let table = Table {
            name: name.parse().unwrap(),
            storage: StorageDescriptor {
                location: format!("s3://lake/{prefix}"),
                columns: columns.iter().map(|(n, t)| column(n, t)).collect(),
                serde_library: Some(serde.to_owned()),
                serde_parameters: map(parameters),
                ..StorageDescriptor::default()
            },
            partition_keys: Vec::new(),
            parameters: map(parameters),
            version_id: Some("0".to_owned()),
        };
        self.cloud.with(|state| state.glue.put_table(table.clone()));
        table
    }

    pub(crate) fn ports(&self, plan: Plan) -> (Ports, Budget) {
        let client = Client::new(Arc::clone(&self.cloud), 1, plan);
        let clock = Arc::new(self.cloud.clock);
        let budget = Budget {
            memory: self.memory,
            scratch: std::env::temp_dir(),
            scratch_bytes: self.scratch,
            deadline: clock.now() + SignedDuration::from_secs(600),
        };
        let ports = Ports {
            store: Arc::new(client.clone()),
            catalog: Arc::new(client),
            clock,
        };
        (ports, budget)
    }

    /// As [`Lake::ports`], for an invocation whose work ends after this time, and whose calls end half a second later.
    pub(crate) fn ports_within(&self, time: SignedDuration) -> (Ports, Budget) {
        let (ports, mut budget) = self.ports(Plan::default());
        budget.deadline = ports.clock.now() + time;
        let calls = budget.deadline + SignedDuration::from_millis(500);
        let client = Client::new(Arc::clone(&self.cloud), 1, Plan::default());
        let clock = Arc::new(self.cloud.clock);
        let store = Retrying::new(client, Backoff::new(clock, calls, 1, RetryPolicy::S3));
        let store = Arc::new(store);
        (Ports { store, ..ports }, budget)
    }

    fn secrets(&self) -> Client {
        Client::new(Arc::clone(&self.cloud), 1, Plan::default())
    }

    pub(crate) async fn plan(&self) -> Result<PlanReport, JobError> {
        let (ports, budget) = self.ports(Plan::default());
        repartition::plan(&ports, &self.secrets(), &self.job, &budget).await
    }

    pub(crate) async fn write(
        &self,
        task: &TaskRequest,
    ) -> Result<repartition::TaskReport, JobError> {
        let (ports, budget) = self.ports(Plan::default());
        repartition::write(&ports, &self.secrets(), task, &budget).await
    }

    pub(crate) async fn commit(&self, plan: &PlanReport) -> Result<CommitReport, JobError> {
        let (ports, budget) = self.ports(Plan::default());
        let request = CommitRequest {
            plan: plan.plan.clone(),
        };
        repartition::commit(&ports, &request, budget.deadline).await
    }

    /// A whole run.
    pub(crate) async fn run(&self) -> Result<(PlanReport, CommitReport), JobError> {
        let plan = self.plan().await?;
        for task in plan.prepare.iter().chain(&plan.tasks) {
            self.write(task).await?;
        }
        let commit = self.commit(&plan).await?;
        Ok((plan, commit))
    }

    /// The keys of the data below a prefix.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let below = Location::new("lake", prefix);
        self.cloud.with(|state| {
            let keys = state
                .s3
                .below(&below)
                .map(|(location, _)| location.key.clone());
            keys.filter(|key| !key.contains("/_")).collect()
        })
    }

    /// How many entries of the newest run's ledger begin so.
    pub(crate) fn ledger(&self, name: &str) -> usize {
        let prefix = format!("out/_lakewright/repartition/job/9999999999/{name}");
        let below = Location::new("lake", prefix);
        self.cloud.with(|state| state.s3.below(&below).count())
    }

    /// The number of objects with rows that are being processed.
    pub(crate) fn at_work(&self) -> usize {
        let below = Location::new("lake", "out/_repartitioning/");
        self.cloud.with(|state| state.s3.below(&below).count())
    }

    pub(crate) fn bytes(&self, key: &str) -> Vec<u8> {
        self.cloud.with(|state| {
            let object = state.s3.object(&Location::new("lake", key));
            object.unwrap_or_else(|| panic!("no {key}")).bytes.to_vec()
        })
    }

    pub(crate) fn text(&self, key: &str) -> String {
        let bytes = self.bytes(key);
        if key.ends_with(".gz") {
            let mut text = String::new();
            flate2::read::MultiGzDecoder::new(&bytes[..])
                .read_to_string(&mut text)
                .unwrap();
            return text;
        }
        String::from_utf8(bytes).unwrap()
    }

    pub(crate) fn parquet(&self, key: &str) -> RecordBatch {
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(Bytes::from(self.bytes(key))).unwrap();
        let schema = Arc::clone(reader.schema());
        let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
        concat_batches(&schema, &batches).unwrap()
    }

    /// The rows of the Parquet files below a prefix, in the order of their keys.
    pub(crate) fn rows(&self, prefix: &str) -> Rows {
        let keys = self.keys(prefix);
        keys.iter()
            .flat_map(|key| texts(&self.parquet(key)))
            .collect()
    }

    pub(crate) fn partitions(&self, table: &str) -> Vec<Partition> {
        let name = table.parse().unwrap();
        self.cloud
            .with(|state| state.glue.registered(&name).cloned().collect())
    }
}

fn job(settings: &str) -> Repartition {
    let text = format!("[[repartition]]\nname = \"job\"\ntarget = \"s3://lake/out/\"\n{settings}");
    Config::parse(&text).unwrap().repartition.remove(0)
}

pub(crate) fn texts(batch: &RecordBatch) -> Rows {
    let columns = batch
        .columns()
        .iter()
        .map(|c| cast(c, &DataType::Utf8).unwrap());
    let columns = columns.collect::<Vec<_>>();
    let row = |row: usize| {
        let value = |column: &ArrayRef| {
            use arrow::array::Array;
            let column = column.as_string::<i32>();
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        columns.iter().map(value).collect()
    };
    (0..batch.num_rows()).map(row).collect()
}

/// A Parquet file of a batch, in row groups of this many rows.
pub(crate) fn parquet_file(batch: &RecordBatch, row_group: usize) -> Bytes {
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_max_row_group_row_count(Some(row_group))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}

/// The name of a file without its run's id.
pub(crate) fn plain(key: &str) -> String {
    let (path, name) = key.rsplit_once('/').unwrap();
    let mut parts = name.splitn(3, '-');
    let (part, number, rest) = (
        parts.next().unwrap(),
        parts.next().unwrap(),
        parts.next().unwrap(),
    );
    let (_, extension) = rest.split_once('.').unwrap();
    format!("{path}/{part}-{number}.{extension}")
}
