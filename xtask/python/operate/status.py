"""Shows how far a job of split is, until it ends."""

import argparse
import json
import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.clients import client
from localcloud.progress import Failure, progress, run
from operate.overview import outputs

INTERVAL_SECONDS = 1.0


def functions() -> list[str]:
    """The functions that know of jobs: jobs that may read every bucket have one of their own."""
    known = outputs()
    return [known[key] for key in ("SplitPlanFunctionName", "SplitPlanAnywhereFunctionName") if key in known] or ["split-plan"]


def ask(job: str, names: list[str] | None = None) -> dict[str, Any]:
    """How far the job is, as the function that knows it says."""
    refused = ""
    for function in names or functions():
        try:
            answer = client("lambda").invoke(FunctionName=function, Payload=json.dumps({"status": job}).encode())
        except (BotoCoreError, ClientError) as error:
            raise Failure(f"{function} cannot be asked: {error}") from error
        said: dict[str, Any] = json.loads(answer["Payload"].read())
        if "FunctionError" not in answer:
            return said
        refused = f"{said['errorType']}: {said['errorMessage']}"
        if "knows the id" not in refused:
            break
    raise Failure(refused)


def main() -> dict[str, Any]:
    """Asks until the job has ended, and answers with its end."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--job", required=True)
    job, names = arguments.parse_args().job, functions()
    while (said := ask(job, names))["state"] == "running":
        progress(said["rows_done"], said["rows"], f"rows, {said['chunks_done']} of {said['chunks']} chunks")
        time.sleep(INTERVAL_SECONDS)
    summary = said.get("summary")
    return {
        "state": said["state"],
        "outcome": (
            f"{summary['objects']} objects, {summary['bytes']} bytes, {summary['seconds']} s, "
            f"{summary['objects_per_minute']} objects a minute"
            if summary
            else f"{said.get('error')}: {said['rows_done']} of {said['rows']} rows are written; the same request continues"
        ),
        "failures": [f"chunk {f['chunk']}: {f['error']}: {f['message']}" for f in said["failures"]],
    }


if __name__ == "__main__":
    run(main)
