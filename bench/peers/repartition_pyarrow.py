"""pyarrow: the table is read whole for each format and written by the dataset writer, or a file for each thread. It has no
writer of JSON."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from peers.common import BY_COLUMNS, CODECS, FORMATS, IN_FILES, THREADS, work
from tables.schema import PARTITION_BY, PRODUCTS, VEHICLES

TYPES = {"string": pa.string(), "bigint": pa.int64(), "double": pa.float64(), "boolean": pa.bool_()}
OWN_FORMATS = [form for form in FORMATS if form != "json"]


def read(paths: list[str], columns: dict[str, str]) -> pa.Table:
    """The CSV."""
    types = {name: TYPES[kind] for name, kind in columns.items()}
    options = pc.ConvertOptions(column_types=types, strings_can_be_null=True)
    return pa.concat_tables(pc.read_csv(path, convert_options=options) for path in paths)


def write(table: pa.Table, form: str, path: Path) -> None:
    """Writes one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "parquet":
        pq.write_table(table, path, compression="snappy")
    else:
        pc.write_csv(table, path)


def main() -> None:
    """Does the work."""
    given = work("")
    pa.set_cpu_count(THREADS)
    if given.job == BY_COLUMNS:
        for form in OWN_FORMATS:
            keys = pa.schema([(name, TYPES[VEHICLES[name]]) for name in PARTITION_BY])
            options = ds.ParquetFileFormat().make_write_options(compression="snappy") if form == "parquet" else None
            ds.write_dataset(
                read(given.inputs, VEHICLES),
                given.output / form,
                format=form,
                file_options=options,
                partitioning=ds.partitioning(keys, flavor="hive"),
                max_open_files=2000,
                max_partitions=5000,
            )
    elif given.job == IN_FILES:
        for form in OWN_FORMATS:
            for number in (1, 2):
                table = read(given.inputs, PRODUCTS)
                rows = -(-table.num_rows // number)
                with ThreadPoolExecutor(THREADS) as pool:
                    parts = [(table.slice(n * rows, rows), given.output / f"{number}/{form}/part-{n}.{form}") for n in range(number)]
                    list(pool.map(lambda part: write(part[0], form, part[1]), parts))
    else:
        for name in CODECS:
            target = given.output / name / "part-0.parquet"
            target.parent.mkdir()
            dataset = ds.dataset(given.inputs, format="parquet")
            pq.write_table(dataset.to_table(), target, compression=name)


if __name__ == "__main__":
    main()
