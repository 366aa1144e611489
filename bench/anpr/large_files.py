"""Writes the rows of small files into a few large ones, with row groups of about 128 MiB.

python -m anpr.large_files --small DIR --out DIR
"""

import argparse
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from anpr.arrow import ARROW
from anpr.small_files import FILES, SUMMARY
from anpr.verify import data_files

LARGE_FILES = 2
ROWS = 1_400_000


def write(small: Path, folder: Path) -> dict[str, int]:
    """Writes the files, and last of all a summary of them: rows, files and bytes."""
    paths = data_files(small / FILES)
    (folder / FILES).mkdir(parents=True, exist_ok=True)
    total_rows = total_bytes = 0
    for number in range(LARGE_FILES):
        path = folder / FILES / f"part-{number:05d}.parquet"
        with pq.ParquetWriter(path, ARROW, compression="snappy") as writer:
            waiting: list[pa.Table] = []
            for part in paths[number::LARGE_FILES]:
                waiting.append(pq.ParquetFile(part).read())
                if sum(table.num_rows for table in waiting) >= ROWS:
                    total_rows += write_group(writer, waiting)
            total_rows += write_group(writer, waiting)
        total_bytes += path.stat().st_size
    summary = {"rows": total_rows, "files": LARGE_FILES, "bytes": total_bytes}
    (folder / SUMMARY).write_text(json.dumps(summary))
    return summary


def write_group(writer: pq.ParquetWriter, waiting: list[pa.Table]) -> int:
    """Writes what waits as one row group; answers with its rows."""
    table = pa.concat_tables(waiting)
    waiting.clear()
    if table.num_rows:
        writer.write_table(table, row_group_size=table.num_rows)
    return table.num_rows


def main() -> None:
    """Writes them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    print(write(given.small, given.out))


if __name__ == "__main__":
    main()
