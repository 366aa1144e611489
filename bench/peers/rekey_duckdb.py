"""DuckDB: one COPY with PARTITION_BY."""

import duckdb

from anpr.forms import PARQUET
from anpr.schema import FIELDS, PARTITION_KEYS, TIMESTAMP
from peers.common import THREADS, work

VEHICLE = "STRUCT(make VARCHAR, colour VARCHAR, class VARCHAR, length_m DOUBLE)"
TYPES = dict.fromkeys(FIELDS, "VARCHAR") | {
    "lat": "DOUBLE",
    "lon": "DOUBLE",
    "speed": "DOUBLE",
    "confidence": "DOUBLE",
    "lane": "BIGINT",
    "vehicle": VEHICLE,
}


def main() -> None:
    """Does the work."""
    given = work()
    connection = duckdb.connect(
        config={"threads": THREADS, "memory_limit": "6GB", "temp_directory": str(given.scratch / "duckdb")}
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = false")
    inputs = ", ".join(f"'{path}'" for path in given.inputs)
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in TYPES.items())
    if given.job == PARQUET:
        records = f"read_parquet([{inputs}])"
    else:
        records = (
            f"read_json([{inputs}], columns = {{{columns}}}, format = 'newline_delimited',"
            " compression = 'gzip', records = true)"
        )
    parts = ", ".join(f"{key}(t) AS {key}" for key in PARTITION_KEYS)
    connection.execute(
        f"""
        COPY (
            SELECT * EXCLUDE (t), {parts}
            FROM (
                SELECT *, CAST({TIMESTAMP} AS TIMESTAMP) AS t
                FROM {records}
            )
        ) TO '{given.output}'
        (FORMAT parquet, COMPRESSION snappy, PARTITION_BY ({", ".join(PARTITION_KEYS)}), OVERWRITE_OR_IGNORE)
        """
    )


if __name__ == "__main__":
    main()
