"""Measures how the functions get on under short timeouts and throttling, and writes its chapter of RESULTS.md.

    python bench/forward.py --functions target/lambda

Each function is invoked again and again with a short timeout, as queues and state machines do, until its work is done.
`cargo xtask bench forward` builds the functions, installs what this needs, and starts it.
"""

import io
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from contenders.data import empty_folder
from harness.benchmark import Common, circumstances, common, parser, write_chapter
from harness.cloud import LocalCloud, StoredObject
from harness.events import notified, sqs_batch
from harness.function import Environment, Function
from harness.program import ProgramFailed
from harness.report import table
from harness.runtime_api import FunctionFailed

LANDING, LAKE, DATABASE = "landing", "lake", "forward"
REKEY = """\
[[rekey]]
name = "f"
source = "s3://{landing}/{source}/"
target = "s3://{lake}/{source}/"
timestamp = {{ column = "t" }}
partition_by = ["place"]
"""
SPLIT = """\
[[split]]
name = "f"
target = "s3://{lake}/{source}/"
key = "{{n}}.json"
sources = ["s3://{landing}/{source}/"]
"""
REPARTITION = """\
[[repartition]]
name = "f"
source = "s3://{landing}/{source}/"
format = "json"
target = "s3://{lake}/{source}/"
partition_by = ["place"]
[[repartition.output]]
format = "parquet"
"""
COMPACT = """\
[[compact]]
table = "{database}.t"
min_files = 2
quiet_for = "0s"
longest_invocation = "1s"
"""
MEMORY_MB = 512
# What may be needed at most; more would be no progress.
ATTEMPTS = 60

INTRODUCTION = """\
# Always forward

Functions whose time does not suffice for their work, invoked again and again until it is done, and a sweep that S3 throttles for a
moment. Written by `cargo xtask bench forward` on {date}, at commit {commit}.

- Machine: {machine}
- Versions: {versions}
- The functions as they are deployed, with {memory} MB, given events through the Runtime API with the timeout of the table. A function
  keeps two seconds of it for its last calls and its answer.
- `stands`: the objects, or what else is counted, after each attempt.
"""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A function opens many connections at once; those beyond this number are dropped, and wait for a timeout.
    request_queue_size = 1024

    def handle_error(self, *_: object) -> None:
        """Says nothing of a client that has gone."""


class Throttled:
    """S3 behind a proxy that refuses some requests with 503, which begin after a number of others."""

    def __init__(self, cloud: LocalCloud, after: int, refusals: int) -> None:
        self._seen, self._lock = 0, Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler(cloud, after, refusals))
        Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> "Throttled":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _is_refused(self, after: int, refusals: int) -> bool:
        with self._lock:
            self._seen += 1
            return after < self._seen <= after + refusals

    def _handler(self, cloud: LocalCloud, after: int, refusals: int) -> type[BaseHTTPRequestHandler]:
        is_refused, port = self._is_refused, int(cloud.endpoint.rsplit(":", 1)[1])

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                self._behind = HTTPConnection("127.0.0.1", port)

            def _forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if is_refused(after, refusals):
                    self._answer(503, {}, b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>")
                    return
                self._behind.request(self.command, self.path, body, dict(self.headers))
                answer = self._behind.getresponse()
                content = answer.read()
                kept = {"etag", "last-modified", "date", "content-type", "content-range", "x-amz-version-id"}
                headers = {name: value for name, value in answer.getheaders() if name.lower() in kept}
                if self.command == "HEAD":
                    headers["Content-Length"] = answer.getheader("Content-Length", "0")
                self._answer(answer.status, headers, content)

            def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward

            def log_message(self, *_: object) -> None:
                """Says nothing of each request."""

        return Handler


class Bench:
    """The functions, and what they work on."""

    def __init__(self, given: Common, cloud: LocalCloud, temporary: Path) -> None:
        self._given, self.cloud, self._temporary = given, cloud, temporary
        self.queue = cloud.make_queue("forward")
        for bucket in (LANDING, LAKE):
            cloud.make_bucket(bucket)
        cloud.make_database(DATABASE)
        self.rows: list[list[str]] = []

    @contextmanager
    def function(self, name: str, config: str, more: dict[str, str] | None = None) -> Iterator[Environment]:
        """A function with this configuration, started."""
        path = self._given.state / "forward.toml"
        path.write_text(config)
        variables = {"LAKEWRIGHT_QUEUES": json.dumps({"f": self.queue})}
        log = self._given.state / "logs" / f"{name}.log"
        binary = self._given.binary(name)
        function = Function(name, binary, path, MEMORY_MB, self._temporary, log, variables)
        with function.start(self.cloud.environment() | (more or {})) as environment:
            yield environment

    def put_all(self, bucket: str, objects: dict[str, bytes]) -> list[StoredObject]:
        """Puts objects, many at once."""

        def put(item: tuple[str, bytes]) -> StoredObject:
            key, body = item
            return StoredObject(bucket, key, len(body), self.cloud.put(bucket, key, body))

        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(put, objects.items()))

    def count(self, prefix: str) -> int:
        """The data objects below a prefix."""
        return sum("/_" not in key for key in self.cloud.keys(LAKE, prefix))

    def attempts(self, what: str, seconds: float, attempt: Callable[[int], bool], stands: Callable[[], int]) -> None:
        """Attempts until one says that all is done; a line of the table."""
        counts, failed, begun = [], 0, time.monotonic()
        for number in range(1, ATTEMPTS + 1):
            try:
                is_done = attempt(number)
            except FunctionFailed as failure:
                is_done, failed = False, failed + 1
                if "Deadline" not in str(failure):
                    raise
            counts.append(stands())
            if is_done:
                break
        else:
            raise FunctionFailed(f"{what}: no end after {ATTEMPTS} attempts: {counts}")
        self.say(what, f"{seconds:g}", str(len(counts)), str(failed), ", ".join(map(str, counts)), time.monotonic() - begun)

    def say(self, what: str, seconds: str, attempts: str, failed: str, stands: str, took: float) -> None:
        """A line of the table."""
        self.rows.append([what, seconds, attempts, failed, stands, f"{took:.1f}"])
        print("  ".join(self.rows[-1]), flush=True)


