"""Results as Athena writes them."""

from collections.abc import Iterable
from typing import Any


def line(values: Iterable[Any]) -> str:
    """A line: every value in quotes, a null as nothing."""
    return ",".join("" if value is None else '"' + str(value).replace('"', '""') + '"' for value in values) + "\n"
