"""The data sets: made once, landed for the function, and what comes out of them checked."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anpr.dataset import EXPECTATION, OBJECTS, Expectation
from anpr.verify import data_files
from harness.cloud import LocalCloud, StoredObject
from harness.report import Size

MODULES = Path(__file__).resolve().parent.parent
LANDING = "bench-landing"


class Wrong(Exception):
    """An output is not what it has to be."""


@dataclass(frozen=True)
class DataSet:
    """A data set, on disk and in the landing bucket."""

    name: str
    folder: Path
    expected: Expectation
    stored: list[StoredObject]

    @property
    def files(self) -> Path:
        """Where its objects are on disk."""
        return self.folder / OBJECTS

    @property
    def size(self) -> Size:
        """It in numbers."""
        expected = self.expected
        return Size(
            self.name,
            expected.rows,
            expected.objects,
            expected.json_bytes,
            expected.gzip_bytes,
            len(expected.partitions),
        )

    @property
    def dated_partitions(self) -> int:
        """Partitions other than that of records without a timestamp."""
        return len(self.expected.partitions) - (1 if self.expected.rows_undated else 0)


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a module in a process of its own, which takes its memory with it when it ends."""
    environment = os.environ | {"PYTHONPATH": str(MODULES)}
    return subprocess.run([sys.executable, "-m", *arguments], env=environment, capture_output=True, text=True)


def make(name: str, records: int, folder: Path, *flags: str) -> Path:
    """The folder of a data set, made unless it exists."""
    return _made(folder / name, "anpr.dataset", "--records", str(records), *flags)


def make_form(form: str, dataset: Path) -> Path:
    """The folder of a data set's records in another form, made unless it exists."""
    return _made(
        dataset.with_name(f"{dataset.name}-{form}"), "anpr.forms", "--dataset", str(dataset), "--form", form
    )


def _made(folder: Path, module: str, *arguments: str) -> Path:
    if not (folder / EXPECTATION).exists():
        print(f"making {folder.name}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        done = _python(module, "--out", str(folder), *arguments)
        if done.returncode != 0:
            raise Wrong(f"the records could not be made: {done.stderr}")
    return folder


def land(name: str, folder: Path, cloud: LocalCloud) -> DataSet:
    """Puts a data set into the landing bucket."""
    return DataSet(name, folder, Expectation.read(folder), cloud.upload(folder / OBJECTS, LANDING, f"{name}/"))


def verify(dataset: DataSet, output: Path, *flags: str) -> tuple[int, int]:
    """Checks an output, and answers with its number of files and their bytes.

    Raises:
        Wrong: says what differs.
    """
    done = _python("anpr.verify", "--dataset", str(dataset.folder), "--output", str(output), *flags)
    if done.returncode != 0:
        raise Wrong(done.stderr.strip())
    paths = data_files(output)
    return len(paths), sum(path.stat().st_size for path in paths)


@contextmanager
def empty_folder(path: Path) -> Iterator[Path]:
    """A folder that is there, and empty at first, for a while."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
