//! The functions `compact-plan`, `compact-merge` and `compact-publish`.
//!
//! | function | payload | answer |
//! |---|---|---|
//! | `compact-plan` | a [`PlanRequest`]: `{"table"}` or `{"target"}`, `"partitions"`?, `"dry_run"`? | [`PlanReport`](compact::PlanReport) |
//! | | … with `"status": true` | [`StatusReport`](compact::StatusReport) |
//! | `compact-merge` | a [`MergeTask`]: `{"plan", "task"}` | [`MergeReport`](compact::MergeReport) |
//! | `compact-publish` | a [`StepRequest`]: `{"plan", "partition", "step"}` | [`StepReport`](compact::StepReport) |

mod metrics;

use std::{io, sync::Arc};

use lakewright_core::{
    config::{Compact, Config},
    location::Location,
};
use lakewright_jobs::{
    compact::{self, Budget, CompactError, MergeTask, PlanRequest, Ports, StepRequest},
    ports::Clock,
    retry::{RetryPolicy, RetryingCatalog},
};
use lambda_runtime::{Context, LambdaEvent};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tracing::{error, info, warn};

pub use crate::function::FunctionError;
use crate::{
    clock::SystemClock,
    config::LoadError,
    glue::GlueCatalog,
    invocation::Deadlines,
    s3::S3Store,
    sdk::Clients,
    settings::{Resources, Settings},
    start,
};

/// A function of compact between two invocations.
pub struct Function {
    config: Config,
    resources: Resources,
    store: S3Store,
    catalog: GlueCatalog,
    clock: Arc<dyn Clock>,
}

impl Function {
    /// Reads the configuration and makes the adapters, once for all invocations.
    ///
    /// # Errors
    /// When the configuration cannot be read or is refused.
    pub async fn start(settings: Settings) -> Result<Self, LoadError> {
        let clients = Clients::connect().await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = clients.store();
        Ok(Self {
            config: start::config(&settings.config, &store, &clock).await?,
            resources: settings.resources,
            catalog: clients.catalog(),
            store,
            clock,
        })
    }

    /// Answers one invocation of `compact-plan`.
    ///
    /// # Errors
    /// Whatever it is: the same payload may be sent again.
    pub async fn plan(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let (ports, budget) = self.begin(&event.context);
        let work = async {
            let request: PlanRequest = decode(&event.payload)?;
            let job = job(&self.config, &request)?;
            if request.status {
                let partitions = request.partitions.as_deref();
                return reported(compact::status(&ports, job, partitions).await);
            }
            reported(compact::plan(&ports, job, &request, &budget).await)
        };
        self.told(&event.context, work.await)
    }

    /// Answers one invocation of `compact-merge`.
    ///
    /// # Errors
    /// As [`Function::plan`].
    pub async fn merge(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let (ports, budget) = self.begin(&event.context);
        let work = async {
            let task: MergeTask = decode(&event.payload)?;
            ours(&self.config, &task.plan)?;
            reported(compact::merge(&ports, &task, &budget).await)
        };
        self.told(&event.context, work.await)
    }

    /// Answers one invocation of `compact-publish`.
    ///
    /// # Errors
    /// As [`Function::plan`].
    pub async fn publish(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        let (ports, _) = self.begin(&event.context);
        let work = async {
            let request: StepRequest = decode(&event.payload)?;
            ours(&self.config, &request.plan)?;
            reported(compact::step(&ports, &request).await)
        };
        self.told(&event.context, work.await)
    }

    /// The adapters behind the retries of one invocation, and what it may use.
    fn begin(&self, context: &Context) -> (Ports, Budget) {
        let now = self.clock.now();
        let deadline = Deadlines::of(context, now).work;
        let catalog = RetryingCatalog::new(
            self.catalog.clone(),
            Arc::clone(&self.clock),
            deadline,
            start::seed(now),
            RetryPolicy::GLUE,
        );
        let ports = Ports {
            store: Arc::new(start::retrying(&self.store, &self.clock, deadline, now)),
            catalog: Arc::new(catalog),
            clock: Arc::clone(&self.clock),
        };
        let memory = self.resources.memory_for_work();
        (ports, Budget { memory, deadline })
    }

    /// Logs and measures what an invocation came to.
    fn told(
        &self,
        context: &Context,
        answer: Result<Value, FunctionError>,
    ) -> Result<Value, FunctionError> {
        let request_id = &context.request_id;
        match &answer {
            Ok(report) => {
                info!(request_id, %report, "compact done");
                let mut out = io::stdout();
                if let Err(failure) = metrics::write(&mut out, self.clock.now(), request_id, report)
                {
                    warn!(request_id, error = %failure, "metrics lost");
                }
            }
            Err(failure) => {
                let (kind, message) = (&failure.name, &failure.message);
                error!(request_id, kind, error = message, "compact failed");
            }
        }
        answer
    }
}

fn decode<T: DeserializeOwned>(payload: &Value) -> Result<T, FunctionError> {
    T::deserialize(payload)
        .map_err(|error| FunctionError::bad_trigger(format!("the payload: {error}")))
}

