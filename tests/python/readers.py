"""Files as DuckDB, pyarrow and Polars read them, each file by itself."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow as arrow
import pyarrow.csv as arrow_csv
import pyarrow.json as arrow_json
import pyarrow.parquet as parquet

Row = dict[str, Any]
Reader = Callable[[Path, list[str]], list[Row]]


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


READERS: dict[str, Reader] = {"DuckDB": by_duckdb, "pyarrow": by_pyarrow, "Polars": by_polars}
