"""`cargo xtask up`: all four jobs, and every payload in events/ against them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from commands import ONLY_VERSION_2, ROOT, Command, commands, ran
from firsthour import XTASK, command, exported, refusal, said, up
from localcloud import clients
from localcloud.ledger import Ledger
from localcloud.polling import poll

EVENTS = Path(__file__).parents[2] / "events"
WAIT_SECONDS = 60
Answer = dict[str, Any]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """`cargo xtask up`, with the environment that it exports."""
    log = tmp_path_factory.mktemp("up") / "log"
    with up(log) as summary, pytest.MonkeyPatch.context() as patch:
        for name, value in exported(summary["exports"]).items():
            patch.setenv(name, value)
        clients.client.cache_clear()
        yield summary
    clients.client.cache_clear()
    assert not Path(summary["exports"]).exists()


def send(function: str, file: str) -> Answer:
    """A function's answer to a payload of events/; its error as `error`."""
    answer = clients.client("lambda").invoke(FunctionName=function, Payload=(EVENTS / file).read_bytes())
    body = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        return {"error": body["errorType"]}
    return body if isinstance(body, dict) else {"objects": body}


def holds(**expected: Any) -> Callable[[Answer], bool]:
    """Whether an answer has these values."""
    return lambda answer: {name: answer.get(name) for name in expected} == expected


def rekeyed(answer: Answer) -> bool:
    """The object was committed when it landed."""
    return [item["status"] for item in answer["objects"]] == ["duplicate"]


def failing(*messages: str) -> Callable[[Answer], bool]:
    """The messages of a batch that come again."""
    return lambda answer: [item["itemIdentifier"] for item in answer["batchItemFailures"]] == list(messages)


MIXED = [f"00000000-0000-4000-8000-00000000000{number}" for number in (0, 2, 3, 5, 6)]
# Each payload with its function and what its answer has, in the order in which a person would send them.
PAYLOADS: dict[str, tuple[str, Callable[[Answer], bool]]] = {
    **{
        f"rekey-{kind}.json": ("rekey", rekeyed)
        for kind in ("s3", "eventbridge", "by-hand", "objects", "map-item", "map-batch")
    },
    **{f"rekey-{kind}.json": ("rekey", failing()) for kind in ("sqs", "sns-sqs", "eventbridge-sqs", "objects-sqs")},
    "rekey-test-event.json": ("rekey", holds(objects=[])),
    "rekey-sweep.json": ("rekey", holds(listed=6, committed=6, sent=0)),
    "rekey-redrive.json": ("rekey", holds(sent=0, given_up=[], next=None)),
    "rekey-status.json": ("rekey", lambda answer: [item["state"] for item in answer["objects"]] == ["committed"]),
    "bad/rekey-unknown.json": ("rekey", holds(error="Lakewright.BadTrigger")),
    "bad/rekey-sqs-mixed.json": ("rekey", failing(*MIXED)),
    "split-plan.json": ("split-plan", holds(rows=250, chunks=3, id="7f1c3a52-0d5e-4f0b-9a57-3b1f0c2d4e6a")),
    "split-plan-status.json": ("split-plan", holds(rows=250, chunks=3)),
    "split-rows.json": ("split-rows", lambda answer: answer["rows"] == 100 == answer["written"] + answer["stood"]),
    "split-rows-sqs.json": ("split-rows", failing("m-3")),
    "split-plan-result.json": ("split-plan", holds(rows=250, chunks=3)),
    "split-plan-cancel.json": ("split-plan", holds(chunks=3)),
    "compact-plan-status.json": ("compact-plan", holds(counts={"never": 3})),
    "compact-plan-dry-run.json": ("compact-plan", holds(files_before=18, files_after=3, plan=None)),
    # MiniStack's GetPartitions does not evaluate the expression.
    "compact-plan.json": ("compact-plan", holds(partitions_planned=3, files_before=18, files_after=3)),
    "compact-merge.json": ("compact-merge", holds(files=6, rows=6, status="merged")),
    "compact-publish.json": ("compact-publish", holds(step="publish", status="done")),
    "compact-publish-abandon.json": ("compact-publish", holds(step="abandon", status="superseded")),
    "compact-publish-sweep.json": ("compact-publish", holds(step="sweep", status="done", next=None)),
    "compact-publish-delete.json": ("compact-publish", holds(step="delete", status="done", files=6)),
    "compact-plan-in-place.json": ("compact-plan", holds(partitions_planned=1, files_before=6, files_after=1)),
    "repartition-plan.json": ("repartition-plan", holds(name="ev", files=3, files_before=2)),
    "repartition-prepare.json": ("repartition-write", holds(rows=30_000, status="duplicate")),
    "repartition-write.json": ("repartition-write", holds(status="done")),
    "repartition-commit.json": ("repartition-commit", holds(name="ev", rows=60_000)),
}


