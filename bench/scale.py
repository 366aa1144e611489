"""Measures the claims on size: each object, and each partition, in functions of the memory that is claimed to suffice.

    python bench/scale.py --functions target/lambda

`cargo xtask bench scale` builds the functions, installs what this needs, and starts it; as root, since the temporary
folder is a file system of Lambda's smallest size, 512 MB. The partitions are of 10 GB, most of it the same bytes under
several keys, and so are the files that they become, for which the disk must have room.
"""

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from anpr.dataset import EXPECTATION, OBJECTS, Expectation
from contenders.compact import SmallFiles
from contenders.data import LANDING, DataSet, Wrong, empty_folder, make, verify
from contenders.lakewright import LAKE
from contenders.large_bin import Files, LargeBin
from contenders.rekey_function import NAME, FunctionRun
from contenders.rekey_function import run as run_function
from harness.benchmark import Common, check, common, names, parser
from harness.cloud import LocalCloud, StoredObject
from harness.function import Function
from harness.program import ProgramFailed
from harness.runtime_api import FunctionFailed

COPIES, RECORDS = 25, 1_000_000
HOURS = 10_000
SCRATCH_MB = 512
CASES = ["rekey", "copied", "spliced", "recompressed", "sorted"]
COMPACT_FUNCTIONS = ["compact-plan", "compact-merge", "compact-publish"]
SMALL_FILES, SMALL_COPIES, LARGE_COPIES = 2_000, 18, 21
# The keys of more rows do not fit into a quarter of the memory.
SORTED_FILES = 1_200
MEMORY_MB = 512

CONFIG = """\
[[rekey]]
name = "scale"
source = "s3://{landing}/scale/"
timestamp = {{ column = "{timestamp}" }}
target = "s3://{lake}/scale/"
path_style = "spark"
{settings}

[[rekey.output]]
format = "parquet"
compression = "snappy"
"""


@contextmanager
def small_folder(path: Path) -> Iterator[Path]:
    """A folder with no more room than Lambda gives by default."""
    path.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SCRATCH_MB}m", "lakewright-scale", str(path)]
    if subprocess.run(mount, check=False).returncode != 0:
        sys.exit("error: a file system of 512 MB cannot be mounted: run this as root")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


class Scale:
    """The function and what it works on."""

    def __init__(self, binary: Path, cloud: LocalCloud, work: Path, scratch: Path) -> None:
        self._binary, self._cloud, self._work, self._scratch = binary, cloud, work, scratch
        for bucket in (LANDING, LAKE):
            cloud.make_bucket(bucket)

    def run(self, stored: StoredObject, memory_mb: int, timestamp: str, settings: str) -> FunctionRun:
        """Rekeys one object."""
        config = self._work / "lakewright.toml"
        config.write_text(CONFIG.format(landing=LANDING, lake=LAKE, timestamp=timestamp, settings=settings))
        with small_folder(self._work / "tmp") as temporary:
            log = self._work / "logs" / "function.log"
            function = Function(NAME, self._binary, config, memory_mb, temporary, log)
            return run_function(function, [[stored]], self._cloud.environment())

    def land(self, folder: Path) -> StoredObject:
        """Puts the one file of a folder into the landing bucket."""
        (stored,) = self._cloud.upload(folder, LANDING, "scale/")
        return stored

    def keys(self) -> list[str]:
        """What is in the lake."""
        return [key for key in self._cloud.keys(LAKE, "scale/") if "/_lakewright/" not in key]

    @contextmanager
    def output(self) -> Iterator[Path]:
        """What is in the lake, in a folder."""
        with empty_folder(self._scratch / "output") as output:
            self._cloud.download(LAKE, "scale/", output)
            yield output

    def clear(self) -> None:
        """Empties the buckets."""
        self._cloud.remove(LAKE, "scale/")
        self._cloud.remove(LANDING, "scale/")


def large_object(state: Path) -> tuple[Path, Expectation]:
    """One object of many copies of the records, as one gzip stream after the other, and what has to come out of it."""
    original = make("1m", RECORDS, state / "data")
    folder = state / "data" / "10gb"
    expected = Expectation.read(original)
    expected = replace(
        expected,
        objects=1,
        json_bytes=expected.json_bytes * COPIES,
        gzip_bytes=expected.gzip_bytes * COPIES,
        partitions={name: rows * COPIES for name, rows in expected.partitions.items()},
        checksum_dated=expected.checksum_dated * COPIES % 2**64,
        checksum_undated=expected.checksum_undated * COPIES % 2**64,
    )
    if not (folder / EXPECTATION).exists():
        shutil.rmtree(folder, ignore_errors=True)
        (folder / OBJECTS).mkdir(parents=True)
        parts = sorted(path for path in (original / OBJECTS).rglob("*") if path.is_file())
        with (folder / OBJECTS / "large.gz").open("wb") as large:
            for part in parts * COPIES:
                large.write(part.read_bytes())
        (folder / EXPECTATION).write_text(json.dumps(expected.__dict__))
    return folder, expected


@dataclass(frozen=True)
class Measured:
    """What one took."""

    what: str
    memory_mb: int
    peak_rss_bytes: int
    cpu_seconds: float
    wall_seconds: float


