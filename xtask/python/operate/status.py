"""Shows how far a job of split is, until it ends."""

import argparse
import json
import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.clients import client
from localcloud.progress import Failure, progress, run

FUNCTION = "split-plan"
INTERVAL_SECONDS = 1.0


def ask(job: str) -> dict[str, Any]:
    """How far the job is, as the function says."""
    try:
        answer = client("lambda").invoke(FunctionName=FUNCTION, Payload=json.dumps({"status": job}).encode())
    except (BotoCoreError, ClientError) as error:
        raise Failure(f"{FUNCTION} cannot be asked: {error}") from error
    said = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise Failure(f"{said['errorType']}: {said['errorMessage']}")
    return said


def main() -> dict[str, Any]:
    """Asks until the job has ended, and answers with its end."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--job", required=True)
    job = arguments.parse_args().job
    while (said := ask(job))["state"] == "running":
        progress(said["rows_done"], said["rows"], f"rows, {said['chunks_done']} of {said['chunks']} chunks")
        time.sleep(INTERVAL_SECONDS)
    summary = said.get("summary")
    return {
        "state": said["state"],
        "outcome": (
            f"{summary['objects']} objects, {summary['bytes']} bytes, {summary['seconds']} s, "
            f"{summary['objects_per_minute']} objects a minute"
            if summary
            else f"{said.get('error')}: {said['rows_done']} of {said['rows']} rows stand; the same request goes on"
        ),
        "failures": [f"chunk {f['chunk']}: {f['error']}: {f['message']}" for f in said["failures"]],
    }


if __name__ == "__main__":
    run(main)
