"""pyarrow: objects are read two at a time and streamed into a partitioned dataset.

A JSON dataset over these files would be simpler, but pyarrow 25.0.1 dead-locks on it with two cores.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.json as pj

from anpr.arrow import ARROW
from anpr.schema import PARTITION_KEYS, TIMESTAMP
from peers.common import THREADS, work

PARTS = pa.schema([(key, pa.int32()) for key in PARTITION_KEYS])


def read(path: str) -> pa.Table:
    """One object, with the parts of its time."""
    with pa.input_stream(path, compression="gzip") as stream:
        table = pj.read_json(
            stream,
            read_options=pj.ReadOptions(block_size=4 << 20, use_threads=False),
            parse_options=pj.ParseOptions(explicit_schema=ARROW, unexpected_field_behavior="ignore"),
        )
    times = table[TIMESTAMP].cast(pa.timestamp("ms", "UTC"))
    for key in PARTITION_KEYS:
        table = table.append_column(key, getattr(pc, key)(times).cast(pa.int32()))
    return table


def batches(paths: list[str]) -> Iterator[pa.RecordBatch]:
    """The objects' records, with one object read ahead for each thread."""
    with ThreadPoolExecutor(THREADS) as pool:
        pending: deque[Future[pa.Table]] = deque()
        for path in paths:
            pending.append(pool.submit(read, path))
            if len(pending) > THREADS:
                yield from pending.popleft().result().combine_chunks().to_batches()
        while pending:
            yield from pending.popleft().result().combine_chunks().to_batches()


def main() -> None:
    """Does the work."""
    given = work(".json.gz")
    pa.set_cpu_count(THREADS)
    ds.write_dataset(
        pa.RecordBatchReader.from_batches(pa.schema([*ARROW, *PARTS]), batches(given.inputs)),
        given.output,
        format="parquet",
        file_options=ds.ParquetFileFormat().make_write_options(compression="snappy"),
        partitioning=ds.partitioning(PARTS, flavor="hive"),
        existing_data_behavior="overwrite_or_ignore",
        max_open_files=2000,
        max_partitions=5000,
        min_rows_per_group=100_000,
        max_rows_per_group=1_000_000,
    )


if __name__ == "__main__":
    main()
