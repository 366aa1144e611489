"""What a helper tells `cargo xtask`: JSON lines on standard output, which it shows as bars and tables."""

import json
import sys
from collections.abc import Callable
from typing import Any


class Failure(Exception):
    """What went wrong, in words for the person at the terminal. No traceback is shown."""


def _emit(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def progress(done: int, total: int, message: str) -> None:
    """Says how far the helper is."""
    _emit({"event": "progress", "done": done, "total": total, "message": message})


def run(helper: Callable[[], Any]) -> None:
    """Runs a helper; its value becomes the result line, a `Failure` the error line."""
    try:
        value = helper()
    except Failure as failure:
        _emit({"event": "error", "message": str(failure)})
        sys.exit(1)
    _emit({"event": "result", "value": value})
