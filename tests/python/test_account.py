"""`cargo xtask test --aws`, with the local cloud as the account: what a run makes has its own names, and nothing of it stays."""

import json
import os
import re
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from account import names
from account.destroy import destroy, each
from firsthour import exported, up, with_functions
from localcloud import clients
from localcloud.polling import poll

SECONDS = 400
CONFIG = Path(__file__).with_name("lakewright.toml")
PROFILE = """[profile sandbox]
region = us-east-1
aws_access_key_id = test
aws_secret_access_key = test
endpoint_url = {endpoint}
ca_bundle = {trust}
"""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An account in which there is something already, and the environment of a person who has a profile of it."""
    folder = tmp_path_factory.mktemp("account")
    with up(folder / "log") as summary, pytest.MonkeyPatch.context() as patch:
        variables = exported(summary["exports"])
        for name, value in variables.items():
            patch.setenv(name, value)
        clients.client.cache_clear()
        config = folder / "aws-config"
        config.write_text(PROFILE.format(endpoint=summary["endpoint"], trust=variables["AWS_CA_BUNDLE"]))
        # As in a terminal with another account's keys, over which the profile takes precedence.
        yield os.environ | {"AWS_CONFIG_FILE": str(config), "AWS_SECRET_ACCESS_KEY": "another"}
    clients.client.cache_clear()


def command(select: str) -> list[str]:
    """The command, for the tests that match."""
    return with_functions("test", "--aws", "sandbox", "--select", select)


def result(account: dict[str, str], select: str, code: int) -> dict[str, Any]:
    """What it says at its end."""
    ended = subprocess.run(command(select), env=account, capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == code, (ended.stdout, ended.stderr)
    return json.loads(ended.stdout)


def holds() -> dict[str, set[str]]:
    """What there is in the account."""
    client = clients.client
    stacks = client("cloudformation").describe_stacks()["Stacks"]
    pages = client("logs").get_paginator("describe_log_groups").paginate()
    return {
        "buckets": {bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]},
        "databases": {database["Name"] for database in client("glue").get_databases()["DatabaseList"]},
        "functions": {function["FunctionName"] for function in client("lambda").list_functions()["Functions"]},
        "machines": {machine["name"] for machine in client("stepfunctions").list_state_machines()["stateMachines"]},
        "queues": set(client("sqs").list_queues().get("QueueUrls", [])),
        "roles": {role["RoleName"] for role in client("iam").list_roles()["Roles"]},
        "stacks": {stack["StackName"] for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"},
        "log groups": {group["logGroupName"] for page in pages for group in page["logGroups"]},
    }


def test_tests_run_in_the_account_and_leave_nothing(account: dict[str, str]) -> None:
    before = holds()
    run = result(account, "what_was_never_told or nobody_need_wait or a_denial", 0)
    assert (run["tests"], run["left"]) == ("passed", [])
    assert re.search("2 passed, [0-9]+ deselected", run["tail"][-1])
    # Skipped tests are reported, each with its reason.
    assert [line for line in run["tail"] if line.startswith("only on the local cloud: test_denials.py::test_a_denial")]
    assert holds() == before
    cost = run["cost"]
    counts = {line["what"]: line["count"] for line in cost["lines"]}
    # A sweep, and the object that it finds; a plan and two chunks. CloudWatch may count some of them later.
    assert counts["Lambda invocations"] > 0, cost["lines"]
    assert counts["Lambda GB-seconds"] > 0
    # 120 rows.
    assert counts["S3 objects written"] > 120
    assert counts["S3 bytes held"] > 0
    assert counts["Step Functions transitions"] > 1
    assert counts["Athena queries"] == 0
    assert min(counts[f"{service} by the tests"] for service in ("S3 lists", "S3 reads", "SQS requests", "Glue requests")) > 0
    assert cost["usd"] == pytest.approx(sum(line["usd"] for line in cost["lines"]))
    assert cost["usd"] > 120 * 5e-6
    assert re.fullmatch("20[0-9]{2}-[0-9]{2}", cost["prices"])
    assert [missing for missing in cost["missing"] if "not counted, because" in missing] == []


def test_a_run_without_tests_fails_and_leaves_nothing(account: dict[str, str]) -> None:
    before = holds()
    run = result(account, "no_test_of_this_name", 1)
    assert (run["tests"], run["left"]) == ("no test was chosen", [])
    assert holds() == before


def test_what_ctrl_c_ends_leaves_nothing(account: dict[str, str], tmp_path: Path) -> None:
    before = holds()
    errors = tmp_path / "errors"
    with errors.open("w") as file:
        running = subprocess.Popen(command("doors or what"), env=account, stdout=subprocess.PIPE, stderr=file, text=True)

        def landed() -> bool | None:
            """The tests are at work: there is something in one of the run's buckets that no deployment puts there."""
            assert running.poll() is None, errors.read_text()
            for bucket in holds()["buckets"] - before["buckets"]:
                if bucket.endswith("-landing") and clients.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"]:
                    return True
            return None

        poll(landed, "test that lands something", SECONDS, interval=0.5)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=SECONDS)
    assert running.returncode == 130, errors.read_text()
    run = json.loads(said)
    assert (run["tests"], run["left"]) == ("interrupted", [])
    assert holds() == before


def test_what_cannot_be_destroyed_is_said_and_the_rest_is_destroyed() -> None:
    gone: list[str] = []

    def delete(name: str) -> None:
        if name == "b":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "by a policy"}}, "DeleteBucket")
        gone.append(name)

    (left,) = each("bucket", lambda run: ["a", "b", "c"], delete, "0a1b")
    assert gone == ["a", "c"]
    assert left.startswith("bucket b: ") and "AccessDenied" in left


def test_without_a_name_nothing_is_destroyed() -> None:
    with pytest.raises(ValueError, match="everything would be the run's"):
        destroy("")


def test_two_runs_share_no_bucket_and_no_database() -> None:
    def named(run: str) -> set[str]:
        found: set[str] = set()
        for jobs in tomllib.loads(names.configuration(CONFIG.read_text(), run)).values():
            for job in jobs:
                places = [job.get("source"), job.get("target"), *job.get("sources", [])]
                found |= {place.split("/")[2] for place in places if place and place.startswith("s3://")}
                tables = [job.get("table"), *(place for place in places if place and not place.startswith("s3://"))]
                found |= {table.split(".")[0] for table in tables if table}
        return found

    local, first, second = named(""), named("0a1b2c3d"), named("4e5f6a7b")
    assert len(local) == len(first) == len(second) > 5
    assert not first & second and not first & local
    # S3's own limit, and Athena's for names without quotes.
    assert all(re.fullmatch("[a-z0-9_-]{3,63}", name) for name in first)
