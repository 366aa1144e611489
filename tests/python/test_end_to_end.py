"""The slice: objects land, the real function re-keys them on the deployed stack."""

import gzip
import json
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from account.names import database
from jobs import Job, from_queue, notification
from localcloud.clients import client
from localcloud.polling import poll
from localcloud.queues import held_back, peek, quick_retries
from machine import Machine

DEAD_LETTER_SECONDS = 120
HOUSE = database("house")


def text(records: list[dict[str, Any]], delimiter: str) -> bytes:
    """The records as Firehose writes them."""
    return "".join(json.dumps(record) + delimiter for record in records).encode()


def opened(door: str, count: int, at: Any) -> dict[str, Any]:
    """A record of the job `doors`."""
    return {"door": door, "opened": count, "at": at}


def hours(number: int) -> list[dict[str, Any]]:
    """Records of three days, out of order."""
    return [opened(f"d{n}", n, f"2026-05-0{1 + n % 3}T{n % 24:02}:30:00Z") for n in range(number)]


@pytest.mark.parametrize(
    ("key", "body"),
    [
        pytest.param("2026/05/01/13/doors-1-a.json.gz", gzip.compress(text(hours(40), "\n")), id="lines"),
        pytest.param("2026/05/01/13/doors-1-b.json.gz", gzip.compress(text(hours(41), "")), id="concatenated"),
        pytest.param("2026/05/01/13/doors-1-c.json", text(hours(42), "\r\n"), id="plain"),
        pytest.param("2026/05/01/13/a space+plus=equals.json.gz", gzip.compress(text(hours(43), "")), id="space+plus"),
        pytest.param("2026/05/01/13/Türen-門-%41.json", text(hours(44), "\n"), id="beyond ASCII"),
        pytest.param(
            "2026/05/01/13/members.json.gz",
            gzip.compress(text(hours(45)[:7], "")) + gzip.compress(text(hours(45)[7:], "")),
            id="gzip members",
        ),
    ],
)
def test_what_lands_is_rekeyed(doors: Job, key: str, body: bytes) -> None:
    source = doors.land(key, body)
    (commit,) = doors.committed([source])
    expected = Counter(
        (n, record["door"], record["at"])
        for n, record in enumerate(hours(commit["rows_in"]))
    )
    found = Counter(
        (row["opened"], row["door"], f"{row['at']:%Y-%m-%dT%H:%M:%SZ}") for row in doors.rows([commit])
    )
    assert found == expected
    assert (commit["rows_out"], commit["rows_quarantined"]) == (commit["rows_in"], 0)
    assert {output["key"].rpartition("/")[0] for output in commit["outputs"]} == {
        f"doors/date=2026-05-0{day}" for day in (1, 2, 3)
    }


def test_a_delivery_more_changes_nothing(doors: Job) -> None:
    sources = [doors.land(f"2026/05/02/00/twice-{n}.json", text(hours(10 + n), "\n")) for n in range(3)]
    commits = doors.committed(sources)
    before = doors.objects()
    for source in sources:
        report = doors.invoke(notification(source))
        assert [entry["status"] for entry in report["objects"]] == ["duplicate"]
    by_queue = doors.invoke(
        from_queue({source: json.dumps(notification(source)) for source in [*sources, *reversed(sources)]})
    )
    assert by_queue == {"batchItemFailures": []}
    after = doors.objects()
    # Messages that are delivered for the first time are claimed without a lookup, as a batch that then has no members.
    batches = {key for key in after if key.startswith("doors/_lakewright/batch/")}
    assert {key: entry for key, entry in after.items() if key in before or key not in batches} == before
    assert doors.committed(sources) == commits


def test_a_poison_message_ends_in_the_dead_letter_queue_and_harms_no_neighbour(doors: Job) -> None:
    with quick_retries(doors.queue, 3):
        good = [doors.land(f"2026/05/03/00/neighbour-{n}.json", text(hours(5 + n), "\n")) for n in range(3)]
        truncated = doors.land("2026/05/03/00/truncated.json.gz", gzip.compress(text(hours(50), "\n"))[:-20])
        entries = ["{", *(json.dumps(notification(source)) for source in good)]
        client("sqs").send_message_batch(
            QueueUrl=doors.queue,
            Entries=[{"Id": str(n), "MessageBody": body} for n, body in enumerate(entries)],
        )
        doors.committed(good)

        def dead() -> list[str] | None:
            bodies = peek(doors.dead_letters)
            return bodies if len(bodies) == 2 else None

        bodies = poll(dead, "two dead letters", DEAD_LETTER_SECONDS)
    assert sum(body == "{" for body in bodies) == 1
    assert sum("truncated.json.gz" in body for body in bodies) == 1
    assert truncated not in doors.ledger.refresh()


