"""One's own files: `cargo xtask try`, `cargo xtask up --config --land`, and what is refused, and how."""

import bz2
import gzip
import hashlib
import json
import os
import platform
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from firsthour import command, exported, refusal, said, up
from localcloud import clients


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
    assert why["cut.json.gz"].startswith("Unreadable: ")
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


OWN = r"""
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
allow_any_source = true
target = "s3://mine-lake/people/"
partition_by = ["country"]
output = [{ format = "json" }]

[[rekey]]
name = "later"
source = "s3://mine-landing/later/"
timestamp = { column = "at" }
target = "s3://mine-lake/later/"
table = "mine.later"

[[rekey]]
name = "doors"
source = "s3://mine-landing/doors/"
format = "regex"
regex = { pattern = '(?P<at>\S+) (?P<door>\S+)' }
timestamp = { column = "at" }
target = "s3://mine-lake/doors/"

[[rekey]]
name = "visits"
source = "s3://mine-landing/visits/"
timestamp = { column = "at" }
target = "s3://mine-lake/visits/"
partition_by = ["date"]

[rekey.route]
column = "kind"
otherwise = "2"

[rekey.route.tables.arrival]
target = "s3://mine-lake/arrivals/"
table = "port.arrivals"

[rekey.route.tables.2]
target = "s3://mine-lake/others/"
table = "port.others"
"""


def test_own_configuration_with_tables_made_from_what_lands(tmp_path: Path) -> None:
    config, orders, people = tmp_path / "my.toml", tmp_path / "orders", tmp_path / "people.csv"
    config.write_text(OWN)
    orders.mkdir()
    (orders / "a.csv").write_text("id,at,price\n1,2026-05-01,1.5\n2,2026-05-02,2\n")
    people.write_text("name,country\n" + "".join(f'"p, {n}",{"de" if n % 2 else "fr"}\n' for n in range(10)))
    visits = tmp_path / "visits.json"
    records = [{"kind": ["arrival", 2, "call"][n % 3], "at": "2026-05-01T00:00:00Z", f"n{n % 3}": n} for n in range(12)]
    visits.write_text("".join(json.dumps(record) for record in records))
    doors = tmp_path / "doors.log"
    doors.write_text("2026-05-01T00:00:00Z a\n2026-05-01T00:30:00Z b\n")
    landed = {"orders": orders, "people": people, "visits": visits, "doors": doors}
    land = [part for name, path in landed.items() for part in ("--land", f"{name}={path}")]
    with up(tmp_path / "log", "--config", str(config), *land) as summary, pytest.MonkeyPatch.context() as patch:
        for name, value in exported(summary["exports"]).items():
            patch.setenv(name, value)
        clients.client.cache_clear()
        by_job = {outcome["job"]: outcome for outcome in summary["outcomes"]}
        assert (by_job["orders"]["rows_out"], by_job["orders"]["partitions"]) == (2, 2)
        assert (by_job["people"]["rows_out"], by_job["people"]["partitions"]) == (10, 2)
        assert (by_job["doors"]["rows_out"], by_job["doors"]["files_out"]) == (2, 1)
        assert (by_job["visits"]["rows_out"], by_job["visits"]["files_out"]) == (12, 2)
        (note,) = summary["notes"]
        assert "the table mine.later of rekey `later` is not there" in note and "--land later=FOLDER" in note

        def described(database: str, name: str) -> tuple[dict[str, Any], dict[str, str]]:
            table = clients.client("glue").get_table(DatabaseName=database, Name=name)["Table"]
            return table, {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]}

        assert described("port", "arrivals")[1] == {"kind": "string", "at": "timestamp", "n0": "bigint"}
        assert described("port", "others")[1].keys() == {"kind", "at", "n1", "n2"}
        table, columns = described("mine", "orders")
        assert columns == {"id": "bigint", "at": "date", "price": "double"}
        assert [key["Name"] for key in table["PartitionKeys"]] == ["date"]
        partitions = clients.client("glue").get_partitions(DatabaseName="mine", TableName="orders")["Partitions"]
        assert sorted(partition["Values"] for partition in partitions) == [["2026-05-01"], ["2026-05-02"]]
    clients.client.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["--config", "my.toml", "--land", "orders.csv"], "several jobs that read files (`orders`, `later`, `doors`, `visits`, `people`)"),
        (["--config", "my.toml", "--land", "oders=orders.csv"], "has no job `oders` that reads files"),
        (["--config", "my.toml", "--land", "later=orders.csv"], 'reads JSON, but the files hold CSV: write format = "csv"'),
        (["--config", "my.toml", "--land", "orders=nothing/"], "nothing does not exist"),
        (["--config", "bad.toml"], "bad.toml:1:10: unclosed array"),
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


def elf(machine: int) -> bytes:
    """The beginning of a program."""
    return b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little") + bytes(100)


def function_zips(folder: Path, machine: int) -> Path:
    """A folder with a zip of every function, and their checksums."""
    sums = []
    for source in (Path(__file__).parents[2] / "functions/src/bin").glob("*.rs"):
        archive = folder / source.stem / "bootstrap.zip"
        archive.parent.mkdir(parents=True)
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.writestr("bootstrap", elf(machine))
        sums.append(f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {source.stem}/bootstrap.zip\n")
    (folder / "SHA256SUMS").write_text("".join(sums))
    return folder


def test_functions_that_cannot_run_here_are_refused(tmp_path: Path) -> None:
    def error(folder: Path) -> str:
        ended = subprocess.run(command("up", "--functions", str(folder)), capture_output=True, text=True, timeout=60)
        assert ended.returncode == 1 and "Local cloud" not in ended.stderr, ended.stderr
        return ended.stderr

    here, other = (62, 183) if platform.machine() == "x86_64" else (183, 62)
    assert "make one with `cargo xtask package`" in error(tmp_path / "nowhere")
    names = {62: "x86_64", 183: "arm64"}
    foreign = function_zips(tmp_path / "foreign", other)
    assert f"is built for {names[other]}, and {names[here]} is what has to run here" in error(foreign)
    # Of a folder with both, this machine's is taken.
    both = tmp_path / "both"
    damaged = function_zips(both / names[here], here) / "split-rows/bootstrap.zip"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert "split-rows/bootstrap.zip is not the file that" in error(both)
    damaged.unlink()
    assert "split-rows/bootstrap.zip does not exist: `cargo xtask package` makes it" in error(both)
