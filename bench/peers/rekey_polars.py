"""Polars: a streaming scan into a partitioned sink."""

import os

from peers.common import THREADS, work

# Polars reads it when it is imported.
os.environ["POLARS_MAX_THREADS"] = str(THREADS)

import polars as pl

from anpr.forms import PARQUET
from anpr.schema import FIELDS, PARTITION_KEYS, TIMESTAMP

VEHICLE = pl.Struct({"make": pl.String, "colour": pl.String, "class": pl.String, "length_m": pl.Float64})
TYPES: dict[str, pl.DataType] = {name: pl.String() for name in FIELDS} | {
    "lat": pl.Float64(),
    "lon": pl.Float64(),
    "speed": pl.Float64(),
    "confidence": pl.Float64(),
    "lane": pl.Int64(),
    "vehicle": VEHICLE,
}


def main() -> None:
    """Does the work."""
    given = work()
    time = pl.col(TIMESTAMP).str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="ms", strict=False)
    parts = {key: getattr(pl.col("_t").dt, key)() for key in PARTITION_KEYS}
    records = pl.scan_parquet(given.inputs) if given.job == PARQUET else pl.scan_ndjson(given.inputs, schema=TYPES)
    records.with_columns(time.alias("_t")).with_columns(**parts).drop(
        "_t"
    ).sink_parquet(
        pl.PartitionBy(given.output, key=PARTITION_KEYS, include_key=False),
        compression="snappy",
        mkdir=True,
        maintain_order=False,
    )


if __name__ == "__main__":
    main()
