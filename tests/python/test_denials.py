"""Each denial is seen: a function whose role lacks something fails by name, naming the call and what it was for; nothing is
written, nothing is acknowledged; and once the role has it, the work finishes."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from jobs import Job, notification
from lake import data_keys, snapshot
from localcloud.clients import client
from localcloud.ledger import split
from localcloud.policies import role_of, without
from localcloud.polling import poll
from localcloud.queues import held_back, peek, quick_retries, redrive, waiting
from machine import FunctionFailed, invoke
from splits import SplitJob, Values

pytestmark = pytest.mark.only_local(reason="a role of AWS changes some time after its policy, and nothing says when")
SECONDS = 120
DAYS = count()
ARCHIVE = "s3://lakewright-test-lake/denied-archive/"
LANDED = "s3://lakewright-test-landing/denied/"
REWRITTEN = "s3://lakewright-test-lake/denied/"


@dataclass(frozen=True)
class Denied:
    """What a function's role lacks, and what is seen then."""

    function: str
    action: str
    error: str
    says: tuple[str, ...]
    # Only on the resources whose ARN contains this.
    where: str = ""
    # Parts of the keys that may have changed before the denied call.
    leaves: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.function} without {self.action}"


DENIED = [
    Denied(
        "rekey",
        "s3:GetObject",
        "RekeyFailed",
        ("AccessDenied", "GetObject", "lakewright-test-landing/doors/denied/"),
        "-landing/",
        leaves=("/batch/", "/claim/"),
    ),
    Denied("rekey", "s3:PutObject", "RekeyFailed", ("AccessDenied", "PutObject", "lakewright-test-lake/doors/_lakewright/batch/")),
    Denied("rekey", "glue:GetTable", "RekeyFailed", ("AccessDenied", "GetTable", "house.doors")),
    Denied(
        "rekey",
        "glue:BatchCreatePartition",
        "RekeyFailed",
        ("AccessDenied", "BatchCreatePartition", "house.doors"),
        leaves=("/batch/", "/claim/", "/plan/", "/date=2100-"),
    ),
    Denied("split-plan", "s3:GetObject", "AccessDenied", ("HeadObject", "lakewright-test-results/users/"), "-results/"),
    Denied("split-plan", "s3:PutObject", "AccessDenied", ("PutObject", "lakewright-test-objects/users/_lakewright/split/")),
    Denied("split-plan", "sqs:SendMessageBatch", "AccessDenied", ("SendMessage", "Splitusers"), leaves=("/split/",)),
    Denied("split-rows", "s3:GetObject", "AccessDenied", ("GetObject", "lakewright-test-results/users/"), "-results/"),
    Denied("split-rows", "s3:PutObject", "AccessDenied", ("PutObject", "lakewright-test-objects/users/")),
    Denied("compact-plan", "s3:ListBucket", "AccessDenied", ("ListObjectsV2", "lakewright-test-lake/denied-archive/")),
    Denied("compact-plan", "s3:PutObject", "AccessDenied", ("PutObject", "denied-archive/_lakewright/")),
    Denied("compact-merge", "s3:GetObject", "AccessDenied", ("GetObject", "denied-archive/"), "denied-archive/"),
    Denied("compact-merge", "s3:PutObject", "AccessDenied", ("PutObject", "denied-archive/_compacting/")),
    Denied("compact-publish", "s3:PutObject", "AccessDenied", ("CopyObject", "denied-archive/day=")),
    Denied(
        "compact-publish",
        "s3:DeleteObject",
        "AccessDenied",
        ("DeleteObjects", "denied-archive/"),
        leaves=("/denied-archive/day=", "/denied-archive/_lakewright/"),
    ),
    Denied("repartition-plan", "s3:ListBucket", "AccessDenied", ("ListObjectsV2", "lakewright-test-lake/denied/")),
    Denied("repartition-plan", "s3:PutObject", "AccessDenied", ("PutObject", "denied/_lakewright/repartition/")),
    Denied("repartition-write", "s3:GetObject", "AccessDenied", ("GetObject", "-landing/denied/"), "-landing/denied/"),
    Denied("repartition-write", "s3:PutObject", "AccessDenied", ("PutObject", "lakewright-test-lake/denied/")),
    Denied("repartition-commit", "s3:PutObject", "AccessDenied", ("PutObject", "denied/_lakewright/repartition/")),
    Denied(
        "repartition-commit",
        "s3:DeleteObject",
        "AccessDenied",
        ("DeleteObjects", "lakewright-test-lake/denied/"),
        leaves=("/denied/_lakewright/",),
    ),
]


