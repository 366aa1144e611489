"""What a person does with jobs, on the deployed stack: pause and resume, the quarantine, objects that always fail."""

import json
import os
import re
from base64 import b64encode
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow.parquet as parquet
import pytest

from jobs import Job
from lake import data_keys, download
from account import names
from localcloud.athena import ask
from localcloud.clients import client
from localcloud.ledger import split
from localcloud.polling import poll
from localcloud.progress import Failure
from localcloud.queues import waiting
from machine import invoke
from operate import pause, quarantine

PAGE = Path(__file__).parents[2] / "docs/OPERATIONS.md"
SECONDS = 60


def test_a_paused_job_does_nothing_until_it_is_resumed(sensors: Job, outputs: dict[str, str]) -> None:
    def states() -> tuple[set[str], set[str]]:
        mapped = {mapping["State"] for mapping in pause.mappings([sensors.queue, outputs["RekeysensorsBackfillQueueUrl"]])}
        return mapped, {schedule["State"] for schedule in pause.schedules([sensors.sweep])}

    assert states() == ({"Enabled"}, {"ENABLED"})
    before = pause.schedules([sensors.sweep])
    said = pause.switch("sensors", outputs, on=False)
    try:
        assert len(said) == 3
        assert states() == ({"Disabled"}, {"DISABLED"})
        source = sensors.land(f"paused/{uuid4().hex}.json", b'{"at": "2026-06-01T00:00:00Z", "room": "p", "n": 1}')
        poll(lambda: True if waiting(sensors.queue) > 0 else None, "message that waits", SECONDS)
        assert source not in sensors.ledger.refresh()
    finally:
        pause.switch("sensors", outputs, on=True)
    (commit,) = sensors.committed([source])
    assert commit["rows_out"] == 1
    assert states() == ({"Enabled"}, {"ENABLED"})
    assert pause.schedules([sensors.sweep]) == before


def test_quarantined_records_are_listed_mended_and_replayed_once(sensors: Job, tmp_path: Path) -> None:
    room = uuid4().hex
    good = {"at": "2026-06-02T00:00:00Z", "room": room, "n": 1}
    bad = [{"room": room, "n": 2}, {"at": "yesterday", "room": room, "n": 3}]
    body = "".join(json.dumps(record) + "\n" for record in [good, *bad]).encode()
    source = sensors.land(f"quarantined/{room}.json", body)
    (commit,) = sensors.committed([source])
    assert (commit["rows_out"], commit["rows_quarantined"]) == (1, 2)

    found = [record for record in quarantine.read(sensors.target, None) if record["source"] == source]
    assert [json.loads(record["record"])["n"] for record in found] == [2, 3]
    reasons = [record["reason"] for record in found]
    (file,) = {record["file"] for record in found}
    assert quarantine.listed(sensors.target)["files"][file] == {reason: reasons.count(reason) for reason in reasons}
    assert [record for record in quarantine.read(sensors.target, reasons[0]) if record["source"] == source]

    mended = "".join(json.dumps(json.loads(record["record"]) | {"at": good["at"]}) + "\n" for record in found)
    replayed = quarantine.replay(sensors.source, sensors.target, file, mended)
    assert replayed["replayed"]
    (commit,) = sensors.committed([replayed["object"]])
    assert (commit["rows_out"], commit["rows_quarantined"]) == (2, 0)
    # As often as anybody likes, and whatever is mended then.
    for again in (mended, mended.replace("3", "4"), None):
        assert quarantine.replay(sensors.source, sensors.target, file, again) == replayed | {"replayed": False}

    def numbers() -> list[int]:
        mine = [key for key in data_keys(sensors.target) if f"room={room}/" in key]
        return sorted(n for path in download(split(sensors.target)[0], mine, tmp_path / uuid4().hex) for n in parquet.read_table(path)["n"].to_pylist())

    assert numbers() == [1, 2, 3]


