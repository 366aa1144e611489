"""A peer: a program that reads a folder and writes a folder."""

import os
import sys
from pathlib import Path

from contenders.data import MODULES, DataSet, empty_folder, verify
from harness.machine import ForeignLoad
from harness.program import run as run_program
from harness.report import Run

# The names of the modules `peers.rekey_…` and of the packages, by the names in the report.
PEERS = {"DuckDB": "duckdb", "Polars": "polars", "pyarrow": "pyarrow", "Spark": "spark"}
PACKAGES = {"DuckDB": "duckdb", "Polars": "polars", "pyarrow": "pyarrow", "Spark": "pyspark"}


def run(peer: str, dataset: DataSet, repetition: int, work: Path, scratch: Path) -> Run:
    """One run, checked."""
    module = f"peers.rekey_{PEERS[peer]}"
    with empty_folder(scratch / "output") as output, empty_folder(scratch / "temporary") as temporary:
        arguments = ["--input", dataset.files, "--output", output, "--scratch", temporary]
        load = ForeignLoad()
        usage = run_program(
            [sys.executable, "-m", module, *map(str, arguments)],
            os.environ | {"PYTHONPATH": str(MODULES), "SPARK_LOCAL_IP": "127.0.0.1"},
            work / "logs" / f"{module}.log",
        )
        foreign = load.share(usage.cpu_seconds)
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
