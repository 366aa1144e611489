"""Compares outputs with their inputs: every row and every value, in whatever order, file and format.

    python verify.py --columns JSON --expected DIR --output DIR [--keys year,month] [--escape CHAR]
    python verify.py --columns JSON --expected DIR --object BUCKET/KEY --endpoint URL [--times N]

Rows and sums of their hashes, by partition. DuckDB reads both; what it reads is told from the files' names. One Parquet file
in S3, which may be larger than what the disk has room for, is read by pyarrow, a row group at a time.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import duckdb
import pyarrow
import pyarrow.fs
import pyarrow.parquet

TYPES = {"string": "VARCHAR", "bigint": "BIGINT", "double": "DOUBLE", "boolean": "BOOLEAN", "int": "INTEGER"}

Sums = dict[tuple[object, ...], tuple[int, int]]


def data_files(folder: Path) -> list[Path]:
    """The files that a reader of a Hive table sees: none that begins with `_` or `.`."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)
    )


def quoted(text: str, mark: str = "'") -> str:
    """A text or a name in SQL."""
    return mark + text.replace(mark, mark * 2) + mark


def relation(paths: list[Path], columns: dict[str, str], in_path: list[str], escape: str) -> str:
    """The files as a relation, with the names of the files."""
    files = "[" + ", ".join(quoted(str(path)) for path in paths) + "]"
    own = ", ".join(f"{quoted(name)}: {quoted(sql_type(kind))}" for name, kind in columns.items() if name not in in_path)
    common = "filename = true, hive_partitioning = false"
    suffixes = "".join(paths[0].suffixes)
    if ".parquet" in suffixes:
        return f"read_parquet({files}, {common})"
    if ".json" in suffixes:
        return f"read_json({files}, columns = {{{own}}}, format = 'newline_delimited', {common})"
    options = f"header = true, quote = '\"', escape = {quoted(escape)}"
    return f"read_csv({files}, columns = {{{own}}}, {options}, {common})"


def sql_type(hive: str) -> str:
    """A Hive type in SQL."""
    return TYPES.get(hive, "VARCHAR")


def value_of_path(key: str, hive: str) -> str:
    """A partition's value, out of a file's name."""
    folders = "|".join(re.escape(name) for name in (key, key.replace(" ", "%20")))
    value = f"url_decode(regexp_extract(filename, {quoted(f'/(?:{folders})=([^/]*)/')}, 1))"
    return f"CAST({value} AS {sql_type(hive)})"


def totals(columns: dict[str, str], keys: list[str]) -> list[str]:
    """The rows, and the sum of their hashes."""
    values = [
        f"coalesce({quoted(name, chr(34))}, '')" if kind == "string" else quoted(name, '"')
        for name, kind in columns.items()
        if name not in keys
    ]
    return ["count(*)", f"sum(hash({', '.join(values)})::HUGEINT) % 18446744073709551616"]


def sums(folder: Path, columns: dict[str, str], keys: list[str], escape: str) -> Sums:
    """The rows of each partition and the sum of their hashes. A null text and an empty one are the same: in CSV they are."""
    paths = data_files(folder)
    if not paths:
        return {}
    in_path = [key for key in keys if "=" in str(paths[0].relative_to(folder).parent)]
    by = [value_of_path(key, columns.get(key, "bigint")) if key in in_path else quoted(key, '"') for key in keys]
    selected = ", ".join([*by, *totals(columns, keys)])
    grouped = " GROUP BY ALL" if by else ""
    found = duckdb.sql(f"SELECT {selected} FROM {relation(paths, columns, in_path, escape)}{grouped}").fetchall()
    return {tuple(row[: len(keys)]): (int(row[-2]), int(row[-1])) for row in found}


def sums_of_object(path: str, endpoint: str, columns: dict[str, str]) -> Sums:
    """The same of one Parquet file in S3."""
    s3 = pyarrow.fs.S3FileSystem(access_key="test", secret_key="test", endpoint_override=endpoint, region="us-east-1")
    rows = checksum = 0
    with s3.open_input_file(path) as source:
        file = pyarrow.parquet.ParquetFile(source)
        for number in range(file.num_row_groups):
            row_group = file.read_row_group(number)  # noqa: F841
            ((found, hashes),) = duckdb.sql(f"SELECT {', '.join(totals(columns, []))} FROM row_group").fetchall()
            rows, checksum = rows + int(found), (checksum + int(hashes)) % 2**64
    return {(): (rows, checksum)}


def main() -> None:
    """Compares two folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=json.loads, required=True, help="Hive types by name")
    parser.add_argument("--expected", type=Path, required=True)
    output = parser.add_mutually_exclusive_group(required=True)
    output.add_argument("--output", type=Path)
    output.add_argument("--object", help="bucket and key")
    parser.add_argument("--endpoint", help="of the S3 that has the object")
    parser.add_argument("--keys", type=json.loads, default=[], help="the columns that the rows are partitioned by")
    parser.add_argument("--escape", default='"', help="what escapes a quote in the output's CSV")
    parser.add_argument("--times", type=int, default=1, help="how often each expected row is in the output")
    given = parser.parse_args()
    columns: dict[str, str] = given.columns
    once = sums(given.expected, columns, given.keys, '"')
    wanted = {key: (rows * given.times, checksum * given.times % 2**64) for key, (rows, checksum) in once.items()}
    if given.object:
        found = sums_of_object(given.object, given.endpoint, columns)
    else:
        found = sums(given.output, columns, given.keys, given.escape)
    if not wanted:
        sys.exit("there is nothing to expect")
    if found == wanted:
        return
    for key in wanted.keys() | found.keys():
        rows, other = wanted.get(key, (0, 0)), found.get(key, (0, 0))
        if rows != other:
            what = "values differ" if rows[0] == other[0] else f"{other[0]} rows, not {rows[0]}"
            sys.exit(f"partition {key}: {what}")


if __name__ == "__main__":
    main()