def configured(job: str, source: str) -> str:
    """The configuration of a job."""
    return job.format(landing=LANDING, lake=LAKE, database=DATABASE, source=source)


def sweeps(bench: Bench) -> None:
    """A sweep that is throttled for a moment, and one in short invocations."""
    for name, keys in (("s2000", 2000), ("s5000", 5000)):
        bench.put_all(LANDING, {f"{name}/{number:05}": b"{}" for number in range(keys)})
    request = {"sweep": "f", "min_age_seconds": 0}
    for refusals in (0, 10):
        with (
            Throttled(bench.cloud, 300, refusals) as proxy,
            bench.function("rekey", configured(REKEY, "s2000"), {"AWS_ENDPOINT_URL_S3": proxy.endpoint}) as function,
        ):
            report, took = function.invoke(request)
        bench.cloud.drain(bench.queue)
        what = f"sweep of 2,000 keys through a proxy, {refusals} answers of 503"
        bench.say(what, "900", "1", "0", str(report["listed"]), took)
    with bench.function("rekey", configured(REKEY, "s5000")) as function:
        state = {"after": None, "listed": 0}

        def attempt(_: int) -> bool:
            report, _ = function.invoke(request | {"after": state["after"]}, 3)
            state["after"], state["listed"] = report.get("next"), state["listed"] + report["listed"]
            return state["after"] is None

        bench.attempts("sweep of 5,000 keys", 3, attempt, lambda: state["listed"])
    bench.cloud.drain(bench.queue)


def rekey(bench: Bench) -> None:
    """One object with 3,000 outputs."""
    text = "".join(f'{{"t":"2026-05-01","place":"{place:05}"}}\n' for place in range(3000))
    stored = bench.put_all(LANDING, {"r/a": text.encode()})
    config = configured(REKEY, "r")
    with bench.function("rekey", config) as function:

        def attempt(number: int) -> bool:
            event = notified(stored)
            for record in event["Records"]:
                record["attributes"]["ApproximateReceiveCount"] = str(number)
            answer, _ = function.invoke(event, 3)
            return not answer["batchItemFailures"]

        bench.attempts("rekey, 3,000 outputs", 3, attempt, lambda: bench.count("r/"))


