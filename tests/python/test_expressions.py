"""Expressions that select partitions, as the catalog evaluates them. MiniStack's Glue ignores them; moto's does not, so
the deployed functions are pointed at that one, and all else stays on MiniStack."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from moto.server import ThreadedMotoServer

from flights.table import table_input
from lake import data_keys, download
from localcloud.clients import client
from localcloud.ledger import split
from machine import Machine, configure, environment, invoke

pytestmark = pytest.mark.only_local(reason="the functions are pointed at moto on this machine; AWS evaluates expressions itself")
LANDING, LAKE = "lakewright-test-landing", "lakewright-test-lake"
FUNCTIONS = [
    "RepartitionPlanAnywhereFunctionName",
    "RepartitionCommitAnywhereFunctionName",
    "CompactPlanFunctionName",
]


@pytest.fixture(scope="module")
def glue(outputs: dict[str, str]) -> Iterator[Any]:
    """A client of moto's Glue, which the functions use meanwhile."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    before: dict[str, dict[str, str]] = {}
    try:
        for function in (outputs[name] for name in FUNCTIONS):
            before[function] = environment(function)
            configure(function, before[function] | {"AWS_ENDPOINT_URL_GLUE": endpoint})
        yield boto3.client("glue", endpoint_url=endpoint)
    finally:
        for function, variables in before.items():
            configure(function, variables)
        server.stop()


def register(glue: Any, name: str, keys: dict[str, str], location: str, partitions: list[list[str]]) -> None:
    """Registers a table of one column, `n`, and its partitions, and puts a file of one row in each: its place in the list."""
    database, table = name.split(".")
    made = table_input(table, location, {"n": "bigint"}, list(keys))
    made["PartitionKeys"] = [{"Name": key, "Type": kind} for key, kind in keys.items()]
    glue.create_database(DatabaseInput={"Name": database})
    glue.create_table(DatabaseName=database, TableInput=made)
    for number, values in enumerate(partitions):
        directory = location + "".join(f"{key}={value}/" for key, value in zip(keys, values, strict=True))
        body = io.BytesIO()
        parquet.write_table(arrow.table({"n": [number]}), body)
        bucket, prefix = split(directory)
        client("s3").put_object(Bucket=bucket, Key=f"{prefix}part-0.parquet", Body=body.getvalue())
        storage = made["StorageDescriptor"] | {"Location": directory}
        glue.create_partition(
            DatabaseName=database, TableName=table, PartitionInput={"Values": values, "StorageDescriptor": storage}
        )


def test_repartition_reads_the_partitions_that_are_selected(glue: Any, outputs: dict[str, str], tmp_path: Path) -> None:
    months = [["2019", "5"], ["2020", "4"], ["2020", "5"], ["2020", "12"]]
    register(glue, "shop.sales", {"year": "int", "month": "int"}, f"s3://{LANDING}/sales/", months)
    answer = Machine(outputs["RepartitionsalesofmayStateMachineArn"]).succeeded()
    assert answer["rows"] == 1
    (path,) = download(LAKE, data_keys(f"s3://{LAKE}/sales-of-may/"), tmp_path)
    assert path.read_text() == '{"n":2,"year":2020,"month":5}\n'


@pytest.mark.parametrize(
    ("expression", "seen"),
    [
        (None, 4),
        ("date >= '2030-01-02'", 3),
        ("date in ('2030-01-01', '2030-01-04')", 2),
        ("date between '2030-01-02' and '2030-01-03'", 2),
        ("date like '2031%'", 0),
    ],
)
def test_compact_looks_at_the_partitions_that_are_selected(
    glue: Any, days: None, outputs: dict[str, str], expression: str | None, seen: int
) -> None:
    request = {"table": "energy.meters", "dry_run": True} | ({"partitions": expression} if expression else {})
    assert invoke(outputs["CompactPlanFunctionName"], request)["partitions_seen"] == seen


@pytest.fixture(scope="module")
def days(glue: Any) -> None:
    """Partitions of a table that is compacted."""
    partitions = [[f"2030-01-0{day}"] for day in range(1, 5)]
    register(glue, "energy.meters", {"date": "string"}, f"s3://{LAKE}/meters/", partitions)
