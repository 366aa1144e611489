"""The machine: what it is, and how busy."""

import os
import platform
import subprocess
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
# The share of the machine that others may use while it counts as quiet.
QUIET = 0.25


def busy_seconds() -> float:
    """CPU seconds that the whole machine has spent since it started, other than idle and waiting."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / _TICKS


def process_seconds(pid: int) -> float:
    """CPU seconds of one process so far."""
    # The second field may hold spaces, in parentheses.
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


class ForeignLoad:
    """The share of the machine that others use."""

    def __init__(self) -> None:
        self._busy = busy_seconds()
        self._at = time.monotonic()

    def share(self, own_seconds: float) -> float:
        """Their share since the beginning, where `own_seconds` of CPU were ours."""
        capacity = (time.monotonic() - self._at) * (os.cpu_count() or 1)
        return max(0.0, busy_seconds() - self._busy - own_seconds) / max(capacity, 1 / _TICKS)


def wait_until_quiet(patience_seconds: float) -> None:
    """Waits until others use little of the machine, or patience ends."""
    end = time.monotonic() + patience_seconds
    while time.monotonic() < end:
        load = ForeignLoad()
        time.sleep(0.5)
        if load.share(0) < QUIET:
            return


def description() -> str:
    """Processor, memory and system in one line."""
    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    model = models[0] if models else platform.machine()
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {system}, Linux {platform.release()}"


def first_line(*command: str) -> str:
    """The first line that a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).splitlines()[0].strip()
