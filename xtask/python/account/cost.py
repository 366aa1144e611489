"""What a run in an account cost: an estimate, by what can be counted while its stack still exists."""

import json
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.clients import client

PRICES = Path(__file__).with_name("prices.toml")
HOURS_OF_A_MONTH = 730
# Athena bills at least this much of each query.
LEAST_SCANNED = 10_000_000
# An event source mapping of a queue asks with five long polls of 20 seconds at once.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
POLLS_AN_HOUR = 5 * 3600 // 20
# Requests that S3 bills as a PUT.
LIKE_PUT = ("Put", "Copy", "Post", "List", "CreateMultipart", "UploadPart", "CompleteMultipart")
NOT_COUNTED = "reads of S3 by the functions, logs, custom metrics and data transfer are not counted"


@dataclass(frozen=True)
class Line:
    """Some of one thing, and its price in US dollars."""

    what: str
    count: float
    usd: float


@dataclass(frozen=True)
class Run:
    """What there is to count."""

    # Its resources: the physical ids, by type.
    resources: dict[str, list[str]]
    buckets: list[str]
    # The requests of the tests themselves: service and operation.
    requests: Counter[tuple[str, str]]
    began: datetime
    prices: dict[str, Any]

    def of(self, kind: str) -> list[str]:
        """The resources of a type."""
        return self.resources.get(kind, [])

    def hours(self) -> float:
        """How long it has existed."""
        return (datetime.now(UTC) - self.began) / timedelta(hours=1)


def functions(run: Run) -> Iterator[Line]:
    """Invocations, and memory by time."""
    watch, price = client("cloudwatch"), run.prices
    for name in run.of("AWS::Lambda::Function"):

        def total(metric: str, name: str = name) -> float:
            points = watch.get_metric_statistics(
                Namespace="AWS/Lambda",
                MetricName=metric,
                Dimensions=[{"Name": "FunctionName", "Value": name}],
                StartTime=run.began - timedelta(minutes=1),
                EndTime=datetime.now(UTC) + timedelta(minutes=1),
                Period=60,
                Statistics=["Sum"],
            )["Datapoints"]
            return sum(point["Sum"] for point in points)

        configured = client("lambda").get_function_configuration(FunctionName=name)
        (architecture,) = configured["Architectures"]
        invocations = total("Invocations")
        gb_seconds = total("Duration") / 1000 * configured["MemorySize"] / 1024
        yield Line("Lambda invocations", invocations, invocations * price["lambda_request"])
        yield Line("Lambda GB-seconds", gb_seconds, gb_seconds * price["lambda_gb_second"][architecture])


def objects(run: Run) -> Iterator[Line]:
    """What was written, whoever wrote it: these buckets keep every version."""
    written = held = 0
    for bucket in run.buckets:
        for page in client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket):
            written += len(page.get("Versions", []))
            held += sum(version["Size"] for version in page.get("Versions", []))
    yield Line("S3 objects written", written, written * run.prices["s3_put"])
    month = held / 1e9 * run.hours() / HOURS_OF_A_MONTH
    yield Line("S3 bytes held", held, month * run.prices["s3_gb_month"])


def of_the_tests(run: Run) -> Iterator[Line]:
    """What the tests asked for, other than the objects that they put, which are counted with all others."""
    s3 = {name: count for (service, name), count in run.requests.items() if service == "s3" and name != "PutObject"}
    listed = sum(count for name, count in s3.items() if name.startswith(LIKE_PUT))
    read = sum(count for name, count in s3.items() if name.startswith(("Get", "Head")))
    yield Line("S3 lists by the tests", listed, listed * run.prices["s3_put"])
    yield Line("S3 reads by the tests", read, read * run.prices["s3_get"])
    for service, price in (("sqs", "sqs_request"), ("glue", "glue_request")):
        asked = sum(count for (of, _), count in run.requests.items() if of == service)
        yield Line(f"{service.upper() if service == 'sqs' else 'Glue'} requests by the tests", asked, asked * run.prices[price])
    queries = run.requests[("athena", "StartQueryExecution")]
    yield Line("Athena queries", queries, queries * LEAST_SCANNED / 1e12 * run.prices["athena_terabyte"])


def transitions(run: Run) -> Iterator[Line]:
    """State transitions."""
    states = client("stepfunctions")
    entered = 0
    for machine in run.of("AWS::StepFunctions::StateMachine"):
        for page in states.get_paginator("list_executions").paginate(stateMachineArn=machine):
            for execution in page["executions"]:
                history = states.get_paginator("get_execution_history").paginate(executionArn=execution["executionArn"])
                events = (event["type"] for events in history for event in events["events"])
                entered += sum(event.endswith("StateEntered") for event in events)
    yield Line("Step Functions transitions", entered, entered * run.prices["states_transition"])


def polls(run: Run) -> Iterator[Line]:
    """What Lambda asks the queues, whether there is something or not, and alarms."""
    asked = round(len(run.of("AWS::Lambda::EventSourceMapping")) * POLLS_AN_HOUR * run.hours())
    yield Line("SQS polls by Lambda", asked, asked * run.prices["sqs_request"])
    alarms = len(run.of("AWS::CloudWatch::Alarm"))
    yield Line("CloudWatch alarms", alarms, alarms * run.hours() / HOURS_OF_A_MONTH * run.prices["alarm_month"])


COUNTERS: list[Callable[[Run], Iterator[Line]]] = [functions, objects, of_the_tests, transitions, polls]


def requests(counted: Path) -> Counter[tuple[str, str]]:
    """The requests that the run's own programs have noted: localcloud/clients.py."""
    found: Counter[tuple[str, str]] = Counter()
    for line in counted.read_text().splitlines() if counted.exists() else []:
        service, operation, count = json.loads(line)
        found[(service, operation)] += count
    return found


def estimate(run: Run) -> dict[str, Any]:
    """The lines of the bill, and their sum. What cannot be counted is said."""
    lines: dict[str, Line] = {}
    missing = [NOT_COUNTED]
    for counter in COUNTERS:
        try:
            for line in counter(run):
                before = lines.get(line.what, Line(line.what, 0, 0))
                lines[line.what] = Line(line.what, before.count + line.count, before.usd + line.usd)
        except (BotoCoreError, ClientError) as error:
            missing.append(f"{(counter.__doc__ or '').rstrip('.')}: not counted, because {error}")
    return {
        "usd": sum(line.usd for line in lines.values()),
        "prices": run.prices["date"],
        "lines": [vars(line) for line in lines.values()],
        "missing": missing,
    }


def prices() -> dict[str, Any]:
    """The published prices."""
    return tomllib.loads(PRICES.read_text())