def test_the_quarantine_is_a_table_for_athena(sensors: Job, outputs: dict[str, str]) -> None:
    """As docs/OPERATIONS.md creates it. MiniStack's Athena reads files of JSON by DuckDB and knows no SerDe, so the statement is read
    here, and Glue gets what Athena would tell it."""
    room = uuid4().hex
    bad = [{"room": room, "n": 1}, {"at": "yesterday", "room": room, "n": 2}]
    source = sensors.land(f"asked/{room}.json", "".join(json.dumps(record) + "\n" for record in bad).encode())
    sensors.committed([source])
    (statements,) = re.findall(r"^```sql\n(CREATE EXTERNAL TABLE anpr\.quarantine.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    create, select = statements.strip().split(";\n")
    columns, serde, location = re.fullmatch(
        r"CREATE EXTERNAL TABLE anpr\.quarantine \((.*)\)\nROW FORMAT SERDE '(.*)'\nLOCATION '(.*)'", create, re.DOTALL
    ).groups()
    assert location == "s3://acme-lake/anpr/_lakewright/quarantine/"
    described = [column.replace("`", "").split() for column in columns.split(",")]
    database = names.database("quarantined")
    client("glue").create_database(DatabaseInput={"Name": database})
    client("glue").create_table(
        DatabaseName=database,
        TableInput={
            "Name": "quarantine",
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"EXTERNAL": "TRUE", "classification": "json"},
            "StorageDescriptor": {
                "Columns": [{"Name": name, "Type": kind} for name, kind in described],
                "Location": location.replace("s3://acme-lake/anpr/", sensors.target),
                "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
                "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
                "SerdeInfo": {"SerializationLibrary": serde},
            },
        },
    )
    # Each column has the values that its name and type promise.
    for record in quarantine.read(sensors.target, None):
        for name, kind in described:
            assert isinstance(record.get(name, ""), int if kind == "bigint" else str), (name, record)
    # MiniStack takes a location in a query for a file.
    ours = f"SELECT count(*) AS n FROM quarantine WHERE source LIKE '%{room}%'"
    assert ask(ours, database, f"s3://{names.RESULTS}/quarantined/") == {"n": 2}
    grouped = select.replace("anpr.quarantine", "quarantine").rstrip(";")
    assert ask(f"SELECT count(*) AS reasons FROM ({grouped})", database, f"s3://{names.RESULTS}/quarantined/")["reasons"] >= 1


def test_what_cannot_be_replayed_is_refused_and_bytes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [{"record": '{"n": 1}\n'}, {"record_base64": b64encode(b'{"n": "\xff"}').decode()}]
    assert quarantine.as_landed(records) == b'{"n": 1}\n{"n": "\xff"}\n'
    config = tmp_path / "lakewright.toml"
    for form in ("csv", "parquet"):
        config.write_text(f'[[rekey]]\nname = "x"\nsource = "s3://a/x/"\ntarget = "s3://b/x/"\nformat = "{form}"\ntimestamp = {{ column = "t" }}\n')
        monkeypatch.setattr("sys.argv", ["quarantine", "--config", str(config), "--job", "x", "--replay", "f.jsonl"])
        with pytest.raises(Failure, match=f"reads {form}, and only JSON is replayed"):
            quarantine.main()


@pytest.mark.only_local(reason="it reads the functions' log where the local cloud writes it")
def test_what_passes_is_tried_again_after_seconds(sensors: Job) -> None:
    log = Path(os.environ["LAKEWRIGHT_CLOUD_LOG"])
    functions, before = client("lambda"), len(log.read_bytes())
    timeout = functions.get_function_configuration(FunctionName=sensors.function)["Timeout"]
    # All of it is kept for the last calls, so every object is too late.
    functions.update_function_configuration(FunctionName=sensors.function, Timeout=2)
    try:
        source = sensors.land(f"late/{uuid4().hex}.json", b'{"at": "2026-06-03T00:00:00Z", "room": "late", "n": 1}')
        poll(lambda: b"delivered again soon" in log.read_bytes()[before:] or None, "message that is delivered again soon", SECONDS)
    finally:
        functions.update_function_configuration(FunctionName=sensors.function, Timeout=timeout)
    # The queue's own timeout is half an hour.
    (commit,) = sensors.committed([source])
    assert commit["rows_out"] == 1


@pytest.mark.only_local(reason="it purges queues, which takes a minute on AWS")
def test_an_object_that_always_fails_is_listed_and_redriven(sensors: Job, outputs: dict[str, str]) -> None:
    source = sensors.land(f"cut/{uuid4().hex}.json.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")

    def asked(**more: Any) -> dict[str, Any]:
        return invoke(sensors.function, {"redrive": "sensors", **more})

    def given_up() -> dict[str, Any] | None:
        found = [one for one in asked(dry_run=True)["given_up"] if one["source"] == source]
        return found[0] if found else None

    assert poll(given_up, "object that is given up", SECONDS)["error"] == "Unreadable"
    assert invoke(sensors.function, {"status": [source]})["objects"][0]["state"] == "given_up"
    swept = invoke(sensors.function, {"sweep": "sensors", "prefix": "cut/", "min_age_seconds": 0})
    assert (swept["given_up"], swept["sent"]) == (1, 0)
    pause.switch("sensors", outputs, on=False)
    try:
        assert asked(error="RecordTooLong")["sent"] == 0
        backfill = outputs["RekeysensorsBackfillQueueUrl"]
        assert asked(error="Unreadable")["sent"] == 1
        poll(lambda: True if waiting(backfill) == 1 else None, "message of the redrive", SECONDS)
    finally:
        bucket, key = split(source)
        client("s3").delete_object(Bucket=bucket, Key=key)
        for queue in (sensors.queue, outputs["RekeysensorsBackfillQueueUrl"], sensors.dead_letters):
            client("sqs").purge_queue(QueueUrl=queue)
        pause.switch("sensors", outputs, on=True)
