"""The times that names tell: when an object arrived, and when the rows of a partition happened."""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from report.bounded import NAMES

# Firehose's own prefix; and one in Hive's style, as its custom prefixes are usually written.
_ARRIVALS = [
    re.compile(r"(?:^|/)(\d{4})/(\d{2})/(\d{2})/(\d{2})/"),
    re.compile(r"(?:^|/)year=(\d{4})/month=(\d{1,2})/day=(\d{1,2})(?:/hour=(\d{1,2}))?/"),
    re.compile(r"(?:^|/)(?:dt|date|day)=(\d{4})-(\d{2})-(\d{2})(?:/(?:hour|hr)=(\d{1,2}))?/"),
]
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


class Moment(NamedTuple):
    """A time, and the step that it is known to."""

    time: datetime
    resolution: int


def arrival(key: str) -> datetime | None:
    """When an object arrived, as its key says: the delivery stream names its objects by the hour."""
    for pattern in _ARRIVALS:
        if found := pattern.search(key):
            try:
                return datetime(*(int(part or 0) for part in found.groups()), tzinfo=UTC)  # type: ignore[misc, arg-type]
            except ValueError:
                return None
    return None


def happened(path: str) -> Moment | None:
    """When the rows of a partition happened, as the parts of time in its path say."""
    parts = {name.lower(): value for name, _, value in (part.partition("=") for part in path.split("/")) if value}
    if found := _DATE.fullmatch(parts.get("date", "")):
        year, month, day = (int(part) for part in found.groups())
    else:
        try:
            year = int(parts["year"])
            month, day = int(parts.get("month", 1)), int(parts.get("day", 1))
        except (KeyError, ValueError):
            return None
    is_of_a_day = bool(found) or {"month", "day"} <= parts.keys()
    hour = parts.get("hour", "")
    finest = "hour" if is_of_a_day and hour.isdigit() else "day" if is_of_a_day else "month" if "month" in parts else "year"
    try:
        time = datetime(year, month, day, int(hour) if finest == "hour" else 0, tzinfo=UTC)
    except ValueError:
        return None
    return Moment(time, NAMES.index(finest))
