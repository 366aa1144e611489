"""Files as DuckDB, pyarrow, Polars and Spark read them."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb
import polars
import pyarrow as arrow
import pyarrow.csv as arrow_csv
import pyarrow.json as arrow_json
import pyarrow.parquet as parquet

import spark

Row = dict[str, Any]
# The rows of each of several files of one format, by these columns, which CSV does not say the types of.
Reader = Callable[[Sequence[Path], list[str]], list[list[Row]]]


def form_of(path: Path) -> str:
    """The format that a file's name says."""
    (form,) = (suffix for suffix in path.suffixes if suffix in (".parquet", ".json", ".csv"))
    return form


def by_duckdb(path: Path, columns: list[str]) -> list[Row]:
    """By DuckDB."""
    texts = ", ".join(f"""'{name.replace("'", "''")}': 'VARCHAR'""" for name in columns)
    source = {
        ".parquet": f"read_parquet('{path}', hive_partitioning = false)",
        ".json": f"read_json('{path}', columns = {{{texts}}}, hive_partitioning = false)",
        ".csv": f"read_csv('{path}', header = true, all_varchar = true, hive_partitioning = false, quote = '\"', escape = '\"')",
    }[form_of(path)]
    return duckdb.sql(f"FROM {source}").to_arrow_table().to_pylist()


def by_pyarrow(path: Path, columns: list[str]) -> list[Row]:
    """By pyarrow."""
    match form_of(path):
        case ".parquet":
            return parquet.ParquetFile(io.BytesIO(path.read_bytes())).read().to_pylist()
        case ".json":
            return arrow_json.read_json(path).to_pylist()
        case _:
            types = dict.fromkeys(columns, arrow.string())
            options = arrow_csv.ConvertOptions(column_types=types, strings_can_be_null=True)
            lines = arrow_csv.ParseOptions(newlines_in_values=True)
            return arrow_csv.read_csv(path, convert_options=options, parse_options=lines).to_pylist()


def by_polars(path: Path, columns: list[str]) -> list[Row]:
    """By Polars."""
    match form_of(path):
        case ".parquet":
            return polars.read_parquet(path, hive_partitioning=False).to_dicts()
        case ".json":
            return polars.read_ndjson(path).to_dicts()
        case _:
            return polars.read_csv(path, infer_schema=False).to_dicts()


def by_spark(paths: Sequence[Path], columns: list[str]) -> list[list[Row]]:
    """By Spark, all files at once: a job of its own for each would take long."""
    if not paths:
        return []
    # A file that is named twice would be read twice.
    names = list(dict.fromkeys(str(path) for path in paths))
    reader = spark.session().read
    match form_of(paths[0]):
        case ".parquet":
            frame = reader.parquet(*names)
        case ".json":
            frame = reader.json(names)
        case _:
            texts = ", ".join(f"`{name}` STRING" for name in columns)
            options = {"header": True, "enforceSchema": False, "multiLine": True, "quote": '"', "escape": '"'}
            frame = reader.schema(texts).options(**options).csv(names)
    rows: dict[str, list[Row]] = {name: [] for name in names}
    for row in frame.selectExpr("*", "_metadata.file_path AS __file").toArrow().to_pylist():
        rows[unquote(urlsplit(row.pop("__file")).path)].append(row)
    return [rows[str(path)] for path in paths]


def one_by_one(read: Callable[[Path, list[str]], list[Row]]) -> Reader:
    """A reader that reads each file by itself."""
    return lambda paths, columns: [read(path, columns) for path in paths]


READERS: dict[str, Reader] = {
    "DuckDB": one_by_one(by_duckdb),
    "pyarrow": one_by_one(by_pyarrow),
    "Polars": one_by_one(by_polars),
    "Spark": by_spark,
}
