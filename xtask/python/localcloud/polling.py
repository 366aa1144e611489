"""Waiting for something that another process does."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class DeadlineExceeded(Exception):
    """What was awaited did not come."""


def poll(probe: Callable[[], T | None], what: str, deadline: float, interval: float = 0.2) -> T:
    """Asks `probe` until it answers with something, at most `deadline` seconds long."""
    end = time.monotonic() + deadline
    while True:
        answer = probe()
        if answer is not None:
            return answer
        if time.monotonic() >= end:
            raise DeadlineExceeded(f"no {what} within {deadline:.0f} s")
        time.sleep(interval)
