"""Runs the end-to-end tests in an account: deploys, tests, counts what it cost, and destroys what it made, however it ends."""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from account import cost, names
from account.destroy import buckets, destroy
from localcloud.clients import client, counted, is_aws
from localcloud.deploy import create_stack, make_bucket, roles, template_url, upload_assets
from localcloud.divergences import grant_what_only_ministack_asks_for
from localcloud.polling import DeadlineExceeded
from localcloud.progress import Failure, progress, run

DEPLOY_SECONDS = 1800
# Lines of pytest's output that are shown in the terminal.
TAIL = 40
NO_TESTS = 5


class Stopped(Exception):
    """Ctrl-C."""


class Signals:
    """Ctrl-C ends what is under way, and then nothing more: what was made is destroyed all the same."""

    def __init__(self) -> None:
        self.stopped = False
        self._heard = True
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True
        if self._heard:
            self._heard = False
            raise Stopped

    def ignore(self) -> None:
        """From now on nothing is interrupted."""
        self._heard = False


def deploy(run_name: str, assembly: Path) -> dict[str, str]:
    """Deploys the stack; answers with its outputs."""
    stack = names.stack(run_name)
    account = client("sts").get_caller_identity()["Account"]
    region = client("s3").meta.region_name
    make_bucket(names.bucket("assets", run_name))
    upload_assets(assembly, stack, account, region)
    progress(0, 1, "creating the stack")
    described = create_stack(stack, template_url(assembly, stack, account, region), DEPLOY_SECONDS)
    if not is_aws():
        grant_what_only_ministack_asks_for(roles(resources(stack)))
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}


def resources(stack: str) -> list[dict[str, Any]]:
    """The stack's resources."""
    pages = client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    return [resource for page in pages for resource in page["StackResourceSummaries"]]


def tests(run_name: str, folder: Path, suite: list[str], outputs: Path, select: str) -> tuple[str, list[str]]:
    """Runs the tests; answers with how they ended, and the end of what they said."""
    command = [sys.executable, "-m", "pytest", *suite, "--color=no", *(["-k", select] if select else [])]
    environment = os.environ | {
        "LAKEWRIGHT_TEST_RUN": run_name,
        "LAKEWRIGHT_OUTPUTS": str(outputs),
        "PYTHONDONTWRITEBYTECODE": "1",
        # The tests share their data with the benchmarks.
        "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], str(folder.parents[1] / "bench")]),
    }
    tail: deque[str] = deque(maxlen=TAIL)
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pytest:
        try:
            assert pytest.stdout
            for line in pytest.stdout:
                print(line, end="", file=sys.stderr)
                tail.append(line.rstrip())
                if line.strip():
                    progress(0, 1, line.strip())
        except Stopped:
            pytest.terminate()
            raise
    if pytest.returncode == NO_TESTS:
        return "no test was chosen", list(tail)
    return "passed" if pytest.returncode == 0 else "failed", list(tail)


def bill(run_name: str, began: datetime) -> dict[str, Any] | None:
    """What it cost; nothing where the stack cannot be looked at."""
    found: dict[str, list[str]] = {}
    try:
        for resource in resources(names.stack(run_name)):
            found.setdefault(resource["ResourceType"], []).append(resource.get("PhysicalResourceId", ""))
        counted_so_far = cost.requests(counted())
        return cost.estimate(cost.Run(found, buckets(run_name), counted_so_far, began, cost.prices()))
    except (BotoCoreError, ClientError):
        return None


def main() -> dict[str, Any]:
    """Runs them, and answers with how they ended, what it cost, and what could not be destroyed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--run", required=True)
    arguments.add_argument("--assembly", type=Path, required=True)
    arguments.add_argument("--tests", type=Path, required=True)
    arguments.add_argument("--suite", required=True)
    arguments.add_argument("--select", default="")
    given = arguments.parse_args()
    signals, began = Signals(), datetime.now(UTC)
    ended, tail = "failed", []
    try:
        outputs = given.assembly.with_name("outputs.json")
        outputs.write_text(json.dumps(deploy(given.run, given.assembly)))
        ended, tail = tests(given.run, given.tests, given.suite.split(","), outputs, given.select)
    except Stopped:
        ended = "interrupted"
    except (BotoCoreError, ClientError, DeadlineExceeded, Failure) as error:
        ended, tail = "not deployed", [str(error)]
    finally:
        signals.ignore()
        progress(0, 1, "counting what it cost")
        cost_of_it = bill(given.run, began)
        left = destroy(given.run)
    return {"run": given.run, "tests": ended, "tail": tail, "cost": cost_of_it, "left": left}


if __name__ == "__main__":
    run(main)
