"""Gives a run of the end-to-end tests in an account its name and its configuration."""

import argparse
import secrets
from pathlib import Path
from typing import Any

from account import names
from localcloud.progress import run


def main() -> dict[str, Any]:
    """Writes the configuration; answers with where it is."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--folder", type=Path, required=True)
    given = arguments.parse_args()
    name = secrets.token_hex(4)
    folder: Path = given.folder / name
    folder.mkdir(parents=True)
    config = folder / "lakewright.toml"
    config.write_text(names.configuration(given.config.read_text(), name))
    return {
        "run": name,
        "stack": names.stack(name),
        "assets": names.bucket("assets", name),
        "folder": str(folder),
        "config": str(config),
    }


if __name__ == "__main__":
    run(main)
