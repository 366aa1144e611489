"""Runs one program and says what it and all its descendants used.

A process of its own, and a small one: Linux counts the peak memory of the process that a program was started from as
the program's own. It is told what to run in one line of JSON on standard input, and answers with two: the program's
process id when it starts, and what was used when the last descendant has ended. SIGTERM is passed on.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time

# <linux/prctl.h>
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def prctl(option: int, argument: int) -> None:
    """Sets an attribute of this process, or fails."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def become(request: dict) -> None:
    """Turns this process into the program."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if request["open_files"] is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (request["open_files"], request["open_files"]))
    os.execvpe(request["command"][0], request["command"], request["environment"])


def main() -> None:
    """Runs the program to its end."""
    request = json.loads(sys.stdin.readline())
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # Orphans, such as the Java machine that PySpark leaves behind, become children of this process.
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            become(request)
        finally:
            os._exit(127)

    def kill(*_: object) -> None:
        os.killpg(child, signal.SIGKILL)

    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    signal.signal(signal.SIGALRM, kill)
    signal.alarm(request["timeout"])
    print(json.dumps({"pid": child, "started": started}), flush=True)

    used = {"user_seconds": 0.0, "system_seconds": 0.0, "peak_rss_bytes": 0}
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        used["user_seconds"] += usage.ru_utime
        used["system_seconds"] += usage.ru_stime
        used["peak_rss_bytes"] = max(used["peak_rss_bytes"], usage.ru_maxrss * 1024)
        if pid == child:
            used["wall_seconds"] = time.monotonic() - started
            used["exit_code"] = os.waitstatus_to_exitcode(status)
    print(json.dumps(used), flush=True)


if __name__ == "__main__":
    main()
