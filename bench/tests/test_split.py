"""The harness of split on few rows, the uploaders too.

python -m unittest discover --start-directory bench --top-level-directory bench
"""

import os
import sys
import tempfile
import unittest
from pathlib import Path

from contenders.data import MODULES, Wrong
from contenders.split import Lakewright, Result, SplitRun, Uploader, make, start_server
from harness.cloud import LocalCloud
from harness.forgetful import Forgetful
from harness.runtime_api import FunctionFailed
from split import comparison, plans, targets

STUB = Path(__file__).with_name("split_stub.py")
ROWS = 250


class Split(unittest.TestCase):
    """One queue and result for all."""

    folder: Path
    stub: Path
    lakewright: Lakewright
    result: Result

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cloud = cls.enterClassContext(LocalCloud(cls.folder))
        cls.stub = cls.folder / "bootstrap"
        cls.lakewright = Lakewright(cls.stub, cls.stub, cloud, cls.folder, cls.folder)
        (cls.folder / "objects").mkdir()
        cls.result = make("few", ROWS, cls.folder, cls.folder / "objects")

    def run_stub(self, fault: str = "", server: str = LocalCloud.NAME) -> SplitRun:
        """One run of the stubs."""
        self.stub.write_text(f"#!/bin/sh\nPYTHONPATH={MODULES} exec {sys.executable} {STUB} {fault}\n")
        os.chmod(self.stub, 0o755)
        with start_server(server, self.folder) as running:
            return self.lakewright.run("Lakewright", 256, 2, self.result, running, 1)

    def test_right_objects_are_measured(self) -> None:
        for server in (LocalCloud.NAME, Forgetful.NAME):
            with self.subTest(server):
                run = self.run_stub(server=server)
                assert run.plan is not None
                self.assertEqual((run.objects, run.plan.chunks), (ROWS, 3))
                self.assertGreater(run.cpu_seconds, 0.1)

    def test_wrong_objects_are_refused(self) -> None:
        for fault, says in {
            "lost": "there are 247 objects, not 250",
            "changed": "is not its row",
            "extra": "nobody.json is no object of a row",
            "'planned short'": "249 rows were planned",
        }.items():
            with self.subTest(fault), self.assertRaisesRegex(Wrong, says):
                self.run_stub(fault)
        with self.assertRaisesRegex(Wrong, "were taken"):
            self.run_stub("changed", Forgetful.NAME)

    def test_failures_of_the_functions_are_their_own(self) -> None:
        for fault, says in {"refused": "a chunk failed", "crash": "ended during an invocation"}.items():
            with self.subTest(fault), self.assertRaisesRegex(FunctionFailed, says):
                self.run_stub(fault)

    def test_uploaders_are_measured_and_compared(self) -> None:
        runs = [self.run_stub()]
        for name in Uploader.NAMES:
            with start_server(LocalCloud.NAME, self.folder) as server:
                runs.append(Uploader(name, self.folder).run(self.result, server, 1))
        self.assertIn("| s5cmd | MiniStack |", comparison(self.result, runs, 2))
        self.assertIn("| few, MiniStack |", plans(self.result, runs))
        self.assertRegex("\n".join(targets(self.result, runs)), "s5cmd's: (yes|NO)")


if __name__ == "__main__":
    unittest.main()
