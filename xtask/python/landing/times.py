"""Which column holds a record's time, and in which form: as many records as possible are to have one.

The forms are those of docs/SEMANTICS.md, near enough for a proposal; what the functions make of each record is seen when
they run.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

Record = dict[str, Any]
# Numbers that lie outside are hardly times.
EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
# Enough to say how many records parse.
LOOKED_AT = 5_000
DEPTH = 4

_ISO = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[Tt ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*(Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?"
)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T?(\d{2})(\d{2})(\d{2})Z?)?")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_APACHE = "%d/%b/%Y:%H:%M:%S %z"
_DATES = ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y"]
_CLOCKS = [" %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p", "T%H:%M:%S", " %H:%M:%S.%f", ""]
PATTERNS = [date + clock for clock in _CLOCKS for date in _DATES]
# Of those that both fit, only one can be right.
_TWINS = {"%d/%m/%Y": "%m/%d/%Y", "%d-%m-%Y": "%m-%d-%Y"}
_LIKELY = re.compile(r"event|occur|happen|record|original|observ|measur|pickup|start", re.IGNORECASE)
_TIMELY = re.compile(r"time|date|stamp|(^|_)(ts|at|dt|on|day|when)($|_)", re.IGNORECASE)
_UNLIKELY = re.compile(r"ingest|process|load|insert|updat|modif|birth|dob|expir|arriv|deliver|valid|until|end|drop", re.IGNORECASE)


class Candidate(NamedTuple):
    """A column that holds times."""

    column: str
    pattern: str | None
    """In strptime's notation, where the times are in no usual form."""
    kind: str
    """`text`, `date`, `number` or `pattern`."""
    parsed: int
    records: int
    first: datetime
    last: datetime
    twin: str | None
    """Another pattern that fits as many."""


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _calendar(match: re.Match[str]) -> datetime | None:
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None


def usual(value: Any) -> datetime | None:
    """A time in one of the forms that are read without a pattern."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return counted(value)
    text = str(value).strip()
    if match := _ISO.fullmatch(text):
        moment = _calendar(match)
        offset = match[8]
        if moment and offset and offset[0] in "+-":
            digits = offset[1:].replace(":", "").ljust(4, "0")
            seconds = (int(digits[:2]) * 60 + int(digits[2:])) * 60
            return datetime.fromtimestamp(moment.timestamp() - (seconds if offset[0] == "+" else -seconds), tz=UTC)
        return moment
    if match := _COMPACT.fullmatch(text):
        return _calendar(match)
    if _NUMBER.fullmatch(text):
        return counted(float(text))
    for read in (lambda: datetime.strptime(text, _APACHE), lambda: parsedate_to_datetime(text)):
        try:
            return _utc(read())
        except (ValueError, TypeError, IndexError):
            continue
    return None


def counted(number: float) -> datetime | None:
    """A number that counts from 1970, in the unit that its magnitude says."""
    size = abs(number)
    unit = 1 if size < 1e11 else 1e3 if size < 1e14 else 1e6 if size < 1e17 else 1e9
    try:
        moment = datetime.fromtimestamp(number / unit, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if EARLIEST <= moment <= LATEST else None


def by(pattern: str) -> Callable[[Any], datetime | None]:
    """What reads a pattern."""

    def read(value: Any) -> datetime | None:
        if value is None or isinstance(value, bool):
            return None
        try:
            return _utc(datetime.strptime(str(value).strip(), pattern))
        except ValueError:
            return None

    return read


def fields(record: Record, prefix: str = "", depth: int = DEPTH) -> Iterator[tuple[str, Any]]:
    """The single values of a record by their paths."""
    for name, value in record.items():
        if isinstance(value, dict):
            if depth > 1:
                yield from fields(value, f"{prefix}{name}.", depth - 1)
        elif not isinstance(value, list):
            yield f"{prefix}{name}", value


def _numeric(value: Any) -> bool:
    return isinstance(value, (int, float)) or bool(_NUMBER.fullmatch(str(value).strip()))


def judged(column: str, values: list[Any], records: int, pattern: str | None = None) -> Candidate | None:
    """What a column's values are as times; nothing where hardly any is one."""
    read, kind, twin = (by(pattern), "pattern", None) if pattern else (usual, "text", None)
    moments = [moment for value in values if (moment := read(value))]
    if not pattern and len(moments) * 2 < len(values):
        texts = [value for value in values if isinstance(value, str) and value.strip()]
        first = texts[:200]
        fitting = [candidate for candidate in PATTERNS if any(map(by(candidate), first))]
        best: list[datetime] = []
        for candidate in fitting:
            found = [moment for value in texts if (moment := by(candidate)(value))]
            if len(found) > len(best):
                best, pattern, kind = found, candidate, "pattern"
        moments = best
        other = next((pattern.replace(a, b) for a, b in _TWINS.items() if pattern and pattern.startswith(a)), None)
        if other and all(map(by(other), (value for value in texts if pattern and by(pattern)(value)))):
            twin = other
    elif not pattern:
        sample = [value for value in values if usual(value)][:200]
        if all(map(_numeric, sample)):
            kind = "number"
        elif all(len(str(value).strip()) <= len("2026-05-01") for value in sample):
            kind = "date"
    if not moments:
        return None
    return Candidate(column, pattern, kind, len(moments), records, min(moments), max(moments), twin)


def candidates(rows: list[Record]) -> list[Candidate]:
    """The columns that hold times, the likeliest first."""
    looked_at = rows[:: max(1, len(rows) // LOOKED_AT)]
    values: dict[str, list[Any]] = {}
    for row in looked_at:
        for column, value in fields(row):
            values.setdefault(column, []).append(value)
    found = []
    for order, (column, column_values) in enumerate(values.items()):
        present = [value for value in column_values if value is not None]
        candidate = judged(column, present, len(looked_at))
        if candidate is None or candidate.parsed * 2 < len(looked_at):
            continue
        if candidate.kind == "number" and not (_TIMELY.search(column) or _LIKELY.search(column)):
            continue
        rank = (
            -round(10 * candidate.parsed / len(looked_at)),
            candidate.kind == "date",
            bool(_UNLIKELY.search(column)),
            not _LIKELY.search(column),
            not _TIMELY.search(column),
            order,
        )
        found.append((rank, candidate))
    return [candidate for _, candidate in sorted(found, key=lambda ranked: ranked[0])]


def chosen(rows: list[Record], column: str, pattern: str | None) -> Candidate | None:
    """The column that was asked for, and how many records have a time in it."""
    looked_at = rows[:: max(1, len(rows) // LOOKED_AT)]
    values = [value for row in looked_at for name, value in fields(row) if name == column and value is not None]
    return judged(column, values, len(looked_at), pattern)


def with_time(columns: dict[str, str], rows: list[Record], rule: dict[str, Any]) -> dict[str, str]:
    """The columns, of which the one with the record's time is a time: a record without one does not come that far."""
    column = rule.get("column", "")
    if rule.get("format") or rule.get("unit") or columns.get(column) != "string":
        return columns
    found = chosen(rows, column, None)
    if found is None or found.kind not in ("text", "date"):
        return columns
    return columns | {column: "timestamp"}
