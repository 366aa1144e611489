"""Nothing missing: jobs that write to a bucket which refuses what is not encrypted, with tags and a KMS key, from objects that
all have tags, and from a result that may lie anywhere. What MiniStack does not judge of this, tests/python/test_local_permissions.py
names: keys, and the tags of copies."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from jobs import Job
from lake import data_keys
from localcloud.clients import client
from localcloud.ledger import keys, split
from localcloud.polling import poll
from machine import Machine, invoke
from splits import Values, athena_csv

pytestmark = pytest.mark.only_local(reason="it needs the KMS key alias/lake, which an account does not have and cannot delete at once")
BUCKET = "lakewright-test-strict"
TAGS = [{"Key": "team", "Value": "lake"}]
SCANNED = "scanned=clean"
SECONDS = 120


@pytest.fixture(scope="module", autouse=True)
def strict() -> Iterator[None]:
    """The bucket refuses what is not encrypted with KMS."""
    s3 = client("s3")
    before = s3.get_bucket_policy(Bucket=BUCKET)["Policy"]
    policy = json.loads(before)
    policy["Statement"].append(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{BUCKET}/*",
            "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
        }
    )
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    yield
    s3.put_bucket_policy(Bucket=BUCKET, Policy=before)


def put(location: str, body: bytes) -> str:
    """Puts an object that has tags; answers with its location."""
    bucket, key = split(location)
    client("s3").put_object(Bucket=bucket, Key=key, Body=body, Tagging=SCANNED)
    return location


def as_the_job_wants_them(prefix: str) -> list[str]:
    """The keys below a prefix, of which each object is encrypted and has the job's tags."""
    s3, found = client("s3"), list(keys(BUCKET, prefix))
    for key in found:
        head = s3.head_object(Bucket=BUCKET, Key=key)
        assert head.get("ServerSideEncryption") == "aws:kms", key
        assert s3.get_object_tagging(Bucket=BUCKET, Key=key)["TagSet"] == TAGS, key
    return found


@pytest.fixture(scope="module")
def readings(outputs: dict[str, str]) -> Job:
    """The rekey job, with its table."""
    job = Job("guarded", outputs, target=f"s3://{BUCKET}/rekeyed/")
    job.create_table("vault", "guarded", {"n": "int", "at": "timestamp"}, ["date"])
    return job


def land(readings: Job, number: int) -> str:
    """Lands ten rows of one day."""
    rows: list[dict[str, Any]] = [{"n": number * 10 + n, "at": f"2026-07-01T{n:02}:00:00Z"} for n in range(10)]
    return put(f"{readings.source}{number:03}.json", "".join(json.dumps(row) + "\n" for row in rows).encode())


def test_rekey_and_compact(readings: Job, outputs: dict[str, str]) -> None:
    readings.committed([land(readings, number) for number in range(6)])
    assert len(data_keys(readings.target)) == 6
    functions = {name: outputs[f"Compact{name}FunctionName"] for name in ("Plan", "Merge", "Publish")}
    request = {"table": "vault.guarded"}

    def settled() -> bool | None:
        seen = invoke(functions["Plan"], request | {"dry_run": True})
        return True if (seen["partitions_planned"], seen["files_after"]) == (1, 1) else None

    poll(settled, "plan of one file", SECONDS, interval=1)
    (task,) = invoke(functions["Plan"], request)["tasks"]
    # It is not merged, but carried: copied.
    readings.committed([land(readings, 6)])
    for merge in task["merges"]:
        invoke(functions["Merge"], merge)
    invoke(functions["Publish"], {name: task[name] for name in ("plan", "partition", "step")})
    moved = data_keys(f"s3://{BUCKET}/rekeyed.generations/")
    assert len(moved) == 2
    rows = [parquet.read_table(io.BytesIO(read(key))).column("n").to_pylist() for key in moved]
    assert sorted(n for of_file in rows for n in of_file) == list(range(70))
    as_the_job_wants_them("rekeyed")
    machine = Machine(outputs["CompactvaultguardedStateMachineArn"])

    def gone() -> bool | None:
        assert machine.succeeded().get("failures", []) == []
        return None if data_keys(readings.target) else True

    poll(gone, "deletion of the old files", SECONDS, interval=1)
    # Objects that land now go to the partition's new directory, which is checked again.
    readings.committed([land(readings, number) for number in range(7, 13)])
    poll(settled, "plan of one file", SECONDS, interval=1)
    as_the_job_wants_them("rekeyed")


def read(key: str) -> bytes:
    """An object of the bucket."""
    return client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()


def test_split_of_a_result_that_lies_anywhere(outputs: dict[str, str]) -> None:
    rows: list[Values] = [{"n": str(n)} for n in range(25)]
    result = put("s3://lakewright-test-landing/anywhere/result.csv", athena_csv(rows))
    summary = Machine(outputs["SplitanywhereStateMachineArn"]).succeeded(result=result)
    assert summary["objects"] == 25
    found = as_the_job_wants_them("objects/")
    assert len([key for key in found if "/_lakewright/" not in key]) == 25


def test_repartition(outputs: dict[str, str]) -> None:
    for number in range(3):
        file = io.BytesIO()
        parquet.write_table(arrow.table({"k": [n % 2 for n in range(10)], "n": range(10)}), file)
        put(f"s3://lakewright-test-landing/to-rewrite/{number}.parquet", file.getvalue())
    machine = Machine(outputs["RepartitionrewrittenStateMachineArn"])
    for _ in range(2):
        assert machine.succeeded()["rows"] == 30
    assert len(data_keys(f"s3://{BUCKET}/rewritten/")) == 2
    as_the_job_wants_them("rewritten/")
