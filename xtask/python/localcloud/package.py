"""Packs the functions that cargo built for this machine as Lambda wants them: `<name>/bootstrap.zip`."""

import argparse
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from localcloud.progress import progress, run

# The fastest: the zips go no further than this machine.
LEVEL = 1
EXECUTABLE = 0o755 << 16


def pack(program: Path, archive: Path) -> bool:
    """Makes the zip, unless it is of this very program; answers whether it did."""
    built = program.stat()
    if archive.exists() and archive.stat().st_mtime_ns == built.st_mtime_ns:
        return False
    archive.parent.mkdir(parents=True, exist_ok=True)
    part = archive.with_suffix(".part")
    # A fixed time, so that equal programs make equal zips.
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = EXECUTABLE
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as target:
        target.writestr(entry, program.read_bytes(), zipfile.ZIP_DEFLATED, LEVEL)
    os.utime(part, ns=(built.st_mtime_ns, built.st_mtime_ns))
    part.replace(archive)
    return True


def main() -> dict[str, int]:
    """Packs these functions, and answers how many had to be, and the bytes of all zips."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--names", required=True)
    arguments.add_argument("--programs", type=Path, required=True)
    arguments.add_argument("--zips", type=Path, required=True)
    given = arguments.parse_args()
    names = given.names.split(",")
    zips = [given.zips / name / "bootstrap.zip" for name in names]
    progress(0, len(names), "packing")
    with ThreadPoolExecutor() as pool:
        packed = sum(pool.map(pack, [given.programs / name for name in names], zips))
    return {"packed": packed, "bytes": sum(archive.stat().st_size for archive in zips)}


if __name__ == "__main__":
    run(main)