@dataclass(frozen=True)
class Work:
    """What a function is asked for, and where it writes."""

    request: dict[str, Any]
    target: str


def put(location: str, body: bytes) -> None:
    """Puts an object."""
    bucket, key = split(location)
    client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def parquet_file(rows: int) -> bytes:
    """A file of one column."""
    file = io.BytesIO()
    parquet.write_table(arrow.table({"n": range(rows)}), file)
    return file.getvalue()


def door() -> bytes:
    """A record of the job `doors`, on a day that has no partition."""
    day = date(2100, 1, 1) + timedelta(days=next(DAYS))
    return json.dumps({"door": "d", "opened": 1, "at": f"{day}T04:05:06Z"}).encode()


def result(name: str) -> list[Values]:
    """A result for the job `users`, in two chunks."""
    return [{"user_id": f"{name}-{n}", "age": "1", "tags": None, "note": None} for n in range(150)]


class Functions:
    """The deployed functions, and work for each, before which all that comes before it is done."""

    def __init__(self, outputs: dict[str, str], doors: Job, users: SplitJob) -> None:
        self._outputs, self._doors, self._users = outputs, doors, users

    def name(self, function: str) -> str:
        """The deployed name of a function."""
        return self._outputs["".join(part.capitalize() for part in function.split("-")) + "FunctionName"]

    def ask(self, function: str, request: dict[str, Any]) -> dict[str, Any]:
        """A function's answer."""
        return invoke(self.name(function), request)

    @contextmanager
    def work(self, function: str) -> Iterator[Work]:
        """Work for a function, which is finished, and looked at, when whoever uses it is done."""
        with getattr(self, function.replace("-", "_"))() as work:
            yield work

    @contextmanager
    def rekey(self) -> Iterator[Work]:
        with held_back(self._doors.queue):
            source = self._doors.land(f"denied/{uuid4().hex}.json", door())
            yield Work(notification(source), self._doors.target)
        (commit,) = self._doors.committed([source])
        assert (commit["rows_in"], commit["rows_out"]) == (1, 1)

    @contextmanager
    def split_plan(self) -> Iterator[Work]:
        name = f"denied-{uuid4().hex}"
        request = {"name": "users", "result": self._users.put_result(name, result(name))}
        yield Work(request, self._users.target)
        self.split_done(name, self.ask("split-plan", request)["id"])

    @contextmanager
    def split_rows(self) -> Iterator[Work]:
        name = f"denied-{uuid4().hex}"
        with held_back(self._users.queue):
            planned = self._users.invoke(result=self._users.put_result(name, result(name)))
            plan = f"{self._users.target}_lakewright/split/{planned['id']}/plan"
            (task, *_) = (json.loads(body) for body in peek(self._users.queue))
            assert task["plan"] == plan
            yield Work(task, self._users.target)
        self.split_done(name, planned["id"])

    def split_done(self, name: str, job: str) -> None:
        """Waits until all rows of a result are objects."""

        def done() -> dict[str, Any] | None:
            status = self._users.status(job)
            return status if status and status["state"] != "running" else None

        assert poll(done, "end of the job", SECONDS)["state"] == "succeeded"
        assert len([key for key in self._users.keys() if key.startswith(f"{name}-")]) == 150

    @contextmanager
    def archive(self) -> Iterator[str]:
        """A partition of six files, which one file then is."""
        day = f"day={uuid4().hex}/"
        for number in range(6):
            put(f"{ARCHIVE}{day}{number}.parquet", parquet_file(10))

        def settled() -> bool | None:
            seen = self.ask("compact-plan", {"target": ARCHIVE, "dry_run": True})
            return True if (seen["partitions_planned"], seen["files_after"]) == (1, 1) else None

        poll(settled, "plan of one file", SECONDS, interval=1)
        yield day
        for task in self.tasks():
            for merge in task["merges"]:
                self.ask("compact-merge", merge)
            self.ask("compact-publish", {name: task[name] for name in ("plan", "partition", "step")})
        bucket, _ = split(ARCHIVE)
        keys = data_keys(f"{ARCHIVE}{day}")
        (body,) = (client("s3").get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys)
        assert parquet.read_table(io.BytesIO(body)).num_rows == 60
        client("s3").delete_object(Bucket=bucket, Key=keys[0])

    def tasks(self) -> list[dict[str, Any]]:
        """What there is to do in the archive."""
        return self.ask("compact-plan", {"target": ARCHIVE})["tasks"]

    @contextmanager
    def compact_plan(self) -> Iterator[Work]:
        with self.archive():
            yield Work({"target": ARCHIVE}, ARCHIVE)

    @contextmanager
    def compact_merge(self) -> Iterator[Work]:
        with self.archive():
            ((merge,),) = (task["merges"] for task in self.tasks())
            yield Work(merge, ARCHIVE)

    @contextmanager
    def compact_publish(self) -> Iterator[Work]:
        with self.archive():
            (task,) = self.tasks()
            for merge in task["merges"]:
                self.ask("compact-merge", merge)
            yield Work({name: task[name] for name in ("plan", "partition", "step")}, ARCHIVE)

    @contextmanager
    def rewritten(self) -> Iterator[None]:
        """A table that was rewritten before, with a source that is new."""
        for _ in range(2):
            put(f"{LANDED}{uuid4().hex}.parquet", parquet_file(10))
            if not data_keys(REWRITTEN):
                self.rewrite()
        yield
        assert self.rewrite()["rows"] == 10 * len(data_keys(LANDED))
        assert len(data_keys(REWRITTEN)) == 1

    def rewrite(self) -> dict[str, Any]:
        """Runs the job to its end."""
        plan = self.ask("repartition-plan", {"name": "denied"})
        for task in [*plan["prepare"], *plan["tasks"]]:
            self.ask("repartition-write", task)
        return self.ask("repartition-commit", {"plan": plan["plan"]})

    @contextmanager
    def repartition_plan(self) -> Iterator[Work]:
        with self.rewritten():
            yield Work({"name": "denied"}, REWRITTEN)

    @contextmanager
    def repartition_write(self) -> Iterator[Work]:
        with self.rewritten():
            (task, *_) = self.ask("repartition-plan", {"name": "denied"})["tasks"]
            yield Work(task, REWRITTEN)

    @contextmanager
    def repartition_commit(self) -> Iterator[Work]:
        with self.rewritten():
            plan = self.ask("repartition-plan", {"name": "denied"})
            for task in [*plan["prepare"], *plan["tasks"]]:
                self.ask("repartition-write", task)
            yield Work({"plan": plan["plan"]}, REWRITTEN)


