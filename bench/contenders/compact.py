"""Who is compared at compact: the functions `compact-plan`, `compact-merge` and `compact-publish`, and the peers."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anpr.schema import HIVE_COLUMNS, PARTITION_KEYS
from anpr.small_files import FILES, SUMMARY
from contenders import lakewright, peer
from contenders.data import MODULES, Wrong, empty_folder, land, make
from harness.cloud import LocalCloud
from harness.function import Function, Invoked, invoke_all
from harness.machine import ForeignLoad
from harness.report import Run
from verify import data_files

LAKE, DATABASE, SOURCE = "bench-lake", "bench", "small/"
# Who wrote the small files.
PYARROW, REKEY = "pyarrow", "rekey"
# The landed records that rekey makes files of.
LANDED, LANDED_RECORDS, REKEY_MEMORY_MB = "5m", 5_000_000, 256
OTHER_MEMORY_MB = 512
# A file counts as settled after the `longest_invocation` below; times in listings have whole seconds.
SETTLE_SECONDS = 3

CONFIG = """\
[[compact]]
table = "{database}.{table}"
compression = "{compression}"
min_files = 2
quiet_for = "0s"
longest_invocation = "1s"
grace_period = "1s"
ledger = "s3://{lake}/{table}/ledger/"
generations = "s3://{lake}/{table}/generations/"
"""


@dataclass(frozen=True)
class SmallFiles:
    """A table of small files, on disk."""

    writer: str
    folder: Path
    rows: int
    files: int
    bytes: int
    partitions: int

    @classmethod
    def make(cls, files: int, state: Path) -> "SmallFiles":
        """pyarrow's: written unless they exist."""
        folder = state / "data" / f"small_{files}"
        if not (folder / SUMMARY).exists():
            print(f"making {files:,} files", flush=True)
            run_module("-m", "anpr.small_files", "--out", str(folder), "--files", str(files))
        return cls(PYARROW, folder, **json.loads((folder / SUMMARY).read_text()))

    @classmethod
    def make_by_rekey(cls, binary: Path, state: Path, scratch: Path) -> "SmallFiles":
        """What rekey makes of landed objects, one by one: written unless they exist."""
        folder = state / "data" / f"rekeyed_{LANDED}"
        if not (folder / SUMMARY).exists():
            landed = make(LANDED, LANDED_RECORDS, state / "data")
            print(f"making {folder.name}", flush=True)
            with LocalCloud(state) as cloud, empty_folder(scratch / "output") as output:
                rekey = lakewright.Lakewright(binary, cloud, state, scratch)
                dataset = land(LANDED, landed, cloud)
                job = lakewright.Job(REKEY_MEMORY_MB, objects=1)
                run = rekey.run_into(output, "", job, dataset, 1)
                for number, path in enumerate(data_files(output)):
                    # By its own name compact would look for the commit of its source, which is not in this lake.
                    kept = folder / FILES / path.relative_to(output).with_name(f"part-{number:05d}.parquet")
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    shutil.move(path, kept)
            summary = {
                "rows": dataset.expected.rows - dataset.expected.rows_undated,
                "files": run.files,
                "bytes": run.output_bytes,
                "partitions": dataset.dated_partitions,
            }
            (folder / SUMMARY).write_text(json.dumps(summary))
        return cls(REKEY, folder, **json.loads((folder / SUMMARY).read_text()))

    @property
    def title(self) -> str:
        """It in words."""
        return (
            f"{self.files:,} files of {self.bytes / 1e6:,.0f} MB with {self.rows:,} rows, in {self.partitions} partitions, "
            f"written by {self.writer}"
        )


