"""Measures split beside programs that upload files, on the same S3 servers, compares every object, and writes its chapter
of RESULTS.md.

    python bench/split.py --functions target/lambda

The contenders run in turn, each on a server that has just been started. `cargo xtask bench split` builds the functions,
installs what this needs, and starts it.
"""

import os
import platform
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from statistics import median

from contenders.data import Wrong, empty_folder
from contenders.split import SERVERS, Lakewright, Result, S3Server, SplitRun, Uploader, make, s5cmd, start_server
from harness.benchmark import Common, check, circumstances, common, names, parser, write_chapter
from harness.cloud import LocalCloud
from harness.machine import first_line, wait_until_quiet
from harness.program import ProgramFailed
from harness.report import OURS, table, yes
from harness.runtime_api import FunctionFailed

SIZES = {"20k": 20_000, "200k": 200_000}
# `aws s3 cp` takes a minute and a half for 20,000 objects, and does not get faster by the number.
SMALL = 20_000
# The project's goal.
OBJECTS_PER_MINUTE = 100_000
REFERENCE = "s5cmd"

INTRODUCTION = """\
# split beside uploaders of files

A query's result in Athena's CSV, fifty columns of text, to one JSON object for each row. Medians of {repetitions} runs,
the contenders in turn, each on a server that has just been started; every object was compared with its row by the MD5 that
the server lists (where it forgets: their number and bytes). Written by `cargo xtask bench split` on {date}, at commit {commit}.

- Machine: {machine}
- Versions: {versions}

What is measured, and what is not alike:

- Lakewright is the functions as they are deployed, `split-rows` told that it has {memory_mb} MB. `split-plan` reads the
  result and finds the rows; each of the environments of `split-rows`, processes beside each other, is then given chunks
  from the queue, one at a time. Wall and CPU are those of the whole job: the plan, the inits, reading the result twice,
  parsing it, making the JSON, a signed create-only PUT for each row, the ledger.
- The others upload files that are there already, in tmpfs, unconditionally.
- The servers share the two cores with their clients. MiniStack keeps create-only writes as S3 does; the other answers and
  forgets, so that little but the client is seen. `server's share` is that of all CPU time, `server's load` its CPU time as a
  share of the cores' time while the client ran.
- `foreign` is the share of the machine that other programs used meanwhile: above 0.05, do not trust wall times.
"""


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    common: Common
    sizes: list[str]
    servers: list[str]
    uploaders: list[str]
    environments: list[int]
    memory_mb: int


# Runs once, on a server, as the repetition of that number.
Contender = Callable[[Result, S3Server, int], SplitRun]


def options() -> Options:
    """Reads the command line."""
    arguments = parser(__doc__, repetitions=3)
    arguments.add_argument("--sizes", type=names, default=list(SIZES), help=f"of {','.join(SIZES)}")
    arguments.add_argument("--servers", type=names, default=list(SERVERS), help=f"of {','.join(SERVERS)}")
    arguments.add_argument("--uploaders", type=names, default=list(Uploader.NAMES), help=f"of {','.join(Uploader.NAMES)}")
    arguments.add_argument("--environments", type=names, default=["1", "2"], help="how many of split-rows run at a time")
    arguments.add_argument("--memory", type=int, default=256, help="the memory size of split-rows in MB")
    given = arguments.parse_args()
    check(arguments, given.sizes, SIZES)
    check(arguments, given.servers, SERVERS)
    check(arguments, given.uploaders, Uploader.NAMES)
    environments = [int(number) for number in given.environments]
    return Options(common(given), given.sizes, given.servers, given.uploaders, environments, given.memory)


def contenders(lakewright: Lakewright, given: Options, rows: int) -> list[Contender]:
    """All that are compared, in the order in which they run."""
    own: list[Contender] = [
        partial(lakewright.run, f"{OURS}, {number} environment{'s' * (number > 1)}", given.memory_mb, number)
        for number in given.environments
    ]
    others = [name for name in given.uploaders if name == REFERENCE or rows <= SMALL]
    return [*own, *(Uploader(name, given.common.state).run for name in others)]


def run_in_turn(entrants: list[Contender], result: Result, given: Options) -> list[SplitRun]:
    """All repetitions of all contenders on all servers."""
    runs = []
    for repetition in range(1, given.common.repetitions + 1):
        for name in given.servers:
            for contender in entrants:
                with start_server(name, given.common.state) as server:
                    wait_until_quiet(given.common.patience_seconds)
                    run = contender(result, server, repetition)
                runs.append(run)
                print(
                    f"{run.size:5} {run.server:18} {run.contender:26} {repetition}/{given.common.repetitions}"
                    f"  wall {run.wall_seconds:6.2f}  {per_minute(run):8,.0f} objects/min  CPU {run.cpu_seconds:6.2f}"
                    f"  server {run.server_cpu_seconds:6.2f}  peak {run.peak_rss_bytes / 1e6:4.0f} MB"
                    f"  foreign {run.foreign_share:.2f}",
                    flush=True,
                )
                given.common.record(run)
    return runs


def per_minute(run: SplitRun) -> float:
    """Objects a minute."""
    return run.objects / run.wall_seconds * 60


def per_thousand(run: SplitRun) -> float:
    """CPU seconds for a thousand objects."""
    return run.cpu_seconds / run.objects * 1e3


def server_share(run: SplitRun) -> float:
    """The server's share of all CPU time."""
    return run.server_cpu_seconds / (run.server_cpu_seconds + run.cpu_seconds)


