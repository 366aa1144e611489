"""A function's release binary, run as Lambda runs it."""

import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.program import Program, Usage
from harness.runtime_api import FunctionFailed, RuntimeApi

# Lambda's: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
OPEN_FILES = 1024
INVOCATION_SECONDS = 900

# Those that the stack sets.
ALLOCATOR = json.loads((Path(__file__).parents[2] / "infra/lib/allocator.json").read_text())


class Environment:
    """A function that has started, in an execution environment of its own."""

    def __init__(self, api: RuntimeApi, program: Program) -> None:
        self._api, self._program = api, program
        self.init_seconds = api.wait_until_ready(program.running) - program.started
        self.init_cpu_seconds = program.cpu_seconds()

    @property
    def started(self) -> float:
        """When it was started, on the monotonic clock."""
        return self._program.started

    def invoke(self, event: object, timeout_seconds: float = INVOCATION_SECONDS) -> tuple[Any, float]:
        """One invocation: the answer, and the seconds it took.

        Raises:
            FunctionFailed: the answer is an error, or there is none.
        """
        return self._api.invoke(event, timeout_seconds, self._program.running)

    def end(self) -> tuple[Usage, int]:
        """Ends it. Answers with what it used, its init included, and with its peak memory in bytes."""
        # By now only idle. The process's own counter: the launcher's peak is in that of rusage.
        peak = self._program.peak_rss_bytes()
        self._program.terminate()
        return self._program.wait(), peak

    def log_tail(self) -> str:
        """The end of what it printed."""
        return self._program.log_tail()


@dataclass(frozen=True)
class Function:
    """A function before it starts."""

    name: str
    binary: Path
    config: Path
    memory_mb: int
    scratch: Path
    log: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def start(self, cloud: Mapping[str, str]) -> Iterator[Environment]:
        """Starts it. Leaving the context ends it.

        Raises:
            FunctionFailed: with the end of its log; also for what fails within the context.
        """
        with (
            RuntimeApi(self.name) as api,
            Program(
                [str(self.binary)],
                self._environment(api.address) | dict(self.variables) | dict(cloud),
                self.log,
                open_files=OPEN_FILES,
            ) as program,
        ):
            try:
                yield Environment(api, program)
            except FunctionFailed as failure:
                raise FunctionFailed(f"{self.name}: {failure}\n{program.log_tail()}") from failure

    def _environment(self, api: str) -> dict[str, str]:
        return {
            **ALLOCATOR,
            "AWS_LAMBDA_RUNTIME_API": api,
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.memory_mb),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{self.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "benchmark",
            "LAMBDA_TASK_ROOT": str(self.binary.parent),
            "LAKEWRIGHT_CONFIG": str(self.config),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TMPDIR": str(self.scratch),
            "TZ": ":UTC",
            "_HANDLER": "bootstrap",
        }


@dataclass(frozen=True)
class Invoked:
    """What some environments did: the answers in the order of the events, the seconds from the first one's start to the
    last answer, the CPU seconds of all, and the largest one's peak memory."""

    answers: list[Any]
    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int


def invoke_all(functions: Sequence[Function], events: Sequence[object], cloud: Mapping[str, str]) -> Invoked:
    """Starts environments of a function beside each other, has them take one event after the other, and ends them.

    Raises:
        FunctionFailed: an invocation failed.
    """
    answers: list[Any] = [None] * len(events)
    left = deque(enumerate(events))
    failures: list[FunctionFailed] = []

    def take(environment: Environment) -> None:
        try:
            while not failures:
                number, event = left.popleft()
                answers[number], _ = environment.invoke(event)
        except IndexError:
            return
        except FunctionFailed as failure:
            failures.append(FunctionFailed(f"{failure}\n{environment.log_tail()}"))

    with ExitStack() as stack:
        begun = time.monotonic()
        environments = [stack.enter_context(function.start(cloud)) for function in functions]
        takers = [threading.Thread(target=take, args=[environment]) for environment in environments]
        for taker in takers:
            taker.start()
        for taker in takers:
            taker.join()
        seconds = time.monotonic() - begun
        if failures:
            raise failures[0]
        ends = [environment.end() for environment in environments]
    return Invoked(answers, seconds, sum(usage.cpu_seconds for usage, _ in ends), max(peak for _, peak in ends))
