"""A peer: a program that reads a folder and writes a folder."""

import os
import sys
from pathlib import Path

from contenders.data import MODULES, DataSet, empty_folder, verify
from harness.machine import ForeignLoad
from harness.program import Usage
from harness.program import run as run_program
from harness.report import Run

# The names of the modules `peers.<work>_…` and of the packages, by the names in the report.
PEERS = {"DuckDB": "duckdb", "Polars": "polars", "pyarrow": "pyarrow", "Spark": "spark"}
PACKAGES = {"DuckDB": "duckdb", "Polars": "polars", "pyarrow": "pyarrow", "Spark": "pyspark"}


def measure(
    peer: str, work: str, files: Path, output: Path, temporary: Path, logs: Path, job: str = ""
) -> tuple[Usage, float]:
    """Has a peer do a piece of work on files; answers with what it used, and with the share of the machine that others
    used."""
    module = f"peers.{work}_{PEERS[peer]}"
    arguments = ["--input", files, "--output", output, "--scratch", temporary, "--job", job]
    load = ForeignLoad()
    usage = run_program(
        [sys.executable, "-m", module, *map(str, arguments)],
        os.environ | {"PYTHONPATH": str(MODULES), "SPARK_LOCAL_IP": "127.0.0.1"},
        logs / f"{module}.log",
    )
    return usage, load.share(usage.cpu_seconds)


def run(peer: str, form: str, dataset: DataSet, repetition: int, work: Path, scratch: Path) -> Run:
    """One run of rekey on records in a form, checked."""
    with empty_folder(scratch / "output") as output, empty_folder(scratch / "temporary") as temporary:
        usage, foreign = measure(peer, "rekey", dataset.files, output, temporary, work / "logs", form)
        files, size = verify(dataset, output)
    return Run(
        dataset.name,
        peer,
        repetition,
        usage.wall_seconds,
        usage.cpu_seconds,
        usage.peak_rss_bytes,
        files,
        size,
        foreign,
    )
