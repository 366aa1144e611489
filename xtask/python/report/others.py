"""What the other jobs have done, by their ledgers: objects and bytes before and after. Nothing is written, and of each document only the
sums are kept."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, islice
from typing import Any

from landing.jobs import Job
from localcloud.clients import CONNECTIONS, client
from localcloud.ledger import keys, listing, split
from report.gather import Document, read

# An entry of compact's ledger: the partition, the entry and the generation.
ENTRY = re.compile(r"(?P<path>.*/)?(?P<entry>plan|published|abandoned|failed)/(?P<generation>\d+)")


def side_by_side(bucket: str, names: Iterable[str]) -> Iterator[Document]:
    """Documents of a ledger, some at a time; those that a rule of the bucket has deleted are left out."""
    names = iter(names)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        while some := list(islice(names, CONNECTIONS)):
            yield from filter(None, pool.map(lambda key: read(bucket, key), some))


def of_split(job: Job) -> Document:
    """Of each result, one object for each row."""
    bucket, prefix = split(job.settings["target"])
    ledger = f"{prefix}_lakewright/split/"
    counts: Counter[str] = Counter()

    def summaries() -> Iterator[str]:
        for key in keys(bucket, ledger):
            entry = key.removeprefix(ledger).partition("/")[2]
            counts["plans"] += entry == "plan"
            if entry == "_SUCCESS":
                yield key

    for summary in side_by_side(bucket, summaries()):
        counts["done"] += 1
        for name in ("rows", "objects", "bytes", "collisions", "duplicates"):
            counts[name] += summary[name]
    notes = {"under way or failed": counts["plans"] - counts["done"], "rows whose key another row has": counts["collisions"] + counts["duplicates"]}
    return {"of": "result", "done": counts["done"], "before": ["rows", counts["rows"], None], "after": ["objects", counts["objects"], counts["bytes"]], "notes": notes}


def of_compact(job: Job) -> Document:
    """Of each partition the newest merge that readers see."""
    target = job.settings.get("target")
    if target is None:
        database, _, table = job.settings["table"].partition(".")
        target = client("glue").get_table(DatabaseName=database, Name=table)["Table"]["StorageDescriptor"]["Location"].rstrip("/") + "/"
    bucket, ledger = split(job.settings.get("ledger") or f"{target}_lakewright/")
    prefix = f"{ledger}partition/"
    counts: Counter[str] = Counter()

    def newest() -> Iterator[str]:
        matches = filter(None, (ENTRY.fullmatch(key.removeprefix(prefix)) for key in keys(bucket, prefix)))
        # A listing is sorted, so the entries of a kind follow each other.
        for (path, entry), found in groupby(matches, key=lambda match: (match["path"] or "", match["entry"])):
            generations = [match["generation"] for match in found]
            counts[entry] += len(generations)
            if entry == "published":
                yield f"{prefix}{path}plan/{generations[-1]}"

    for plan in side_by_side(bucket, newest()):
        counts["partitions"] += 1
        counts["files"] += len(plan["bins"])
        counts["files_before"] += sum(len(bin["inputs"]) for bin in plan["bins"])
        counts["bytes_before"] += sum(bin["bytes"] for bin in plan["bins"])
        # In place, they are moved beside the old ones.
        outputs = {bin["output"] for bin in plan["bins"]}
        at, below = split(plan["from" if plan["settings"].get("mode") == "in_place" else "to"])
        counts["bytes"] += sum(item["Size"] for item in listing(at, below) if item["Key"].removeprefix(below) in outputs)
    notes = {
        "merges that readers see, of all time": counts["published"],
        "planned, and not published yet or given up": counts["plan"] - counts["published"],
        "given up": counts["abandoned"],
        "failed": counts["failed"],
    }
    before = ["files", counts["files_before"], counts["bytes_before"]]
    return {"of": "partition", "done": counts["partitions"], "before": before, "after": ["files", counts["files"], counts["bytes"]], "notes": notes}


def of_repartition(job: Job) -> Document:
    """Of the runs the newest that is committed: it has the smallest number."""
    bucket, prefix = split(job.settings["target"])
    ledger = f"{prefix}_lakewright/repartition/{job.name}/"
    counts: Counter[str] = Counter()

    def commits() -> Iterator[str]:
        for key in keys(bucket, ledger):
            number, _, entry = key.removeprefix(ledger).partition("/")
            if number.isdigit():
                counts["plans"] += entry == "plan"
                if entry == "commit":
                    yield number

    newest: tuple[str, Document] | None = None
    for number in commits():
        commit = read(bucket, f"{ledger}{number}/commit")
        if commit is None or commit.get("withdrawn"):
            counts["withdrawn"] += 1
            continue
        counts["done"] += 1
        newest = newest or (number, commit)
    before, after = ["files", 0, 0], ["files", 0, 0]
    if newest:
        number, commit = newest
        sources = (read(bucket, f"{ledger}{number}/plan") or {"sources": []})["sources"]
        before = ["files", len(sources), sum(source["size"] for source in sources)]
        after = ["files", commit["outputs"], commit["bytes"]]
    notes = {"under way": counts["plans"] - counts["done"] - counts["withdrawn"], "withdrawn": counts["withdrawn"], "rows of the newest run": newest[1]["rows"] if newest else 0}
    return {"of": "run", "done": counts["done"], "before": before, "after": after, "notes": notes}


KINDS = {"split": of_split, "compact": of_compact, "repartition": of_repartition}


def other(job: Job) -> dict[str, Any]:
    """What one of them has done."""
    found = KINDS[job.kind](job)
    return {"kind": job.kind, "name": job.name, **found, "notes": {what: count for what, count in found["notes"].items() if count}}
