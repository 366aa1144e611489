"""MiniStack's GetPartitions, where Glue's leaves columns out if it is asked to, and answers in pages.
https://docs.aws.amazon.com/glue/latest/webapi/API_GetPartitions.html

A contract test (tests/python/test_local_cloud.py) holds it to that.
"""

import json
from typing import Any

from ministack.services import glue

MOST = 1_000


def listed_as_glue_does() -> None:
    """From now on."""
    everything = glue._get_partitions  # noqa: SLF001

    def page(asked: dict[str, Any]) -> tuple[int, Any, bytes]:
        status, headers, body = everything(asked)
        if status != 200:
            return status, headers, body
        partitions = json.loads(body)["Partitions"]
        begin = int(asked.get("NextToken") or 0)
        end = begin + min(asked.get("MaxResults") or MOST, MOST)
        answer: dict[str, Any] = {"Partitions": partitions[begin:end]}
        if end < len(partitions):
            answer["NextToken"] = str(end)
        if asked.get("ExcludeColumnSchema"):
            for partition in answer["Partitions"]:
                partition.get("StorageDescriptor", {}).pop("Columns", None)
        return status, headers, json.dumps(answer).encode()

    glue._get_partitions = page  # noqa: SLF001
