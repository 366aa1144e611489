"""Writes a data set of sightings: gzip'd JSON lines as Firehose lands them, and what has to come out of them.

python -m anpr.dataset --out DIR --records 1000000
"""

import argparse
import json
import math
import zlib
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from anpr.arrow import ARROW, rows
from anpr.checksum import UNDATED, digest, partition_of
from anpr.records import Columns, columns, json_texts, landing_times
from anpr.schema import TIMESTAMP

OBJECTS = "landed"
EXPECTATION = "expectation.json"

GZIP_BYTES_PER_RECORD = 75.0
SMALLEST_OBJECT_MB, LARGEST_OBJECT_MB = 5.0, 64.0
# The last object takes a remainder of fewer records than this.
SMALLEST_REMAINDER = 20_000


@dataclass(frozen=True)
class Expectation:
    """What a data set holds. Checksums are sums of `digest`, modulo 2**64."""

    objects: int
    json_bytes: int
    gzip_bytes: int
    partitions: dict[str, int]
    checksum_dated: int
    checksum_undated: int

    @property
    def rows(self) -> int:
        """All records."""
        return sum(self.partitions.values())

    @property
    def rows_undated(self) -> int:
        """Records without a timestamp."""
        return self.partitions.get(UNDATED, 0)

    @classmethod
    def read(cls, dataset: Path) -> "Expectation":
        """What the data set's own file says."""
        return cls(**json.loads((dataset / EXPECTATION).read_text()))


def _object_name(seed: int, number: int, first_landed_ms: int) -> str:
    landed = str(np.datetime64(first_landed_ms, "ms").astype("datetime64[s]"))
    prefix = landed[:13].replace("-", "/").replace("T", "/")
    suffix = (seed * 2_654_435_761 + number * 40_503) & 0xFFFF_FFFF
    return f"{prefix}/anpr-1-{landed.replace(':', '-').replace('T', '-')}-{suffix:08x}.json.gz"


def _object_sizes(rng: np.random.Generator, records: int) -> list[int]:
    """Records in each object: 5 to 64 MB of gzip, and at least eight objects where there is enough for them."""
    total_mb = records * GZIP_BYTES_PER_RECORD / 1e6
    largest = max(SMALLEST_OBJECT_MB * 1.1, min(LARGEST_OBJECT_MB, total_mb / 8))
    sizes = []
    left = records
    while left:
        megabytes = math.exp(rng.uniform(math.log(SMALLEST_OBJECT_MB), math.log(largest)))
        size = min(int(megabytes * 1e6 / GZIP_BYTES_PER_RECORD), left)
        size = left if left - size < SMALLEST_REMAINDER else size
        sizes.append(size)
        left -= size
    return sizes


def _digests(made: Columns) -> tuple[Counter[str], int, int]:
    """Rows by partition, and the checksums of dated and undated rows."""
    partitions: Counter[str] = Counter()
    dated = undated = 0
    batch = pa.RecordBatch.from_pydict(made, schema=ARROW)
    for time, row in zip(made[TIMESTAMP], rows(batch), strict=True):
        partition = partition_of(time)
        partitions[partition] += 1
        if partition == UNDATED:
            undated += digest(partition, row)
        else:
            dated += digest(partition, row)
    return partitions, dated, undated


def write(folder: Path, records: int, seed: int, objects: int | None) -> Expectation:
    """Writes the data set, into so many objects of equal size if their number is given. What to expect is written last: a folder that has it is complete."""
    rng = np.random.default_rng([seed, 0xF17E])
    landed = landing_times(rng, records)
    sizes = [records // objects] * objects if objects else _object_sizes(rng, records)
    partitions: Counter[str] = Counter()
    dated = undated = json_bytes = gzip_bytes = start = 0
    for number, size in enumerate(sizes):
        made = columns(seed, number, landed[start : start + size])
        text = ("\n".join(json_texts(made)) + "\n").encode()
        compressor = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        compressed = compressor.compress(text) + compressor.flush()
        path = folder / OBJECTS / _object_name(seed, number, int(landed[start]))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(compressed)
        json_bytes += len(text)
        gzip_bytes += len(compressed)
        counted, more_dated, more_undated = _digests(made)
        partitions += counted
        dated += more_dated
        undated += more_undated
        start += size
    expectation = Expectation(
        len(sizes), json_bytes, gzip_bytes, dict(sorted(partitions.items())), dated % 2**64, undated % 2**64
    )
    (folder / EXPECTATION).write_text(json.dumps(asdict(expectation), indent=1))
    return expectation


def main() -> None:
    """Writes one data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--objects", type=int)
    given = parser.parse_args()
    made = write(given.out, given.records, given.seed, given.objects)
    print(f"{made.rows} records in {made.objects} objects, {made.json_bytes} bytes of JSON, {made.gzip_bytes} of gzip")


if __name__ == "__main__":
    main()
