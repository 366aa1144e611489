"""Results as a page of Markdown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

OURS = "Lakewright"
CLOUD = "cloud CPU s"
REFERENCES = ["DuckDB", "Polars", "Spark"]
# The project's goal: CPU at most that of the first reference, and this much memory.
MEMORY_TARGET_BYTES = 256 << 20
# A function has a processor for this much memory: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
PROCESSOR_MB = 1_769
# Of Lambda on arm64 in us-east-1: https://aws.amazon.com/lambda/pricing/
DOLLARS_PER_GB_SECOND = 0.0000133334


@dataclass(frozen=True)
class Run:
    """One run of one contender. Its wall time is that from its start to its last answer, so the init of a function is
    a part of it."""

    size: str
    contender: str
    repetition: int
    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    files: int
    output_bytes: int
    foreign_share: float
    init_seconds: float | None = None
    init_cpu_seconds: float | None = None
    # Of the local cloud meanwhile, which shares the cores; peers need none.
    cloud_cpu_seconds: float | None = None


@dataclass(frozen=True)
class Size:
    """A data set, in numbers."""

    name: str
    rows: int
    objects: int
    json_bytes: int
    gzip_bytes: int
    partitions: int


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table, all but its first column to the right."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *lines])


def of(runs: Sequence[Run], value: Callable[[Run], float]) -> float:
    """The median."""
    return median(value(run) for run in runs)


def by_contender(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs of each, in the order of their first."""
    grouped: dict[str, list[Run]] = {}
    for run in runs:
        grouped.setdefault(run.contender, []).append(run)
    return grouped


def cloud_cpu(own: Sequence[Run]) -> str:
    """What the local cloud needed meanwhile; nothing for a contender that does not use it."""
    if any(run.cloud_cpu_seconds is None for run in own):
        return ""
    return f"{of(own, lambda run: run.cloud_cpu_seconds or 0):.2f}"


def comparison(size: Size, runs: Sequence[Run]) -> str:
    """Medians of all contenders on one data set, and CPU as multiples of the references'."""
    grouped = by_contender(runs)
    references = [name for name in REFERENCES if name in grouped]
    lines = []
    for name, own in grouped.items():
        cpu = of(own, lambda run: run.cpu_seconds)
        ratios = [f"{cpu / of(grouped[other], lambda run: run.cpu_seconds):.2f}" for other in references]
        lines.append(
            [
                name,
                f"{of(own, lambda run: run.wall_seconds):.2f}",
                f"{cpu:.2f}",
                f"{cpu / (size.json_bytes / 1e9):.2f}",
                f"{of(own, lambda run: run.peak_rss_bytes) / 1e6:.0f}",
                f"{of(own, lambda run: run.files):.0f}",
                f"{of(own, lambda run: run.output_bytes) / 1e6:.1f}",
                *ratios,
                f"{of(own, lambda run: run.foreign_share):.2f}",
                cloud_cpu(own),
            ]
        )
    head = ["", "wall s", "CPU s", "CPU s/GB", "peak MB", "files", "output MB"]
    head += [f"CPU / {name}" for name in references] + ["foreign", CLOUD]
    title = (
        f"### {size.name}: {size.rows:,} records, {size.json_bytes / 1e6:,.0f} MB of JSON "
        f"({size.gzip_bytes / 1e6:,.1f} MB of gzip) in {size.objects} objects, {size.partitions} partitions\n\n"
    )
    return title + table(head, lines)


def medians(title: str, runs: Sequence[Run], references: Sequence[str]) -> str:
    """Medians of all contenders at one piece of work, and CPU as multiples of the references'."""
    grouped = by_contender(runs)
    known = [name for name in references if name in grouped]
    lines = []
    for name, own in grouped.items():
        cpu = of(own, lambda run: run.cpu_seconds)
        lines.append(
            [
                name,
                f"{of(own, lambda run: run.wall_seconds):.2f}",
                f"{cpu:.2f}",
                f"{of(own, lambda run: run.peak_rss_bytes) / 1e6:.0f}",
                f"{of(own, lambda run: run.files):.0f}",
                f"{of(own, lambda run: run.output_bytes) / 1e6:.1f}",
                *(f"{cpu / of(grouped[other], lambda run: run.cpu_seconds):.2f}" for other in known),
                f"{of(own, lambda run: run.foreign_share):.2f}",
                cloud_cpu(own),
            ]
        )
    head = ["", "wall s", "CPU s", "peak MB", "files", "output MB", *(f"CPU / {name}" for name in known), "foreign", CLOUD]
    return f"### {title}\n\n{table(head, lines)}"


