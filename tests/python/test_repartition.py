"""repartition on the deployed stack: three jobs that used to be Spark's, each twice, read back by others."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from lake import data_keys, snapshot
from localcloud.clients import client
from readers import READERS, form_of
from repartitions import DATABASE, FORMATS, HIVE_NULL, LANDING, Job, csv_table, csv_text

Cell = str | int | float | bool | None
Rows = Counter[tuple[str, ...]]

# In the catalog, names are lower-case.
VEHICLES = {
    "vin (1-10)": "string",
    "county": "string",
    "postal code": "bigint",
    "model year": "bigint",
    "make": "string",
    "electric range": "bigint",
}
PRODUCTS = {
    "product_id": "bigint",
    "product_name": "string",
    "unit_price": "double",
    "quantity": "bigint",
    "discontinued": "boolean",
}
MAKES = ["TESLA", "TH!NK", "LAND ROVER", "a/b=c", "50% 'off'", "Škoda", None]


def vehicles() -> list[tuple[Cell, ...]]:
    """The rows of the table of vehicles."""
    return [
        (f"VIN{n:07}", None if n % 50 == 0 else "King", 98_000 + n, 2011 + n % 5, MAKES[n % 7], n % 300)
        for n in range(280)
    ]


def products() -> list[tuple[Cell, ...]]:
    """The rows of the table of products."""
    names = ["Lamp", "Toys, Games", '12" Pro', "two\nlines"]
    return [
        (n, f"{names[n % 4]} {n}", n / 4 + 0.25, None if n % 9 == 0 else n % 1000, n % 10 == 0) for n in range(1, 502)
    ]


def text(cell: Any) -> str:
    """A value, whatever a reader makes of it; null and empty are one, as they are in CSV."""
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case float():
            return repr(cell)
        case str() if cell.replace(".", "", 1).isdigit() and "." in cell:
            return repr(float(cell))
        case _:
            return str(cell)


def texts(rows: list[tuple[Cell, ...]]) -> Rows:
    """Rows to compare."""
    return Counter(tuple(text(cell) for cell in row) for row in rows)


def table(name: str, columns: dict[str, str], rows: list[tuple[Cell, ...]]) -> None:
    """Puts the rows as a CSV file, and registers it."""
    csv_table(name, columns, csv_text(columns, ([text(cell) for cell in row] for row in rows)))


def found(paths: list[Path], columns: dict[str, str], partition_by: list[str]) -> Iterator[tuple[str, Rows]]:
    """The rows of files, and of the directories that they lie in, by each reader."""
    own = [name for name in columns if name not in partition_by]
    for reader, read in READERS.items():
        rows: Rows = Counter()
        for path, of_file in zip(paths, read(paths, own), strict=True):
            keys = dict(part.split("=", 1) for part in path.parts if part.split("=", 1)[0] in partition_by and "=" in part)
            values = {unquote(name): None if value == HIVE_NULL else unquote(value) for name, value in keys.items()}
            for row in of_file:
                assert not set(row) - set(own), f"{path}: partition columns are repeated in the file"
                rows[tuple(text((row | values).get(name)) for name in columns)] += 1
        yield reader, rows


@pytest.fixture(scope="module")
def tables(shop: None) -> None:
    """The tables of the sources."""
    table("vehicles_csv", VEHICLES, vehicles())
    table("products_csv", PRODUCTS, products())


def twice(job: Job, rows: int) -> None:
    """Runs a job two times: the second overwrites what the first wrote."""
    first = job.succeeded()
    assert (first["status"], first["rows"]) == ("committed", rows)
    before = set(data_keys(job.target))
    assert len(before) == first["outputs"]
    second = job.succeeded()
    assert (second["status"], second["rows"], second["removed"]) == ("committed", rows, len(before))
    after = set(data_keys(job.target))
    assert len(after) == second["outputs"] == len(before)
    assert not before & after


def test_a_table_by_two_columns(tables: None, outputs: dict[str, str], tmp_path: Path) -> None:
    job = Job("vehicles", outputs)
    names = ["model year", "make"]
    plan = job.plan()
    assert (plan["files_before"], plan["splits_before"]) == (1, 1)
    # Those of the path come last.
    assert [column["name"] for column in plan["columns"]] == [*(n for n in VEHICLES if n not in names), *names]
    twice(job, 280)
    expected = texts(vehicles())
    for form in FORMATS:
        paths = job.files(f"{form}/", tmp_path / form)
        assert {form_of(path) for path in paths} == {f".{form}"}
        for reader, rows in found(paths, VEHICLES, names):
            assert rows == expected, (form, reader)
        folders = {"/".join(part for part in path.parent.parts if "=" in part) for path in paths}
        # As Spark and Hive name them: https://github.com/apache/hive, FileUtils.escapePathName.
        makes = ["TESLA", "TH!NK", "LAND ROVER", "a%2Fb%3Dc", "50%25 %27off%27", "Škoda", HIVE_NULL]
        assert folders == {f"model year={year}/make={make}" for year in range(2011, 2016) for make in makes}


@pytest.mark.parametrize(("name", "files"), [("products_as_is", 1), ("products", 2)])
def test_a_table_as_it_is_and_in_one_file_more(
    tables: None, outputs: dict[str, str], tmp_path: Path, name: str, files: int
) -> None:
    job = Job(name, outputs)
    plan = job.plan()
    assert (plan["files_before"], plan["splits_before"], plan["files"]) == (1, 1, files)
    twice(job, 501)
    for form in FORMATS:
        paths = job.files(f"{form}/", tmp_path / form)
        assert len(paths) == files
        for reader, rows in found(paths, PRODUCTS, []):
            assert rows == texts(products()), (form, reader)
        sizes = [path.stat().st_size for path in paths]
        counts = [len(rows) for rows in READERS["DuckDB"](paths, list(PRODUCTS))]
        if form == "parquet":
            assert max(counts) - min(counts) <= 1
        else:
            assert max(sizes) - min(sizes) <= 0.1 * sum(sizes) / files
        # The order is kept from file to file.
        ids = [int(row["product_id"]) for rows in READERS["pyarrow"](paths, list(PRODUCTS)) for row in rows]
        assert ids == sorted(ids)


def test_many_files_in_one_twice(outputs: dict[str, str], tmp_path: Path) -> None:
    job = Job("readings", outputs)
    for number in range(5):
        body = io.BytesIO()
        numbers = range(number * 100, number * 100 + 100)
        parquet.write_table(arrow.table({"n": numbers, "at": [f"t{n}" for n in numbers]}), body)
        client("s3").put_object(Bucket=LANDING, Key=f"readings/part-{number}.parquet", Body=body.getvalue())
    assert job.plan()["files_before"] == 5
    twice(job, 500)
    for codec, names in {"none": "UNCOMPRESSED", "snappy": "SNAPPY"}.items():
        (path,) = job.files(f"{codec}/", tmp_path / codec)
        columns = parquet.ParquetFile(path).metadata.row_group(0)
        assert {columns.column(n).compression for n in range(columns.num_columns)} == {names}
        for reader, read in READERS.items():
            (rows,) = read([path], [])
            assert [(row["n"], row["at"]) for row in rows] == [(n, f"t{n}") for n in range(500)], reader


def test_lists_of_tasks_that_an_answer_does_not_hold(outputs: dict[str, str], tmp_path: Path) -> None:
    job = Job("lists", outputs)
    objects, rows = 80, 16
    pad = "x" * (66 << 10)
    for number in range(objects):
        lines = (f"{'abc'[n % 3]},{n},{pad}\n" for n in range(number * rows, number * rows + rows))
        client("s3").put_object(Bucket=LANDING, Key=f"lists/{number:02}.csv", Body=("k,n,pad\n" + "".join(lines)).encode())
    plan = job.plan()
    for name in ["prepare", "tasks"]:
        assert plan[name] == []
        at = plan[f"{name}_list"]
        listed = json.loads(client("s3").get_object(Bucket=at["bucket"], Key=at["key"])["Body"].read())
        assert len(listed) == objects
    committed = job.succeeded()
    assert (committed["status"], committed["rows"]) == ("committed", objects * rows)
    found = {}
    for path in job.files("", tmp_path):
        with path.open(newline="") as file:
            found[path.parent.name] = [int(row["n"]) for row in csv.DictReader(file)]
    assert found == {f"k={k}": list(range(n, objects * rows, 3)) for n, k in enumerate("abc")}


def test_other_objects_under_the_target_stay(tables: None, outputs: dict[str, str]) -> None:
    job = Job("products", outputs)
    before = snapshot(job.target)
    ledger = {key for key in before if "/_lakewright/" in key}
    job.succeeded()
    after = snapshot(job.target)
    assert ledger <= after.keys()
    assert {key.rpartition("/")[2] for key in after if "/_lakewright/" not in key and key.rpartition("/")[2].startswith("_")} == {
        "_SUCCESS"
    }


def test_a_missing_source_fails_by_name_and_leaves_what_exists(tables: None, outputs: dict[str, str]) -> None:
    job = Job("products", outputs)
    before = data_keys(job.target)
    client("glue").delete_table(DatabaseName=DATABASE, Name="products_csv")
    try:
        error, cause = job.failed()
        assert error == "Lakewright.TableMissing"
        assert f"{DATABASE}.products_csv" in cause
        assert data_keys(job.target) == before
    finally:
        table("products_csv", PRODUCTS, products())
