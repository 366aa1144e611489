"""Clients of the services. Endpoint, keys and region come from the environment that `cargo xtask up` prints."""

from functools import cache
from typing import Any

import boto3
from botocore.config import Config

CONNECTIONS = 32
_CONFIG = Config(
    s3={"addressing_style": "path"},
    max_pool_connections=CONNECTIONS,
    retries={"mode": "standard", "max_attempts": 3},
)


@cache
def client(service: str) -> Any:
    """The one client of a service; botocore's clients may be shared by threads."""
    return boto3.client(service, config=_CONFIG)
