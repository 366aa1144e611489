"""A program under measurement."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launch.py")
LOG_TAIL = 3000


class ProgramFailed(Exception):
    """A program ended otherwise than it should."""


@dataclass(frozen=True)
class Usage:
    """What a program and its descendants used. The peak is that of the largest single process."""

    wall_seconds: float
    user_seconds: float
    system_seconds: float
    peak_rss_bytes: int
    exit_code: int

    @property
    def cpu_seconds(self) -> float:
        """User and system time."""
        return self.user_seconds + self.system_seconds


class Program:
    """A running program. Leaving the context ends it."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        open_files: int | None = None,
        timeout_seconds: int = 900,
    ) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._launcher = subprocess.Popen(
            [sys.executable, "-I", "-S", LAUNCHER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for this process alone, which then ends the others.
            start_new_session=True,
        )
        request = {
            "command": list(command),
            "environment": dict(environment),
            "log": str(log),
            "open_files": open_files,
            "timeout": timeout_seconds,
        }
        assert self._launcher.stdin and self._launcher.stdout
        self._launcher.stdin.write(json.dumps(request) + "\n")
        self._launcher.stdin.flush()
        start = json.loads(self._launcher.stdout.readline())
        self.pid: int = start["pid"]
        self.started: float = start["started"]

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        if self.running():
            self.terminate()
        self._launcher.communicate()

    def running(self) -> bool:
        """Whether it, or a descendant, still runs."""
        return self._launcher.poll() is None

    def peak_rss_bytes(self) -> int:
        """The peak so far of the program's own process."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise ProgramFailed(f"process {self.pid} has no VmHWM")

    def cpu_seconds(self) -> float:
        """What the threads of the program's own process have used so far: more exactly than in the hundredths of rusage."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def terminate(self) -> None:
        """Asks it to end."""
        self._launcher.send_signal(signal.SIGTERM)

    def wait(self) -> Usage:
        """Waits until it and its descendants have ended."""
        assert self._launcher.stdout
        line = self._launcher.stdout.readline()
        self._launcher.wait()
        if not line:
            raise ProgramFailed(f"the launcher ended early:\n{self.log_tail()}")
        return Usage(**json.loads(line))

    def log_tail(self) -> str:
        """The end of what it printed."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return text[-LOG_TAIL:]


def run(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Usage:
    """Runs a program to its end.

    Raises:
        ProgramFailed: with the end of its log.
    """
    with Program(command, environment, log) as program:
        usage = program.wait()
        if usage.exit_code != 0:
            raise ProgramFailed(f"{command[0]} ended with {usage.exit_code}:\n{program.log_tail()}")
        return usage
