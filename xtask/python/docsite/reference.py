"""Makes docs/reference.md: every key of a configuration, from its schema, and every error, from docs/OPERATIONS.md. Tests hold both to
the code, and another one holds the page to them."""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localcloud.progress import run

Schema = dict[str, Any]
DOCS = Path(__file__).parents[3] / "docs"
ERRORS = "| name | meaning | what to do |"
HEAD = """# Every key and every error

Made by `cargo xtask docs` from [the schema](lakewright.schema.json), which editors take too, and from the tables of [Operations](OPERATIONS.md).

"""


def flat(text: str) -> str:
    """A text in a cell."""
    return " ".join(text.split()).replace("|", "\\|")


def anchor(name: str) -> str:
    """A link to a type's heading."""
    return f"[{name}](#{name.lower()})"


def value(schema: Schema) -> str:
    """What a key takes."""
    if "$ref" in schema:
        return anchor(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema or "oneOf" in schema:
        choices = [choice for choice in schema.get("anyOf", schema.get("oneOf", [])) if choice != {"type": "null"}]
        return " or ".join(value(choice) for choice in choices)
    if "const" in schema:
        return f"`{schema['const']}`"
    kinds = schema.get("type", "object")
    kind = next(one for one in ([kinds] if isinstance(kinds, str) else kinds) if one != "null")
    if kind == "array":
        return f"list of {value(schema.get('items', {'type': 'string'}))}"
    if kind == "object":
        return f"table of {value(schema['additionalProperties'])}" if isinstance(schema.get("additionalProperties"), dict) else "table"
    return {"string": "text", "integer": "number", "boolean": "`true` or `false`"}[kind]


def default(schema: Schema, required: bool) -> str:
    """What it is if it is left out."""
    if required:
        return "required"
    if "default" not in schema or schema["default"] in (None, {}):
        return ""
    found = schema["default"]
    if isinstance(found, dict):
        return "see there"
    if schema.get("$ref", "").endswith("/Size"):
        found = sized(found)
    if schema.get("$ref", "").endswith("/DurationText"):
        found = found.removeprefix("PT").lower()
    return f"`{flat(json.dumps(found))}`"


def sized(size: int) -> str:
    """Bytes as configurations write them."""
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << shift and size % (1 << shift) == 0:
            return f"{size >> shift}{unit}"
    return str(size)


def keys(schema: Schema) -> Iterator[str]:
    """The table of a type's keys."""
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    needed = schema.get("required", [])
    # What has to be there comes first.
    for name, key in sorted(schema["properties"].items(), key=lambda item: (item[0] not in needed, item[0])):
        yield f"| `{name}` | {value(key)} | {default(key, name in needed)} | {flat(key.get('description', ''))} |"


def described(name: str, schema: Schema) -> Iterator[str]:
    """A type: its keys, or its values."""
    yield f"### {name}\n"
    yield f"{' '.join(schema.get('description', '').split())}\n"
    if "properties" in schema:
        yield from keys(schema)
    elif all("const" in choice for choice in schema.get("oneOf", [{}])):
        yield "| value | meaning |"
        yield "|---|---|"
        for choice in schema["oneOf"]:
            yield f"| `{choice['const']}` | {flat(choice.get('description', ''))} |"
    else:
        yield f"Written as {value({key: schema[key] for key in ('anyOf', 'type') if key in schema})}."
    yield ""


def errors(operations: str) -> Iterator[str]:
    """The tables of errors, each under the heading that it is under there."""
    section, inside = "", False
    for line in operations.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        if line == ERRORS:
            inside = True
            yield f"### {'Of every job, and of rekey' if section == 'Errors' else f'Of {section.lower()}'}\n"
        elif inside and not line.startswith("|"):
            inside = False
            yield ""
        if inside:
            # Links there are relative to the same folder.
            yield line


def reference(schema: Schema, operations: str) -> str:
    """The page."""
    lines: list[str] = []
    kinds = {entry["items"]["$ref"].rpartition("/")[2]: name for name, entry in schema["properties"].items()}
    for kind, name in sorted(kinds.items(), key=lambda item: ["rekey", "split", "compact", "repartition"].index(item[1])):
        lines += [f"## `[[{name}]]`\n", " ".join(schema["$defs"][kind]["description"].split()) + "\n", *keys(schema["$defs"][kind]), ""]
    lines.append("## Types of values\n")
    for name, definition in sorted(schema["$defs"].items()):
        if name not in kinds:
            lines += described(name, definition)
    lines.append("## Errors\n")
    lines.append("The names of `errorType`, without `Lakewright.` before them. What is below is below in [Operations](OPERATIONS.md).\n")
    lines += errors(operations)
    return HEAD + re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def current() -> str:
    """The page as it should be."""
    return reference(json.loads((DOCS / "lakewright.schema.json").read_text()), (DOCS / "OPERATIONS.md").read_text())


def main() -> dict[str, str]:
    """Writes the page."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.parse_args()
    file = DOCS / "reference.md"
    file.write_text(current())
    return {"file": str(file)}


if __name__ == "__main__":
    run(main)
