"""The first hour: `cargo xtask up` and every payload in events/; one's own files; and what is refused, and how."""

import bz2
import gzip
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from firsthour import exported, refusal, said, up
from localcloud import clients
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
        for kind in ("s3", "eventbridge", "by-hand", "map-item", "map-batch")
    },
    **{f"rekey-{kind}.json": ("rekey", failing()) for kind in ("sqs", "sns-sqs", "eventbridge-sqs")},
    "rekey-test-event.json": ("rekey", holds(objects=[])),
    "rekey-sweep.json": ("rekey", holds(listed=6, committed=6, sent=0)),
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
    "compact-publish-sweep.json": ("compact-publish", holds(step="sweep", status="done", next=None)),
    "compact-publish-delete.json": ("compact-publish", holds(step="delete", status="done", files=6)),
    "compact-publish-abandon.json": ("compact-publish", holds(step="abandon", status="superseded")),
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

        # What comes too early says that it waits, or finds nothing that has settled: the same is sent again.
        def answered() -> bool | None:
            answers.append(send(function, file))
            early = answers[-1].get("status") == "waiting" or answers[-1].get("partitions_planned") == 0
            return None if early else True

        poll(answered, f"end of {file}", WAIT_SECONDS, interval=1.0)
        assert expected(answers[-1]), (file, answers[-1])


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


def test_a_second_cloud_is_refused(cloud: dict[str, Any]) -> None:
    assert "a local cloud of this workspace is running already, by `cargo xtask up`" in refusal("demo")


def record(number: int) -> dict[str, Any]:
    """A record of the files that are tried."""
    return {
        "id": number,
        "happened_at": f"2026-05-{1 + number // 24:02}T{number % 24:02}:30:00Z",
        "amount": number / 4,
        "tags": ["a", str(number)],
        "inner": {"text": f"row {number}"},
    }


RECORDS = [record(number) for number in range(60)]


def folder_of_json(folder: Path) -> None:
    """All framings, compressed and not, with pieces that are no records, and a file that is cut short."""
    (folder / "below").mkdir()
    (folder / "lines.jsonl").write_text("".join(json.dumps(one) + "\n" for one in RECORDS[:20]))
    joined = "".join(json.dumps(one) for one in RECORDS[20:40])
    (folder / "below/joined.json.gz").write_bytes(gzip.compress(joined.encode()))
    broken = json.dumps({**record(1), "happened_at": "yesterday"}) + "\nno json\n"
    (folder / "below/array.json.bz2").write_bytes(bz2.compress((json.dumps(RECORDS[40:]) + "\n" + broken).encode()))
    (folder / "cut.json.gz").write_bytes(gzip.compress(os.urandom(1 << 16).hex().encode())[:-9])
    (folder / "empty.json").write_bytes(b"")
    (folder / "_hidden.json").write_text("not looked at")


def test_json_of_all_kinds_good_and_bad(tmp_path: Path) -> None:
    files = tmp_path / "Order Events"
    files.mkdir()
    folder_of_json(files)
    tried = said("try", str(files), code=1, folder=tmp_path)
    proposal, (outcome,) = tried["proposal"], tried["outcomes"]
    assert (proposal["job"], proposal["kind"], proposal["format"]) == ("order_events", "rekey", "json")
    assert proposal["timestamp"] == {"column": "happened_at"}
    assert proposal["parsed"] == 60 == proposal["records"] - 1
    assert proposal["partition_by"] == ["year", "month", "day", "hour"]
    assert proposal["columns"] == {
        "id": "bigint",
        "happened_at": "timestamp",
        "amount": "double",
        "tags": "array<string>",
        "inner": "struct<text:string>",
    }
    assert (outcome["rows_in"], outcome["rows_out"], outcome["rows_quarantined"]) == (62, 60, 2)
    assert outcome["quarantined_by_reason"] == {"bad_timestamp": 1, "invalid_json": 1}
    assert {example["record"].strip() for example in outcome["examples"]} >= {"no json"}
    assert outcome["partitions"] == 60
    why = {Path(refused["path"]).name: refused["why"] for refused in outcome["refused"]}
    assert why.keys() == {"cut.json.gz", "empty.json"}
    assert why["cut.json.gz"].startswith("Lakewright.Unreadable")
    assert not (tmp_path / ".lakewright").exists()
    # Again it may be written, but not once it was changed.
    config = tmp_path / "lakewright.toml"
    assert said("try", str(files), "--propose-only", folder=tmp_path, deploys=False)["proposal"]["job"] == "order_events"
    config.write_text(config.read_text() + "# mine\n")
    assert "not as `try` left it" in refusal("try", str(files), "--propose-only", folder=tmp_path)


