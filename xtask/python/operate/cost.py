"""What a configuration costs in a month, beside a Glue job by the hour and Firehose's dynamic partitioning: from what lands, how late its
records are, and a file of prices. An estimate from what is counted in the code and measured in bench/RESULTS.md; no account is asked.

Each line says what is counted. Where a figure is not known it is a setting: `--set name=value` (`--help` lists them)."""

import argparse
import json
import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from localcloud.progress import Failure, run

PRICES = Path(__file__).parents[1] / "account" / "prices.toml"
DAYS = 30
SECONDS = DAYS * 86_400
# One of Lambda's CPUs has so many GB of memory with it, so a CPU second costs this many GB seconds whatever the memory.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
GB_OF_A_CPU = 1.769
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
POLLERS = 5
POLL_SECONDS = 20
BATCH_OF_SQS = 10


@dataclass(frozen=True)
class Volume:
    """What lands, and what is known of it."""

    # GB that land in a day, as they are (gzip).
    gb_per_day: float = 10.0
    # MB of an object.
    object_mb: float = 5.0
    # Bytes of JSON for each byte that lands, and bytes that are written for each.
    expansion: float = 5.5
    output_ratio: float = 1.25
    # The share of records that are late, and the partitions that the late ones of a batch go to.
    late: float = 0.01
    late_partitions: float = 3.0
    # The partitions that the records of a batch go to that are not late.
    partitions: float = 1.5
    # CPU seconds of rekey for each GB of JSON, and of a merge for each GB of Parquet: bench/RESULTS.md.
    rekey_cpu: float = 6.5
    merge_cpu: float = 4.5
    # Seconds that an invocation waits for S3 while it has the memory, for each object and each output.
    wait: float = 0.05
    # The days that noncurrent versions are kept in the lake; 0 where it is not versioned.
    noncurrent_days: float = 1.0
    # The months that the data are kept.
    months: float = 1.0
    # DPUs and minutes of the Glue job that runs each hour instead.
    glue_dpus: float = 2.0
    glue_minutes: float = 5.0


@dataclass(frozen=True)
class Line:
    """A cost of a month."""

    job: str
    what: str
    count: float
    usd: float


def seconds(text: str) -> float:
    """A duration as configurations write it."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
    for unit, factor in units.items():
        if text.endswith(unit) and text[: -len(unit)].replace(".", "", 1).isdigit():
            return float(text[: -len(unit)]) * factor
    raise Failure(f"`{text}` is not a duration such as 60s or 24h")


def megabytes(text: str) -> float:
    """A size as configurations write it, in MB."""
    for unit, factor in {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}.items():
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor * 1.048576
    raise Failure(f"`{text}` is not a size such as 256MiB")


def objects_of_a_batch(job: dict[str, Any], volume: Volume, objects: float) -> float:
    """How many objects are planned together on average."""
    batch = job.get("batch", {})
    window = seconds(str(batch.get("window", "60s")))
    # Each poller fills a batch of its own.
    arriving = objects / SECONDS * window / POLLERS
    fitting = megabytes(str(batch.get("size", "256MiB"))) / volume.object_mb
    return max(1.0, min(arriving, float(batch.get("objects", 1000)), fitting))


def s3_requests(objects: float, object_mb: float, batches: float, outputs: float) -> tuple[float, float]:
    """The PUTs and GETs of so many landed objects, with what sweeps look up left out."""
    # batch, plan and commit; a claim for each object.
    puts = outputs + 3 * batches + objects
    # The object, in ranges of 8 MiB; what the ledger has of it, before and after.
    gets = objects * max(1, math.ceil(object_mb / 8.4)) + 3 * objects + 4 * batches
    return puts, gets


def messages(objects: float) -> float:
    """The requests of SQS: each object's message is sent; received and deleted in tens."""
    return objects * (1 + 2 / BATCH_OF_SQS)


def of_rekey(job: dict[str, Any], volume: Volume, memory_gb: float, prices: dict[str, float]) -> Iterator[Line]:
    """A rekey job."""
    gb = volume.gb_per_day * DAYS
    objects = gb * 1000 / volume.object_mb
    together = objects_of_a_batch(job, volume, objects)
    batches = objects / together
    late = volume.late_partitions * (1 - (1 - volume.late) ** together) if volume.late else 0.0
    outputs = batches * (volume.partitions + late) * len(job.get("output", [1]))
    name = job["name"]
    puts, gets = s3_requests(objects, volume.object_mb, batches, outputs)
    cpu = gb * volume.expansion * volume.rekey_cpu
    waited = (outputs + objects) * volume.wait
    compute = cpu * GB_OF_A_CPU + waited * memory_gb
    # And empty polls of two queues.
    requests = messages(objects) + 2 * POLLERS * SECONDS / POLL_SECONDS
    yield Line(name, "Lambda, GB seconds", compute, compute * prices["lambda_gb_second"] + batches * prices["lambda_request"])
    yield Line(name, "S3, PUT requests", puts, puts * prices["s3_put"])
    yield Line(name, "S3, GET requests", gets, gets * prices["s3_get"])
    yield Line(name, "SQS, requests", requests, requests * prices["sqs_request"])
    if "table" in job:
        asked = 2 * batches
        yield Line(name, "Glue, requests", asked, asked * prices["glue_request"])
    if str(job.get("sweep", {}).get("schedule", "rate(1 day)")) != "off":
        window = float(job.get("sweep", {}).get("days", 3))
        looked = objects * window
        yield Line(name, "sweep, lookups", looked, looked * 2 * prices["s3_get"] + objects / 1000 * window * prices["s3_put"])
    yield Line(name, "alarms and metrics", 5, 5 * prices["alarm_month"] + 12 * prices["metric_month"])
    written = gb * volume.output_ratio
    yield Line(name, "S3, GB that are kept", written * volume.months, written * volume.months * prices["s3_gb_month"])


