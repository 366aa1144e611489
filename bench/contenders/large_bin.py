"""One partition whose files become one file of many gigabytes, by the functions as they are deployed."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anpr.schema import HIVE_COLUMNS, PARTITION_KEYS
from anpr.small_files import FILES, SUMMARY
from contenders.compact import DATABASE, LAKE, SETTLE_SECONDS, run_module
from contenders.data import MODULES, Wrong, empty_folder
from harness.cloud import LocalCloud
from harness.disk import DiskStore
from harness.function import Function, Invoked, invoke_all
from verify import data_files

TABLE = "large"
PARTITION = ("2020", "5", "22", "0")

CONFIG = """\
[[compact]]
table = "{database}.{table}"
files = 1
min_files = 2
quiet_for = "0s"
longest_invocation = "1s"
grace_period = "1s"
ledger = "s3://{lake}/{table}-ledger/"
generations = "s3://{lake}/{table}-generations/"
{settings}
"""


@dataclass(frozen=True)
class Files:
    """Distinct files on disk, and how often each of them is in the partition."""

    folder: Path
    copies: int
    bytes: int
    rows: int
    number: int

    @classmethod
    def of(cls, folder: Path, copies: int) -> "Files":
        """So many copies of each file of a folder."""
        once = json.loads((folder / SUMMARY).read_text())
        return cls(folder, copies, once["bytes"] * copies, once["rows"] * copies, once["files"] * copies)

    @classmethod
    def large(cls, small: Path, state: Path, copies: int) -> "Files":
        """The rows of small files in a few large ones, whose row groups are large, too."""
        folder = state / "data" / "large_groups"
        if not (folder / SUMMARY).exists():
            print("making large files", flush=True)
            run_module("-m", "anpr.large_files", "--small", str(small), "--out", str(folder))
        return cls.of(folder, copies)


@dataclass(frozen=True)
class Compacted:
    """What each of the functions used."""

    plan: Invoked
    merge: Invoked
    publish: Invoked
    bytes: int


class LargeBin:
    """The functions, their catalog, and S3 on disk."""

    def __init__(self, binaries: dict[str, Path], cloud: LocalCloud, work: Path) -> None:
        self._binaries, self._cloud, self._work = binaries, cloud, work
        cloud.make_database(DATABASE)

    def run(self, files: Files, memory_mb: int, settings: str, temporary: Path) -> Compacted:
        """Compacts the partition, and checks what came out of it: rows and values."""
        config = self._work / "large.toml"
        config.write_text(CONFIG.format(database=DATABASE, table=TABLE, lake=LAKE, settings=settings))
        with self._stored(files) as store:
            environment = self._cloud.environment() | store.environment()

            def call(name: str, events: list[Any]) -> Invoked:
                log = self._work / "logs" / f"large-{name}.log"
                function = Function(name, self._binaries[name], config, memory_mb, temporary, log)
                return invoke_all([function], events, environment)

            plan = call("compact-plan", [{"table": f"{DATABASE}.{TABLE}"}])
            (report,) = plan.answers
            if (report["files_before"], report["files_after"]) != (files.number, 1):
                raise Wrong(f"{report['files_before']} files were to become {report['files_after']}: {report}")
            (task,) = report["tasks"]
            merge = call("compact-merge", task["merges"])
            publish = call("compact-publish", [{key: task[key] for key in ("plan", "partition", "step")}])
            ((_, location),) = self._cloud.locations(DATABASE, TABLE).items()
            (key,) = store.keys(LAKE, location.removeprefix(f"s3://{LAKE}/"))
            # It is too large to be downloaded first.
            merged = ["--object", f"{LAKE}/{key}", "--endpoint", store.endpoint]
            columns = ["--columns", json.dumps(HIVE_COLUMNS), "--times", str(files.copies)]
            run_module(str(MODULES / "verify.py"), "--expected", str(files.folder / FILES), *merged, *columns)
            size = store.size(LAKE, key)
        return Compacted(plan, merge, publish, size)

    @contextmanager
    def _stored(self, files: Files) -> Iterator[DiskStore]:
        """A store with the files in it, and a table over them."""
        with (
            empty_folder(self._work / "large-store") as folder,
            DiskStore(folder, self._work / "logs" / "disk.log") as store,
        ):
            store.make_bucket(LAKE)
            prefix = TABLE + "/" + "".join(f"{key}={value}/" for key, value in zip(PARTITION_KEYS, PARTITION, strict=True))
            paths = data_files(files.folder / FILES)
            for number, path in enumerate(paths):
                first = f"{prefix}part-{number:05d}-000.parquet"
                store.put(LAKE, first, path.read_bytes())
                copies = (f"{prefix}part-{number:05d}-{copy:03d}.parquet" for copy in range(1, files.copies))
                store.copy(LAKE, ((first, copy) for copy in copies))
            root = f"s3://{LAKE}/"
            self._cloud.make_table(DATABASE, TABLE, f"{root}{TABLE}/", HIVE_COLUMNS, PARTITION_KEYS)
            self._cloud.register(DATABASE, TABLE, {PARTITION: root + prefix})
            time.sleep(SETTLE_SECONDS)
            try:
                yield store
            finally:
                self._cloud.drop_table(DATABASE, TABLE)