def server_load(run: SplitRun, cores: int) -> float:
    """The server's CPU time as a share of the cores' time."""
    return run.server_cpu_seconds / (run.wall_seconds * cores)


def of(runs: Sequence[SplitRun], value: Callable[[SplitRun], float]) -> float:
    """The median."""
    return median(value(run) for run in runs)


def grouped(runs: Sequence[SplitRun]) -> dict[tuple[str, str], list[SplitRun]]:
    """The runs of each contender on each server, in the order of their first."""
    groups: dict[tuple[str, str], list[SplitRun]] = {}
    for run in runs:
        groups.setdefault((run.server, run.contender), []).append(run)
    return groups


def comparison(result: Result, runs: Sequence[SplitRun], cores: int) -> str:
    """Medians of all contenders on one result."""
    lines = [
        [
            contender,
            server,
            f"{of(own, per_minute):,.0f}",
            f"{of(own, lambda run: run.wall_seconds):.2f}",
            f"{of(own, per_thousand):.3f}",
            f"{of(own, lambda run: run.peak_rss_bytes) / 1e6:.0f}",
            f"{of(own, server_share):.2f}",
            f"{of(own, lambda run: server_load(run, cores)):.2f}",
            f"{of(own, lambda run: run.foreign_share):.2f}",
        ]
        for (server, contender), own in grouped(runs).items()
    ]
    head = ["", "server", "objects/min", "wall s", "CPU s / 1,000 objects", "peak MB"]
    head += ["server's share", "server's load", "foreign"]
    title = (
        f"### {result.name}: {result.rows:,} rows, {result.csv.stat().st_size / 1e6:,.0f} MB of CSV, "
        f"{result.object_bytes / 1e6:,.0f} MB of objects\n\n"
    )
    return title + table(head, lines)


def plans(result: Result, runs: Sequence[SplitRun]) -> str:
    """Medians of the plans on one result, beside plain reading."""
    size = result.csv.stat().st_size / 1e6
    lines = []
    for server in dict.fromkeys(run.server for run in runs):
        own = [run.plan for run in runs if run.server == server and run.plan is not None]
        scan, read = (median(getattr(plan, name) for plan in own) for name in ("scan_seconds", "read_seconds"))
        lines.append(
            [
                f"{result.name}, {server}",
                f"{read:.2f}",
                f"{size / read:,.0f}",
                f"{scan:.2f}",
                f"{size / scan:,.0f}",
                f"{scan / read:.2f}",
                f"{median(plan.cpu_seconds for plan in own):.2f}",
                f"{median(plan.peak_rss_bytes for plan in own) / 1e6:.0f}",
            ]
        )
    return table(["", "read s", "read MB/s", "plan s", "plan MB/s", "plan / read", "CPU s", "peak MB"], lines)


def targets(result: Result, runs: Sequence[SplitRun]) -> list[str]:
    """Whether we reach what we ask of ourselves, a line for each of our ways to run on each server."""
    groups = grouped(runs)
    lines = []
    for (server, contender), own in groups.items():
        if not contender.startswith(OURS):
            continue
        speed, cpu, peak = of(own, per_minute), of(own, per_thousand), max(run.peak_rss_bytes for run in own)
        line = (
            f"- {result.name}, {server}, {contender}: {OBJECTS_PER_MINUTE:,} objects/min: "
            f"{yes(speed >= OBJECTS_PER_MINUTE)} ({speed:,.0f}); peak at most 256 MiB: "
            f"{yes(peak <= 256 << 20)} ({peak / 2**20:.0f} MiB)"
        )
        if (server, REFERENCE) in groups:
            allowed = of(groups[server, REFERENCE], per_thousand)
            line += f"; CPU for an object below {REFERENCE}'s: {yes(cpu < allowed)} ({cpu:.3f} ms against {allowed:.3f})"
        lines.append(line)
    return lines


def measure(given: Options) -> str:
    """Runs everything; the chapter of the report."""
    state, scratch = given.common.state, given.common.scratch
    binaries = [given.common.binary(name) for name in ("split-plan", "split-rows")]
    compared, planned, reached = [], [], []
    with LocalCloud(state) as cloud:
        lakewright = Lakewright(*binaries, cloud, state, scratch)
        for name in given.sizes:
            with empty_folder(scratch / "objects") as objects:
                result = make(name, SIZES[name], state, objects)
                runs = run_in_turn(contenders(lakewright, given, result.rows), result, given)
                compared.append(comparison(result, runs, os.cpu_count() or 1))
                planned.append(plans(result, runs))
                reached += targets(result, runs)
    uploaders = [f"s5cmd {first_line(s5cmd(), 'version')}", f"aws-cli {version('awscli')}"]
    known = ", ".join([*uploaders, f"Python {platform.python_version()}", f"MiniStack {version('ministack')}"])
    introduction = INTRODUCTION.format(
        repetitions=given.common.repetitions, memory_mb=given.memory_mb, **circumstances(known)
    )
    sections = [introduction, "## Medians", *compared, "## The plan", *planned, "## Targets", "\n".join(reached)]
    return "\n\n".join(section.strip("\n") for section in sections)


def main() -> None:
    """Runs the benchmark."""
    # As an exception, so that what was started is ended and what was written is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    given = options()
    try:
        chapter = measure(given)
    except (Wrong, FunctionFailed, ProgramFailed) as failure:
        sys.exit(f"error: {failure}")
    write_chapter(given.common.results, chapter)


if __name__ == "__main__":
    main()
