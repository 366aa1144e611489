"""Sums whose memory does not grow with the lake: histograms, sums over time and a heat map that become coarser instead."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Bin = int


def _month(moment: datetime) -> Bin:
    return moment.year * 12 + moment.month - 1


# Each step is a whole number of the ones before it, so that bins can be joined. Of each: its name, the bin of a time, and a bin's start.
STEPS: list[tuple[str, Callable[[datetime], Bin], Callable[[Bin], datetime]]] = [
    ("hour", lambda moment: (moment - EPOCH) // timedelta(hours=1), lambda at: EPOCH + timedelta(hours=at)),
    ("6 hours", lambda moment: (moment - EPOCH) // timedelta(hours=6), lambda at: EPOCH + timedelta(hours=6 * at)),
    ("day", lambda moment: (moment - EPOCH) // timedelta(days=1), lambda at: EPOCH + timedelta(days=at)),
    ("month", _month, lambda at: datetime(at // 12, at % 12 + 1, 1, tzinfo=UTC)),
    ("year", lambda moment: moment.year, lambda at: datetime(at, 1, 1, tzinfo=UTC)),
]
NAMES = [name for name, _, _ in STEPS]
FORMATS = {"hour": "%Y-%m-%d %H:00", "6 hours": "%Y-%m-%d %H:00", "day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}


def label(step: int, at: Bin) -> str:
    """A bin for people."""
    return STEPS[step][2](at).strftime(FORMATS[NAMES[step]])


def joined(step: int, at: Bin) -> Bin:
    """The bin of the next step that a bin lies in."""
    return STEPS[step + 1][1](STEPS[step][2](at))


class Sizes:
    """How many objects there are of each size, in powers of two."""

    def __init__(self) -> None:
        self.count = self.bytes = 0
        self._bins: dict[int, list[int]] = {}

    def add(self, size: int) -> None:
        """One object."""
        self.count += 1
        self.bytes += size
        held = self._bins.setdefault(size.bit_length(), [0, 0])
        held[0] += 1
        held[1] += size

    def document(self) -> dict[str, Any]:
        """`sizes`: the bytes that a bin begins with, its objects and their bytes."""
        bins = [[1 << bits - 1 if bits else 0, *self._bins[bits]] for bits in sorted(self._bins)]
        return {"count": self.count, "bytes": self.bytes, "sizes": bins}


class OverTime:
    """Rows and files by time."""

    def __init__(self, bins: int = 800) -> None:
        self._limit = bins
        self._step = 0
        self._bins: dict[Bin, Counter[str]] = {}

    def add(self, moment: datetime, resolution: int, **counts: int) -> None:
        """Something of a time that is known as exactly as a step."""
        while self._step < resolution:
            self._join()
        self._bins.setdefault(STEPS[self._step][1](moment), Counter()).update(counts)
        while len(self._bins) > self._limit and self._step + 1 < len(STEPS):
            self._join()

    def _join(self) -> None:
        finer, self._bins = self._bins, {}
        for at, counts in finer.items():
            self._bins.setdefault(joined(self._step, at), Counter()).update(counts)
        self._step += 1

    def document(self) -> dict[str, Any]:
        """The step, and each bin that has something."""
        return {
            "step": NAMES[self._step],
            "bins": [[label(self._step, at), counts["rows"], counts["files"]] for at, counts in sorted(self._bins.items())],
        }


class Heat:
    """Rows by the time when they arrived and the time when they happened."""

    def __init__(self, bins: int = 800, cells: int = 20_000) -> None:
        self._limits = bins, cells
        self._step = 0
        self._cells: Counter[tuple[Bin, Bin]] = Counter()

    def add(self, arrived: datetime, happened: datetime, resolution: int, rows: int) -> None:
        """So many rows."""
        while self._step < resolution:
            self._join()
        bin_of = STEPS[self._step][1]
        cell = bin_of(arrived), bin_of(happened)
        known = cell in self._cells
        self._cells[cell] += rows
        while not known and self._is_large() and self._step + 1 < len(STEPS):
            self._join()

    def _is_large(self) -> bool:
        bins, cells = self._limits
        # There are no more bins than cells.
        if len(self._cells) <= bins:
            return False
        return len(self._cells) > cells or max(len({cell[axis] for cell in self._cells}) for axis in (0, 1)) > bins

    def _join(self) -> None:
        finer, self._cells = self._cells, Counter()
        for (arrived, happened), rows in finer.items():
            self._cells[joined(self._step, arrived), joined(self._step, happened)] += rows
        self._step += 1

    def document(self) -> dict[str, Any]:
        """The step, both axes without gaps where that is possible, and each cell by its place on them."""
        bins, _ = self._limits
        arrived, happened = (self._axis(axis, 2 * bins) for axis in (0, 1))
        places = [{at: place for place, at in enumerate(axis)} for axis in (arrived, happened)]
        cells = [[places[1][then], places[0][now], rows] for (now, then), rows in sorted(self._cells.items())]
        return {
            "step": NAMES[self._step],
            "arrived": [label(self._step, at) for at in arrived],
            "happened": [label(self._step, at) for at in happened],
            "cells": cells,
        }

    def _axis(self, axis: int, longest: int) -> list[Bin]:
        found = sorted({cell[axis] for cell in self._cells})
        # A single time that is far off would make an axis of nothing.
        if found and found[-1] - found[0] < longest:
            return list(range(found[0], found[-1] + 1))
        return found


class Late:
    """Rows by how late they arrived, in what the partitions tell apart."""

    # The hours, or the days, that each class begins with.
    CLASSES = {
        "hour": [0, 1, 2, 3, 6, 12, 24, 48, 72, 168, 720],
        "day": [0, 1, 2, 3, 4, 5, 6, 7, 14, 30, 90],
        "month": [0, 1, 2, 3, 6, 12, 24],
        "year": [0, 1, 2, 3, 5, 10],
    }

    def __init__(self) -> None:
        self._resolution = 0
        self._hours: Counter[int] = Counter()

    def add(self, arrived: datetime, happened: datetime, resolution: int, rows: int) -> None:
        """So many rows."""
        self._resolution = resolution
        bin_of = STEPS[resolution][1]
        late = bin_of(arrived) - bin_of(happened)
        starts = self.CLASSES[NAMES[resolution]]
        self._hours[max((start for start in starts if start <= late), default=-1)] += rows

    def document(self) -> dict[str, Any]:
        """The classes in order, with their rows. What arrived before it happened is first."""
        unit = NAMES[self._resolution]
        starts = self.CLASSES[unit]
        classes = []
        for start, end in zip([-1, *starts], [*starts, None], strict=True):
            if rows := self._hours[start]:
                classes.append([_class(unit, start, end), rows])
        return {"step": unit, "classes": classes}


def _class(unit: str, start: int, end: int | None) -> str:
    if start == -1:
        return "ahead of its time"
    if start == 0:
        return f"the same {unit}"
    if end is None:
        return f"{start} {unit}s or more"
    if end == start + 1:
        return f"{start} {unit}{'' if start == 1 else 's'}"
    return f"{start} to {end - 1} {unit}s"


class Seconds:
    """Numbers of seconds: exact below 100, and to two digits above."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, seconds: int) -> None:
        """One."""
        step = 10 ** max(0, len(str(seconds)) - 2)
        self._counts[seconds // step * step] += 1

    def quantile(self, share: float) -> int | None:
        """The smallest that has so many of them at or below it."""
        wanted, found = share * self._counts.total(), 0
        for seconds in sorted(self._counts):
            found += self._counts[seconds]
            if found >= wanted:
                return seconds
        return None

    def document(self) -> dict[str, Any]:
        """Quantiles, and how many there are of each."""
        return {
            "median": self.quantile(0.5),
            "p95": self.quantile(0.95),
            "longest": self.quantile(1),
            "seconds": [[seconds, self._counts[seconds]] for seconds in sorted(self._counts)],
        }


class Largest:
    """The few that have the most."""

    def __init__(self, few: int = 12) -> None:
        self._few = few
        self._held: list[tuple[int, str, list[int]]] = []

    def add(self, weight: int, name: str, values: list[int]) -> None:
        """One."""
        if weight > 0:
            heapq.heappush(self._held, (weight, name, values))
            if len(self._held) > self._few:
                heapq.heappop(self._held)

    def __iter__(self) -> Iterator[list[Any]]:
        for _, name, values in sorted(self._held, key=lambda held: (-held[0], held[1])):
            yield [name, *values]
