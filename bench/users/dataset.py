"""A result as Athena writes it, and its rows as the objects that have to come out of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

COLUMNS = ["user_id", *(f"col_{number:02}" for number in range(1, 50))]

_LETTERS = np.frombuffer(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789    --__..", dtype=np.uint8
)
_POOL = 200_000
_BLOCK = 20_000


@dataclass(frozen=True)
class Row:
    """A row: its object's key, its line in the result, and the object."""

    key: str
    line: str
    json: str


def _text(plain: str, kind: float) -> str | None:
    """A value, of which a few in a hundred are hard to read: by a number from 0 to 1."""
    match kind:
        case _ if kind < 0.010:
            return plain[:8] + ", " + plain[8:]
        case _ if kind < 0.015:
            return plain[:8] + '"' + plain[8:14] + '"' + plain[14:]
        case _ if kind < 0.018:
            return plain[:8] + "\n" + plain[8:]
        case _ if kind < 0.020:
            return plain[:8] + "\r\n" + plain[8:]
        case _ if kind < 0.030:
            return plain[:5] + "éü中" + plain[5:]
        case _ if kind < 0.032:
            return plain[:5] + "\\" + plain[5:]
        case _ if kind < 0.985:
            return plain
        case _ if kind < 0.995:
            return None
        case _:
            return ""


def _cell(value: str | None) -> str:
    """In Athena's CSV every value is in quotes, and a null is nothing."""
    return "" if value is None else '"' + value.replace('"', '""') + '"'


def rows(count: int, seed: int = 1) -> Iterator[Row]:
    """The rows of a result; the same ones each time."""
    random = np.random.default_rng([seed, 0xD])
    lengths = random.integers(18, 56, _POOL)
    letters = _LETTERS[random.integers(0, len(_LETTERS), int(lengths.sum()))].tobytes().decode()
    ends = np.cumsum(lengths).tolist()
    kinds = random.random(_POOL).tolist()
    values = [
        _text(letters[start:end], kind) for start, end, kind in zip([0, *ends], ends, kinds, strict=False)
    ]
    cells = np.array([_cell(value) for value in values], dtype=object)
    texts = np.array([json.dumps(value, ensure_ascii=False) for value in values], dtype=object)
    names = [f',"{name}":' for name in COLUMNS[1:]]
    for start in range(0, count, _BLOCK):
        picked = random.integers(0, _POOL, (min(_BLOCK, count - start), len(names)))
        for number, (own_cells, own_texts) in enumerate(zip(cells[picked], texts[picked], strict=True), start):
            user = f"u{number:09}"
            fields = "".join(map(str.__add__, names, own_texts))
            yield Row(
                key=f"{user}.json",
                line=f'"{user}",' + ",".join(own_cells) + "\n",
                json=f'{{"user_id":"{user}"{fields}}}',
            )


def write_result(path: Path, count: int) -> None:
    """Writes the result."""
    with path.open("w", encoding="utf-8", newline="") as result:
        result.write(",".join(f'"{name}"' for name in COLUMNS) + "\n")
        result.writelines(row.line for row in rows(count))


def write_objects(folder: Path, count: int) -> int:
    """Writes each row's object as a file; answers with their bytes."""
    size = 0
    for row in rows(count):
        body = row.json.encode()
        (folder / row.key).write_bytes(body)
        size += len(body)
    return size
