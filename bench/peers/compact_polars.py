"""Polars: a streaming scan into a sink for each partition."""

import os

from peers.common import THREADS, by_folder, work

# Polars reads it when it is imported.
os.environ["POLARS_MAX_THREADS"] = str(THREADS)

import polars as pl


def main() -> None:
    """Does the work."""
    given = work(".parquet")
    for folder, paths in by_folder(given).items():
        pl.scan_parquet(paths, hive_partitioning=False).sink_parquet(
            given.output / folder / "part-0.parquet", compression="snappy", mkdir=True, maintain_order=False
        )


if __name__ == "__main__":
    main()
