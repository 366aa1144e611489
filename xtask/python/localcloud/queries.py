"""MiniStack's Athena, where AWS's is another: a query's result is written where Athena writes it and as Athena writes it,
so that it can be split, and a request's token is kept.

A contract test (tests/python/test_local_cloud.py) holds it to that.
"""

import re
from typing import Any

from ministack.core.responses import json_response
from ministack.services import athena, s3

from localcloud.results import line

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


async def _save(query_id: str) -> None:
    """Writes the result to the location that GetQueryExecution names. MiniStack takes that for a folder."""
    execution = athena._executions[query_id]  # noqa: SLF001
    results = execution["_results"]
    text = line(results["columns"]) + "".join(map(line, results["rows"]))
    bucket, _, key = execution["ResultConfiguration"]["OutputLocation"].removeprefix("s3://").partition("/")
    body = text.encode()
    headers = {"content-type": "application/octet-stream", "content-length": str(len(body))}
    answer = s3._put_object(bucket, key, body, headers)  # noqa: SLF001
    if answer[0] >= 300:
        execution["Status"]["State"] = "FAILED"
        execution["Status"]["StateChangeReason"] = f"the result cannot be written to s3://{bucket}/{key}"


def results_as_athena_writes_them() -> None:
    """From now on. A request's token, where it has the form of one, is also the id of its query: it is sent again with
    the same answer, and a query can have an id that is known before.
    https://docs.aws.amazon.com/athena/latest/APIReference/API_StartQueryExecution.html"""
    start, fresh = athena._start_query_execution, athena.new_uuid  # noqa: SLF001

    def started(request: dict[str, Any]) -> Any:
        token = request.get("ClientRequestToken", "").lower()
        if token in athena._executions:  # noqa: SLF001
            return json_response({"QueryExecutionId": token})
        athena.new_uuid = (lambda: token) if _UUID.fullmatch(token) else fresh
        try:
            return start(request)
        finally:
            athena.new_uuid = fresh

    athena._start_query_execution = started  # noqa: SLF001
    athena._save_query_results = _save  # noqa: SLF001
