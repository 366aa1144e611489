"""Who is compared at repartition: the functions `repartition-plan`, `repartition-write` and `repartition-commit`, and the
peers, at three jobs."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anpr.schema import HIVE_COLUMNS
from anpr.small_files import FILES
from contenders import peer
from contenders.compact import DATABASE, LAKE, SmallFiles, run_module, verify
from contenders.data import Wrong, empty_folder
from harness.cloud import LocalCloud
from harness.function import Function, Invoked, invoke_all
from harness.machine import ForeignLoad
from harness.report import Run
from peers.common import BY_COLUMNS, FORMATS, IN_FILES, IN_ONE
from tables.schema import PARTITION_BY, PRODUCTS, VEHICLES

SOURCES = "sources/"

THREE_FORMATS = """\
output = [
    { format = "parquet", compression = "snappy" },
    { format = "json", compression = "none" },
    { format = "csv", compression = "none" },
]
"""
TWO_CODECS = """\
output = [
    { format = "parquet", compression = "none", prefix = "none/" },
    { format = "parquet", compression = "snappy", prefix = "snappy/" },
]
"""


@dataclass(frozen=True)
class Job:
    """A piece of work: its input on disk, and what has to come out below which folders."""

    name: str
    title: str
    source: Path
    columns: dict[str, str]
    partition_by: list[str]
    folders: list[str]
    # Lakewright's settings: one job, and so one execution, for each.
    settings: list[str]

    @property
    def is_table(self) -> bool:
        """Whether it reads a table of CSV; files of Parquet otherwise."""
        return self.name != IN_ONE


def jobs(vehicles: int, products: int, files: int, state: Path) -> list[Job]:
    """The three jobs, with their data, which is made unless it exists."""
    small = SmallFiles.make(files, state)
    by_columns = ", ".join(f'"{name}"' for name in PARTITION_BY)
    return [
        Job(
            BY_COLUMNS,
            f"{vehicles:,} rows by two columns, in three formats",
            _table("vehicles", vehicles, state),
            VEHICLES,
            PARTITION_BY,
            FORMATS,
            [f"partition_by = [{by_columns}]\n{THREE_FORMATS}"],
        ),
        Job(
            IN_FILES,
            f"{products:,} rows in one file and in two, in three formats",
            _table("products", products, state),
            PRODUCTS,
            [],
            [f"{number}/{form}" for number in (1, 2) for form in FORMATS],
            [THREE_FORMATS, f'files = "+1"\n{THREE_FORMATS}'],
        ),
        Job(
            IN_ONE,
            f"{small.rows:,} rows of {files:,} files in one, uncompressed and with Snappy",
            small.folder / FILES,
            HIVE_COLUMNS,
            [],
            ["none", "snappy"],
            [f"files = 1\n{TWO_CODECS}"],
        ),
    ]


def _table(name: str, records: int, state: Path) -> Path:
    folder = state / "data" / f"{name}_{records}"
    if not (folder / f"{name}.csv").exists():
        print(f"making {records:,} {name}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        part = folder.with_suffix(".part")
        run_module("-m", "tables.dataset", "--table", name, "--out", str(part), "--records", str(records))
        shutil.move(part, folder / f"{name}.csv")
    return folder


def check(job: Job, output: Path, folders: Sequence[str], escape: str = '"') -> tuple[int, int]:
    """Compares what came out below each folder with the input; answers with the number of files and their bytes."""
    measured = [verify(job.columns, job.source, output / folder, job.partition_by, escape) for folder in folders]
    for folder, (count, _) in zip(folders, measured, strict=True):
        wanted = {IN_FILES: int(folder.split("/")[0]) if job.name == IN_FILES else 0, IN_ONE: 1}.get(job.name, count)
        if count != wanted:
            raise Wrong(f"{folder}: {count} files, not {wanted}")
    return sum(count for count, _ in measured), sum(size for _, size in measured)


def in_catalog(job: Job) -> Job:
    """The job with its columns' names as Glue has them: in lower case."""
    columns = {name.lower(): kind for name, kind in job.columns.items()}
    return replace(job, columns=columns, partition_by=[name.lower() for name in job.partition_by])


