"""Measures repartition beside the peers at three jobs, checks every output, and writes its chapter of RESULTS.md.

    python bench/repartition.py --functions target/lambda

The contenders run in turn. `cargo xtask bench repartition` builds the functions, installs what this needs, and starts it.
"""

import platform
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from contenders import peer
from contenders.data import Wrong
from contenders.repartition import Job, Lakewright, jobs, run_peer
from harness.benchmark import Common, check_peers, circumstances, common, names, parser, write_chapter
from harness.cloud import LocalCloud
from harness.machine import wait_until_quiet
from harness.program import ProgramFailed
from harness.report import OURS, Run, by_contender, medians, of, yes
from harness.runtime_api import FunctionFailed

FUNCTIONS = ["repartition-plan", "repartition-write", "repartition-commit"]
VEHICLES, PRODUCTS, FILES = 200_000, 1_000_000, 300

INTRODUCTION = """\
# repartition beside the peers

Three jobs that used to be Spark's. Medians of {repetitions} runs, the contenders in turn; every output was checked for its
files, the rows of each partition and every value of every row. Written by `cargo xtask bench repartition` on {date}, at
commit {commit}.

- Machine: {machine}
- Versions: {versions}

What is measured, and what is not alike:

- Lakewright is the functions as they are deployed, an execution for each number of files: plan, tasks (two at a time), commit.
  They read from and write to a local S3 by signed HTTP requests, from a table of the catalog, and keep a ledger. CPU is that of
  all functions with their inits, the peak that of the largest; the local cloud's own CPU is not counted, but it shares the
  cores, so it is in our wall time. All formats of an execution come from one read.
- The peers read local files from the page cache and write to tmpfs: no HTTP, no commit, no catalog. pyarrow has no writer of
  JSON and makes two formats of the three. DuckDB has no number of files to ask for: its two files are made by the remainder of
  an id.
- The memory size is what the functions are told, as Lambda would tell it; `peak MB` says whether they stay within.
- `foreign` is the share of the machine that other programs used meanwhile: above 0.05, do not trust wall times.
- `cloud CPU s` is what the local cloud needed meanwhile. It is a program in Python, which real S3 is not, and its time is in our
  wall times.
"""


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    common: Common
    vehicles: int
    products: int
    files: int
    memory_mb: list[int]
    peers: list[str]


def options() -> Options:
    """Reads the command line."""
    arguments = parser(__doc__, repetitions=3)
    arguments.add_argument("--vehicles", type=int, default=VEHICLES, help="rows of the table by columns")
    arguments.add_argument("--products", type=int, default=PRODUCTS, help="rows of the table in files")
    arguments.add_argument("--files", type=int, default=FILES, help="files that become one")
    arguments.add_argument("--memory", type=names, default=["256", "1024"], help="the functions' memory sizes in MB")
    arguments.add_argument("--peers", type=names, default=list(peer.PEERS), help=f"of {','.join(peer.PEERS)}")
    given = arguments.parse_args()
    check_peers(arguments, given.peers, peer.PEERS)
    sizes = [int(size) for size in given.memory]
    return Options(common(given), given.vehicles, given.products, given.files, sizes, given.peers)


def run_in_turn(entrants: list[Callable[[Job, int], Run]], job: Job, given: Options) -> list[Run]:
    """All repetitions of all contenders at one job."""
    runs = []
    for repetition in range(1, given.common.repetitions + 1):
        for contender in entrants:
            wait_until_quiet(given.common.patience_seconds)
            run = contender(job, repetition)
            runs.append(run)
            print(
                f"{run.size:10} {run.contender:22} {repetition}/{given.common.repetitions}  wall {run.wall_seconds:6.2f}"
                f"  CPU {run.cpu_seconds:6.2f}  peak {run.peak_rss_bytes / 1e6:5.0f} MB  files {run.files}"
                f"  foreign {run.foreign_share:.2f}",
                flush=True,
            )
            given.common.record(run)
    return runs


def targets(job: Job, runs: list[Run]) -> list[str]:
    """Whether we are ahead of all others in CPU, a line for each of our ways to run; none without others."""
    cpu = {name: of(own, lambda run: run.cpu_seconds) for name, own in by_contender(runs).items()}
    others = {name: seconds for name, seconds in cpu.items() if not name.startswith(OURS)}
    if not others:
        return []
    best = min(others, key=lambda name: others[name])
    return [
        f"- {job.title}, {name}: CPU below all others': {yes(seconds < others[best])} "
        f"({seconds:.2f} s, {best} {others[best]:.2f} s)"
        for name, seconds in cpu.items()
        if name.startswith(OURS)
    ]


def measure(given: Options) -> str:
    """Runs everything; the chapter of the report."""
    state, scratch = given.common.state, given.common.scratch
    binaries = {name: given.common.binary(name) for name in FUNCTIONS}
    compared, reached = [], []
    with LocalCloud(state) as cloud:
        lakewright = Lakewright(binaries, cloud, state, scratch)
        entrants: list[Callable[[Job, int], Run]] = [
            partial(lakewright.run, f"{OURS}, {memory} MB", memory) for memory in given.memory_mb
        ]
        entrants += [partial(run_peer_at, name, given) for name in given.peers]
        for job in jobs(given.vehicles, given.products, given.files, state):
            lakewright.land(job)
            runs = run_in_turn(entrants, job, given)
            compared.append(medians(job.title, runs, ["DuckDB", "Polars", "Spark"]))
            reached += targets(job, runs)
    known = [f"{name} {version(peer.PACKAGES[name])}" for name in given.peers]
    known += [f"Python {platform.python_version()}", f"MiniStack {version('ministack')}"]
    introduction = INTRODUCTION.format(repetitions=given.common.repetitions, **circumstances(", ".join(known)))
    sections = [introduction, "## Medians", *compared, *(["## Targets", "\n".join(reached)] if reached else [])]
    return "\n\n".join(section.strip("\n") for section in sections)


def run_peer_at(name: str, given: Options, job: Job, repetition: int) -> Run:
    """One run of a peer."""
    return run_peer(name, job, given.common.state, given.common.scratch, repetition)


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
