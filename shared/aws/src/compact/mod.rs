//! The functions `compact-plan`, `compact-merge` and `compact-publish`.
//!
//! | function | payload | answer |
//! |---|---|---|
//! | `compact-plan` | a [`PlanRequest`]: `{"table"}` or `{"target"}`, `"partitions"`?, `"dry_run"`? | [`PlanReport`](compact::PlanReport) |
//! | | … with `"status": true` | [`StatusReport`](compact::StatusReport) |
//! | `compact-merge` | a [`MergeTask`]: `{"plan", "task"}` | [`MergeReport`](compact::MergeReport) |
//! | `compact-publish` | a [`StepRequest`]: `{"plan", "partition", "step"}` | [`StepReport`](compact::StepReport) |

mod metrics;

use std::io;

use lakewright_core::{
    config::{Compact, Config},
    location::Location,
};
use lakewright_jobs::compact::{self, Budget, MergeTask, PlanRequest, Ports, StepRequest};
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use crate::{
    adapters::glue::GlueCatalog,
    clients::Clients,
    config::LoadError,
    handler::{Base, FunctionError, Invocation, decode, reported},
    settings::Settings,
};

/// A compact function. It lives as long as its execution environment.
pub struct Function {
    base: Base,
    catalog: GlueCatalog,
}

impl Function {
    /// Reads the configuration and creates the adapters, once for all invocations.
    ///
    /// # Errors
    /// The configuration cannot be read or is invalid.
    pub async fn start(settings: Settings) -> Result<Self, LoadError> {
        let clients = Clients::connect().await;
        Ok(Self {
            base: Base::start(&settings, &clients).await?,
            catalog: clients.catalog(),
        })
    }

    /// Answers one invocation of `compact-plan`.
    ///
    /// # Errors
    /// Any failure: the same payload may be sent again.
    pub async fn plan(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        self.answer(&event, async |ports, budget| {
            let request: PlanRequest = decode(&event.payload)?;
            let job = job(&self.base.config, &request)?;
            if request.status {
                let status = compact::status(&ports, job, &request, budget.deadline);
                return reported(status.await);
            }
            reported(compact::plan(&ports, job, &request, &budget).await)
        })
        .await
    }

    /// Answers one invocation of `compact-merge`.
    ///
    /// # Errors
    /// As [`Function::plan`].
    pub async fn merge(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        self.answer(&event, async |ports, budget| {
            let task: MergeTask = decode(&event.payload)?;
            ours(&self.base.config, &task.plan)?;
            reported(compact::merge(&ports, &task, &budget).await)
        })
        .await
    }

    /// Answers one invocation of `compact-publish`.
    ///
    /// # Errors
    /// As [`Function::plan`].
    pub async fn publish(&self, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
        self.answer(&event, async |ports, budget| {
            let request: StepRequest = decode(&event.payload)?;
            ours(&self.base.config, &request.plan)?;
            reported(compact::step(&ports, &request, budget.deadline).await)
        })
        .await
    }

    /// Answers one request with `work`, which gets the adapters and the budget, and writes the metrics.
    async fn answer(
        &self,
        event: &LambdaEvent<Value>,
        work: impl AsyncFnOnce(Ports, Budget) -> Result<Value, FunctionError>,
    ) -> Result<Value, FunctionError> {
        let invocation = self.base.invocation(&event.context);
        let budget = Budget {
            memory: self.base.memory(),
            deadline: invocation.deadlines.work,
        };
        let work = work(self.ports(&invocation), budget);
        let answer = invocation.answer(&event.payload, work).await;
        let measured = answer.as_ref().ok().and_then(metrics::of);
        invocation.measure(&mut io::stdout(), measured.as_slice());
        answer
    }

    fn ports(&self, invocation: &Invocation<'_>) -> Ports {
        Ports {
            store: invocation.store(),
            catalog: invocation.catalog(&self.catalog),
            clock: invocation.clock(),
        }
    }
}

/// The job that a request names.
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

/// Only plans in the ledgers of configured jobs are accepted. If a job's ledger is inside its table, only the catalog
/// knows its location.
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

#[cfg(test)]
mod tests {
    use lakewright_jobs::{Failure, compact::Step};

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
            assert_eq!(error.name(), "BadTrigger", "{text}");
        }
        let foreign = Location::new("elsewhere", "_lakewright/partition/plan/00000001");
        let error = ours(&config, &foreign).unwrap_err();
        assert_eq!(error.name(), "BadTrigger");
        let step = decode::<StepRequest>(&payload(
            r#"{"plan": "s3://a/b", "partition": "", "step": "forget"}"#,
        ));
        assert_eq!(step.unwrap_err().name(), "BadTrigger");
    }
}
