"""What a file on this machine holds: its format and its compression, found from its bytes as the functions find them."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow

from localcloud.progress import Failure

# So much of a file is looked at, decompressed. All of a smaller one.
LOOKED_AT = 8 << 20
_BLOCK = 1 << 16
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}


class Landing(NamedTuple):
    """A file, and its key below the prefix that it lands under."""

    path: Path
    key: str


class Look(NamedTuple):
    """What the beginning of a file says."""

    landing: Landing
    format: str | None
    """`json`, `csv` or `parquet`; None where it is none of them."""
    compression: str | None
    text: bytes
    """The beginning, decompressed. Of a Parquet file nothing."""
    whole: bool
    """Whether `text` is all of it."""
    problem: str | None
    """What is wrong with it."""


def visible(name: str) -> bool:
    """Whether readers of tables, and so of folders, look at a name."""
    return not name.startswith((".", "_"))


def below(path: Path) -> Iterator[Landing]:
    """A file, or those below a folder, in the order of their names. Hidden ones stay where they are."""
    if path.is_file():
        yield Landing(path, path.name)
    elif path.is_dir():
        for file in sorted(path.rglob("*")):
            parts = file.relative_to(path).parts
            if file.is_file() and all(visible(part) for part in parts):
                yield Landing(file, "/".join(parts))
    else:
        raise Failure(f"{path} does not exist")


def gathered(paths: Iterable[Path]) -> list[Landing]:
    """The files of all paths. Two that would land as one object are refused."""
    found = list(itertools.chain.from_iterable(below(path) for path in paths))
    by_key: dict[str, Path] = {}
    for path, key in found:
        if key in by_key:
            raise Failure(f"{by_key[key]} and {path} would land as one object, `{key}`: name the folder that holds both")
        by_key[key] = path
    if not found:
        raise Failure(f"there is no file in {', '.join(map(str, paths))}")
    return found


def _decompressed(path: Path, compression: str | None) -> tuple[bytes, bool, str | None]:
    """The beginning, whether it is all, and what is wrong with the rest."""
    parts: list[bytes] = []
    size = 0
    try:
        with pyarrow.input_stream(str(path), compression=compression) as stream:
            while size <= LOOKED_AT:
                part = stream.read(_BLOCK)
                if not part:
                    return b"".join(parts), True, None
                parts.append(part)
                size += len(part)
    except (OSError, EOFError) as error:
        return b"".join(parts), True, f"its {compression or 'bytes'} cannot be read to the end: {error}"
    return b"".join(parts)[:LOOKED_AT], False, None


def _format(text: bytes) -> str | None:
    """By the first character of JSON's records, else CSV if it is text."""
    beginning = text.removeprefix(b"\xef\xbb\xbf").lstrip()
    if beginning[:1] in (b"{", b"["):
        return "json"
    try:
        # A character may be cut at the end.
        decoded = text[:_BLOCK].decode() if len(text) < _BLOCK else text[: _BLOCK - 4].decode(errors="strict")
    except UnicodeDecodeError as error:
        if error.start < _BLOCK - 8:
            return None
        decoded = ""
    return None if "\0" in decoded else "csv"


def look(landing: Landing) -> Look:
    """Looks at a file's beginning."""
    with landing.path.open("rb") as file:
        first = file.read(4)
        if first == b"PAR1":
            return Look(landing, "parquet", None, b"", False, None)
    if not first:
        return Look(landing, None, None, b"", True, "it is empty")
    compression = next((name for magic, name in _MAGIC.items() if first.startswith(magic)), None)
    text, whole, problem = _decompressed(landing.path, compression)
    kind = _format(text) if text.strip() else None
    if kind is None and problem is None:
        problem = "it is neither JSON nor CSV nor Parquet"
    return Look(landing, kind, compression, text, whole, problem)
