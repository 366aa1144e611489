"""Measures compact beside the peers on the same small files, checks every output, and writes its chapter of RESULTS.md.

    python bench/compact.py --functions target/lambda

The contenders run in turn. `cargo xtask bench compact` builds the functions, installs what this needs, and starts it.
"""

import platform
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from contenders import peer
from contenders.compact import PYARROW, REKEY, Lakewright, SmallFiles, run_peer
from contenders.data import Wrong
from harness.benchmark import Common, check, check_peers, circumstances, common, names, parser, write_chapter
from harness.cloud import LocalCloud
from harness.machine import wait_until_quiet
from harness.program import ProgramFailed
from harness.report import OURS, Run, by_contender, medians, of, yes
from harness.runtime_api import FunctionFailed

FUNCTIONS = ["compact-plan", "compact-merge", "compact-publish"]
FILES = 2000
WRITERS = [PYARROW, REKEY]
# The project's goal: at most this share of the reference's CPU, and this much memory.
REFERENCE, SHARE = "Polars", 1 / 1.5
MEMORY_BYTES = 256 << 20

INTRODUCTION = """\
# compact beside the peers

Many small Parquet files, in Hive partitions, into one for each partition. Medians of {repetitions} runs, the contenders in
turn; every output was checked for the rows of each partition and every value of every row. Written by `cargo xtask bench
compact` on {date}, at commit {commit}.

- Machine: {machine}
- Versions: {versions}

What is measured, and what is not alike:

- Lakewright is the functions as they are deployed: `compact-plan` lists and reads footers, two environments of
  `compact-merge` make the files, `compact-publish` points the catalog at them. They read from and write to a local S3 by
  signed HTTP requests, verify what they wrote, and keep a ledger. CPU is that of all functions with their inits, the peak
  that of the largest `compact-merge`; the local cloud's own CPU is not counted, but it shares the cores, so it is in our wall
  time. The sweep, which waits until no earlier writer can be alive, is not in it.
- Files that rekey wrote, as it does object by object, are those of the jobs' own lake: what their footers say of the values is
  taken over. What another writer's footers say may be wrong, so the values in their pages are looked at.
- `as they were`: columns keep their compression, so that large row groups are copied; `snappy`: as the peers write.
- The peers read local files from the page cache and write to tmpfs: no HTTP, no verification, no catalog.
- The memory size is what the function is told, as Lambda would tell it; `peak MB` says whether it stays within.
- `foreign` is the share of the machine that other programs used meanwhile: above 0.05, do not trust wall times.
- `cloud CPU s` is what the local cloud needed meanwhile. It is a program in Python, which real S3 is not, and its time is in our
  wall times.
"""


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    common: Common
    files: int
    writers: list[str]
    memory_mb: list[int]
    compressions: list[str]
    peers: list[str]


def options() -> Options:
    """Reads the command line."""
    arguments = parser(__doc__, repetitions=3)
    arguments.add_argument("--files", type=int, default=FILES, help="how many small files pyarrow writes")
    arguments.add_argument("--written-by", type=names, default=WRITERS, help=f"of {','.join(WRITERS)}")
    arguments.add_argument("--memory", type=names, default=["256", "512"], help="memory sizes of compact-merge in MB")
    arguments.add_argument("--compressions", type=names, default=["keep", "snappy"])
    arguments.add_argument("--peers", type=names, default=list(peer.PEERS), help=f"of {','.join(peer.PEERS)}")
    given = arguments.parse_args()
    check(arguments, given.written_by, WRITERS)
    check_peers(arguments, given.peers, peer.PEERS)
    sizes = [int(size) for size in given.memory]
    return Options(common(given), given.files, given.written_by, sizes, given.compressions, given.peers)


def run_in_turn(entrants: list[Callable[[int], Run]], given: Options) -> list[Run]:
    """All repetitions of all contenders."""
    runs = []
    for repetition in range(1, given.common.repetitions + 1):
        for contender in entrants:
            wait_until_quiet(given.common.patience_seconds)
            run = contender(repetition)
            runs.append(run)
            print(
                f"{run.size:8} {run.contender:34} {repetition}/{given.common.repetitions}  wall {run.wall_seconds:6.2f}"
                f"  CPU {run.cpu_seconds:6.2f}  peak {run.peak_rss_bytes / 1e6:5.0f} MB  files {run.files}"
                f"  foreign {run.foreign_share:.2f}",
                flush=True,
            )
            given.common.record(run)
    return runs


def targets(writer: str, runs: list[Run]) -> list[str]:
    """Whether we reach what we ask of ourselves, a line for each of our ways to run; none without the reference."""
    grouped = by_contender(runs)
    if REFERENCE not in grouped:
        return []
    allowed = of(grouped[REFERENCE], lambda run: run.cpu_seconds) * SHARE
    lines = []
    for name, own in grouped.items():
        if name.startswith(OURS):
            cpu, peak = of(own, lambda run: run.cpu_seconds), max(run.peak_rss_bytes for run in own)
            lines.append(
                f"- {writer}'s files, {name}: CPU at most 1/1.5 of {REFERENCE}'s: {yes(cpu <= allowed)} ({cpu:.2f} s of {allowed:.2f} s); "
                f"peak at most {MEMORY_BYTES >> 20} MiB: {yes(peak <= MEMORY_BYTES)} ({peak / 2**20:.0f} MiB)"
            )
    return lines


def measure(given: Options) -> str:
    """Runs everything; the chapter of the report."""
    state, scratch = given.common.state, given.common.scratch
    binaries = {name: given.common.binary(name) for name in FUNCTIONS}
    titles = {"keep": "as they were"}
    compared, reached = [], []
    for writer in given.writers:
        if writer == REKEY:
            dataset = SmallFiles.make_by_rekey(given.common.binary("rekey"), state, scratch)
        else:
            dataset = SmallFiles.make(given.files, state)
        with LocalCloud(state) as cloud:
            lakewright = Lakewright(binaries, cloud, dataset, state, scratch)
            entrants: list[Callable[[int], Run]] = [
                partial(lakewright.run, f"{OURS}, {memory} MB, {titles.get(how, how)}", memory, 2, how)
                for memory in given.memory_mb
                for how in given.compressions
            ]
            entrants += [partial(run_peer, name, dataset, state, scratch) for name in given.peers]
            runs = run_in_turn(entrants, given)
        compared.append(medians(dataset.title, runs, ["DuckDB", "Polars", "Spark"]))
        reached += targets(writer, runs)
    known = [f"{name} {version(peer.PACKAGES[name])}" for name in given.peers]
    known += [f"Python {platform.python_version()}", f"MiniStack {version('ministack')}"]
    introduction = INTRODUCTION.format(repetitions=given.common.repetitions, **circumstances(", ".join(known)))
    sections = [introduction, "## Medians", *compared, *(["## Targets", "\n".join(reached)] if reached else [])]
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