@pytest.fixture(scope="module")
def functions(outputs: dict[str, str], doors: Job, users: SplitJob) -> Functions:
    """The deployed functions."""
    return Functions(outputs, doors, users)


@pytest.mark.parametrize("denied", DENIED, ids=str)
def test_a_denial_is_seen_and_the_work_finishes_once_it_is_allowed(functions: Functions, denied: Denied) -> None:
    with functions.work(denied.function) as work:
        before = snapshot(work.target)
        role = role_of(functions.name(denied.function))
        with without(role, denied.action, denied.where), pytest.raises(FunctionFailed) as failed:
            functions.ask(denied.function, work.request)
        assert failed.value.name == f"Lakewright.{denied.error}", failed.value.message
        for said in (*denied.says, denied.action):
            assert said in failed.value.message
        changed = {key for key, _ in before.items() ^ snapshot(work.target).items()}
        assert [key for key in changed if not any(part in f"/{key}" for part in denied.leaves)] == []


def test_an_object_that_may_not_be_written_ends_in_the_dead_letter_queue_and_is_redriven(doors: Job) -> None:
    before = snapshot(doors.target)
    with without(role_of(doors.function), "s3:PutObject"), quick_retries(doors.queue, 1):
        source = doors.land(f"denied/{uuid4().hex}.json", door())

        def dead() -> bool | None:
            return True if any(source.rpartition("/")[2] in body for body in peek(doors.dead_letters)) else None

        poll(dead, "dead letter", SECONDS)
        assert snapshot(doors.target) == before
    redrive(doors.dead_letters, doors.queue)
    (commit,) = doors.committed([source])
    assert commit["rows_out"] == 1


def test_a_chunk_that_may_not_be_read_fails_its_job_by_name_and_the_job_goes_on_from_there(users: SplitJob) -> None:
    name = f"denied-{uuid4().hex}"
    location = users.put_result(name, result(name))
    with (
        without(role_of(users.rows), "s3:GetObject", "-results/"),
        quick_retries(users.queue, 1),
    ):
        error, cause = users.failed(result=location)
    assert error == "Lakewright.ChunkFailed"
    outcome = json.loads(cause)
    assert (outcome["chunks"], outcome["chunks_done"], outcome["rows_done"]) == (2, 0, 0)
    assert all("dead-letter queue" in failed["message"] for failed in outcome["failures"])
    assert not [key for key in users.keys() if key.startswith(f"{name}-")]
    assert waiting(users.queue) == 0
    assert users.succeeded(result=location)["objects"] == 150
