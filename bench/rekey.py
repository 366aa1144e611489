"""Measures rekey beside the peers on the same records, checks every output, and writes RESULTS.md.

    python bench/rekey.py --functions target/lambda

The contenders run in turn: the first repetition of all of them, then the second, and so on. `cargo xtask bench rekey`
builds the function, installs what this needs, and starts it.
"""

import platform
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from anpr.forms import ENVELOPE, JSON, PARQUET
from contenders import peer
from contenders.data import DataSet, Wrong, land, make, make_form
from contenders.lakewright import PLAIN_JSON, Job, Lakewright
from harness.benchmark import Common, check, check_peers, circumstances, common, names, parser, write_chapter
from harness.cloud import LocalCloud
from harness.machine import first_line, wait_until_quiet
from harness.program import ProgramFailed
from harness.report import OURS, Run, by_contender, cold_starts, comparison, costs, medians, targets, tiny_objects
from harness.runtime_api import FunctionFailed

RECORDS = {"100k": 100_000, "1m": 1_000_000, "5m": 5_000_000}
# 10 MB of gzip in one object.
SINGLE, SINGLE_RECORDS = "10mb", 134_700
SINGLE_MEMORY_MB = [128, 256, 512]
BATCH = "batch"
# Tiny objects, and how many of them an event has, which are a batch.
TINY, TINY_OBJECTS, TINY_RECORDS, TINY_AT_ONCE, TINY_MEMORY_MB = "tiny", 20_000, 100_000, 1_000, 256
# The size whose records are also read and written in other forms, the function's memory, and the peers that read Parquet.
FORMS_OF, FORMS_MEMORY_MB, PARQUET_PEERS = "1m", 256, ["DuckDB", "Polars"]

INTRODUCTION = """\
# rekey beside the peers

gzip'd JSON into Parquet with Snappy, in Hive partitions by each record's own year, month, day and hour. Medians of
{repetitions} runs, the contenders in turn; every output was checked for rows by partition and for every value of
every row. Written by `cargo xtask bench rekey` on {date}, at commit {commit}.

- Machine: {machine}
- Versions: {versions}
- Function: the deployed release build for this machine's architecture, {binary_mb:.1f} MB

What is measured, and what is not alike:

- Wall time is that from a program's start to its end, or to the function's last answer. CPU is user and system time
  of a program with all its descendants; the peak is the resident set of its largest process; MB are 10^6 bytes.
  `CPU / X` is a contender's CPU as a multiple of X's: less is better.
- Lakewright is the function as it is deployed. It is started as Lambda starts it, with Lambda's limit of 1,024 open
  files, and given S3's notifications by SQS through the Runtime API. It reads from and writes to a local S3 by signed
  HTTP requests, commits through its ledger, and registers partitions in Glue: its CPU has all of that in it, and
  its init. The local cloud's own CPU is not counted, but it shares the cores, so it is in our wall time.
- The peers read local files from the page cache and write to tmpfs: no HTTP, no commit, no catalog.
- `batch`: all objects in one event, which are planned together and share their files, as the peers see all objects at
  once. `one by one`: an event for each object, in one warm process, so that each has files of its own.
- Records without a timestamp go to Lakewright's quarantine and are counted there; the peers write them to Hive's
  default partition.
- The memory size is what the function is told, as Lambda would tell it; `peak MB` says whether it stays within. CPU
  is not throttled to what Lambda gives for that size: wall times are those of this machine's cores.
- `foreign` is the share of the machine that other programs used meanwhile: above 0.05, do not trust wall times.
- `cloud CPU s` is what the local cloud needed meanwhile. It is a program in Python, which real S3 is not, and its time is in our
  wall times.
"""


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    common: Common
    sizes: list[str]
    memory_mb: list[int]
    peers: list[str]
    tiny: bool
    forms: bool


# Runs once, on a data set, as the repetition of that number.
Contender = Callable[[DataSet, int], Run]
Entrant = tuple[Contender, DataSet]


def options() -> Options:
    """Reads the command line."""
    arguments = parser(__doc__, repetitions=3)
    arguments.add_argument("--sizes", type=names, default=list(RECORDS), help=f"of {','.join(RECORDS)}")
    arguments.add_argument("--memory", type=names, default=["256", "512"], help="the function's memory sizes in MB")
    arguments.add_argument("--peers", type=names, default=list(peer.PEERS), help=f"of {','.join(peer.PEERS)}")
    arguments.add_argument("--tiny", action="store_true", help=f"{TINY_OBJECTS:,} tiny objects too")
    arguments.add_argument("--forms", action="store_true", help=f"other inputs and outputs too, of {FORMS_OF}")
    given = arguments.parse_args()
    check(arguments, given.sizes, RECORDS)
    check_peers(arguments, given.peers, peer.PEERS)
    memory_mb = [int(size) for size in given.memory]
    return Options(common(given), given.sizes, memory_mb, given.peers, given.tiny, given.forms)


def contenders(lakewright: Lakewright, given: Options) -> list[Contender]:
    """All that are compared, in the order in which they run."""
    own: list[Contender] = [
        partial(lakewright.run, named(memory_mb, way), Job(memory_mb, objects))
        for memory_mb in given.memory_mb
        for way, objects in [(BATCH, None), ("one by one", 1)]
    ]
    return [*own, *(partial(run_peer, name, JSON, given) for name in given.peers)]


