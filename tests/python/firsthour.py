"""`cargo xtask` as a person calls it: its commands, and a local cloud that it keeps up meanwhile."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

XTASK, FUNCTIONS = "LAKEWRIGHT_XTASK", "LAKEWRIGHT_FUNCTIONS"
SECONDS = 240


def command(*arguments: str) -> list[str]:
    """The command, which takes the functions that the tests have built."""
    return [os.environ[XTASK], "--json", *arguments]


def with_functions(*arguments: str) -> list[str]:
    """The same, for those that deploy."""
    return [*command(*arguments), "--functions", os.environ[FUNCTIONS]]


def said(*arguments: str, code: int = 0, folder: Path | None = None, deploys: bool = True) -> dict[str, Any]:
    """What a command says at its end, which is to come with this exit code."""
    line = with_functions(*arguments) if deploys else command(*arguments)
    ended = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS, cwd=folder)
    assert ended.returncode == code, (ended.stdout, ended.stderr)
    (answer,) = ended.stdout.splitlines()
    return json.loads(answer)


def refusal(*arguments: str, folder: Path | None = None) -> str:
    """The error of a command that refuses what it is given."""
    ended = subprocess.run(with_functions(*arguments), capture_output=True, text=True, timeout=SECONDS, cwd=folder)
    assert ended.returncode == 1 and not ended.stdout, (ended.returncode, ended.stdout, ended.stderr)
    return ended.stderr


def exported(script: str) -> dict[str, str]:
    """The environment of a shell that has sourced a script."""
    shell = subprocess.run(["sh", "-c", '. "$1"; env -0', "sh", script], capture_output=True, check=True)
    return dict(line.split("=", 1) for line in shell.stdout.decode().split("\0") if line)


def processes(group: int) -> list[str]:
    """The processes of a session. Those that have ended may wait for init to notice."""
    listed = subprocess.run(["ps", "-o", "stat=,pid=,args=", "-s", str(group)], capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if line.strip() and not line.lstrip().startswith("Z")]


@contextmanager
def up(log: Path, *arguments: str) -> Iterator[dict[str, Any]]:
    """A local cloud, until Ctrl-C. It is to leave nothing running."""
    with log.open("w") as errors:
        running = subprocess.Popen(
            with_functions("up", *arguments), stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        try:
            assert running.stdout
            line = running.stdout.readline()
            assert line, log.read_text()
            yield json.loads(line)
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(SECONDS)
    assert running.returncode == 0, log.read_text()
    assert not (left := processes(running.pid)), left
