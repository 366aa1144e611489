//! The schedules of jobs.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `off`, or a rate or cron expression of EventBridge Scheduler, in UTC. The service checks the fields of a cron expression.
/// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>
const SCHEDULE: &str = r"^(off|rate\([1-9][0-9]* (minute|minutes|hour|hours|day|days)\)|cron\([^() ]+( [^() ]+){5}\))$";

/// When EventBridge Scheduler starts a job: `off`, `rate(12 hours)` or `cron(0 3 * * ? *)`, in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Schedule(#[schemars(regex(pattern = SCHEDULE))] String);

impl Schedule {
    /// The first error, as a message.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self(text) = self;
        let is_known = match text.split_once('(') {
            None => text == "off",
            Some(("rate", rest)) => rest.strip_suffix(')').is_some_and(is_rate),
            Some(("cron", rest)) => rest.strip_suffix(')').is_some_and(is_cron),
            Some(_) => false,
        };
        if is_known {
            Ok(())
        } else {
            Err(format!(
                "schedule = \"{text}\" is neither off nor a schedule: write rate(12 hours) or cron(0 3 * * ? *)"
            ))
        }
    }
}

fn is_rate(text: &str) -> bool {
    let units = ["minute", "minutes", "hour", "hours", "day", "days"];
    text.split_once(' ').is_some_and(|(number, unit)| {
        number.bytes().all(|byte| byte.is_ascii_digit())
            && !number.is_empty()
            && !number.starts_with('0')
            && units.contains(&unit)
    })
}

fn is_cron(text: &str) -> bool {
    let fields: Vec<_> = text.split(' ').collect();
    fields.len() == 6
        && fields
            .iter()
            .all(|field| !field.is_empty() && !field.contains(['(', ')']))
}

/// When a sweep looks for objects whose event was lost, and how far back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// When EventBridge Scheduler starts the sweep. By default, once a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Only objects that landed at this time (`2026-05-01T00:00:00Z`) or later. By default, the time of the first deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
    /// Only objects that landed in this number of days before the sweep. By default, 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub days: Option<u16>,
}

impl Sweep {
    /// Whether all settings have their defaults.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.days == Some(0) {
            return Err("sweep: days = 0: a sweep looks at one day at least".to_owned());
        }
        let schedule = self.schedule.as_ref();
        schedule
            .map_or(Ok(()), Schedule::check)
            .map_err(|message| format!("sweep: {message}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_those_of_the_scheduler_or_off() {
        for (text, known) in [
            ("off", true),
            ("rate(1 day)", true),
            ("rate(90 minutes)", true),
            ("cron(0 3 * * ? *)", true),
            ("cron(15 10 ? * 6L 2022-2023)", true),
            ("", false),
            ("on", false),
            ("off(1)", false),
            ("rate(0 days)", false),
            ("rate(1 week)", false),
            ("rate(1.5 hours)", false),
            ("rate( hours)", false),
            ("rate(1 hour", false),
            ("cron(0 3 * * *)", false),
            ("cron(0  3 * * ?)", false),
            ("at(2026-11-29T00:00:00)", false),
        ] {
            assert_eq!(Schedule(text.to_owned()).check().is_ok(), known, "{text:?}");
        }
    }
}
