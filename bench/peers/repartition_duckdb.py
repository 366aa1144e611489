"""DuckDB: a COPY for each format. It has no way to ask for a number of files but to partition by one."""

import duckdb

from peers.common import BY_COLUMNS, CODECS, FORMATS, IN_FILES, THREADS, Work, work
from tables.schema import PARTITION_BY, PRODUCTS, VEHICLES

TYPES = {"string": "VARCHAR", "bigint": "BIGINT", "double": "DOUBLE", "boolean": "BOOLEAN"}
OPTIONS = {
    "parquet": "FORMAT parquet, COMPRESSION snappy",
    "json": "FORMAT json",
    "csv": "FORMAT csv, HEADER",
}


def table(given: Work, columns: dict[str, str]) -> str:
    """The CSV as a table."""
    types = ", ".join(f"'{name}': '{TYPES[kind]}'" for name, kind in columns.items())
    paths = ", ".join(f"'{path}'" for path in given.inputs)
    return f"""read_csv([{paths}], header = true, quote = '"', escape = '"', columns = {{{types}}})"""


def main() -> None:
    """Does the work."""
    given = work("")
    connection = duckdb.connect(
        config={"threads": THREADS, "memory_limit": "6GB", "temp_directory": str(given.scratch / "duckdb")}
    )
    connection.execute("SET preserve_insertion_order = false")
    if given.job == BY_COLUMNS:
        keys = ", ".join(f'"{name}"' for name in PARTITION_BY)
        for form in FORMATS:
            connection.execute(
                f"COPY (SELECT * FROM {table(given, VEHICLES)}) TO '{given.output / form}' "
                f"({OPTIONS[form]}, PARTITION_BY ({keys}))"
            )
    elif given.job == IN_FILES:
        products = table(given, PRODUCTS)
        for form in FORMATS:
            for number in (1, 2):
                output = given.output / f"{number}" / form
                output.mkdir(parents=True)
                if number == 1:
                    query = f"COPY (SELECT * FROM {products}) TO '{output}/part-0.{form}' ({OPTIONS[form]})"
                else:
                    part = f"SELECT *, product_id % {number} AS part FROM {products}"
                    query = f"COPY ({part}) TO '{output}' ({OPTIONS[form]}, PARTITION_BY (part), OVERWRITE_OR_IGNORE)"
                connection.execute(query)
    else:
        paths = ", ".join(f"'{path}'" for path in given.inputs)
        for name, codec in CODECS.items():
            output = given.output / name
            output.mkdir()
            connection.execute(
                f"COPY (SELECT * FROM read_parquet([{paths}])) TO '{output}/part-0.parquet' "
                f"(FORMAT parquet, COMPRESSION {codec})"
            )


if __name__ == "__main__":
    main()