def test_every_payload_works(cloud: dict[str, Any]) -> None:
    assert set(PAYLOADS) == {str(file.relative_to(EVENTS)) for file in EVENTS.rglob("*.json")}
    for file, (function, expected) in PAYLOADS.items():

        answers: list[Answer] = []

        # A step that is too early answers `waiting`, or finds nothing settled: send the same payload again.
        def answered() -> bool | None:
            answers.append(send(function, file))
            early = answers[-1].get("status") == "waiting" or answers[-1].get("partitions_planned") == 0
            return None if early else True

        poll(answered, f"end of {file}", WAIT_SECONDS, interval=1.0)
        assert expected(answers[-1]), f"{file}: {json.dumps(answers[-1])}"


def test_the_exports_are_all_that_clients_need(cloud: dict[str, Any]) -> None:
    invoked = subprocess.run(
        ["cargo-lambda", "lambda", "invoke", "rekey", "--remote", "--data-file", str(EVENTS / "rekey-s3.json")],
        capture_output=True,
        check=True,
    )
    assert rekeyed(json.loads(invoked.stdout))
    # A session that no code here has configured.
    buckets = {bucket["Name"] for bucket in boto3.session.Session().client("s3").list_buckets()["Buckets"]}
    assert {"lakewright-landing", "lakewright-lake", "lakewright-objects", "lakewright-results"} <= buckets
    settings = dict(
        line.split(" ", 1) for line in (Path(os.environ["SPARK_CONF_DIR"]) / "spark-defaults.conf").read_text().splitlines()
    )
    assert settings["spark.hadoop.fs.s3a.endpoint"] == cloud["endpoint"]
    assert settings["spark.hadoop.fs.s3a.path.style.access"] == "true"


def test_the_status_knows_every_job_and_what_nobody_reads(cloud: dict[str, Any]) -> None:
    lost = "s3://lakewright-landing/fligths/lost.json"
    clients.client("s3").put_object(Bucket="lakewright-landing", Key="fligths/lost.json", Body=b"{}")
    status = said("status", deploys=False)
    assert [job["kind"] for job in status["jobs"]] == ["rekey", "split", "compact", "compact", "repartition"]
    assert not [job for job in status["jobs"] if "cannot be asked" in job["summary"]]
    rekey = status["jobs"][0]
    assert rekey["summary"] == "6 objects landed, 6 committed, 18 rows written, 6 quarantined"
    assert "quarantined as no_timestamp: 6" in rekey["details"]
    assert status["unread"] == [lost]
    landed = "s3://lakewright-landing/flights/2026/05/01/13/sample records+1.json.gz"
    answers = said("status", landed, lost, f"{landed}.not", deploys=False)["objects"]
    assert [answer["state"] for answer in answers] == ["committed", "unread", "missing"]
    assert answers[0]["details"][1] == "4 rows in = 3 written + 1 quarantined"
    assert all(" row in flights/year=2026/" in detail for detail in answers[0]["details"][2:4])


