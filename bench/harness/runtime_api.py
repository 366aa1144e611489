"""Lambda's Runtime API on loopback, for one function: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html"""

import json
import queue
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VERSION = "/2018-06-01/runtime"
FUNCTION_ARN = "arn:aws:lambda:us-east-1:000000000000:function:{name}"


class FunctionFailed(Exception):
    """The function answered with an error, or ended."""


@dataclass(frozen=True)
class Answer:
    """What the function answered, and when on the monotonic clock."""

    payload: Any
    is_error: bool
    at: float


@dataclass(frozen=True)
class _Invocation:
    request_id: str
    deadline_ms: int
    payload: bytes


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Says nothing of a function that ended while it was asking for an event."""


class RuntimeApi:
    """The server. Leaving the context closes it."""

    def __init__(self, function: str) -> None:
        self._function_arn = FUNCTION_ARN.format(name=function)
        self._pending: queue.Queue[_Invocation | None] = queue.Queue()
        self._answers: queue.Queue[Answer] = queue.Queue()
        self._ready: queue.Queue[float] = queue.Queue()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> "RuntimeApi":
        return self

    def __exit__(self, *_: object) -> None:
        # Frees the handler that holds the function's open request for its next event.
        self._pending.put(None)
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """Host and port, as `AWS_LAMBDA_RUNTIME_API` has them."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def wait_until_ready(self, alive: Callable[[], bool]) -> float:
        """Waits until the function asks for an event; when that was, on the monotonic clock.

        Raises:
            FunctionFailed: it could not begin.
        """
        while True:
            try:
                return self._ready.get(timeout=0.2)
            except queue.Empty:
                self._check_unasked(alive)

    def invoke(self, event: object, timeout_seconds: float, alive: Callable[[], bool]) -> tuple[Any, float]:
        """One invocation: the function's answer, and the seconds it took.

        Raises:
            FunctionFailed: it answered with an error, or ended, or took too long.
        """
        deadline_ms = int((time.time() + timeout_seconds) * 1000)
        payload = json.dumps(event).encode()
        start = time.monotonic()
        self._pending.put(_Invocation(str(uuid.uuid4()), deadline_ms, payload))
        while True:
            try:
                answer = self._answers.get(timeout=0.2)
                break
            except queue.Empty:
                if not alive():
                    raise FunctionFailed("the function ended during an invocation") from None
                if time.monotonic() - start > timeout_seconds:
                    raise FunctionFailed(f"no answer within {timeout_seconds} seconds") from None
        if answer.is_error:
            raise FunctionFailed(f"the function answered with an error: {answer.payload}")
        return answer.payload, answer.at - start

    def _check_unasked(self, alive: Callable[[], bool]) -> None:
        try:
            raise FunctionFailed(f"the function could not begin: {self._answers.get_nowait().payload}")
        except queue.Empty:
            if not alive():
                raise FunctionFailed("the function ended before it asked for an event") from None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        pending, answers, ready = self._pending, self._answers, self._ready
        function_arn = self._function_arn

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path != f"{VERSION}/invocation/next":
                    self.send_error(404)
                    return
                ready.put(time.monotonic())
                invocation = pending.get()
                if invocation is None:
                    self.close_connection = True
                    return
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", invocation.request_id)
                self.send_header("Lambda-Runtime-Deadline-Ms", str(invocation.deadline_ms))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", function_arn)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(invocation.payload)))
                self.end_headers()
                self.wfile.write(invocation.payload)

            def do_POST(self) -> None:
                at = time.monotonic()
                body = self.rfile.read(int(self.headers["Content-Length"]))
                is_error = self.path.endswith("/error")
                if not is_error and not self.path.endswith("/response"):
                    self.send_error(404)
                    return
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()
                answers.put(Answer(json.loads(body), is_error, at))

            def log_message(self, *_: object) -> None:
                """Says nothing of each request."""

        return Handler