def test_csv_with_times_in_an_unusual_form(tmp_path: Path) -> None:
    rows = [f'{n};{1 + n % 28:02}/{1 + n % 3:02}/2026 10:{n:02};"a;{n}"' for n in range(50)]
    (tmp_path / "trips.csv").write_text("trip;pickup;note\n" + "\n".join([*rows, "50;never;x", "too;few"]) + "\n")
    tried = said("try", "trips.csv", "--zone", "Europe/Berlin", "--output", "parquet,csv", folder=tmp_path)
    proposal, (outcome,) = tried["proposal"], tried["outcomes"]
    assert proposal["timestamp"] == {"column": "pickup", "format": "%d/%m/%Y %H:%M", "zone": "Europe/Berlin"}
    assert proposal["partition_by"] == ["year", "month", "day"]
    assert proposal["columns"] == {"trip": "bigint", "pickup": "string", "note": "string"}
    assert (outcome["rows_in"], outcome["rows_out"]) == (52, 50)
    assert outcome["quarantined_by_reason"] == {"bad_timestamp": 1, "field_count": 1}
    assert outcome["files_out"] == 2 * outcome["partitions"]


def test_parquet(tmp_path: Path) -> None:
    times = arrow.array([1_777_640_832_000 + n * 86_400_000 for n in range(40)], arrow.timestamp("ms", "UTC"))
    table = arrow.table({"ID": arrow.array(range(40), arrow.int32()), "created": times, "date": ["x"] * 40})
    parquet.write_table(table, tmp_path / "orders.parquet")
    tried = said("try", "orders.parquet", folder=tmp_path)
    proposal, (outcome,) = tried["proposal"], tried["outcomes"]
    assert proposal["timestamp"] == {"column": "created"} and proposal["parsed"] == 40
    # `date` is a column of the file's own.
    assert proposal["partition_by"] == ["year", "month", "day"]
    assert proposal["columns"] == {"id": "int", "created": "timestamp", "date": "string"}
    assert (outcome["rows_in"], outcome["rows_out"], outcome["partitions"]) == (40, 40, 40)
    assert outcome["preview"]["columns"] == ["id", "created", "date"]


def test_files_without_times_are_repartitioned(tmp_path: Path) -> None:
    for part in range(3):
        lines = "".join(f"name {part}-{n},{n}\n" for n in range(10))
        (tmp_path / f"people-{part}.csv").write_text("name,age\n" + lines)
    files = [f"people-{part}.csv" for part in range(3)]
    tried = said("try", *files, "--name", "people", folder=tmp_path)
    (outcome,) = tried["outcomes"]
    assert (tried["proposal"]["kind"], outcome["rows_out"], outcome["files_out"]) == ("repartition", 30, 1)


OWN = """
[[rekey]]
name = "orders"
source = "s3://mine-landing/orders/"
format = "csv"
timestamp = { column = "at" }
target = "s3://mine-lake/orders/"
partition_by = ["date"]
table = "mine.orders"

[[repartition]]
name = "people"
source = "mine.people"
target = "s3://mine-lake/people/"
partition_by = ["country"]
output = [{ format = "json" }]

[[rekey]]
name = "later"
source = "s3://mine-landing/later/"
timestamp = { column = "at" }
target = "s3://mine-lake/later/"
table = "mine.later"
"""


