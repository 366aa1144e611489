"""Clients of the services. Endpoint, keys and region come from the environment that `cargo xtask up` prints, or from the
profile that it names."""

import atexit
import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

CONNECTIONS = 32
# The file in which requests are recorded, if they are counted.
COUNTED = "LAKEWRIGHT_COUNTED"
_requests: Counter[tuple[str, str]] = Counter()
_CONFIG = Config(
    s3={"addressing_style": "path"},
    max_pool_connections=CONNECTIONS,
    retries={"mode": "standard", "max_attempts": 3},
)


@cache
def client(service: str) -> Any:
    """The one client of a service; botocore's clients may be shared by threads."""
    made = boto3.client(service, config=_CONFIG)
    if COUNTED in os.environ:
        made.meta.events.register("request-created", _count)
    return made


def is_aws() -> bool:
    """Whether the clients reach AWS, and not the local cloud."""
    return ".amazonaws.com" in client("sts").meta.endpoint_url


def counted() -> Path:
    """Where each program that is to count its requests, this one too, adds them at its end: service, operation, number."""
    _write_down()
    return Path(os.environ[COUNTED])


def _count(event_name: str, **_: Any) -> None:
    # request-created.<service>.<operation>, once for each attempt
    _, service, operation = event_name.split(".", 2)
    if not _requests:
        atexit.register(_write_down)
    _requests[(service, operation)] += 1


def _write_down() -> None:
    lines = [json.dumps([*called, number]) + "\n" for called, number in _requests.items()]
    _requests.clear()
    with Path(os.environ[COUNTED]).open("a") as file:
        file.writelines(lines)
