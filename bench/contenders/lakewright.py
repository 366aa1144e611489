"""Lakewright: the function on the local cloud, with a fresh table and target for each run."""

from dataclasses import dataclass
from pathlib import Path

from anpr.forms import ENVELOPE, JSON, PARQUET, RECORDS
from anpr.schema import HIVE_COLUMNS, PARTITION_KEYS, TIMESTAMP
from contenders.data import LANDING, DataSet, Wrong, empty_folder, verify
from contenders.rekey_function import NAME, FunctionRun
from contenders.rekey_function import run as run_function
from harness.cloud import LocalCloud
from harness.function import Function
from harness.machine import ForeignLoad
from harness.report import Run

LAKE, DATABASE = "bench-lake", "bench"
# JSON without compression.
PLAIN_JSON = "plain json"

CONFIG = """\
[[rekey]]
name = "anpr"
source = "s3://{landing}/{dataset}/"
timestamp = {{ column = "{timestamp}" }}
target = "s3://{lake}/{table}/"
partition_by = [{keys}]
path_style = "spark"
table = "{database}.{table}"
{reads}

[[rekey.output]]
{writes}
"""
READS = {JSON: "", PARQUET: 'format = "parquet"', ENVELOPE: f'records = "{RECORDS}"'}
WRITES = {
    PARQUET: 'format = "parquet"\ncompression = "snappy"',
    JSON: 'format = "json"\ncompression = "gzip"',
    PLAIN_JSON: 'format = "json"\ncompression = "none"',
}


@dataclass(frozen=True)
class Job:
    """What is read and what is written."""

    memory_mb: int
    # In each event; all of them by default.
    objects: int | None = None
    reads: str = JSON
    writes: str = PARQUET


class Lakewright:
    """The function and what it works on."""

    def __init__(self, binary: Path, cloud: LocalCloud, work: Path, scratch: Path) -> None:
        self._binary = binary
        self._cloud = cloud
        self._work = work
        self._scratch = scratch
        self._runs = 0
        for bucket in (LANDING, LAKE):
            cloud.make_bucket(bucket)
        cloud.make_database(DATABASE)

    def run(self, contender: str, job: Job, dataset: DataSet, repetition: int) -> Run:
        """One run, checked."""
        with empty_folder(self._scratch / "output") as output:
            return self.run_into(output, contender, job, dataset, repetition)

    def run_into(self, output: Path, contender: str, job: Job, dataset: DataSet, repetition: int) -> Run:
        """One run, checked, whose files are left in an empty folder."""
        self._runs += 1
        table = f"anpr_{self._runs}"
        make_table = self._cloud.make_table if job.writes == PARQUET else self._cloud.make_json_table
        make_table(DATABASE, table, f"s3://{LAKE}/{table}/", HIVE_COLUMNS, PARTITION_KEYS)
        stored, at_once = dataset.stored, job.objects or len(dataset.stored)
        batches = [stored[start : start + at_once] for start in range(0, len(stored), at_once)]
        with empty_folder(self._scratch / "temporary") as temporary:
            log = self._work / "logs" / "function.log"
            function = Function(NAME, self._binary, self._config(job, dataset, table), job.memory_mb, temporary, log)
            before, load = self._cloud.cpu_seconds(), ForeignLoad()
            done = run_function(function, batches, self._cloud.environment())
            cloud_cpu = self._cloud.cpu_seconds() - before
            foreign = load.share(done.usage.cpu_seconds + cloud_cpu)
        files, size = self._verify(dataset, table, done, output)
        self._cloud.remove(LAKE, f"{table}/")
        return Run(
            dataset.name,
            contender,
            repetition,
            done.init_seconds + done.invocation_seconds,
            done.usage.cpu_seconds,
            done.peak_rss_bytes,
            files,
            size,
            foreign,
            done.init_seconds,
            done.init_cpu_seconds,
            cloud_cpu,
        )

    def _config(self, job: Job, dataset: DataSet, table: str) -> Path:
        path = self._work / "lakewright.toml"
        path.write_text(
            CONFIG.format(
                landing=LANDING,
                dataset=dataset.name,
                timestamp=TIMESTAMP,
                lake=LAKE,
                table=table,
                keys=", ".join(f'"{key}"' for key in PARTITION_KEYS),
                database=DATABASE,
                reads=READS[job.reads],
                writes=WRITES[job.writes],
            )
        )
        return path

    def _verify(self, dataset: DataSet, table: str, done: FunctionRun, output: Path) -> tuple[int, int]:
        self._cloud.download(LAKE, f"{table}/", output)
        measured = verify(dataset, output, "--dated-only")
        undated = dataset.expected.rows_undated
        if (done.rows_out, done.rows_quarantined) != (dataset.expected.rows - undated, undated):
            raise Wrong(f"the function reports {done.rows_out} rows out and {done.rows_quarantined} quarantined")
        registered = self._cloud.partitions(DATABASE, table)
        if registered != dataset.dated_partitions:
            raise Wrong(f"{registered} partitions are registered, not {dataset.dated_partitions}")
        return measured