def split(bench: Bench) -> None:
    """One chunk of 5,000 rows."""
    text = '"n"\n' + "".join(f'"{row}"\n' for row in range(5000))
    bench.put_all(LANDING, {"q/q.csv": text.encode()})
    config = configured(SPLIT, "q")
    with bench.function("split-plan", config) as function:
        function.invoke({"name": "f", "result": f"s3://{LANDING}/q/q.csv"})
    (message,) = bench.cloud.drain(bench.queue)
    with bench.function("split-rows", config) as function:

        def attempt(number: int) -> bool:
            event = sqs_batch([message])
            event["Records"][0]["attributes"]["ApproximateReceiveCount"] = str(number)
            answer, _ = function.invoke(event, 3)
            return not answer["batchItemFailures"]

        bench.attempts("split-rows, 5,000 rows of one chunk", 3, attempt, lambda: bench.count("q/"))


def repartition(bench: Bench) -> None:
    """A task with 3,000 files, and its commit."""
    text = "".join(f'{{"n":{place},"place":"{place:05}"}}\n' for place in range(3000))
    bench.put_all(LANDING, {"p/a": text.encode()})
    config = configured(REPARTITION, "p")
    with bench.function("repartition-plan", config) as function:
        plan, _ = function.invoke({"name": "f"})
    (task,) = plan["tasks"]
    with bench.function("repartition-write", config) as function:

        def write(_: int) -> bool:
            function.invoke(task, 3)
            return True

        bench.attempts("repartition-write, 3,000 files of one task", 3, write, lambda: bench.count("p/"))
    ledger = "p/_lakewright/repartition/"
    verified = f"{ledger}f/9999999999/verified/"

    def seen() -> int:
        names = [int(key.removeprefix(verified)) for key in bench.cloud.keys(LAKE, verified)]
        is_committed = any(key.endswith("/commit") for key in bench.cloud.keys(LAKE, ledger))
        # Of eight names for each file.
        return 3000 if is_committed else (9_999_999_999 - min(names, default=9_999_999_999)) // 8

    with bench.function("repartition-commit", config) as function:

        def commit(_: int) -> bool:
            function.invoke({"plan": plan["plan"]}, 2.5)
            return True

        bench.attempts("repartition-commit, 3,000 footers to verify", 2.5, commit, seen)


def compact(bench: Bench) -> None:
    """A plan of 1,500 partitions of three files each."""
    file = io.BytesIO()
    pq.write_table(pa.table({"n": [1, 2, 3]}), file)
    days = [f"day={day:04}" for day in range(1500)]
    bench.put_all(LAKE, {f"t/{day}/{number}.parquet": file.getvalue() for day in days for number in range(3)})
    bench.cloud.make_table(DATABASE, "t", f"s3://{LAKE}/t/", {"n": "bigint"}, ["day"])
    for begin in range(0, len(days), 100):
        chosen = days[begin : begin + 100]
        bench.cloud.register(DATABASE, "t", {(day.removeprefix("day="),): f"s3://{LAKE}/t/{day}/" for day in chosen})
    time.sleep(3)
    config = configured(COMPACT, "t")
    for seconds in (10, 4):
        state: dict[str, Any] = {"after": None, "planned": 0}
        with bench.function("compact-plan", config) as function:

            def attempt(_: int) -> bool:
                request = {"table": f"{DATABASE}.t", "after": state["after"]}
                report, _ = function.invoke(request, seconds)
                state["after"] = report.get("next")
                state["planned"] += report["partitions_planned"] + report["partitions_resumed"]
                return state["after"] is None

            bench.attempts("compact-plan, 1,500 partitions", seconds, attempt, lambda: state["planned"])


def measure(given: Common) -> str:
    """Runs everything; the chapter of the report."""
    with LocalCloud(given.state) as cloud, empty_folder(given.scratch / "temporary") as temporary:
        bench = Bench(given, cloud, temporary)
        for part in (sweeps, compact, rekey, split, repartition):
            part(bench)
    head = ["", "timeout s", "attempts", "failed by name", "stands", "all s"]
    known = f"MiniStack {version('ministack')}"
    return INTRODUCTION.format(memory=MEMORY_MB, **circumstances(known)).strip("\n") + "\n\n" + table(head, bench.rows)


def main() -> None:
    """Runs the benchmark."""
    # As an exception, so that what was started is ended and what was written is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    given = common(parser(__doc__, repetitions=1).parse_args())
    try:
        chapter = measure(given)
    except (FunctionFailed, ProgramFailed) as failure:
        sys.exit(f"error: {failure}")
    write_chapter(given.results, chapter)


if __name__ == "__main__":
    main()
