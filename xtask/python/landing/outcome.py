"""Waits until what landed is through, and says what became of it: what came out, what was quarantined or refused, and why."""

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import duckdb

from landing.jobs import Job, load
from localcloud.clients import client
from localcloud.ledger import Commit, Ledger, example, files, listing, split
from localcloud.polling import DeadlineExceeded, poll
from localcloud.progress import Failure, progress, run

# A message that failed is delivered again after half an hour, which is too long to wait. If there is no progress for
# this long, the helper invokes the function itself, which also reports why it fails.
STILL_SECONDS = 20.0
INTERVAL_SECONDS = 0.5
EXECUTION_SECONDS = 600
EXAMPLES = 3
SHOWN = 3
ROWS = 5
WIDTH = 160


def invoke(function: str, request: dict[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    """A function's answer, or its error."""
    answer = client("lambda").invoke(FunctionName=function, Payload=json.dumps(request).encode())
    said = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        return None, f"{said.get('errorType')}: {said.get('errorMessage')}"
    return said, None


def watched(target: str, sources: set[str], still: float = STILL_SECONDS) -> dict[str, Commit]:
    """The commits of the sources, once all are there or nothing comes any more."""
    ledger, seen, since = Ledger(target), -1, time.monotonic()
    while True:
        commits = {source: commit for source, commit in ledger.refresh().items() if source in sources}
        progress(len(commits), len(sources), "objects committed")
        if len(commits) == len(sources):
            return commits
        if len(commits) != seen:
            seen, since = len(commits), time.monotonic()
        elif time.monotonic() - since > still:
            return commits
        time.sleep(INTERVAL_SECONDS)


def examples(bucket: str, commits: list[Commit]) -> Iterator[dict[str, Any]]:
    """Some of the quarantined records of each reason."""
    shown: Counter[str] = Counter()
    # Objects of one batch share a quarantine.
    for quarantine in dict.fromkeys(commit["quarantine"] for commit in commits if commit.get("quarantine")):
        key = split(quarantine)[1] if quarantine.startswith("s3://") else quarantine
        lines = client("s3").get_object(Bucket=bucket, Key=key)["Body"].iter_lines()
        for line in lines:
            record = json.loads(line)
            if shown[record["reason"]] < EXAMPLES:
                shown[record["reason"]] += 1
                yield example(record, WIDTH)


def preview(bucket: str, keys: list[str]) -> dict[str, Any] | None:
    """The first rows of a Parquet file."""
    key = next((key for key in keys if key.endswith(".parquet")), None)
    if key is None:
        return None
    with NamedTemporaryFile(suffix=".parquet") as file:
        client("s3").download_fileobj(bucket, key, file)
        file.flush()
        relation = duckdb.sql(f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM read_parquet('{file.name}', hive_partitioning = false) LIMIT {ROWS}")
        rows = [["NULL" if value is None else value[:24] for value in row] for row in relation.fetchall()]
        return {"key": key, "columns": relation.columns, "rows": rows}


def partitions(keys: Iterable[str]) -> list[str]:
    """The partitions that files lie in, whichever output they belong to."""
    found = {"/".join(part for part in key.split("/")[:-1] if "=" in part) for key in keys}
    return sorted(found - {""})


def rekeyed(job: Job, landing: dict[str, Any], outputs: dict[str, str]) -> dict[str, Any]:
    """What became of what landed for a rekey job."""
    sources = {landing["source"] + file["key"]: file["path"] for file in landing["files"]}
    target = job.settings["target"]
    commits = watched(target, set(sources))
    refused = []
    for source in sources.keys() - commits.keys():
        report, error = invoke(outputs["RekeyFunctionName"], {"objects": [source]})
        if error:
            # Of one object, what the error of the whole payload says of it is all.
            refused.append({"path": sources[source], "why": error.split(f"{source}: ", 1)[-1]})
        elif report and all(one.get("status") == "ignored" for one in report.get("objects", [])):
            refused.append({"path": sources[source], "why": "ignored: it has no bytes"})
    if sources.keys() - commits.keys():
        commits = {source: commit for source, commit in Ledger(target).refresh().items() if source in sources}
    done = list(commits.values())
    bucket = split(target)[0]
    written = files(done)
    keys = list(written)
    reasons: Counter[str] = Counter()
    for commit in done:
        reasons.update(commit.get("quarantined_by_reason", {}))
    return {
        "job": job.name,
        "kind": "rekey",
        "target": target,
        "table": job.settings.get("table"),
        "objects": len(sources),
        "committed": len(done),
        "bytes_in": sum(Path(path).stat().st_size for path in sources.values()),
        "rows_in": sum(commit["rows_in"] for commit in done),
        "rows_out": sum(commit["rows_out"] for commit in done),
        "rows_quarantined": sum(commit["rows_quarantined"] for commit in done),
        "files_out": len(keys),
        "bytes_out": sum(written.values()),
        "partitions": len(partitions(keys)),
        "first_partitions": partitions(keys)[:SHOWN],
        "quarantined_by_reason": dict(reasons),
        "examples": list(examples(bucket, done)),
        "refused": refused,
        "preview": preview(bucket, keys),
    }


def repartitioned(job: Job, landing: dict[str, Any], outputs: dict[str, str]) -> dict[str, Any]:
    """Runs a repartition job over what landed for it, and says what it wrote."""
    name = re.sub(r"[^A-Za-z0-9]", "", job.name)
    machine = outputs[f"Repartition{name}StateMachineArn"]
    execution = client("stepfunctions").start_execution(stateMachineArn=machine, input="{}")["executionArn"]
    progress(0, 0, "the state machine runs")

    def ended() -> dict[str, Any] | None:
        described = client("stepfunctions").describe_execution(executionArn=execution)
        return None if described["status"] == "RUNNING" else described

    try:
        described = poll(ended, f"end of {execution}", EXECUTION_SECONDS)
    except DeadlineExceeded as error:
        raise Failure(str(error)) from error
    target = job.settings["target"]
    bucket, prefix = split(target)
    written = {
        item["Key"]: item["Size"]
        for item in listing(bucket, prefix)
        if not any(part.startswith(("_", ".")) for part in item["Key"].removeprefix(prefix).split("/"))
    }
    succeeded = described["status"] == "SUCCEEDED"
    report = json.loads(described["output"]) if succeeded else {}
    why = f"{described.get('error')}: {described.get('cause')}"
    return {
        "job": job.name,
        "kind": "repartition",
        "target": target,
        "table": job.settings.get("table"),
        "objects": len(landing["files"]),
        "committed": len(landing["files"]) if succeeded else 0,
        "bytes_in": sum(Path(file["path"]).stat().st_size for file in landing["files"]),
        "rows_in": report.get("rows", 0),
        "rows_out": report.get("rows", 0),
        "rows_quarantined": 0,
        "files_out": len(written),
        "bytes_out": sum(written.values()),
        "partitions": len(partitions(written)),
        "first_partitions": partitions(written)[:SHOWN],
        "quarantined_by_reason": {},
        "examples": [],
        "refused": [] if succeeded else [{"path": str(landing["source"]), "why": why}],
        "preview": preview(bucket, list(written)),
    }


def main() -> dict[str, Any]:
    """Answers with what became of each landing."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--plan", type=Path, required=True)
    arguments.add_argument("--outputs", type=Path, required=True)
    given = arguments.parse_args()
    plan, outputs = json.loads(given.plan.read_text()), json.loads(given.outputs.read_text())
    jobs = {job.name: job for job in load(Path(plan["config"])).jobs}
    done = []
    for landing in plan["landings"]:
        work = rekeyed if landing["kind"] == "rekey" else repartitioned
        done.append(work(jobs[landing["job"]], landing, outputs))
    return {"jobs": done}


if __name__ == "__main__":
    run(main)