class Lakewright:
    """The functions on the local cloud, with a fresh target for each run."""

    def __init__(self, binaries: dict[str, Path], cloud: LocalCloud, work: Path, scratch: Path) -> None:
        self._binaries, self._cloud = binaries, cloud
        self._state, self._scratch = work, scratch
        self._runs = 0
        cloud.make_bucket(LAKE)
        cloud.make_database(DATABASE)

    def land(self, job: Job) -> None:
        """Puts a job's input, and registers it where it is a table."""
        prefix = f"{SOURCES}{job.name}/"
        self._cloud.upload(job.source, LAKE, prefix)
        if job.is_table:
            self._cloud.make_csv_table(DATABASE, job.name, f"s3://{LAKE}/{prefix}", in_catalog(job).columns)

    def run(self, contender: str, memory_mb: int, job: Job, repetition: int) -> Run:
        """One run, checked: an execution for each of the job's settings."""
        self._runs += 1
        load, before = ForeignLoad(), self._cloud.cpu_seconds()
        done: list[Invoked] = []
        targets = [f"run-{self._runs}/{number}/" for number in range(1, len(job.settings) + 1)]
        for target, settings in zip(targets, job.settings, strict=True):
            done += self._execute(job, target, settings, memory_mb)
        cpu = sum(part.cpu_seconds for part in done)
        cloud_cpu = self._cloud.cpu_seconds() - before
        foreign = load.share(cpu + cloud_cpu)
        with empty_folder(self._scratch / "output") as output:
            for number, target in enumerate(targets, 1):
                folder = output / str(number) if len(targets) > 1 else output
                self._cloud.download(LAKE, target, folder)
                self._cloud.remove(LAKE, target)
            files, size = check(in_catalog(job), output, job.folders)
        return Run(
            job.name,
            contender,
            repetition,
            sum(part.wall_seconds for part in done),
            cpu,
            max(part.peak_rss_bytes for part in done),
            files,
            size,
            foreign,
            cloud_cpu_seconds=cloud_cpu,
        )

    def _execute(self, job: Job, target: str, settings: str, memory_mb: int) -> list[Invoked]:
        """What the state machine does: plan, prepare, write, commit."""
        source = f'source = "{DATABASE}.{job.name}"'
        if not job.is_table:
            source = f'source = "s3://{LAKE}/{SOURCES}{job.name}/"\nformat = "parquet"'
        config = self._state / "repartition.toml"
        config.write_text(f'[[repartition]]\nname = "job"\n{source}\ntarget = "s3://{LAKE}/{target}"\n{settings}')
        with empty_folder(self._scratch / "temporary") as temporary:

            def call(name: str, events: list[Any], at_once: int = 2) -> Invoked:
                logs = self._state / "logs"
                functions = [
                    Function(name, self._binaries[name], config, memory_mb, temporary, logs / f"{name}-{number}.log")
                    for number in range(min(at_once, len(events)))
                ]
                return invoke_all(functions, events, self._cloud.environment())

            plan = call("repartition-plan", [{"name": "job"}])
            (report,) = plan.answers
            done = [plan]
            for entries in (report["prepare"], report["tasks"]):
                if entries:
                    done.append(call("repartition-write", entries))
            commit = call("repartition-commit", [{"plan": report["plan"]}])
        if commit.answers[0]["status"] != "committed":
            raise Wrong(f"the run was not committed: {commit.answers[0]}")
        return [*done, commit]


def run_peer(name: str, job: Job, work: Path, scratch: Path, repetition: int) -> Run:
    """One run of a peer, checked."""
    with empty_folder(scratch / "output") as output, empty_folder(scratch / "temporary") as temporary:
        usage, foreign = peer.measure(name, "repartition", job.source, output, temporary, work / "logs", job.name)
        # pyarrow has no writer of JSON.
        folders = [folder for folder in job.folders if name != "pyarrow" or not folder.endswith("json")]
        # Spark escapes quotes in its own way.
        files, size = check(job, output, folders, "\\" if name == "Spark" else '"')
    return Run(
        job.name,
        name,
        repetition,
        usage.wall_seconds,
        usage.cpu_seconds,
        usage.peak_rss_bytes,
        files,
        size,
        foreign,
    )
