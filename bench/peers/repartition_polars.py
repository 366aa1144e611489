"""Polars: a streaming scan into a sink for each format; a table in two files is cut by the position of its rows."""

import os

from peers.common import BY_COLUMNS, CODECS, FORMATS, IN_FILES, THREADS, work

# Polars reads it when it is imported.
os.environ["POLARS_MAX_THREADS"] = str(THREADS)

import polars as pl

from tables.schema import PARTITION_BY, PRODUCTS, VEHICLES

TYPES = {"string": pl.String(), "bigint": pl.Int64(), "double": pl.Float64(), "boolean": pl.Boolean()}


def scan(paths: list[str], columns: dict[str, str]) -> pl.LazyFrame:
    """The CSV, lazily."""
    return pl.scan_csv(paths, schema={name: TYPES[kind] for name, kind in columns.items()})


def sink(frame: pl.LazyFrame, form: str, target: object, lazy: bool = False) -> pl.LazyFrame | None:
    """Writes a frame, in whatever order."""
    if form == "parquet":
        return frame.sink_parquet(target, compression="snappy", mkdir=True, maintain_order=False, lazy=lazy)
    if form == "json":
        return frame.sink_ndjson(target, mkdir=True, maintain_order=False, lazy=lazy)
    return frame.sink_csv(target, mkdir=True, maintain_order=False, lazy=lazy)


def main() -> None:
    """Does the work."""
    given = work("")
    if given.job == BY_COLUMNS:
        for form in FORMATS:
            target = pl.PartitionBy(given.output / form, key=PARTITION_BY, include_key=False)
            sink(scan(given.inputs, VEHICLES), form, target)
    elif given.job == IN_FILES:
        for form in FORMATS:
            sink(scan(given.inputs, PRODUCTS), form, given.output / "1" / form / f"part-0.{form}")
            frame = scan(given.inputs, PRODUCTS).collect()
            half = -(-frame.height // 2)
            pl.collect_all(
                sink(part.lazy(), form, given.output / "2" / form / f"part-{number}.{form}", lazy=True)
                for number, part in enumerate([frame[:half], frame[half:]])
            )
    else:
        for name, codec in CODECS.items():
            target = given.output / name / "part-0.parquet"
            pl.scan_parquet(given.inputs).sink_parquet(target, compression=codec, mkdir=True, maintain_order=False)


if __name__ == "__main__":
    main()
