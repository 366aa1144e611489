"""The function `rekey`, given batches of landed objects."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cloud import StoredObject
from harness.events import notified
from harness.function import Environment, Function
from harness.program import Usage
from harness.runtime_api import FunctionFailed

NAME = "rekey"


@dataclass(frozen=True)
class FunctionRun:
    """What the function did from its start to the last answer. Its usage covers its init too."""

    init_seconds: float
    init_cpu_seconds: float
    invocation_seconds: float
    usage: Usage
    peak_rss_bytes: int
    rows_out: int
    rows_quarantined: int


def run(function: Function, batches: Sequence[Sequence[StoredObject]], cloud: Mapping[str, str]) -> FunctionRun:
    """Starts the function, gives it one batch after the other, and ends it.

    Raises:
        FunctionFailed: with the end of its log.
    """
    with function.start(cloud) as environment:
        seconds = sum(_invoke(environment, batch) for batch in batches)
        usage, peak = environment.end()
        reports = _committed(function.log)
        if len(reports) != sum(len(batch) for batch in batches):
            raise FunctionFailed(f"the log says that {len(reports)} objects were committed")
    return FunctionRun(
        init_seconds=environment.init_seconds,
        init_cpu_seconds=environment.init_cpu_seconds,
        invocation_seconds=seconds,
        usage=usage,
        peak_rss_bytes=peak,
        rows_out=sum(report["rows_out"] for report in reports),
        rows_quarantined=sum(report["rows_quarantined"] for report in reports),
    )


def _invoke(environment: Environment, batch: Sequence[StoredObject]) -> float:
    """One invocation that has to succeed whole, in seconds."""
    answer, seconds = environment.invoke(notified(batch))
    if answer.get("batchItemFailures"):
        raise FunctionFailed(f"messages failed: {answer}")
    return seconds


def _committed(log: Path) -> list[dict[str, Any]]:
    """What the log, one JSON object a line, says of each object that was committed."""
    lines = (json.loads(line) for line in log.read_text().splitlines())
    return [line for line in lines if line.get("message") == "object done" and line["status"] == "committed"]
