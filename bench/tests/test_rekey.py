"""The whole harness on few records, the peers too.

python -m unittest discover --start-directory bench --top-level-directory bench
"""

import gzip
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path

from anpr.forms import ENVELOPE, JSON, PARQUET
from anpr.forms import RECORDS as IN_ENVELOPE
from contenders import peer
from contenders.data import MODULES, DataSet, Wrong, land, make, make_form
from contenders.lakewright import Job, Lakewright
from harness.cloud import LocalCloud
from harness.report import Run, comparison, targets
from harness.runtime_api import FunctionFailed

STUB = Path(__file__).with_name("stub.py")
RECORDS = 30_000


class Rekey(unittest.TestCase):
    """One local cloud and data set for all."""

    folder: Path
    cloud: LocalCloud
    stub: Path
    lakewright: Lakewright
    dataset: DataSet

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.cloud = cls.enterClassContext(LocalCloud(cls.folder))
        cls.stub = cls.folder / "bootstrap"
        cls.lakewright = Lakewright(cls.stub, cls.cloud, cls.folder, cls.folder)
        cls.dataset = land("few", make("few", RECORDS, cls.folder), cls.cloud)

    def run_stub(self, fault: str = "", objects: int | None = None) -> Run:
        """One run of the stub."""
        self.stub.write_text(f"#!/bin/sh\nPYTHONPATH={MODULES} exec {sys.executable} {STUB} {fault}\n")
        os.chmod(self.stub, 0o755)
        return self.lakewright.run("Lakewright", Job(256, objects), self.dataset, 1)

    def test_right_outputs_are_measured(self) -> None:
        run = self.run_stub()
        self.assertEqual(run.files, self.dataset.dated_partitions)
        self.assertGreater(run.cpu_seconds, 0.1)
        self.assertGreater(run.peak_rss_bytes, 20e6)
        self.assertIsNotNone(run.init_seconds)
        self.assertEqual(self.run_stub(objects=1).files, run.files)

    def test_wrong_outputs_are_refused(self) -> None:
        for fault, says in {
            "lost": "lacking",
            "doubled": "too many",
            "moved": "lacking",
            "changed": "not all values",
            "swapped": "not all values",
        }.items():
            with self.subTest(fault), self.assertRaisesRegex(Wrong, says):
                self.run_stub(fault)

    def test_failures_of_the_function_are_its_own(self) -> None:
        for fault, says in {"refused": "messages failed", "crash": "ended during an invocation"}.items():
            with self.subTest(fault), self.assertRaisesRegex(FunctionFailed, says):
                self.run_stub(fault)

    def test_peers_are_measured_and_compared(self) -> None:
        runs = [
            self.run_stub(),
            *(peer.run(name, JSON, self.dataset, 1, self.folder, self.folder) for name in ("DuckDB", "Polars")),
        ]
        page = comparison(self.dataset.size, runs)
        duckdb = next(line for line in page.splitlines() if line.startswith("| DuckDB"))
        self.assertIn("| 1.00 |", duckdb)
        self.assertEqual(len(targets(self.dataset.size, runs)), 1)

    def test_records_in_other_forms_are_the_same(self) -> None:
        folder = self.dataset.folder
        parquet = land("few-parquet", make_form(PARQUET, folder), self.cloud)
        run = peer.run("DuckDB", PARQUET, parquet, 1, self.folder, self.folder)
        self.assertEqual(run.files, len(self.dataset.expected.partitions))
        envelopes = make_form(ENVELOPE, folder)
        for landed in self.dataset.files.rglob("*.gz"):
            lines = gzip.decompress(landed.read_bytes()).splitlines()
            envelope = gzip.decompress((envelopes / landed.relative_to(folder)).read_bytes())
            self.assertEqual(json.loads(envelope)[IN_ENVELOPE], [json.loads(line) for line in lines])



if __name__ == "__main__":
    unittest.main()
