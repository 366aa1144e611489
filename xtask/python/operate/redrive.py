"""Lists the objects of a rekey job that are given up, because they always fail, and sends them to the job's backfill queue once more."""

import argparse
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.progress import Failure, progress, run
from operate.overview import invoke, outputs


def redrive(function: str, job: str, error: str | None, dry_run: bool) -> dict[str, Any]:
    """Redrives all pages; answers with how many objects and messages were sent, and the objects."""
    sent, messages, given_up = 0, 0, []
    request: dict[str, Any] = {"redrive": job, "dry_run": dry_run} | ({"error": error} if error else {})
    while True:
        said = invoke(function, request)
        sent, messages, given_up = sent + said["sent"], messages + said["messages"], given_up + said["given_up"]
        if said["next"] is None:
            return {"sent": sent, "messages": messages, "given_up": given_up}
        progress(sent, sent + 1, "objects")
        request["after"] = said["next"]


def main() -> dict[str, Any]:
    """Redrives once."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--job", required=True)
    arguments.add_argument("--error")
    arguments.add_argument("--dry-run", choices=["true", "false"], default="false")
    given = arguments.parse_args()
    try:
        function = outputs().get("RekeyFunctionName", "rekey")
        return redrive(function, given.job, given.error, given.dry_run == "true")
    except (BotoCoreError, ClientError) as failed:
        raise Failure(str(failed)) from failed


if __name__ == "__main__":
    run(main)
