"""Writes the report of each rekey job of a configuration, or of one target, on whichever cloud the environment names."""

import argparse
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from landing.jobs import Job, Jobs, load
from localcloud.progress import Failure, progress, run
from localcloud.queues import waiting
from operate.cost import seconds
from operate.overview import output_of, outputs
from report.gather import Document, NoLedger, gathered, made
from report.lake import Compaction
from report.others import other
from report.page import page

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def size(text: str | int) -> int:
    """The bytes of a size as configurations write it."""
    if isinstance(text, int):
        return text
    for unit, bytes_of in UNITS.items():
        if text.endswith(unit):
            return round(float(text.removesuffix(unit)) * bytes_of)
    raise Failure(f"`{text}` is not a size such as 256MiB")


def compaction(jobs: Jobs, rekey: Job) -> Compaction:
    """The settings of the compact job that has a rekey job's table or target; else the defaults."""
    for job in jobs.jobs:
        if job.kind == "compact" and rekey.settings.get(key := "table" if "table" in job.settings else "target") == job.settings.get(key):
            given = {name: job.settings[name] for name in ("small_below", "min_files", "files") if name in job.settings}
            if "target_size" in job.settings:
                given["target_size"] = size(job.settings["target_size"])
            return Compaction(**given)
    return Compaction()


def queues(job: Job, known: dict[str, str]) -> dict[str, int]:
    """The messages of a job that wait, and those that are dead; none of them, where the stack is not known."""
    found = {}
    for name, output in (("waiting", "QueueUrl"), ("dead", "DeadLetterQueueUrl")):
        if url := output_of(job, known, output):
            found[name] = waiting(url)
    return found


def of_jobs(jobs: Jobs) -> tuple[list[Document], list[str]]:
    """Each rekey job's, and the names of those that have not committed anything."""
    known = outputs()
    documents, missing = [], []
    for job in jobs.jobs:
        if job.kind == "rekey":
            progress(0, 0, f"rekey {job.name}")
            try:
                document = gathered(job.settings["target"], job.name, compaction(jobs, job))
            except NoLedger:
                missing.append(job.name)
                continue
            # The ledger has what rows depend on, so not the window.
            document["latency"]["window"] = seconds(str(job.settings.get("batch", {}).get("window", "60s")))
            documents.append(document | {"queues": queues(job, known)})
    return documents, missing


def of_others(jobs: Jobs) -> list[Document]:
    """Each job of another kind."""
    found = []
    for job in jobs.jobs:
        if job.kind != "rekey":
            progress(0, 0, f"{job.kind} {job.name}")
            try:
                found.append(other(job))
            except ClientError as error:
                found.append({"kind": job.kind, "name": job.name, "error": f"its ledger cannot be read: {error}"})
    return found


def of_configuration(jobs: Jobs) -> Document:
    """All jobs of a configuration."""
    documents, missing = of_jobs(jobs)
    others = of_others(jobs)
    if missing and not documents and not any(one.get("done") for one in others):
        raise Failure(f"nothing is committed yet by rekey {', '.join(missing)}: `cargo xtask status` says where what landed is")
    return {"jobs": documents, "missing": missing, "others": others}


def summary(document: Document) -> Document:
    """One job in a few words, for people; the figures are for programs."""
    landed, lake, ledger, latency = (document[key] for key in ("landed", "lake", "ledger", "latency"))
    objects = sum(ledger["statuses"].values())
    return {
        "name": document["name"],
        "objects": objects,
        "batches": ledger["batches"],
        "landed": {"objects": landed["count"], "bytes": landed["bytes"]},
        "lake": {"files": lake["count"], "bytes": lake["bytes"], "partitions": lake["partitions"]},
        "rows": {name: ledger[f"rows_{name}"] for name in ("in", "out", "quarantined")},
        "files_after_compaction": document["compaction"]["after"],
        "landing_to_commit_seconds": {name: latency.get(name) for name in ("window", "median", "p95", "longest")},
        "usd": round(document["spent"]["usd"], 4),
    }


def main() -> dict[str, Any]:
    """Writes the file once."""
    arguments = argparse.ArgumentParser(description=__doc__)
    what = arguments.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", type=Path)
    what.add_argument("--target")
    arguments.add_argument("--file", type=Path, required=True)
    given = arguments.parse_args()
    try:
        if given.config:
            document = of_configuration(load(given.config))
        else:
            document = {"jobs": [gathered(given.target)], "missing": [], "others": []}
    except (BotoCoreError, ClientError) as error:
        raise Failure(f"the cloud does not answer as expected: {error}") from error
    progress(0, 0, "the page")
    try:
        given.file.write_text(page(document | {"made": made()}))
    except OSError as error:
        raise Failure(f"the report cannot be written: {error}") from error
    return {"file": str(given.file), "jobs": [summary(job) for job in document["jobs"]], "others": document["others"]}


if __name__ == "__main__":
    run(main)
