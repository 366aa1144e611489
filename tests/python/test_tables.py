"""Tables that gain columns, and tables of one stream, on the deployed stack."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import spark
from account.names import LANDING, RESULTS, database
from flights.table import table_input
from jobs import Job, notification
from lake import CatalogTable, data_keys, download
from localcloud.athena import ask
from localcloud.clients import client
from localcloud.ledger import split
from repartitions import Job as Repartition

GARDEN = database("garden")
PORT = database("port")
SECRET = "a secret of thirty-two bytes, say"


def lines(*records: dict[str, Any]) -> bytes:
    """The records, a line each."""
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def columns(database: str, table: str) -> list[tuple[str, str]]:
    """The columns of a table in the catalog."""
    described = client("glue").get_table(DatabaseName=database, Name=table)["Table"]
    return [(column["Name"], column["Type"]) for column in described["StorageDescriptor"]["Columns"]]


@pytest.fixture(scope="module")
def growing(outputs: dict[str, str]) -> Job:
    """A job whose table gets columns."""
    job = Job("growing", outputs)
    job.create_table(GARDEN, "growing", {"bed": "string", "at": "timestamp"}, ["date"])
    return job


def test_fields_become_columns_once_and_older_files_have_nulls(growing: Job, tmp_path: Path) -> None:
    planted = {"bed": "b0", "at": "2026-05-01T06:00:00Z"}
    growing.committed([growing.land("2026/05/01/06/before.json", lines(planted))])
    # Each object is a batch of its own, so that several invocations bring the columns at once; one also has one of its own.
    bringing = [
        {"bed": f"b{n}", "at": f"2026-05-0{1 + n % 2}T07:00:00Z", "Height": n / 4, "watered": {"by": "hand"}}
        for n in range(1, 9)
    ]
    bringing[3]["note"] = "dry"
    unplaced = {"bed": "b9", "weeds": 3}
    sources = [growing.land(f"2026/05/01/07/{n}.json", lines(record)) for n, record in enumerate(bringing)]
    sources.append(growing.land("2026/05/01/07/unplaced.json", lines(unplaced)))
    commits = growing.committed(sources)
    assert [commit["rows_quarantined"] for commit in commits] == [0] * 8 + [1]

    found = columns(GARDEN, "growing")
    assert found[:2] == [("bed", "string"), ("at", "timestamp")]
    assert sorted(found[2:]) == [("height", "double"), ("note", "string"), ("watered", "struct<by:string>")]
    bucket, prefix = split(growing.target)
    for name, kind in found[2:]:
        said = json.loads(growing.get(f"{prefix}_lakewright/columns/{name}"))
        assert (said["name"], said["type"]) == (name, kind)
        assert said["source"] in ([sources[3]] if name == "note" else sources[:8])
    assert {source for commit in commits for source in commit.get("columns_added", {})} <= {name for name, _ in found}

    # Again: nothing is added, and nothing is written twice.
    assert [entry["status"] for entry in growing.invoke(notification(sources[3]))["objects"]] == ["duplicate"]
    assert columns(GARDEN, "growing") == found

    expected = sorted(
        (record["bed"], record.get("Height"), record.get("watered", {}).get("by"), record.get("note"))
        for record in [planted, *bringing]
    )
    files = download(bucket, data_keys(growing.target), tmp_path)
    selected = "bed, height, watered.by AS by, note"
    by_duckdb = duckdb.sql(f"SELECT {selected} FROM read_parquet({[str(file) for file in files]}, union_by_name = true)")
    kinds = ", ".join(f"`{name}` {kind}" for name, kind in found)
    by_spark = spark.session().read.schema(kinds).parquet(*map(str, files)).selectExpr(*selected.split(", "))
    assert sorted(by_duckdb.fetchall()) == expected
    assert sorted(tuple(row) for row in by_spark.collect()) == expected
    counts = ask("SELECT count(*) AS beds, count(height) AS heights, count(note) AS notes FROM growing", GARDEN, f"s3://{RESULTS}/tables/")
    assert counts == {"beds": 9, "heights": 8, "notes": 1}


@pytest.fixture(scope="module")
def secret() -> Iterator[None]:
    """The secret that visitors are hashed with, where both jobs look for it."""
    manager, parameters = client("secretsmanager"), client("ssm")
    manager.create_secret(Name="lakewright-test-visitors", SecretString=SECRET)
    parameters.put_parameter(Name="/lakewright-test/visitors", Value=SECRET, Type="SecureString")
    yield
    manager.delete_secret(SecretId="lakewright-test-visitors", ForceDeleteWithoutRecovery=True)
    parameters.delete_parameter(Name="/lakewright-test/visitors")


def hashed(text: str) -> str:
    """What is written in place of a text."""
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


@pytest.mark.only_local(reason="two runs in one account would share a secret")
def test_records_of_one_object_go_to_the_tables_of_their_kind(outputs: dict[str, str], secret: None, tmp_path: Path) -> None:
    visits = Job("visits", outputs)
    described = {"visitor": "string", "at": "timestamp"}
    locations = {name: f"{visits.target}{name}/" for name in ("arrivals", "departures")}
    glue = client("glue")
    glue.create_database(DatabaseInput={"Name": PORT})
    for name, location in locations.items():
        glue.create_table(DatabaseName=PORT, TableInput=table_input(name, location, described, ["date"]))
    kinds = ["arrival", "departure", "call"]
    records = [{"kind": kinds[n % 3], "visitor": f"v{n}", "at": f"2026-05-0{1 + n % 2}T00:00:00Z"} for n in range(30)]
    source = visits.land("2026/05/01/00/all.json", lines(*records))
    (commit,) = visits.committed([source])
    assert (commit["rows_in"], commit["rows_out"], commit["rows_quarantined"]) == (30, 20, 10)
    assert commit["rows_by_route"] == {"arrival": 10, "departure": 10}
    entries = [json.loads(line) for line in visits.get(commit["quarantine"]).splitlines()]
    assert [(entry["reason"], entry["record"]) for entry in entries] == [
        ("no_route", json.dumps(record)) for record in records if record["kind"] == "call"
    ]
    for (name, location), kind, written in zip(locations.items(), kinds, [str, hashed]):
        assert set(CatalogTable(PORT, name).locations()) == {("2026-05-01",), ("2026-05-02",)}
        files = download(split(location)[0], data_keys(location), tmp_path)
        found = duckdb.sql(f"SELECT visitor, date::VARCHAR FROM read_parquet({[str(file) for file in files]})")
        assert sorted(found.fetchall()) == sorted(
            (written(record["visitor"]), record["at"][:10]) for record in records if record["kind"] == kind
        )


@pytest.mark.only_local(reason="two runs in one account would share a secret")
def test_repartition_hashes_with_a_parameter_of_systems_manager(
    outputs: dict[str, str], secret: None, tmp_path: Path
) -> None:
    records = [{"visitor": f"v{n}", "at": f"2026-05-0{1 + n % 2}", "name": "left out"} for n in range(20)]
    for n in range(2):
        client("s3").put_object(Bucket=LANDING, Key=f"visitors/{n}.json", Body=lines(*records[n::2]))
    visitors = Repartition("visitors", outputs)
    visitors.succeeded()
    (file,) = visitors.files("", tmp_path)
    rows = sorted(duckdb.sql(f"FROM read_json('{file}', columns = {{'at': 'VARCHAR', 'visitor': 'VARCHAR'}})").fetchall())
    assert rows == sorted((record["at"], hashed(record["visitor"])) for record in records)
