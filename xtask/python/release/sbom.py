"""The software bill of materials of the functions, as CycloneDX 1.6 in JSON: what is compiled into them, from `cargo metadata` and
Cargo.lock. It has no time and no random number, so the same sources make the same bill. https://cyclonedx.org/docs/1.6/json/"""

import argparse
import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from localcloud.progress import Failure, run

FUNCTIONS = "lakewright-functions"


def metadata(root: Path, target: str) -> dict[str, Any]:
    """What cargo resolves for a target."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if ended.returncode:
        raise Failure(f"cargo metadata: {ended.stderr.strip()}")
    return json.loads(ended.stdout)


def edges(node: dict[str, Any]) -> list[str]:
    """What a package has compiled in: what only builds it or tests it is no part of a function."""
    return [dep["pkg"] for dep in node["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]


def reference(package: dict[str, Any]) -> str:
    """A package URL. https://github.com/package-url/purl-spec"""
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package: dict[str, Any], checksums: dict[tuple[str, str], str]) -> dict[str, Any]:
    """One package."""
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
    }
    if package.get("license"):
        # Older packages separate alternatives by a slash, which is no SPDX.
        found["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if checksum := checksums.get((package["name"], package["version"])):
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package.get("repository"):
        found["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return found


def bill(resolved: dict[str, Any], lock: dict[str, Any]) -> dict[str, Any]:
    """The bill of the functions."""
    packages = {package["id"]: package for package in resolved["packages"]}
    nodes = {node["id"]: edges(node) for node in resolved["resolve"]["nodes"]}
    root = next(identity for identity, package in packages.items() if package["name"] == FUNCTIONS)
    seen, waiting = {root}, [root]
    while waiting:
        new = set(nodes[waiting.pop()]) - seen
        seen |= new
        waiting += new
    checksums = {(package["name"], package["version"]): package["checksum"] for package in lock["package"] if "checksum" in package}
    inside = sorted(seen, key=lambda identity: reference(packages[identity]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component(packages[root], checksums) | {"type": "application"}},
        "components": [component(packages[identity], checksums) for identity in inside if identity != root],
        "dependencies": [
            {"ref": reference(packages[identity]), "dependsOn": sorted({reference(packages[other]) for other in nodes[identity]})}
            for identity in inside
        ],
    }


def main() -> dict[str, Any]:
    """Writes one bill."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--root", type=Path, required=True)
    arguments.add_argument("--target", required=True)
    arguments.add_argument("--file", type=Path, required=True)
    given = arguments.parse_args()
    lock = tomllib.loads((given.root / "Cargo.lock").read_text())
    found = bill(metadata(given.root, given.target), lock)
    given.file.write_text(json.dumps(found, indent=1) + "\n")
    return {"components": len(found["components"])}


if __name__ == "__main__":
    run(main)
