"""repartition beside Spark: the same jobs on the same data, by the deployed functions and by Spark itself.

Where the two differ on purpose, docs/SEMANTICS.md says so with the reason, and `told` has Spark write as it is said there.
"""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
from pyspark.sql import DataFrame
from pyspark.sql.functions import expr

import spark
from anpr import small_files
from localcloud.clients import client
from merging import without_zone
from readers import READERS, Row
from repartitions import FORMATS, HIVE_NULL, LAKE, LANDING, Job, csv_table, csv_text
from tables.dataset import products, vehicles
from tables.schema import PARTITION_BY, PRODUCTS, VEHICLES

Folders = dict[str, list[Path]]

# Quotes are doubled, white space at the ends of values stays, times are as Athena reads them.
QUOTES = {"escape": '"', "ignoreLeadingWhiteSpace": "false", "ignoreTrailingWhiteSpace": "false"}
TIMES = dict.fromkeys(["timestampFormat", "timestampNTZFormat"], "yyyy-MM-dd HH:mm:ss.SSS")
TOLD = {"csv": QUOTES | TIMES | {"header": "true"}, "json": TIMES, "parquet": {}}


def by_folder(files: list[Path], root: Path) -> Folders:
    """Files by the folder that they lie in below a root."""
    folders: Folders = {}
    for path in files:
        folders.setdefault(path.parent.relative_to(root).as_posix(), []).append(path)
    return folders


def lines(files: list[Path]) -> Counter[bytes]:
    """The lines of files; of a value over several lines, each by itself. Which file they are in is not looked at, nor in
    which case the digits of JSON's escapes are."""
    found = (line for path in files for line in path.read_bytes().split(b"\n"))
    return Counter(re.sub(rb"\\u00[01][0-9A-F]", lambda escape: escape[0].lower(), line) for line in found)


def rows(reader: str, folders: Folders, columns: list[str]) -> dict[str, Counter[str]]:
    """The rows of each folder's files of Parquet as a reader sees them, in a form that can be compared."""
    files = [(name, path) for name, paths in folders.items() for path in paths]
    found: dict[str, Counter[str]] = {name: Counter() for name in folders}
    for (name, _), of_file in zip(files, READERS[reader]([path for _, path in files], columns), strict=True):
        found[name].update(repr([without_zone(row[column]) for column in columns]) for row in of_file)
    return found


def types(folders: Folders) -> set[tuple[tuple[str, str], ...]]:
    """The columns and types of files of Parquet; times are in microseconds or INT96."""
    schemas = [parquet.read_schema(path) for files in folders.values() for path in files]
    times = {"timestamp[ns]": "time", "timestamp[us]": "time"}
    return {tuple((field.name, times.get(str(field.type), str(field.type))) for field in schema) for schema in schemas}


def ours(job: Job, form: str, folder: Path) -> Folders:
    """What the job wrote in a format, by folder."""
    prefix = job.target.removeprefix(f"s3://{LAKE}/")
    return by_folder(job.files(f"{form}/", folder), folder / prefix / form)


def csv_frame(body: bytes, columns: dict[str, str], folder: Path) -> DataFrame:
    """A CSV file as Spark reads it."""
    folder.mkdir()
    (folder / "part-0.csv").write_bytes(body)
    types = ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
    options = {"header": True, "escape": '"', "multiLine": True, "enforceSchema": False}
    return spark.session().read.schema(types).options(**options).csv(str(folder))


def lower(columns: dict[str, str]) -> dict[str, str]:
    """Columns as Glue has their names."""
    return {name.lower(): kind for name, kind in columns.items()}


def compare(our: Folders, theirs: Folders, form: str, columns: list[str]) -> None:
    """Fails unless two outputs have the same folders, and each of them the same rows: as text, the same lines."""
    assert {name.encode() for name in our} == {name.encode() for name in theirs}
    if form != "parquet":
        assert {name: lines(files) for name, files in our.items()} == {name: lines(files) for name, files in theirs.items()}
        return
    assert types(our) == types(theirs)
    for reader in READERS:
        assert rows(reader, our, columns) == rows(reader, theirs, columns), reader


def test_vehicles_by_two_columns(shop: None, outputs: dict[str, str], tmp_path: Path) -> None:
    columns, keys = lower(VEHICLES), [name.lower() for name in PARTITION_BY]
    body = csv_text(columns, vehicles(400))
    csv_table("registered_csv", columns, body)
    job = Job("registered", outputs)
    assert job.succeeded()["rows"] == 400
    frame = csv_frame(body, columns, tmp_path / "source")
    own = [name for name in columns if name not in keys]
    for form in FORMATS:
        root = tmp_path / "spark" / form
        theirs = by_folder(spark.write(frame, form, root, keys, TOLD[form]), root)
        compare(ours(job, form, tmp_path / form), theirs, form, own)


def test_products_in_one_file_more(shop: None, outputs: dict[str, str], tmp_path: Path) -> None:
    columns = lower(PRODUCTS)
    body = csv_text(columns, products(500))
    csv_table("stocked_csv", columns, body)
    job = Job("stocked", outputs)
    plan, frame = job.plan(), csv_frame(body, columns, tmp_path / "source")
    before = frame.rdd.getNumPartitions()
    assert (plan["splits_before"], plan["files"]) == (before, before + 1)
    assert job.succeeded()["rows"] == 500
    for form in FORMATS:
        root = tmp_path / "spark" / form
        files = spark.write(frame.repartition(before + 1), form, root, options=TOLD[form])
        our = ours(job, form, tmp_path / form)
        assert len(our["."]) == len(files) == before + 1
        # Spark deals the rows out, and their order is lost: which of them a file has is not compared.
        compare(our, {".": files}, form, list(columns))


