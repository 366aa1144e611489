"""What the peers' programs share: their arguments."""

import argparse
from dataclasses import dataclass
from pathlib import Path

THREADS = 2


@dataclass(frozen=True)
class Work:
    """One piece of work."""

    inputs: list[str]
    output: Path
    scratch: Path


def work() -> Work:
    """The work that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", type=Path, required=True, help="a folder of .json.gz files")
    parser.add_argument("--output", type=Path, required=True, help="an empty folder")
    parser.add_argument("--scratch", type=Path, required=True, help="a folder for temporary files")
    given = parser.parse_args()
    return Work(sorted(str(path) for path in given.input.rglob("*.json.gz")), given.output, given.scratch)
