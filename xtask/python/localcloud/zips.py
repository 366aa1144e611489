"""Holds zips of functions that were made elsewhere against their checksums and the architecture that is to run them, so
that what is wrong is said before anything starts."""

import argparse
import hashlib
import zipfile
from pathlib import Path
from typing import Any

from localcloud.progress import Failure, progress, run

SUMS = "SHA256SUMS"
# e_machine of an ELF file. https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
MACHINES = {62: "x86_64", 183: "arm64"}


def architecture(archive: Path) -> str:
    """What the program in a zip runs on."""
    try:
        with zipfile.ZipFile(archive) as opened, opened.open("bootstrap") as program:
            head = program.read(20)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise Failure(f"{archive} is no zip of a function: {error}") from error
    if not head.startswith(b"\x7fELF"):
        raise Failure(f"{archive}: its `bootstrap` is no Linux program")
    return MACHINES.get(int.from_bytes(head[18:20], "little"), "another architecture")


def sums(folder: Path) -> dict[str, str]:
    """The checksums of a folder, by path; none where it has none."""
    file = folder / SUMS
    if not file.exists():
        return {}
    lines = (line.split(maxsplit=1) for line in file.read_text().splitlines() if line.strip())
    return {path.lstrip("*"): digest for digest, path in lines}


def digest(file: Path) -> str:
    """SHA-256."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def check(folder: Path, names: list[str], wanted: str) -> dict[str, Any]:
    """Answers with the folder that holds `<name>/bootstrap.zip`: this one, or its own for the architecture."""
    if not folder.is_dir():
        raise Failure(f"{folder} is no folder: make one with `cargo xtask package`")
    if (folder / wanted).is_dir():
        folder = folder / wanted
    expected = sums(folder)
    for number, name in enumerate(names):
        progress(number, len(names), name)
        path = f"{name}/bootstrap.zip"
        if not (folder / path).is_file():
            raise Failure(f"{folder / path} does not exist: `cargo xtask package` makes it")
        if expected and expected.get(path) != digest(folder / path):
            raise Failure(f"{folder / path} is not the file that {folder / SUMS} names: fetch or make it again")
        found = architecture(folder / path)
        if found != wanted:
            raise Failure(f"{folder / path} is built for {found}, and {wanted} is what has to run here")
    return {"folder": str(folder), "sums": bool(expected)}


def main() -> dict[str, Any]:
    """Checks the folder."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--names", required=True)
    arguments.add_argument("--architecture", required=True)
    given = arguments.parse_args()
    return check(given.folder, given.names.split(","), given.architecture)


if __name__ == "__main__":
    run(main)
