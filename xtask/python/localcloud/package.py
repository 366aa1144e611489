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


def pack(program: Path, archive: Path) -> None:
    """Makes the zip, unless it is of this very program."""
    built = program.stat()
    if archive.exists() and archive.stat().st_mtime_ns == built.st_mtime_ns:
        return
    archive.parent.mkdir(parents=True, exist_ok=True)
    part = archive.with_suffix(".part")
    # A fixed time, so that equal programs make equal zips.
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = EXECUTABLE
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as target:
        target.writestr(entry, program.read_bytes(), zipfile.ZIP_DEFLATED, LEVEL)
    os.utime(part, ns=(built.st_mtime_ns, built.st_mtime_ns))
    part.replace(archive)


def main() -> dict[str, int]:
    """Packs each function, and answers how many there are and the bytes of their zips."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sources", type=Path, required=True)
    arguments.add_argument("--programs", type=Path, required=True)
    arguments.add_argument("--zips", type=Path, required=True)
    given = arguments.parse_args()
    names = sorted(source.stem for source in given.sources.glob("*.rs"))
    zips = [given.zips / name / "bootstrap.zip" for name in names]
    progress(0, len(names), "packing")
    with ThreadPoolExecutor() as pool:
        list(pool.map(pack, [given.programs / name for name in names], zips))
    return {"functions": len(zips), "bytes": sum(archive.stat().st_size for archive in zips)}


if __name__ == "__main__":
    run(main)