/// The job that a request is about.
fn job<'a>(config: &'a Config, request: &PlanRequest) -> Result<&'a Compact, FunctionError> {
    let unknown = |subject: &dyn std::fmt::Display| {
        FunctionError::bad_trigger(format!("there is no compact job of {subject}"))
    };
    match (&request.table, &request.target) {
        (Some(table), None) => config.compact_table(table).ok_or_else(|| unknown(table)),
        (None, Some(target)) => config.compact_target(target).ok_or_else(|| unknown(target)),
        _ => Err(FunctionError::bad_trigger(
            "the payload: write either `table` or `target`",
        )),
    }
}

/// Only plans in the ledgers of configured jobs are followed. Where a job's ledger lies in its table, only the catalog
/// knows where that is.
fn ours(config: &Config, plan: &Location) -> Result<(), FunctionError> {
    let may_be_of = |job: &Compact| match (&job.ledger, &job.target) {
        (Some(prefix), _) | (None, Some(prefix)) => prefix.contains(plan),
        (None, None) => plan.key.contains("_lakewright/"),
    };
    if config.compact.iter().any(may_be_of) {
        return Ok(());
    }
    Err(FunctionError::bad_trigger(format!(
        "{plan} is in no compact job's ledger"
    )))
}

fn reported<T: Serialize>(result: Result<T, CompactError>) -> Result<Value, FunctionError> {
    let report = result.map_err(|error| FunctionError::from(&error))?;
    serde_json::to_value(report).map_err(|error| FunctionError {
        name: "Lakewright.TaskFailed".to_owned(),
        message: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use lakewright_jobs::compact::Step;

    use super::*;

    fn config() -> Config {
        Config::parse(
            r#"
            [[compact]]
            table = "lake.flights"
            ledger = "s3://lakewright-lake/flights/_lakewright/"
            [[compact]]
            target = "s3://lakewright-lake/archive/"
            mode = "in_place"
            "#,
        )
        .unwrap()
    }

    fn payload(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn golden_plan_requests() {
        for (text, subject, partitions, dry_run, status) in [
            (
                include_str!("../../../../events/compact-plan.json"),
                "lake.flights",
                Some("year = '2026' and month = '05'"),
                false,
                false,
            ),
            (
                include_str!("../../../../events/compact-plan-dry-run.json"),
                "lake.flights",
                None,
                true,
                false,
            ),
            (
                include_str!("../../../../events/compact-plan-status.json"),
                "lake.flights",
                None,
                false,
                true,
            ),
            (
                include_str!("../../../../events/compact-plan-in-place.json"),
                "s3://lakewright-lake/archive/",
                Some("year=2026/month=05/"),
                false,
                false,
            ),
        ] {
            let request: PlanRequest = decode(&payload(text)).unwrap();
            assert_eq!(job(&config(), &request).unwrap().subject(), subject);
            let found = (
                request.partitions.as_deref(),
                request.dry_run,
                request.status,
            );
            assert_eq!(found, (partitions, dry_run, status));
        }
    }

    #[test]
    fn golden_tasks_and_steps() {
        let text = include_str!("../../../../events/compact-merge.json");
        let task: MergeTask = decode(&payload(text)).unwrap();
        assert_eq!(task.task, 0);
        ours(&config(), &task.plan).unwrap();
        for (text, step) in [
            (
                include_str!("../../../../events/compact-publish.json"),
                Step::Publish,
            ),
            (
                include_str!("../../../../events/compact-publish-sweep.json"),
                Step::Sweep,
            ),
            (
                include_str!("../../../../events/compact-publish-delete.json"),
                Step::Delete,
            ),
            (
                include_str!("../../../../events/compact-publish-abandon.json"),
                Step::Abandon,
            ),
        ] {
            let request: StepRequest = decode(&payload(text)).unwrap();
            assert_eq!(request.step, step);
            assert_eq!(request.plan, task.plan);
            ours(&config(), &request.plan).unwrap();
        }
    }

    #[test]
    fn what_is_no_request_is_refused_by_name() {
        let config = config();
        let asked = |text: &str| {
            let request: PlanRequest = decode(&payload(text))?;
            job(&config, &request).map(Compact::subject)
        };
        for text in [
            "[]",
            "{}",
            r#"{"table": "lake.flights", "partition": "x"}"#,
            r#"{"table": "lake.flights", "target": "s3://a/b/"}"#,
            r#"{"table": "lake.other"}"#,
            r#"{"target": "s3://lakewright-lake/other/"}"#,
            r#"{"table": "flights"}"#,
        ] {
            let error = asked(text).unwrap_err();
            assert_eq!(error.name, "Lakewright.BadTrigger", "{text}");
        }
        let foreign = Location::new("elsewhere", "_lakewright/partition/plan/00000001");
        let error = ours(&config, &foreign).unwrap_err();
        assert_eq!(error.name, "Lakewright.BadTrigger");
        let step = decode::<StepRequest>(&payload(
            r#"{"plan": "s3://a/b", "partition": "", "step": "forget"}"#,
        ));
        assert_eq!(step.unwrap_err().name, "Lakewright.BadTrigger");
    }
}