def test_records_without_a_valid_time_are_quarantined(doors: Job) -> None:
    timeless = [opened("q", 1, None), opened("q", 2, "soon"), {"door": "q", "opened": 3}]
    records = [*hours(4), *timeless]
    source = doors.land("2026/05/04/00/timeless.json.gz", gzip.compress(text(records, "\n")))
    (commit,) = doors.committed([source])
    assert (commit["rows_in"], commit["rows_out"], commit["rows_quarantined"]) == (7, 4, 3)
    assert {row["door"] for row in doors.rows([commit])} == {"d0", "d1", "d2", "d3"}
    whole = text(records, "\n")
    entries = [json.loads(line) for line in doors.get(commit["quarantine"]).splitlines()]
    assert [(entry["source"], entry["reason"], entry["record"], entry["offset"]) for entry in entries] == [
        (source, reason, json.dumps(record), whole.index(json.dumps(record).encode()))
        for record, reason in zip(timeless, ["no_timestamp", "bad_timestamp", "no_timestamp"], strict=True)
    ]


def test_new_partitions_are_registered(doors: Job) -> None:
    source = doors.land("2026/05/05/00/new.json", text([opened("p", 1, "2027-01-31T00:00:00Z")], ""))
    doors.committed([source])
    glue = client("glue")
    partition = glue.get_partition(DatabaseName=HOUSE, TableName="doors", PartitionValues=["2027-01-31"])["Partition"]
    assert partition["StorageDescriptor"]["Location"].rstrip("/") == f"{doors.target}date=2027-01-31"
    table = glue.get_table(DatabaseName=HOUSE, Name="doors")["Table"]
    for field in ("InputFormat", "OutputFormat", "SerdeInfo"):
        assert partition["StorageDescriptor"][field] == table["StorageDescriptor"][field]


def test_a_column_that_the_table_gains_is_filled(doors: Job) -> None:
    record = {**opened("c", 1, "2026-06-01T00:00:00Z"), "floor": "cellar"}
    (commit,) = doors.committed([doors.land("2026/06/01/00/before.json", text([record], "\n"))])
    assert [row.keys() for row in doors.rows([commit])] == [{"door", "opened", "at"}]

    glue = client("glue")
    table = glue.get_table(DatabaseName=HOUSE, Name="doors")["Table"]
    table_input = {name: table[name] for name in ("Name", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")}
    table_input["StorageDescriptor"]["Columns"].append({"Name": "floor", "Type": "string"})
    glue.update_table(DatabaseName=HOUSE, TableInput=table_input)

    (commit,) = doors.committed([doors.land("2026/06/01/00/after.json", text([record], "\n"))])
    assert [row["floor"] for row in doors.rows([commit])] == ["cellar"]


def test_what_was_never_told_is_swept(doors: Job) -> None:
    with held_back(doors.queue):
        lost = doors.land("2026/06/02/00/lost.json", text(hours(6), "\n"))

        def told() -> bool | None:
            received = client("sqs").receive_message(QueueUrl=doors.queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
            for message in received.get("Messages", []):
                if "lost.json" in message["Body"]:
                    client("sqs").delete_message(QueueUrl=doors.queue, ReceiptHandle=message["ReceiptHandle"])
                    return True
            return None

        poll(told, "notification", DEAD_LETTER_SECONDS)
    report = Machine(doors.sweep).succeeded(prefix="2026/06/02/", min_age_seconds=0)
    assert (report["listed"], report["committed"], report["sent"]) == (1, 0, 1)
    (commit,) = doors.committed([lost])
    assert commit["rows_out"] == 6


def test_without_a_table_the_schema_is_inferred(sensors: Job) -> None:
    records: list[dict[str, Any]] = [
        {"room": "hall", "celsius": 21.5, "ok": True, "tags": ["a", "b"], "at": "2026-05-01T10:00:00Z"},
        {"room": "a/b=c", "celsius": None, "ok": False, "tags": [], "at": "2026-05-01T10:00:00+02:00"},
        {"room": None, "celsius": 3, "ok": None, "tags": None, "at": 1777593600},
    ]
    (commit,) = sensors.committed([sensors.land("2026/05/01/10/x.json.gz", gzip.compress(text(records, "")))])
    assert {output["key"].rpartition("/")[0] for output in commit["outputs"]} == {
        "sensors/date=2026-05-01/room=hall",
        "sensors/date=2026-05-01/room=a%2Fb%3Dc",
        "sensors/date=2026-05-01/room=__HIVE_DEFAULT_PARTITION__",
    }
    rows = sorted((row["celsius"] is not None, row["celsius"] or 0.0) for row in sensors.rows([commit]))
    assert rows == [(False, 0.0), (True, 3.0), (True, 21.5)]
    assert all(isinstance(row["at"], (datetime, str, int)) for row in sensors.rows([commit]))
