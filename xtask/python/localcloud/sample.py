"""Makes what the payloads in events/ name, so that each can be sent as it is: tables, landed objects, a query and its
result. The configuration is xtask/up/lakewright.toml."""

import csv
import gzip
import io
import json
from collections.abc import Iterable
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet

from flights import table
from localcloud.clients import client
from localcloud.ledger import Ledger
from localcloud.polling import DeadlineExceeded, poll
from localcloud.progress import Failure, progress, run
from localcloud.results import line

LANDING, LAKE, RESULTS = "lakewright-landing", "lakewright-lake", "lakewright-results"
TARGET = f"s3://{LAKE}/flights/"
HOUR = "flights/2026/05/01/13/"
# The id that events/split-plan.json names.
QUERY = "7f1c3a52-0d5e-4f0b-9a57-3b1f0c2d4e6a"
SECONDS = 60

FLIGHTS = [
    {"carrier": "UA", "flight": 1545, "origin": "EWR", "dest": "IAH", "time_hour": "2026-05-01T13:00:00Z"},
    {"carrier": "AA", "flight": 1141, "origin": "JFK", "dest": "MIA", "time_hour": "2026-05-01T12:00:00Z"},
    {"carrier": "B6", "flight": 725, "origin": "JFK", "dest": "BQN", "time_hour": "2026-04-29T23:00:00Z"},
    {"carrier": "DL", "flight": 461, "origin": "LGA", "dest": "ATL", "time_hour": None},
]
# As many small files in one hour as compact asks for.
OBJECTS = 6
USERS = 250
# Enough for two tasks of 1 MiB.
VEHICLES = 60_000


def put(bucket: str, key: str, body: bytes) -> None:
    """Puts an object."""
    client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def land_flights() -> set[str]:
    """Lands the object that rekey's payloads name, and its like; answers with all."""
    table.create(TARGET, table.HOURS)
    landed = set()
    for number in range(1, OBJECTS + 1):
        records = [{**flight, "distance": 1000 * number} for flight in FLIGHTS]
        # Without any delimiter, which is Firehose's default.
        body = gzip.compress("".join(map(json.dumps, records)).encode(), mtime=0)
        key = f"{HOUR}sample records+{number}.json.gz"
        put(LANDING, key, body)
        landed.add(f"s3://{LANDING}/{key}")
    return landed


def put_archive() -> None:
    """Small Parquet files for the compaction in place."""
    for number in range(OBJECTS):
        body = io.BytesIO()
        parquet.write_table(arrow.table({"n": [number], "text": [f"row {number}"]}), body)
        put(LAKE, f"archive/year=2026/month=05/part-{number}.parquet", body.getvalue())


def users() -> list[dict[str, Any]]:
    """The rows of the result that is split."""
    return [{"user_id": f"u-{number}", "age": str(20 + number % 60), "note": f"row {number}"} for number in range(USERS)]


def put_result() -> None:
    """A result without its query."""
    rows = users()
    text = line(rows[0]) + "".join(line(row.values()) for row in rows)
    put(RESULTS, "user_info.csv", text.encode())


def run_query() -> None:
    """Runs the query that is split, with the id that the payloads name."""
    athena = client("athena")
    athena.start_query_execution(
        QueryString=f"SELECT 'q-' || n AS user_id, 20 + n % 60 AS age, 'row ' || n AS note FROM range({USERS}) AS r(n)",
        ClientRequestToken=QUERY,
        ResultConfiguration={"OutputLocation": f"s3://{RESULTS}/queries/"},
    )

    def ended() -> dict[str, Any] | None:
        status = athena.get_query_execution(QueryExecutionId=QUERY)["QueryExecution"]["Status"]
        return None if status["State"] in ("QUEUED", "RUNNING") else status

    status = poll(ended, "answer of Athena", SECONDS)
    if status["State"] != "SUCCEEDED":
        raise Failure(f"Athena: {status.get('StateChangeReason', status['State'])}")


def invoke(function: str, **request: Any) -> dict[str, Any]:
    """A function's answer."""
    answer = client("lambda").invoke(FunctionName=function, Payload=json.dumps(request).encode())
    said: dict[str, Any] = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise Failure(f"{function}: {said.get('errorType')}: {said.get('errorMessage')}")
    return said


def begin_repartition() -> None:
    """Plans the run that the payloads are of, and does what they leave: of each kind of task they name the first one, which
    finds itself done or to do."""
    planned = invoke("repartition-plan", name="ev")
    for task in [*planned["prepare"], *planned["tasks"][1:]]:
        invoke("repartition-write", **task)


def put_vehicles() -> None:
    """CSV to repartition."""
    makes = ["TESLA", "NISSAN", "KIA", "FORD, MOTOR CO"]
    for part in range(2):
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["VIN", "Make", "Model Year"])
        for number in range(part, VEHICLES, 2):
            writer.writerow([f"VIN{number:08}", makes[number % len(makes)], 2010 + number % 15])
        put(LANDING, f"ev/part-{part}.csv", text.getvalue().encode())


def committed(sources: Iterable[str]) -> None:
    """Waits until rekey is through, so that compact finds what it wrote."""
    try:
        Ledger(TARGET).wait_for(set(sources), SECONDS)
    except DeadlineExceeded as error:
        raise Failure(str(error)) from error


def main() -> dict[str, Any]:
    """Makes all of it, and answers with the landed objects."""
    progress(0, 5, "flights land")
    landed = land_flights()
    progress(1, 5, "files to compact in place")
    put_archive()
    progress(2, 5, "a query and its result")
    put_result()
    run_query()
    progress(3, 5, "files to repartition")
    put_vehicles()
    begin_repartition()
    progress(4, 5, "waiting for rekey")
    committed(landed)
    return {"objects": len(landed) + OBJECTS + 3}


if __name__ == "__main__":
    run(main)
