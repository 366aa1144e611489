"""Makes of a CDK assembly what is deployed without the CDK: the template, the files that its parameters find, and a Terraform module."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from localcloud.progress import run
from localcloud.zips import SUMS, digest

TEMPLATE = "lakewright.template.json"
# As infra/lib/plain.ts names it.
PREFIX = "${CodePrefix}"


def bundle(assembly: Path, terraform: Path, folder: Path) -> dict[str, Any]:
    """Fills the folder anew; answers with the number of files and their bytes."""
    (listed,) = assembly.glob("*.assets.json")
    stack = listed.name.removesuffix(".assets.json")
    shutil.rmtree(folder, ignore_errors=True)
    assets = folder / "assets"
    assets.mkdir(parents=True)
    manifest = json.loads(listed.read_text())
    for asset in manifest["files"].values():
        source = assembly / asset["source"]["path"]
        for destination in asset["destinations"].values():
            name = destination["objectKey"].removeprefix(PREFIX)
            is_template = source.name == f"{stack}.template.json"
            shutil.copyfile(source, folder / TEMPLATE if is_template else assets / name)
    shutil.copyfile(terraform, folder / terraform.name)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    (folder / SUMS).write_text("".join(f"{digest(path)}  {path.relative_to(folder)}\n" for path in files))
    return {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}


def main() -> dict[str, Any]:
    """Makes one folder."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--assembly", type=Path, required=True)
    arguments.add_argument("--terraform", type=Path, required=True)
    arguments.add_argument("--folder", type=Path, required=True)
    given = arguments.parse_args()
    return bundle(given.assembly, given.terraform, given.folder)


if __name__ == "__main__":
    run(main)
