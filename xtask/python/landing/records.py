"""Records of files, as far as a look at their beginning shows them, and the columns that they have."""

import json
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import duckdb

from landing.files import Look
Record = dict[str, Any]
# So many records are looked at, of all files together.
MOST = 20_000
_INTEGERS = {"tinyint": "tinyint", "smallint": "smallint", "integer": "int", "bigint": "bigint"}
_UNSIGNED = {"utinyint": "smallint", "usmallint": "int", "uinteger": "bigint", "ubigint": "decimal(20,0)"}
_PLAIN = {
    **_INTEGERS,
    **_UNSIGNED,
    "boolean": "boolean",
    "float": "float",
    "double": "double",
    "date": "date",
    "blob": "binary",
    "hugeint": "decimal(38,0)",
    "uhugeint": "decimal(38,0)",
}


class Csv(NamedTuple):
    """How CSV is written."""

    delimiter: str
    quote: str
    header: bool
    columns: list[str]
    """The names, where no header gives them."""


class Records(NamedTuple):
    """What was looked at."""

    rows: list[Record]
    broken: int
    """Pieces that are no records."""
    columns: dict[str, str]
    """Hive types by name."""
    csv: Csv | None


def hive_type(kind: Any, *, exact: bool) -> str:
    """The Hive type of one of DuckDB's. Of text, numbers are as wide as they may become, since not all was looked at."""
    name = kind.id.lower()
    inner = dict(kind.children) if name in ("list", "array", "struct", "map", "decimal") else {}
    if name == "decimal":
        return f"decimal({inner['precision']},{inner['scale']})" if exact else "double"
    if name in ("list", "array"):
        return f"array<{hive_type(inner['child'], exact=exact)}>"
    if name == "struct":
        fields = ",".join(f"{field}:{hive_type(of, exact=exact)}" for field, of in inner.items())
        return f"struct<{fields}>"
    if name == "map":
        return f"map<{hive_type(inner['key'], exact=exact)},{hive_type(inner['value'], exact=exact)}>"
    if name.startswith("timestamp"):
        return "timestamp"
    if not exact and name in _INTEGERS | _UNSIGNED:
        return "bigint"
    if not exact and name == "float":
        return "double"
    return _PLAIN.get(name, "string")


def _types(relation: Any, *, exact: bool) -> dict[str, str]:
    return {
        name: hive_type(kind, exact=exact) for name, kind in zip(relation.columns, relation.types, strict=True)
    }


def _json(text: str) -> Iterator[Any]:
    """The values of a text, one after the other whatever is between them; None for a piece that is none."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at] in " \t\r\n,":
            at += 1
            continue
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            end = text.find("\n", at)
            yield None
            if end < 0:
                return
            at = end + 1
            continue
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _of_json(looks: Iterable[Look]) -> Records:
    rows: list[Record] = []
    broken = 0
    for look in looks:
        text = look.text.decode(errors="replace").removeprefix("\ufeff")
        if not look.whole and "\n" in text:
            text = text[: text.rindex("\n")]
        values = _json(text)
        for value in values:
            if len(rows) >= MOST:
                break
            if isinstance(value, dict):
                rows.append(value)
            else:
                # Of a long text without newlines the last piece is cut, not broken.
                broken += 1
    return Records(rows, broken, columns_of_json(rows), None)


def columns_of_json(rows: list[Record]) -> dict[str, str]:
    """The Hive types of the fields of records."""
    if not rows:
        return {}
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.flush()
        relation = duckdb.read_json(
            file.name, format="newline_delimited", sample_size=-1, maximum_depth=-1, map_inference_threshold=-1
        )
        return _types(relation, exact=False)


def _sniffed(file: str, given: str | None) -> Csv | None:
    """How a file is written; nothing where it does not read as CSV."""
    option = ", delim = '" + given.replace("'", "''") + "'" if given else ""
    try:
        (row,) = duckdb.sql(f"FROM sniff_csv('{file}', sample_size = -1, ignore_errors = true{option})").fetchall()
    except duckdb.Error:
        return None
    delimiter, quote, header, columns = row[0], row[1], row[6], row[7]
    # DuckDB says so of files without quotes.
    quote = '"' if quote in ("", "\0", "(empty)") else quote
    return Csv(delimiter, quote, header, [] if header else [column["name"] for column in columns])


def _of_csv(looks: Iterable[Look], delimiter: str | None) -> Records:
    rows: list[Record] = []
    broken, form, columns = 0, None, {}
    for look in looks:
        text = look.text if look.whole else look.text[: look.text.rfind(b"\n") + 1]
        with tempfile.NamedTemporaryFile(suffix=".csv") as file:
            # Invalid UTF-8 is quarantined when it lands; here it must not hide the other records.
            file.write(text.decode(errors="replace").encode())
            file.flush()
            form = form or _sniffed(file.name, delimiter)
            if form is None:
                broken += 1
                continue
            options: dict[str, Any] = {"delimiter": form.delimiter, "quotechar": form.quote, "header": form.header}
            columns = columns or _types(
                duckdb.read_csv(file.name, ignore_errors=True, sample_size=-1, **options), exact=False
            )
            plain = duckdb.read_csv(file.name, ignore_errors=True, all_varchar=True, **options)
            fetched = plain.limit(MOST - len(rows)).fetchall()
            rows.extend(dict(zip(plain.columns, row, strict=True)) for row in fetched)
    return Records(rows, broken, columns, form)


def _quoted(name: str) -> str:
    return name.replace('"', '""')


def _of_parquet(looks: Iterable[Look]) -> Records:
    rows: list[Record] = []
    broken, columns = 0, {}
    for look in looks:
        try:
            relation = duckdb.read_parquet(str(look.landing.path))
            columns = columns or _types(relation, exact=True)
            # Times as text: those with a zone would need one more package.
            shown = ", ".join(
                f'CAST("{_quoted(name)}" AS VARCHAR)' if kind.id.startswith("timestamp") else f'"{_quoted(name)}"'
                for name, kind in zip(relation.columns, relation.types, strict=True)
            )
            fetched = relation.project(shown).limit(MOST - len(rows)).fetchall() if len(rows) < MOST else []
        except duckdb.Error:
            broken += 1
            continue
        rows.extend(dict(zip(relation.columns, row, strict=True)) for row in fetched)
    return Records(rows, broken, columns, None)


def read(looks: list[Look], kind: str, delimiter: str | None = None) -> Records:
    """The records of files of one format."""
    match kind:
        case "json":
            return _of_json(looks)
        case "csv":
            return _of_csv(looks, delimiter)
        case _:
            return _of_parquet(looks)