def test_sightings_in_one_file_twice(outputs: dict[str, str], tmp_path: Path) -> None:
    made = small_files.write(tmp_path / "source", 6, seed=1)
    paths = sorted((tmp_path / "source" / small_files.FILES).rglob("*.parquet"))
    for path in paths:
        client("s3").put_object(Bucket=LANDING, Key=f"sightings/{path.name}", Body=path.read_bytes())
    job = Job("sightings", outputs)
    assert job.succeeded()["rows"] == made["rows"]
    frame = spark.session().read.parquet(*map(str, paths)).coalesce(1)
    for name, codec in {"none": "UNCOMPRESSED", "snappy": "SNAPPY"}.items():
        (file,) = spark.write(frame, "parquet", tmp_path / "spark" / name, options={"compression": name})
        our = ours(job, name, tmp_path / name)
        for path in [file, *our["."]]:
            group = parquet.ParquetFile(path).metadata.row_group(0)
            assert {group.column(n).compression for n in range(group.num_columns)} == {codec}
        compare(our, {".": [file]}, "parquet", frame.columns)


# Characters that are special in a path, in CSV or in JSON.
TEXTS = [
    "plain", "comma, x", 'quote"x', "new\nline", "carriage\rreturn", "both\r\n", " before", "after ", "back\\slash",
    'back\\"quote', "", None, "Škoda 中 😀", "#hash", "'single'", "tab\tx", "NULL", "null", "-1", "a;b|c~d", "\x01\x1f",
    "\x7f", "\u2028", "a/b=c", "50% off", "<&>", " ", '"', '""', "[x]{y}", "a:b*c?d^e", ".", "..", HIVE_NULL, "TH!NK",
    "`tick`$", "1.0", "2026-05-01", "true",
]  # fmt: skip
PECULIAR = {
    "id": arrow.int64(),
    "text": arrow.string(),
    "exact": arrow.decimal128(10, 2),
    "flag": arrow.bool_(),
    "day": arrow.date32(),
    "at": arrow.timestamp("us"),
    "small": arrow.int32(),
    "nested": arrow.struct({"text": arrow.string(), "numbers": arrow.list_(arrow.int64())}),
}


def peculiar() -> Iterator[dict[str, Any]]:
    """A row for each text, and some more."""
    for n, text in enumerate(TEXTS):
        for year in [2011, None] if n < 3 else [2011 + n % 3]:
            yield {
                "id": n,
                "text": text,
                "exact": Decimal(n * 5) / 4 if n % 3 else None,
                "flag": None if n % 5 == 4 else n % 2 == 0,
                "day": date(2026, 5, 1 + n % 28) if n % 7 else None,
                "at": datetime(2026, 5, 1, n % 24, 30, 15, n % 10 * 100_000) if n % 4 else None,
                "small": -n,
                "nested": {"text": text, "numbers": [n, None]} if n % 2 else {"text": None, "numbers": []},
                "Model Year": year,
                "Make": text,
            }


def test_what_is_peculiar(outputs: dict[str, str], tmp_path: Path) -> None:
    source = tmp_path / "peculiar.parquet"
    schema = arrow.schema(PECULIAR | {"Model Year": arrow.int64(), "Make": arrow.string()})
    parquet.write_table(arrow.Table.from_pylist(list(peculiar()), schema=schema), source)
    client("s3").put_object(Bucket=LANDING, Key="peculiar/part-0.parquet", Body=source.read_bytes())
    job = Job("peculiar", outputs)
    assert job.succeeded()["rows"] == len(TEXTS) + 3
    # Hive's timestamps are Spark's type of this name, which is in UTC.
    frame = spark.session().read.parquet(str(source)).withColumn("at", expr("CAST(at AS TIMESTAMP)"))
    # Spark's CSV has no nested values.
    frames = {"csv": frame.withColumn("nested", expr("to_json(nested)"))}
    for form in FORMATS:
        root = tmp_path / "spark" / form
        theirs = by_folder(spark.write(frames.get(form, frame), form, root, PARTITION_BY, TOLD[form]), root)
        compare(ours(job, form, tmp_path / form), theirs, form, list(PECULIAR))


def test_what_is_said_of_spark(tmp_path: Path) -> None:
    frame = spark.session().sql(
        """
        SELECT * FROM VALUES
            ('#a', 'quote"x', 1e20D, TIMESTAMP '2020-05-22 14:03:11.123456'),
            (' b ', '', CAST('NaN' AS DOUBLE), NULL),
            (NULL, 'c\\u001fd', CAST('-Infinity' AS DOUBLE), NULL)
        AS t (first, text, number, at)
        """
    ).coalesce(1)
    (file,) = spark.write(frame, "csv", tmp_path / "csv")
    assert file.read_text().splitlines() == [
        r'"#a","quote\"x",1.0E20,2020-05-22T14:03:11.123Z',
        'b,"",NaN,',
        ",c\x1fd,-Infinity,",
    ]
    (file,) = spark.write(frame, "json", tmp_path / "json")
    assert file.read_text().splitlines() == [
        r'{"first":"#a","text":"quote\"x","number":1.0E20,"at":"2020-05-22T14:03:11.123Z"}',
        '{"first":" b ","text":"","number":"NaN"}',
        r'{"text":"c\u001Fd","number":"-Infinity"}',
    ]
    (file,) = spark.write(frame, "parquet", tmp_path / "parquet")
    assert "int96" in str(parquet.read_metadata(file).schema)