def run_module(*arguments: str) -> None:
    """Runs a program in Python in a process of its own, which takes its memory with it when it ends."""
    done = subprocess.run(
        [sys.executable, *arguments], env=os.environ | {"PYTHONPATH": str(MODULES)}, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise Wrong(done.stderr.strip()[-2000:])


def verify(columns: dict[str, str], expected: Path, output: Path, keys: list[str], escape: str = '"') -> tuple[int, int]:
    """Compares an output with its input; answers with the number of its files and their bytes.

    Raises:
        Wrong: says what differs.
    """
    folders = ["--expected", str(expected), "--output", str(output)]
    how = ["--columns", json.dumps(columns), "--keys", json.dumps(keys), "--escape", escape]
    run_module(str(MODULES / "verify.py"), *folders, *how)
    paths = data_files(output)
    return len(paths), sum(path.stat().st_size for path in paths)


class Lakewright:
    """The functions on the local cloud, with a fresh table over the same files for each run."""

    def __init__(self, binaries: dict[str, Path], cloud: LocalCloud, dataset: SmallFiles, work: Path, scratch: Path) -> None:
        self._binaries, self._cloud, self._dataset = binaries, cloud, dataset
        self._state, self._scratch = work, scratch
        self._runs = 0
        cloud.make_bucket(LAKE)
        cloud.make_database(DATABASE)
        cloud.upload(dataset.folder / FILES, LAKE, SOURCE)
        time.sleep(SETTLE_SECONDS)

    def run(self, contender: str, memory_mb: int, environments: int, compression: str, repetition: int) -> Run:
        """One run, checked."""
        self._runs += 1
        table = f"small_{self._runs}"
        self._register(table)
        config = self._state / "compact.toml"
        config.write_text(CONFIG.format(database=DATABASE, table=table, lake=LAKE, compression=compression))
        load, before = ForeignLoad(), self._cloud.cpu_seconds()
        with empty_folder(self._scratch / "temporary") as temporary:

            def call(name: str, memory: int, number: int, events: list[Any]) -> Invoked:
                logs = self._state / "logs"
                functions = [
                    Function(name, self._binaries[name], config, memory, temporary, logs / f"{name}-{each}.log")
                    for each in range(number)
                ]
                return invoke_all(functions, events, self._cloud.environment())

            plan = call("compact-plan", OTHER_MEMORY_MB, 1, [{"table": f"{DATABASE}.{table}"}])
            (report,) = plan.answers
            tasks = report["tasks"]
            merges = call("compact-merge", memory_mb, environments, [merge for task in tasks for merge in task["merges"]])
            steps = [{key: task[key] for key in ("plan", "partition", "step")} for task in tasks]
            publish = call("compact-publish", OTHER_MEMORY_MB, 1, steps)
        done = [plan, merges, publish]
        cpu = sum(part.cpu_seconds for part in done)
        cloud_cpu = self._cloud.cpu_seconds() - before
        foreign = load.share(cpu + cloud_cpu)
        files, size = self._verify(table, report)
        return Run(
            self._dataset.writer,
            contender,
            repetition,
            sum(part.wall_seconds for part in done),
            cpu,
            merges.peak_rss_bytes,
            files,
            size,
            foreign,
            cloud_cpu_seconds=cloud_cpu,
        )

    def _register(self, table: str) -> None:
        root = f"s3://{LAKE}/{SOURCE}"
        self._cloud.make_table(DATABASE, table, root, HIVE_COLUMNS, PARTITION_KEYS)
        folders = {path.parent.relative_to(self._dataset.folder / FILES) for path in data_files(self._dataset.folder / FILES)}
        partitions = {
            tuple(part.split("=")[1] for part in folder.parts): f"{root}{folder.as_posix()}/" for folder in folders
        }
        self._cloud.register(DATABASE, table, partitions)

    def _verify(self, table: str, report: dict[str, Any]) -> tuple[int, int]:
        """Reads the table as the catalog says, and compares it."""
        per_folder = Counter(path.parent for path in data_files(self._dataset.folder / FILES))
        if report["partitions_planned"] != sum(files > 1 for files in per_folder.values()) or report["refused"]:
            raise Wrong(f"not every partition was planned: {report}")
        with empty_folder(self._scratch / "output") as output:
            for values, location in self._cloud.locations(DATABASE, table).items():
                folder = output.joinpath(*(f"{key}={value}" for key, value in zip(PARTITION_KEYS, values, strict=True)))
                self._cloud.download(LAKE, location.removeprefix(f"s3://{LAKE}/").rstrip("/") + "/", folder)
            measured = verify(HIVE_COLUMNS, self._dataset.folder / FILES, output, PARTITION_KEYS)
        for prefix in ("ledger", "generations"):
            self._cloud.remove(LAKE, f"{table}/{prefix}/")
        return measured


def run_peer(name: str, dataset: SmallFiles, work: Path, scratch: Path, repetition: int) -> Run:
    """One run of a peer, checked."""
    files = dataset.folder / FILES
    with empty_folder(scratch / "output") as output, empty_folder(scratch / "temporary") as temporary:
        usage, foreign = peer.measure(name, "compact", files, output, temporary, work / "logs")
        count, size = verify(HIVE_COLUMNS, files, output, PARTITION_KEYS)
    return Run(
        dataset.writer,
        name,
        repetition,
        usage.wall_seconds,
        usage.cpu_seconds,
        usage.peak_rss_bytes,
        count,
        size,
        foreign,
    )