def named(memory_mb: int, way: str) -> str:
    """The function with this memory, and how it is given the objects."""
    return f"{OURS}, {memory_mb} MB, {way}"


def run_peer(name: str, form: str, given: Options, dataset: DataSet, repetition: int) -> Run:
    """One run of a peer."""
    return peer.run(name, form, dataset, repetition, given.common.state, given.common.scratch)


def other_forms(lakewright: Lakewright, landed: DataSet, folder: Path, cloud: LocalCloud, given: Options) -> str:
    """The same records from other inputs and to other outputs; a section."""
    lines, plain = f"{OURS}, a record a line", f"{OURS}, JSON to JSON"

    def ours(contender: str, dataset: DataSet = landed, **job: str) -> Entrant:
        return partial(lakewright.run, contender, Job(FORMS_MEMORY_MB, **job)), dataset

    def compare(title: str, entrants: list[Entrant], references: list[str]) -> str:
        return medians(title, run_in_turn(entrants, given), references)

    envelope = land(f"{landed.name}-{ENVELOPE}", make_form(ENVELOPE, folder), cloud)
    parquet = land(f"{landed.name}-{PARQUET}", make_form(PARQUET, folder), cloud)
    peers = [name for name in given.peers if name in PARQUET_PEERS]
    sections = [
        "## Other inputs and outputs",
        compare(
            "Envelopes: all records of an object in one document",
            [ours(lines), ours(f"{OURS}, envelopes", envelope, reads=ENVELOPE)],
            [lines],
        ),
        compare(
            "Parquet to Parquet, both with Snappy",
            [
                ours(f"{OURS}, Parquet to Parquet", parquet, reads=PARQUET),
                *((partial(run_peer, name, PARQUET, given), parquet) for name in peers),
            ],
            peers,
        ),
        compare(
            "gzip'd JSON to JSON, with gzip and without",
            [ours(plain, writes=PLAIN_JSON), ours(f"{OURS}, JSON to gzip'd JSON", writes=JSON)],
            [plain],
        ),
    ]
    return "\n\n".join(sections)


def run_once(contender: Contender, dataset: DataSet, repetition: int, given: Options) -> Run:
    """One run, once the machine is quiet."""
    wait_until_quiet(given.common.patience_seconds)
    run = contender(dataset, repetition)
    print(
        f"{run.size:5} {run.contender:30} {repetition}/{given.common.repetitions}"
        f"  wall {run.wall_seconds:6.2f}  CPU {run.cpu_seconds:6.2f}"
        f"  peak {run.peak_rss_bytes / 1e6:5.0f} MB  files {run.files}  foreign {run.foreign_share:.2f}",
        flush=True,
    )
    given.common.record(run)
    return run


def run_in_turn(entrants: list[Entrant], given: Options) -> list[Run]:
    """All repetitions of all contenders, each on its data set."""
    repetitions = range(1, given.common.repetitions + 1)
    return [run_once(*entrant, repetition, given) for repetition in repetitions for entrant in entrants]


def versions(given: Options) -> str:
    """What was compared."""
    known = [f"{name} {version(peer.PACKAGES[name])}" for name in given.peers]
    if "Spark" in given.peers:
        known.append(first_line("java", "-version"))
    return ", ".join([*known, f"Python {platform.python_version()}", f"MiniStack {version('ministack')}"])


def measure(given: Options) -> str:
    """Runs everything; the chapter of the report."""
    state = given.common.state
    binary = given.common.binary("rekey")
    folders = {name: make(name, RECORDS[name], state / "data") for name in given.sizes}
    single = make(SINGLE, SINGLE_RECORDS, state / "data", "--objects", "1")
    compared, reached, others = [], [], []
    with LocalCloud(state) as cloud:
        lakewright = Lakewright(binary, cloud, state, given.common.scratch)
        dataset = land(SINGLE, single, cloud)
        cold: list[Entrant] = [
            (partial(lakewright.run, f"{size} MB", Job(size, 1)), dataset) for size in SINGLE_MEMORY_MB
        ]
        cold_section = cold_starts(dataset.size, run_in_turn(cold, given))
        for name in given.sizes:
            dataset = land(name, folders[name], cloud)
            runs = run_in_turn([(contender, dataset) for contender in contenders(lakewright, given)], given)
            compared.append(comparison(dataset.size, runs))
            if len(given.memory_mb) > 1:
                grouped = by_contender(runs)
                compared.append(costs(dataset.size, {size: grouped[named(size, BATCH)] for size in given.memory_mb}))
            reached += targets(dataset.size, runs)
            if name == FORMS_OF and given.forms:
                others += [other_forms(lakewright, dataset, folders[name], cloud, given)]
        if given.tiny:
            folder = make(TINY, TINY_RECORDS, state / "data", "--objects", str(TINY_OBJECTS))
            dataset = land(TINY, folder, cloud)
            contender = f"{OURS}, {TINY_MEMORY_MB} MB, {TINY_AT_ONCE:,} objects an event"
            ours = partial(lakewright.run, contender, Job(TINY_MEMORY_MB, TINY_AT_ONCE))
            others += [tiny_objects(dataset.size, run_in_turn([(ours, dataset)], given))]
    introduction = INTRODUCTION.format(
        repetitions=given.common.repetitions,
        binary_mb=binary.stat().st_size / 1e6,
        **circumstances(versions(given)),
    )
    sections = [introduction, "## Medians", *compared, cold_section, *others]
    if reached:
        sections += ["## Targets", "\n".join(reached)]
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
