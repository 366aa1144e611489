"""How sightings are compared, whatever their order."""

import hashlib
import re

# The partition of records without a timestamp.
UNDATED = "undated"
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d)")


def partition_of(timestamp: str | None) -> str:
    """The partition of an RFC 3339 timestamp in UTC, such as `2020/5/22/7`."""
    match = timestamp and _TIME.match(timestamp)
    return "/".join(str(int(part)) for part in match.groups()) if match else UNDATED


def digest(partition: str, record: tuple[object, ...]) -> int:
    """A number of 64 bits for a record in its partition. Their sum, modulo 2**64, is the same in every order, and
    a lost, doubled, moved or changed record changes it. `record` is as `anpr.arrow.rows` gives it."""
    text = f"{partition}|{record!r}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
