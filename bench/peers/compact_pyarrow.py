"""pyarrow: two partitions at a time, each read whole and written."""

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from peers.common import THREADS, by_folder, work


def main() -> None:
    """Does the work."""
    given = work(".parquet")
    pa.set_cpu_count(THREADS)
    folders = by_folder(given)

    def merge(folder: object) -> None:
        output = given.output / str(folder)
        output.mkdir(parents=True)
        table = pa.concat_tables(pq.ParquetFile(path).read(use_threads=False) for path in folders[folder])
        pq.write_table(table, output / "part-0.parquet", compression="snappy", row_group_size=1_000_000)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(merge, folders))


if __name__ == "__main__":
    main()