def test_the_report_has_the_numbers_of_the_ledger(cloud: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    written = said("report", "--output", str(file), deploys=False)
    commits = Ledger("s3://lakewright-lake/flights/").refresh()
    (job,) = written["jobs"]
    assert written["file"] == str(file) and job["objects"] == len(commits) == 6
    assert job["rows"] == {name: sum(commit[f"rows_{name}"] for commit in commits.values()) for name in ("in", "out", "quarantined")}
    assert job["lake"]["files"] >= job["lake"]["partitions"] > 0 and job["landing_to_commit_seconds"]["median"] is not None
    assert file.read_text().startswith("<!doctype html>")
    by_target = said("report", "s3://lakewright-lake/flights/", "--output", str(file), deploys=False)
    assert {**by_target["jobs"][0], "landing_to_commit_seconds": None} == {**job, "landing_to_commit_seconds": None}


def test_each_command_has_an_example(cloud: dict[str, Any]) -> None:
    shown = subprocess.run(command("--help"), capture_output=True, text=True, check=True).stdout
    assert "Exit codes: 0 it is done" in shown and "130 it was interrupted" in shown
    names = re.findall(r"^  ([a-z]+)  ", shown.partition("Commands:")[2].partition("Options:")[0], re.MULTILINE)
    assert {"try", "up", "report", "status", "docs"} <= set(names)
    for name in names:
        if name != "help":
            text = subprocess.run(command(name, "--help"), capture_output=True, text=True, check=True).stdout
            assert f"Examples:\n  cargo xtask {name}" in text, name


LANDED = "s3://lakewright-landing/flights/2026/05/01/13/sample records+1.json.gz"
# What the page says for the names of somebody's own.
PLACEHOLDERS = {
    "s3://acme-landing/anpr/2026/05/01/13/x.json.gz": LANDED,
    "acme-lake/anpr/": "lakewright-lake/flights/",
    "lakewright.toml": "xtask/up/lakewright.toml",
    "<execution>": "run-1",
    "function-version 41": "function-version 1",
    '"2025/"': '"2026/"',
    "anpr.by_event_time": "lake.flights",
    "anpr": "flights",
    "records.jsonl": "$SCRATCH/records.jsonl",
    "mended.jsonl": "$SCRATCH/mended.jsonl",
    "replay FILE": 'replay "$FILE"',
}
# What each command says, in the page's order.
SAID = {
    "aws lambda invoke --function-name rekey --payload '{\"objects\"": '"status": "duplicate"',
    "aws lambda invoke --function-name rekey --payload '{\"redrive\"": '"given_up": []',
    "aws lambda invoke --function-name rekey --payload '{\"status\"": '"state": "committed"',
    "cargo xtask redrive anpr --dry-run": "0 objects in 0 messages",
    "cargo xtask redrive anpr": "0 objects in 0 messages",
    "cargo xtask quarantine --config lakewright.toml anpr": '"no_timestamp": 6',
    "cargo xtask quarantine --config lakewright.toml anpr --read": "",
    "cargo xtask quarantine --config lakewright.toml anpr --replay": '"replayed": true',
    "cargo xtask pause": "feeds no function",
    "cargo xtask resume": "feeds function",
    "aws lambda list-event-source-mappings": "arn:aws:sqs:",
    "aws lambda update-event-source-mapping": '"State": "Dis',
    "aws lambda list-versions-by-function": "$LATEST",
    "aws lambda update-alias": '"FunctionVersion": "1"',
    "aws lambda invoke --function-name rekey --payload '{\"sweep\"": '"usd": "0.01"',
    "aws lambda invoke --function-name split-plan": '"rows": 250',
    "aws lambda invoke --function-name compact-plan": '"job": "compact"',
    "aws s3 ls": "year=2026/",
    "aws lambda invoke --function-name repartition-plan": '"name": "ev"',
}


def test_every_command_of_the_operations_page_runs(cloud: dict[str, Any], tmp_path: Path) -> None:
    """Each command of its blocks, by the AWS CLI itself, in the order of the page."""
    functions, bucket = clients.client("lambda"), "lakewright-lake"
    functions.publish_version(FunctionName="rekey")
    functions.create_alias(FunctionName="rekey", Name="live", FunctionVersion="$LATEST")
    key = "flights/_lakewright/compact/failed/run-1/year=2026/Lakewright.Unmergeable"
    clients.client("s3").put_object(Bucket=bucket, Key=key, Body=b"{}")
    bin = tmp_path / "bin"
    bin.mkdir()
    # Both are found on the path, as a person's are.
    (bin / "cargo").write_text(f'#!/bin/sh\nshift\nexec "{os.environ[XTASK]}" "$@"\n')
    (bin / "cargo").chmod(0o755)
    (bin / "aws").symlink_to(Path(sys.executable).with_name("aws"))
    variables = {"PATH": f"{bin}:{os.environ['PATH']}", "SCRATCH": str(tmp_path), "FILE": "", "UUID": ""}
    expected = dict(SAID)
    for command in commands(ROOT / "docs/OPERATIONS.md", ("aws ", "cargo "), PLACEHOLDERS):
        begins = max((line for line in expected if as_run(command.written).startswith(line)), key=len, default=None)
        assert begins is not None, f"the test says nothing of {command.written}"
        answer = ran(command, ROOT, **variables)
        assert expected.pop(begins).replace(" ", "") in answer.replace(" ", ""), (command.run, answer)
        if begins.endswith("lakewright.toml anpr"):
            variables["FILE"] = min(json.loads(answer)["files"])
        if begins.endswith("--read"):
            records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
            mended = [json.loads(record["record"]) | {"time_hour": "2026-05-01T13:00:00Z"} for record in records[:1]]
            (tmp_path / "mended.jsonl").write_text("".join(json.dumps(record) + "\n" for record in mended))
        if begins.endswith("list-event-source-mappings"):
            variables["UUID"] = answer.split()[0]
        if begins.endswith("update-event-source-mapping"):
            functions.update_event_source_mapping(UUID=variables["UUID"], Enabled=True)
    assert not expected, expected


# AWS's own answer to what is asked; the parameters are checked, and nothing is sent.
CHECKED = " --generate-cli-skeleton output"


def test_the_commands_of_the_walk_through_run(cloud: dict[str, Any], tmp_path: Path) -> None:
    """Those of infra/README.md that have an AWS to run on here. MiniStack has no Lake Formation, and the queries and rewrites
    that state machines run are those of other tests: of these the AWS CLI checks every name and value. `test_plain.py` runs the deployment."""
    glue = clients.client("glue")
    glue.create_database(DatabaseInput={"Name": "landing"})
    columns = [{"Name": "event_time", "Type": "timestamp"}, {"Name": "plate", "Type": "string"}]
    storage = {"Columns": columns, "Location": "s3://acme-landing/anpr/"}
    glue.create_table(DatabaseName="landing", TableInput={"Name": "anpr", "StorageDescriptor": storage})
    machines = {
        key.removesuffix("StateMachineArn"): output["OutputValue"]
        for output in clients.client("cloudformation").describe_stacks(StackName="lakewright")["Stacks"][0]["Outputs"]
        if (key := output["OutputKey"]).endswith("StateMachineArn")
    }
    variables = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SWEEP_STATE_MACHINE_ARN": machines["RekeyflightsSweep"],
    }
    started = iter([("RekeyflightsSweep", ""), ("Splituserinfo", CHECKED), ("Compactlakeflights", ""), ("Repartitionev", CHECKED)])
    answers: dict[str, list[str]] = {}
    for command in commands(ROOT / "infra/README.md", ("aws ",), {}):
        _, service, operation, *_ = command.run.split()
        if service in ("s3", "cloudformation"):
            continue
        run = command.run
        if service == "lambda":
            for placeholder in ("s3://acme-landing/anpr/2026/05/01/13/x.json.gz", "anpr"):
                run = run.replace(placeholder, PLACEHOLDERS[placeholder])
        if "state-machine-arn …" in run:
            machine, checked = next(started)
            run = run.replace("…", machines[machine]) + checked
        if service == "lakeformation":
            run += CHECKED
        answer = ran(Command(command.written, run), tmp_path, **variables)
        answers.setdefault(operation, []).append(answer)
    assert list(started) == []
    assert {operation: len(said) for operation, said in answers.items()} == {
        "create-database": 1, "get-table": 1, "create-table": 1, "grant-permissions": 2, "invoke": 2, "start-execution": 5,
    }
    table = glue.get_table(DatabaseName="anpr", Name="by_event_time")["Table"]
    assert [key["Name"] for key in table["PartitionKeys"]] == ["year", "month", "day", "hour"]
    assert table["StorageDescriptor"]["Columns"] == columns
    assert '"state":"committed"' in answers["invoke"][0].replace(" ", "")
    assert all(word in answers["invoke"][1] for word in ('"committed":', '"sent":', '"requests"', '"usd"'))