def test_own_configuration_with_tables_made_from_what_lands(tmp_path: Path) -> None:
    config, orders, people = tmp_path / "my.toml", tmp_path / "orders", tmp_path / "people.csv"
    config.write_text(OWN)
    orders.mkdir()
    (orders / "a.csv").write_text("id,at,price\n1,2026-05-01,1.5\n2,2026-05-02,2\n")
    people.write_text("name,country\n" + "".join(f'"p, {n}",{"de" if n % 2 else "fr"}\n' for n in range(10)))
    land = ["--land", f"orders={orders}", "--land", f"people={people}"]
    with up(tmp_path / "log", "--config", str(config), *land) as summary, pytest.MonkeyPatch.context() as patch:
        for name, value in exported(summary["exports"]).items():
            patch.setenv(name, value)
        clients.client.cache_clear()
        by_job = {outcome["job"]: outcome for outcome in summary["outcomes"]}
        assert (by_job["orders"]["rows_out"], by_job["orders"]["partitions"]) == (2, 2)
        assert (by_job["people"]["rows_out"], by_job["people"]["partitions"]) == (10, 2)
        (note,) = summary["notes"]
        assert "the table mine.later of rekey `later` is not there" in note and "--land later=FOLDER" in note
        table = clients.client("glue").get_table(DatabaseName="mine", Name="orders")["Table"]
        columns = {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]}
        assert columns == {"id": "bigint", "at": "date", "price": "double"}
        assert [key["Name"] for key in table["PartitionKeys"]] == ["date"]
        partitions = clients.client("glue").get_partitions(DatabaseName="mine", TableName="orders")["Partitions"]
        assert sorted(partition["Values"] for partition in partitions) == [["2026-05-01"], ["2026-05-02"]]
    clients.client.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["--config", "my.toml", "--land", "orders.csv"], "several jobs that read files (`orders`, `people`, `later`)"),
        (["--config", "my.toml", "--land", "oders=orders.csv"], "has no job `oders` that reads files"),
        (["--config", "my.toml", "--land", "later=orders.csv"], 'reads JSON, but the files hold CSV: write format = "csv"'),
        (["--config", "my.toml", "--land", "orders=nothing/"], "nothing does not exist"),
        (["--config", "bad.toml"], "bad.toml is no TOML"),
        (["--config", "none.toml"], "names no job"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "my.toml").write_text(OWN)
    (tmp_path / "bad.toml").write_text("rekey = [")
    (tmp_path / "none.toml").write_text("")
    (tmp_path / "orders.csv").write_text("id,at,price\n1,2026-05-01,1.5\n")
    error = refusal("up", *arguments, folder=tmp_path)
    assert message in error and "Traceback" not in error and "Local cloud" not in error, error


@pytest.mark.parametrize(
    ("name", "body", "flags", "message"),
    [
        ("noise.bin", bytes(range(256)), [], "it is neither JSON nor CSV nor Parquet"),
        ("empty.json", b"", [], "it is empty"),
        ("a.json", b'{"a": 1}\n', ["--timestamp", "at"], "there is no column `at` in the files: there is a"),
        ("a.json", b'{"a": "x"}\n', ["--timestamp", "a"], "no value of `a` is read as a time"),
        ("a.json", b'{"a": "x"}\n', ["--job", "rekey"], "no column holds a time"),
    ],
)
def test_files_that_cannot_be_tried(tmp_path: Path, name: str, body: bytes, flags: list[str], message: str) -> None:
    (tmp_path / name).write_bytes(body)
    error = refusal("try", name, *flags, folder=tmp_path)
    assert message in error and "Traceback" not in error, error
    assert not (tmp_path / "lakewright.toml").exists()
