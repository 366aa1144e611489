"""The function's release binary, run as Lambda runs it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cloud import StoredObject
from harness.events import sqs_batch
from harness.program import Program, Usage
from harness.runtime_api import FunctionFailed, RuntimeApi

NAME = "rekey"
# Lambda's: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
OPEN_FILES = 1024
INVOCATION_SECONDS = 900


@dataclass(frozen=True)
class FunctionRun:
    """What a function did from its start to the last answer. Its usage covers its init too."""

    init_seconds: float
    invocation_seconds: float
    usage: Usage
    peak_rss_bytes: int
    rows_out: int
    rows_quarantined: int


@dataclass(frozen=True)
class Function:
    """A function before it starts."""

    binary: Path
    config: Path
    memory_mb: int
    scratch: Path
    log: Path

    def run(self, batches: Sequence[Sequence[StoredObject]], cloud: Mapping[str, str]) -> FunctionRun:
        """Starts the function, gives it one batch after the other, and ends it.

        Raises:
            FunctionFailed: with the end of its log.
        """
        with (
            RuntimeApi() as api,
            Program(
                [str(self.binary)], self._environment(api.address) | dict(cloud), self.log, open_files=OPEN_FILES
            ) as program,
        ):
            try:
                ready = api.wait_until_ready(program.running)
                seconds = sum(_invoke(api, batch, program) for batch in batches)
            except FunctionFailed as failure:
                raise FunctionFailed(f"{failure}\n{program.log_tail()}") from failure
            # By now only idle. The process's own counter: the launcher's peak is in that of rusage.
            peak = program.peak_rss_bytes()
            program.terminate()
            usage = program.wait()
        reports = self._committed()
        if len(reports) != sum(len(batch) for batch in batches):
            raise FunctionFailed(f"the log says that {len(reports)} objects were committed\n{program.log_tail()}")
        return FunctionRun(
            init_seconds=ready - program.started,
            invocation_seconds=seconds,
            usage=usage,
            peak_rss_bytes=peak,
            rows_out=sum(report["rows_out"] for report in reports),
            rows_quarantined=sum(report["rows_quarantined"] for report in reports),
        )

    def _environment(self, api: str) -> dict[str, str]:
        return {
            "AWS_LAMBDA_RUNTIME_API": api,
            "AWS_LAMBDA_FUNCTION_NAME": NAME,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.memory_mb),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{NAME}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "benchmark",
            "LAMBDA_TASK_ROOT": str(self.binary.parent),
            "LAKEWRIGHT_CONFIG": str(self.config),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TMPDIR": str(self.scratch),
            "TZ": ":UTC",
            "_HANDLER": "bootstrap",
        }

    def _committed(self) -> list[dict[str, Any]]:
        """What the log, one JSON object a line, says of each object that was committed."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines())
        return [line for line in lines if line.get("message") == "object done" and line["status"] == "committed"]


def _invoke(api: RuntimeApi, batch: Sequence[StoredObject], program: Program) -> float:
    """One invocation that has to succeed whole, in seconds."""
    answer, seconds = api.invoke(sqs_batch(batch), INVOCATION_SECONDS, program.running)
    if answer.get("batchItemFailures"):
        raise FunctionFailed(f"messages failed: {answer}")
    return seconds