def report(given: Common, run: Measured) -> None:
    """Keeps a result, and prints its line."""
    given.record(run)
    peak, limit = run.peak_rss_bytes / 2**20, "within" if run.peak_rss_bytes <= run.memory_mb << 20 else "BEYOND"
    print(f"| {run.what} | {run.memory_mb} | {peak:.0f} ({limit}) | {run.cpu_seconds:.1f} | {run.wall_seconds:.1f} |", flush=True)


def report_rekey(given: Common, what: str, run: FunctionRun) -> None:
    """What became of an object."""
    report(given, Measured(what, MEMORY_MB, run.peak_rss_bytes, run.usage.cpu_seconds, run.invocation_seconds))


def ten_gigabytes(scale: Scale, given: Common, settings: str, what: str) -> None:
    """An object of 10 GB of JSON."""
    folder, expected = large_object(given.state)
    stored = scale.land(folder / OBJECTS)
    run = scale.run(stored, MEMORY_MB, "originalrecordtimestamp", settings)
    if run.rows_out != expected.rows - expected.rows_undated or run.rows_quarantined != expected.rows_undated:
        raise Wrong(f"{run.rows_out} rows came out, {run.rows_quarantined} went to the quarantine")
    with scale.output() as output:
        verify(DataSet("10gb", folder, expected, [stored]), output, "--dated-only")
    scale.clear()
    size = f"{expected.json_bytes / 1e9:.1f} GB of JSON, gzip'd {expected.gzip_bytes / 1e9:.1f} GB"
    report_rekey(given, f"{size}, {len(expected.partitions)} partitions{what}", run)


def many_partitions(scale: Scale, given: Common) -> None:
    """An object whose every row has a partition of its own."""
    with empty_folder(given.state / "data" / "hours") as folder:
        start = datetime(2025, 1, 1, tzinfo=UTC)
        lines = (
            json.dumps({"n": hour, "t": (start + timedelta(hours=hour)).isoformat()}) + "\n" for hour in range(HOURS)
        )
        (folder / "hours.gz").write_bytes(gzip.compress("".join(lines).encode()))
        run = scale.run(scale.land(folder), MEMORY_MB, "t", "")
    files = len(scale.keys())
    if (files, run.rows_out) != (HOURS, HOURS):
        raise Wrong(f"{run.rows_out} rows came out in {files} files, not {HOURS} in as many")
    scale.clear()
    report_rekey(given, f"{HOURS:,} partitions of one row", run)


def rekey(given: Common, cloud: LocalCloud) -> None:
    """The largest objects."""
    scale = Scale(given.binary("rekey"), cloud, given.state, given.scratch)
    many_partitions(scale, given)
    ten_gigabytes(scale, given, "", "")
    ten_gigabytes(scale, given, "sort_by_time = true", ", sorted by time")


def compact(given: Common, cloud: LocalCloud, cases: list[str]) -> None:
    """The largest partitions: one bin of 10 GB. What is to be sorted must be smaller, for its keys are kept in memory."""
    bins = LargeBin({name: given.binary(name) for name in COMPACT_FUNCTIONS}, cloud, given.state)
    small = SmallFiles.make(SMALL_FILES, given.state).folder
    spliced = Files.of(small, SMALL_COPIES)
    for case, files, settings, how in [
        ("copied", Files.large(small, given.state, LARGE_COPIES), "", "row groups copied"),
        ("spliced", spliced, "", "row groups put together"),
        ("recompressed", spliced, 'compression = "zstd"', "row groups put together, from Snappy to Zstandard"),
        ("sorted", Files.of(SmallFiles.make(SORTED_FILES, given.state).folder, 1), 'sort_by = ["speed"]', "sorted"),
    ]:
        if case not in cases:
            continue
        with small_folder(given.state / "tmp") as temporary:
            done = bins.run(files, MEMORY_MB, settings, temporary)
        what = f"{files.number:,} files of {files.bytes / 1e9:.2f} GB into one of {done.bytes / 1e9:.2f} GB, {how}"
        for name, part in [("plan", done.plan), ("merge", done.merge), ("publish", done.publish)]:
            report(given, Measured(f"{name}: {what}", MEMORY_MB, part.peak_rss_bytes, part.cpu_seconds, part.wall_seconds))


def main() -> None:
    """Runs the measurements."""
    arguments = parser(__doc__, repetitions=1)
    arguments.add_argument("--cases", type=names, default=CASES, help=f"of {','.join(CASES)}")
    asked = arguments.parse_args()
    check(arguments, asked.cases, CASES)
    given = common(asked)
    head = ["| what | memory MB | peak MiB | CPU s | wall s |", "| --- | ---: | ---: | ---: | ---: |"]
    print("\n".join(head), flush=True)
    try:
        with LocalCloud(given.state) as cloud:
            if "rekey" in asked.cases:
                rekey(given, cloud)
            compact(given, cloud, asked.cases)
    except (Wrong, FunctionFailed, ProgramFailed) as failure:
        sys.exit(f"error: {failure}")


if __name__ == "__main__":
    main()
