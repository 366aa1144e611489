"""The files that readers of a target see, as its listing has them: partition by partition, and none is held."""

import json
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from localcloud.clients import client
from localcloud.ledger import listing, split
from report.bounded import Largest, Sizes

STATE = "state"


class Compaction(NamedTuple):
    """What compact merges: the settings of the job, or those that it has by default."""

    target_size: int = 256 << 20
    small_below: int = 75
    min_files: int = 5
    files: int | None = None

    def after(self, sizes: list[int]) -> int:
        """How many files there are after it."""
        small = [size for size in sizes if size * 100 < self.target_size * self.small_below]
        if self.files is not None:
            return min(len(sizes), self.files)
        if len(small) < self.min_files:
            return len(sizes)
        return len(sizes) - len(small) + -(-sum(small) // self.target_size)


Partition = tuple[str, list[int]]


def _directories(bucket: str, prefix: str) -> Iterator[Partition]:
    """Each directory below a prefix, and the sizes of its files. A listing is sorted, so those of a partition follow each other."""

    def visible() -> Iterator[tuple[str, int]]:
        for item in listing(bucket, prefix):
            path = item["Key"].removeprefix(prefix)
            if not any(part.startswith(("_", ".")) for part in path.split("/")):
                yield path.rpartition("/")[0], item["Size"]

    for path, files in groupby(visible(), key=itemgetter(0)):
        yield path, [size for _, size in files]


def _compacted(bucket: str, ledger: str) -> Iterator[tuple[str, str]]:
    """The partitions that compact has merged, in the order of a listing, and their directories."""
    prefix = f"{ledger}partition/"
    for item in listing(bucket, prefix):
        path, _, name = item["Key"].removeprefix(prefix).rpartition("/")
        if name == STATE:
            state = json.loads(client("s3").get_object(Bucket=bucket, Key=item["Key"])["Body"].read())
            if state["generation"] > 0:
                yield path, state["directory"]


def partitions(root: str, ledger: str) -> Iterator[Partition]:
    """Each partition that readers of the catalog see, with the sizes of its files: what compact has merged lies elsewhere, and its old
    files stay until no query can need them."""
    bucket, prefix = split(root)
    merged = _compacted(*split(ledger))
    path, directory = next(merged, (None, ""))
    for found, sizes in _directories(bucket, prefix):
        while path is not None and path + "/" < found + "/":
            yield from _generation(path, directory)
            path, directory = next(merged, (None, ""))
        if found == path:
            yield from _generation(path, directory)
            path, directory = next(merged, (None, ""))
        else:
            yield found, sizes
    while path is not None:
        yield from _generation(path, directory)
        path, directory = next(merged, (None, ""))


def _generation(path: str, directory: str) -> Iterator[Partition]:
    sizes = [item["Size"] for item in listing(*split(directory))]
    if sizes:
        yield path, sizes


def looked_at(roots: list[tuple[str, str]], compaction: Compaction) -> dict[str, Any]:
    """The files now and after a compaction, below places that each have a ledger of their own."""
    sizes, most = Sizes(), Largest()
    directories = small = after = affected = 0
    found = ((root, *partition) for root, ledger in roots for partition in partitions(root, ledger))
    for root, path, files in found:
        directories += 1
        for size in files:
            sizes.add(size)
            small += size * 100 < compaction.target_size * compaction.small_below
        left = compaction.after(files)
        after += left
        affected += left < len(files)
        name = path if len(roots) == 1 else f"{split(root)[1]}{path}"
        most.add(len(files) - left, name or "(no partition)", [len(files), left, sum(files)])
    return {
        "lake": {**sizes.document(), "partitions": directories},
        "compaction": {
            **compaction._asdict(),
            "files": sizes.count,
            "small": small,
            "after": after,
            "partitions": affected,
            # Of 100 files that there are, so many are needed.
            "score": round(100 * after / sizes.count) if sizes.count else None,
            "most": list(most),
        },
    }