def test_an_object_that_always_fails_is_redriven_by_the_command(cloud: dict[str, Any]) -> None:
    s3, key = clients.client("s3"), "flights/cut.json.gz"
    s3.put_object(Bucket="lakewright-landing", Key=key, Body=b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")

    def redriven(*more: str) -> dict[str, Any]:
        return said("redrive", "flights", *more, deploys=False)

    try:
        listed = poll(lambda: redriven("--dry-run")["given_up"] or None, "object that is given up", WAIT_SECONDS)
        assert [(one["source"], one["error"]) for one in listed] == [(f"s3://lakewright-landing/{key}", "Unreadable")]
        assert redriven("--error", "RecordTooLong") == {"sent": 0, "messages": 0, "given_up": []}
        sent = redriven("--error", "Unreadable")
        assert (sent["sent"], sent["messages"], sent["given_up"]) == (1, 1, listed)
    finally:
        s3.delete_object(Bucket="lakewright-landing", Key=key)


def as_run(written: str) -> str:
    """A command without what only another version of its program knows."""
    return written.replace(ONLY_VERSION_2, "")


def test_a_second_cloud_is_refused(cloud: dict[str, Any]) -> None:
    assert "a local cloud of this workspace is running already, by `cargo xtask up`" in refusal("demo")