def of_compact(job: dict[str, Any], volume: Volume, files: float, prices: dict[str, float]) -> Iterator[Line]:
    """A compact job over what a rekey job writes: so many files in a month."""
    name = str(job.get("table") or job["target"])
    gb = volume.gb_per_day * DAYS * volume.output_ratio
    partitions = 24.0 * DAYS
    merged = max(partitions, gb * 1000 / megabytes(str(job.get("target_size", "256MiB"))))
    # Of each partition: plan, state, published, swept, deleted.
    puts = merged + 5 * partitions
    gets = files * 2 + 10 * partitions
    cpu = gb * volume.merge_cpu
    compute = cpu * GB_OF_A_CPU + files * volume.wait * 0.5
    # An item's execution is three transitions, once for each merge and twice for each partition.
    transitions = 3 * (merged + 2 * partitions)
    yield Line(name, "Lambda, GB seconds", compute, compute * prices["lambda_gb_second"])
    yield Line(name, "S3, PUT requests", puts, puts * prices["s3_put"])
    yield Line(name, "S3, GET requests", gets, gets * prices["s3_get"])
    yield Line(name, "Step Functions, transitions", transitions, transitions * prices["states_transition"])
    # The old files beside the new ones for the grace period, and as noncurrent versions after it.
    days = seconds(str(job.get("grace_period", "24h"))) / 86_400 + volume.noncurrent_days
    kept = gb * days / DAYS
    yield Line(name, "S3, GB of merged files that are kept", kept, kept * prices["s3_gb_month"])


def instead(volume: Volume, prices: dict[str, float]) -> list[Line]:
    """What others take for the same."""
    gb = volume.gb_per_day * DAYS
    hours = DAYS * 24
    glue = hours * volume.glue_dpus * max(1.0, volume.glue_minutes) / 60
    # It writes what arrives in 900 seconds by partition.
    objects = DAYS * 96 * (volume.partitions + volume.late_partitions)
    raw = gb * volume.expansion
    jq = raw / 360
    firehose = raw * prices["firehose_partitioning_gb"] + objects * prices["firehose_partitioning_object"] + jq * prices["firehose_jq_hour"]
    return [
        Line("instead", "a Glue job each hour, DPU hours", glue, glue * prices["glue_dpu_hour"]),
        Line("instead", "Firehose's dynamic partitioning, GB", raw, firehose),
    ]


def estimate(config: dict[str, Any], volume: Volume, memory_gb: float, prices: dict[str, float]) -> list[Line]:
    """All lines: each rekey job has the whole volume."""
    lines: list[Line] = []
    files: dict[str, float] = {}
    for job in config.get("rekey", []):
        own = list(of_rekey(job, volume, memory_gb, prices))
        lines += own
        puts = next(line.count for line in own if line.what == "S3, PUT requests")
        objects = volume.gb_per_day * DAYS * 1000 / volume.object_mb
        files[str(job.get("table", job["target"]))] = puts - objects
    for job in config.get("compact", []):
        lines += of_compact(job, volume, files.get(str(job.get("table") or job["target"]), 60.0 * 24 * DAYS), prices)
    return lines


def priced(path: Path | None) -> dict[str, float]:
    """The prices, with those of a file over the published ones."""
    prices = tomllib.loads(PRICES.read_text())
    own = tomllib.loads(path.read_text()) if path else {}
    if unknown := set(own) - set(prices):
        raise Failure(f"{path}: unknown prices {sorted(unknown)}: those that there are are {sorted(prices)}")
    prices |= own
    if isinstance(prices["lambda_gb_second"], dict):
        prices["lambda_gb_second"] = prices["lambda_gb_second"]["arm64"]
    return prices


def settings(given: dict[str, str]) -> Volume:
    """The volume, with what was said of it."""
    known = {field.name for field in fields(Volume)}
    if unknown := set(given) - known:
        raise Failure(f"unknown settings {sorted(unknown)}: those that there are are {sorted(known)}")
    try:
        return replace(Volume(), **{name: float(value) for name, value in given.items()})
    except ValueError as error:
        raise Failure(f"a setting is no number: {error}") from error


def main() -> dict[str, Any]:
    """Computes once."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--set", type=json.loads, default={})
    arguments.add_argument("--prices", type=Path)
    arguments.add_argument("--memory", type=float, default=512)
    given = arguments.parse_args()
    prices, volume = priced(given.prices), settings(given.set)
    lines = estimate(tomllib.loads(given.config.read_text()), volume, given.memory / 1024, prices)
    total = sum(line.usd for line in lines)
    rows = [[line.job, line.what, f"{line.count:,.0f}", f"{line.usd:,.2f}"] for line in [*lines, Line("all", "", 0, total), *instead(volume, prices)]]
    return {"date": prices["date"], "usd": round(total, 2), "rows": rows}


if __name__ == "__main__":
    run(main)
