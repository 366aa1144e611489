"""Writes a table of small Parquet files, by the hour in which the sightings landed.

python -m anpr.small_files --out DIR --files 2000
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from anpr.arrow import ARROW
from anpr.records import HOUR_MS, HOUR_WEIGHTS, LANDING_DAY_MS, columns

FILES = "files"
SUMMARY = "summary.json"
SMALLEST_KB, LARGEST_KB = 50, 500
BYTES_PER_ROW = 92.0
FEWEST_ROWS = 50


def write(folder: Path, files: int, seed: int) -> dict[str, int]:
    """Writes the files, and last of all a summary of them: rows, files, bytes and partitions."""
    random = np.random.default_rng([seed, 0x5F])
    hours = np.sort(random.choice(24, files, p=HOUR_WEIGHTS / HOUR_WEIGHTS.sum())).tolist()
    sizes = random.uniform(SMALLEST_KB, LARGEST_KB, files).tolist()
    total_rows = total_bytes = 0
    for number, (hour, kilobytes) in enumerate(zip(hours, sizes, strict=True)):
        rows = max(FEWEST_ROWS, int(kilobytes * 1000 / BYTES_PER_ROW))
        landed = np.sort(LANDING_DAY_MS + hour * HOUR_MS + random.integers(60_000, HOUR_MS, rows))
        path = folder / FILES / f"year=2020/month=5/day=22/hour={hour}/part-{number:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns(seed + 1000, number, landed), schema=ARROW), path, compression="snappy")
        total_rows += rows
        total_bytes += path.stat().st_size
    summary = {"rows": total_rows, "files": files, "bytes": total_bytes, "partitions": len(set(hours))}
    (folder / SUMMARY).write_text(json.dumps(summary))
    return summary


def main() -> None:
    """Writes one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--files", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(write(given.out, given.files, given.seed))


if __name__ == "__main__":
    main()
