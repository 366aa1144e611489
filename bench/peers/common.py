"""What the peers' programs share: their arguments."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from anpr.forms import EXTENSIONS

THREADS = 2

# The jobs of repartition: a table by two columns, a table with its number of files and with one more, and rows in one
# file twice.
BY_COLUMNS, IN_FILES, IN_ONE = "by_columns", "in_files", "in_one"
FORMATS = ["parquet", "json", "csv"]
CODECS = {"none": "uncompressed", "snappy": "snappy"}


@dataclass(frozen=True)
class Work:
    """One piece of work."""

    inputs: list[str]
    output: Path
    scratch: Path
    job: str


def work(extension: str | None = None) -> Work:
    """The work that the command line names, on the files of an extension; without it, on those of the form that the job
    names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", type=Path, required=True, help="a folder")
    parser.add_argument("--output", type=Path, required=True, help="an empty folder")
    parser.add_argument("--scratch", type=Path, required=True, help="a folder for temporary files")
    parser.add_argument("--job", default="", help="which of several pieces of work")
    given = parser.parse_args()
    extension = EXTENSIONS[given.job] if extension is None else extension
    inputs = sorted(str(path) for path in given.input.rglob(f"*{extension}") if path.is_file())
    return Work(inputs, given.output, given.scratch, given.job)


def by_folder(given: Work) -> dict[Path, list[str]]:
    """The inputs by the folder that they lie in, which is named as it is below the input."""
    folders: dict[Path, list[str]] = {}
    for path in given.inputs:
        parts = [part for part in Path(path).parent.parts if "=" in part]
        folders.setdefault(Path(*parts), []).append(path)
    return folders