def cold_starts(size: Size, runs: Sequence[Run]) -> str:
    """Medians of cold invocations on one object."""
    lines = [
        [
            name,
            f"{of(own, lambda run: run.init_seconds or 0) * 1e3:.0f}",
            f"{of(own, lambda run: run.init_cpu_seconds or 0) * 1e3:.1f}",
            f"{of(own, lambda run: run.wall_seconds - (run.init_seconds or 0)) * 1e3:.0f}",
            f"{of(own, lambda run: run.cpu_seconds):.2f}",
            f"{of(own, lambda run: run.peak_rss_bytes) / 1e6:.0f}",
            f"{of(own, lambda run: run.files):.0f}",
        ]
        for name, own in by_contender(runs).items()
    ]
    title = (
        f"### One cold invocation, one object: {size.gzip_bytes / 1e6:.1f} MB of gzip, "
        f"{size.json_bytes / 1e6:.1f} MB of JSON, {size.rows:,} records, {size.partitions} partitions\n\n"
    )
    return title + table(["memory size", "init ms", "init CPU ms", "invocation ms", "CPU s", "peak MB", "files"], lines)


def costs(size: Size, by_memory_mb: Mapping[int, Sequence[Run]]) -> str:
    """What Lambda asks for a million records at each memory size, computed from the CPU that was measured."""
    lines = []
    for memory_mb, own in by_memory_mb.items():
        cpu = of(own, lambda run: run.cpu_seconds)
        # More processors than it uses here are of no use there.
        seconds = max(cpu * PROCESSOR_MB / memory_mb, of(own, lambda run: run.wall_seconds))
        dollars = seconds * memory_mb / 1_024 * DOLLARS_PER_GB_SECOND
        lines.append(
            [
                f"{memory_mb} MB",
                f"{cpu:.2f}",
                f"{of(own, lambda run: run.peak_rss_bytes) / 1e6:.0f}",
                f"{seconds:.1f}",
                f"{dollars * 1e6 / size.rows:.6f}",
            ]
        )
    title = (
        f"### {size.name}, one batch: seconds and dollars by memory size\n\n"
        f"Lambda gives a processor for {PROCESSOR_MB:,} MB, so `seconds` are the CPU times {PROCESSOR_MB:,} MB over the memory "
        f"size, and no less than the wall time here. `$ / million` is that time at ${DOLLARS_PER_GB_SECOND:.10f} for a GB-second, for a "
        f"million records; requests cost the same at every size.\n\n"
    )
    return title + table(["memory size", "CPU s", "peak MB", "seconds", "$ / million"], lines)


def tiny_objects(size: Size, runs: Sequence[Run]) -> str:
    """Medians of the same records in very many objects."""
    lines = [
        [
            name,
            f"{of(own, lambda run: run.wall_seconds):.2f}",
            f"{of(own, lambda run: run.cpu_seconds):.2f}",
            f"{of(own, lambda run: run.cpu_seconds) * 1e3 / size.objects:.2f}",
            f"{of(own, lambda run: run.peak_rss_bytes) / 1e6:.0f}",
            f"{of(own, lambda run: run.files):.0f}",
            f"{of(own, lambda run: run.foreign_share):.2f}",
        ]
        for name, own in by_contender(runs).items()
    ]
    title = f"### {size.objects:,} objects of {size.gzip_bytes / size.objects:,.0f} bytes: {size.rows:,} records\n\n"
    return title + table(["", "wall s", "CPU s", "CPU ms / object", "peak MB", "files", "foreign"], lines)


def targets(size: Size, runs: Sequence[Run]) -> list[str]:
    """Whether we reach what we ask of ourselves, a line for each of our ways to run; none without the reference."""
    grouped = by_contender(runs)
    reference = REFERENCES[0]
    if reference not in grouped:
        return []
    allowed = of(grouped[reference], lambda run: run.cpu_seconds)
    lines = []
    for name, own in grouped.items():
        if name.startswith(OURS):
            cpu, peak = of(own, lambda run: run.cpu_seconds), max(run.peak_rss_bytes for run in own)
            lines.append(
                f"- {size.name}, {name}: CPU at most {reference}'s: {yes(cpu <= allowed)} (its {allowed / cpu:.2f} of "
                f"ours); peak at most {MEMORY_TARGET_BYTES >> 20} MiB: {yes(peak <= MEMORY_TARGET_BYTES)} "
                f"({peak / 2**20:.0f} MiB)"
            )
    return lines


def yes(reached: bool) -> str:
    """Whether a target is reached, so that it is seen where it is not."""
    return "yes" if reached else "NO"
