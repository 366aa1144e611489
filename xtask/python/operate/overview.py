"""How every job of a configuration is: what landed, what waits, what is committed, quarantined or dead, and which objects no
job reads. On whichever cloud the environment names; nothing is written."""

import argparse
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from landing.jobs import Job, Jobs, destinations, load
from localcloud.clients import client
from localcloud.ledger import Ledger, listing, split
from localcloud.progress import Failure, progress, run
from localcloud.queues import waiting

SHOWN = 5
# Where the stack has another name, as with a `name-prefix`.
STACK = os.environ.get("LAKEWRIGHT_STACK")
STACKS = (STACK,) if STACK else ("lakewright", "Lakewright")


def outputs() -> dict[str, str]:
    """The outputs of the stack that is deployed; none, where it has another name than `LAKEWRIGHT_STACK` says, or cannot be asked."""
    for name in STACKS:
        try:
            (stack,) = client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except ClientError:
            continue
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    return {}


def output_of(job: Job, known: dict[str, str], what: str) -> str | None:
    """One of a job's outputs; CDK leaves what is neither letter nor digit out of their names."""
    name = re.sub(r"[^A-Za-z0-9]", "", job.name)
    return known.get(f"{job.kind.capitalize()}{name}{what}")


def sized(count: int, what: str) -> str:
    """1,234 objects."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def rekey(job: Job, known: dict[str, str]) -> tuple[str, list[str]]:
    """What landed against what the ledger says."""
    bucket, prefix = split(job.settings["source"])
    landed = {f"s3://{bucket}/{item['Key']}": item for item in listing(bucket, prefix)}
    commits = {source: commit for source, commit in Ledger(job.settings["target"]).refresh().items()}
    missing = sorted(source for source, item in landed.items() if source not in commits and item["Size"] > 0)
    details = []
    queue, dead = output_of(job, known, "QueueUrl"), output_of(job, known, "DeadLetterQueueUrl")
    if queue:
        details.append(f"{sized(waiting(queue), 'message')} waiting in the queue")
    backfill = output_of(job, known, "BackfillQueueUrl")
    if backfill and (found := waiting(backfill)):
        details.append(f"{sized(found, 'message')} waiting in the backfill queue, with many objects each")
    if dead and (letters := waiting(dead)):
        details.append(f"{sized(letters, 'message')} in the dead-letter queue: mend the cause and redrive them")
    # Here comes where each object is, once rekey's own status says it: waiting for a retry until, refused because.
    details += [f"not committed: {source}" for source in missing[:SHOWN]]
    if len(missing) > SHOWN:
        details.append(f"and {len(missing) - SHOWN:,} more are not committed")
    reasons: Counter[str] = Counter()
    for commit in commits.values():
        reasons.update(commit.get("quarantined_by_reason", {}))
    details += [f"quarantined as {reason}: {count:,}" for reason, count in sorted(reasons.items())]
    rows = sum(commit["rows_out"] for commit in commits.values())
    summary = (
        f"{sized(len(landed), 'object')} landed, {len(landed.keys() & commits.keys()):,} committed, {rows:,} rows written, "
        f"{sum(reasons.values()):,} quarantined"
    )
    return summary, details


def invoke(function: str, request: dict[str, Any]) -> dict[str, Any]:
    """A function's answer."""
    answer = client("lambda").invoke(FunctionName=function, Payload=json.dumps(request).encode())
    said: dict[str, Any] = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise Failure(f"{said.get('errorType')}: {said.get('errorMessage')}")
    return said


def compact(job: Job, known: dict[str, str]) -> tuple[str, list[str]]:
    """Where each partition is, as `compact-plan` says."""
    subject = {key: job.settings[key] for key in ("table", "target") if key in job.settings}
    said = invoke(known.get("CompactPlanFunctionName", "compact-plan"), {**subject, "status": True})
    counts: dict[str, int] = said["counts"]
    return ", ".join(f"{sized(count, 'partition')} {condition}" for condition, count in counts.items()) or "nothing there", []


def split_jobs(job: Job, known: dict[str, str]) -> tuple[str, list[str]]:
    """The jobs in the ledger, each as `split-plan` says."""
    bucket, prefix = split(job.settings["target"])
    ledger = f"{prefix}_lakewright/split/"
    ids = sorted({item["Key"].removeprefix(ledger).split("/")[0] for item in listing(bucket, ledger)})
    details = []
    # Jobs that may read every bucket have functions of their own.
    function = "split-plan-anywhere" if job.settings.get("allow_any_source") else "split-plan"
    function = known.get("".join(part.capitalize() for part in function.split("-")) + "FunctionName", function)
    for number in ids:
        said = invoke(function, {"name": job.name, "status": number})
        details.append(f"{number}: {said['state']}, {said['rows_done']:,} of {said['rows']:,} rows")
    return sized(len(ids), "result") + " split", details


def repartition(job: Job, known: dict[str, str]) -> tuple[str, list[str]]:
    """The runs in the ledger, and the newest executions."""
    bucket, prefix = split(job.settings["target"])
    ledger = f"{prefix}_lakewright/repartition/{job.name}/"
    entries: dict[str, set[str]] = {}
    for item in listing(bucket, ledger):
        run_id, _, entry = item["Key"].removeprefix(ledger).partition("/")
        if run_id.isdigit():
            entries.setdefault(run_id, set()).add(entry.split("/")[0])
    # The newest run has the smallest number.
    details = [
        f"run {run_id}: {'over' if 'commit' in what else 'under way'}" for run_id, what in sorted(entries.items())[:SHOWN]
    ]
    machine = output_of(job, known, "StateMachineArn")
    if machine:
        executions = client("stepfunctions").list_executions(stateMachineArn=machine, maxResults=SHOWN)["executions"]
        details += [f"execution {one['name']}: {one['status'].lower()}" for one in executions]
    return sized(len(entries), "run"), details


KINDS = {"rekey": rekey, "split": split_jobs, "compact": compact, "repartition": repartition}


def unread(jobs: Jobs) -> list[str]:
    """Objects beside those that jobs read and write, in the buckets that sources lie in: landed under a wrong prefix?"""
    places = [
        place
        for job in jobs.jobs
        for key in ("source", "target", "generations", "ledger")
        if isinstance(place := job.settings.get(key), str) and place.startswith("s3://")
    ]
    places += [place for job in jobs.jobs for place in job.settings.get("sources", [])]
    places += [written["target"] for job in jobs.jobs if job.kind == "rekey" for written in destinations(job.settings).values()]
    buckets = {split(job.settings["source"])[0] for job in jobs.jobs if job.source and not job.source_table}
    found = []
    for bucket in sorted(buckets):
        for item in listing(bucket, ""):
            location = f"s3://{bucket}/{item['Key']}"
            if not any(location.startswith(place) for place in places):
                found.append(location)
                if len(found) > SHOWN:
                    return found
    return found


def main() -> dict[str, Any]:
    """Asks for each job."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--config", type=Path, required=True)
    jobs = load(arguments.parse_args().config)
    shown = []
    try:
        known = outputs()
        for number, job in enumerate(jobs.jobs):
            progress(number, len(jobs.jobs), f"{job.kind} {job.name}")
            try:
                summary, details = KINDS[job.kind](job, known)
            except (Failure, ClientError) as error:
                summary, details = f"cannot be asked: {error}", []
            shown.append({"kind": job.kind, "name": job.name, "summary": summary, "details": details})
        return {"jobs": shown, "unread": unread(jobs)}
    except (BotoCoreError, ClientError) as error:
        raise Failure(f"the cloud does not answer as expected: {error}") from error


if __name__ == "__main__":
    run(main)
