"""Checks Hive-partitioned Parquet, or JSON lines, against a data set: rows of every partition, and every value of every row.

    python -m anpr.verify --dataset DIR --output DIR [--dated-only]

The files are read one by one by pyarrow, without any inference from paths. `--dated-only` is for outputs that keep
records without a timestamp apart.
"""

import argparse
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

from anpr.arrow import ARROW, rows
from anpr.checksum import UNDATED, digest
from anpr.dataset import Expectation
from anpr.schema import FIELDS, PARTITION_KEYS

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


class Mismatch(Exception):
    """The output is not the input."""


def data_files(output: Path) -> list[Path]:
    """The files that a reader of a Hive table sees: none that begins with `_` or `.`."""
    return sorted(
        path
        for path in output.rglob("*")
        if path.is_file() and not any(part.startswith(("_", ".")) for part in path.relative_to(output).parts)
    )


def partition_of_path(relative: Path) -> str:
    """The partition that a file's folders name; padded and unpadded numbers are the same."""
    keys = dict(part.split("=", 1) for part in relative.parent.parts if "=" in part)
    if list(keys) != PARTITION_KEYS:
        raise Mismatch(f"{relative} lies in no partition by {PARTITION_KEYS}")
    values = [unquote(keys[key]) for key in PARTITION_KEYS]
    if HIVE_NULL in values:
        return UNDATED
    return "/".join(str(int(value)) for value in values)


def _read_json(path: Path) -> pa.Table:
    """Lines of JSON; fields that the schema does not have are columns too."""
    with pa.input_stream(path, compression="detect") as stream:
        return pj.read_json(stream, parse_options=pj.ParseOptions(explicit_schema=ARROW))


def read(output: Path, path: Path) -> tuple[str, int, int]:
    """A file's partition, rows and checksum."""
    partition = partition_of_path(path.relative_to(output))
    if path.suffix == ".parquet":
        file = pq.ParquetFile(path)
        names, batches = file.schema_arrow.names, file.iter_batches()
    else:
        table = _read_json(path)
        names, batches = table.column_names, iter(table.to_batches())
    surplus = set(names) - set(FIELDS)
    if surplus:
        raise Mismatch(f"{path} has columns that no record has: {sorted(surplus)}")
    count = checksum = 0
    for batch in batches:
        for row in rows(batch):
            checksum += digest(partition, row)
            count += 1
    return partition, count, checksum % 2**64


def verify(expected: Expectation, output: Path, dated_only: bool) -> int:
    """Checks the output and answers with its number of rows.

    Raises:
        Mismatch: says what differs.
    """
    paths = data_files(output)
    partitions: Counter[str] = Counter()
    checksum = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for partition, count, part in pool.map(read, [output] * len(paths), paths):
            partitions[partition] += count
            checksum += part
    wanted = Counter(expected.partitions)
    wanted_checksum = expected.checksum_dated
    if dated_only:
        del wanted[UNDATED]
    else:
        wanted_checksum += expected.checksum_undated
    if partitions != wanted:
        lacking, surplus = wanted - partitions, partitions - wanted
        raise Mismatch(f"rows by partition differ: lacking {dict(lacking)}, too many {dict(surplus)}")
    if checksum % 2**64 != wanted_checksum % 2**64:
        raise Mismatch("every partition has its number of rows, but not all values are those of the input")
    return partitions.total()


def main() -> None:
    """Checks one output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--dated-only", action="store_true")
    given = parser.parse_args()
    try:
        count = verify(Expectation.read(given.dataset), given.output, given.dated_only)
    except Mismatch as mismatch:
        sys.exit(str(mismatch))
    print(f"{count} rows, each as it should be")


if __name__ == "__main__":
    main()
