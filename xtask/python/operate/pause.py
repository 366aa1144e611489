"""Pauses a job and resumes it: its queues feed no function, and its schedule starts nothing. Messages wait in the queues, for 14 days
at most; what runs already ends by itself. A deployment that changes an event source mapping or a schedule resumes it."""

import argparse
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.clients import client
from localcloud.progress import Failure, run
from operate.overview import outputs

# https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html: what is not said is set to its default.
KEPT = (
    "Description",
    "EndDate",
    "FlexibleTimeWindow",
    "GroupName",
    "KmsKeyArn",
    "Name",
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "StartDate",
    "Target",
)


def named(job: str, known: dict[str, str]) -> dict[str, str]:
    """The outputs of a job: a rekey or split job by its name, a compact job by its table or target."""
    # CDK leaves out what is neither letter nor digit.
    plain = "".join(character for character in job if character.isalnum())
    for kind in ("Rekey", "Split", "Compact", "Repartition"):
        found = {key.removeprefix(f"{kind}{plain}"): value for key, value in known.items() if key.startswith(f"{kind}{plain}")}
        found = {key: value for key, value in found.items() if key in ("QueueUrl", "BackfillQueueUrl", "StateMachineArn", "SweepStateMachineArn")}
        if found:
            return found
    raise Failure(f"the stack has no job `{job}`")


def mappings(urls: list[str]) -> list[dict[str, Any]]:
    """The event source mappings of queues."""
    sqs = client("sqs")
    arns = [sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"] for url in urls]
    pages = client("lambda").get_paginator("list_event_source_mappings").paginate()
    return [mapping for page in pages for mapping in page["EventSourceMappings"] if mapping.get("EventSourceArn") in arns]


def schedules(machines: list[str]) -> list[dict[str, Any]]:
    """The schedules that start state machines."""
    scheduler = client("scheduler")
    pages = scheduler.get_paginator("list_schedules").paginate()
    found = [
        scheduler.get_schedule(Name=one["Name"], GroupName=one["GroupName"])
        for page in pages
        for one in page["Schedules"]
        if one.get("Target", {}).get("Arn") in machines
    ]
    return [{key: one[key] for key in KEPT if key in one} | {"State": one["State"]} for one in found]


def switch(job: str, known: dict[str, str], on: bool) -> list[str]:
    """Switches everything of a job; answers with what was switched."""
    found = named(job, known)
    switched = []
    for mapping in mappings([value for key, value in found.items() if key.endswith("QueueUrl")]):
        client("lambda").update_event_source_mapping(UUID=mapping["UUID"], Enabled=on)
        switched.append(f"{mapping['EventSourceArn'].rpartition(':')[2]} feeds {'' if on else 'no '}function")
    for schedule in schedules([value for key, value in found.items() if key.endswith("StateMachineArn")]):
        client("scheduler").update_schedule(**schedule | {"State": "ENABLED" if on else "DISABLED"})
        switched.append(f"{schedule['Name']} {'starts' if on else 'does not start'} by its schedule")
    return switched


def main() -> dict[str, Any]:
    """Switches once."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--job", required=True)
    arguments.add_argument("--on", choices=["true", "false"], required=True)
    given = arguments.parse_args()
    try:
        return {"lines": switch(given.job, outputs(), given.on == "true")}
    except (BotoCoreError, ClientError) as error:
        raise Failure(str(error)) from error


if __name__ == "__main__":
    run(main)
