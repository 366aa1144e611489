"""DuckDB: one COPY for each partition."""

import duckdb

from peers.common import THREADS, by_folder, work


def main() -> None:
    """Does the work."""
    given = work(".parquet")
    connection = duckdb.connect(
        config={"threads": THREADS, "memory_limit": "6GB", "temp_directory": str(given.scratch / "duckdb")}
    )
    connection.execute("SET preserve_insertion_order = false")
    for folder, paths in by_folder(given).items():
        output = given.output / folder
        output.mkdir(parents=True)
        inputs = ", ".join(f"'{path}'" for path in paths)
        connection.execute(
            f"COPY (SELECT * FROM read_parquet([{inputs}], hive_partitioning = false)) "
            f"TO '{output / 'part-0.parquet'}' (FORMAT parquet, COMPRESSION snappy)"
        )


if __name__ == "__main__":
    main()
