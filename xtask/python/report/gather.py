"""Reads what a rekey job has done from its ledger and the listings of its source and target. Nothing is written.

Of each page of the ledger the sums are kept, and nothing else, so memory does not grow with the lake."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from landing.jobs import destinations
from localcloud.clients import CONNECTIONS, client
from localcloud.ledger import example, keys, listing, split
from localcloud.progress import Failure, progress
from report.bounded import Heat, Late, OverTime, Seconds, Sizes
from report.lake import Compaction, looked_at
from report.moments import Moment, arrival, happened
from report.spent import spent

Document = dict[str, Any]
EXAMPLES = 3
# Records and details are cut here.
WIDTH = 400
# No more files of the quarantine are opened, in search of an example of each reason.
OPENED = 50
# Batches whose documents are read side by side, and held until they are added.
TOGETHER = CONNECTIONS


class NoLedger(Failure):
    """Nothing is committed in a target."""


def read(bucket: str, key: str) -> Document | None:
    """A document of the ledger; `None` if a rule of the bucket has deleted it."""
    s3 = client("s3")
    try:
        return json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except s3.exceptions.NoSuchKey:
        return None


class Commits:
    """Sums over the commits of a ledger."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._bucket, prefix = split(target)
        self._ledger = f"{prefix}_lakewright/"
        self.settings: Document = {}
        self._newest = ""
        self._counts: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._over_time, self._heat, self._late, self._seconds = OverTime(), Heat(), Late(), Seconds()
        self._quarantines: list[str] = []

    def read(self) -> None:
        """All of them, some at a time."""
        found = keys(self._bucket, f"{self._ledger}commit/")
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            while some := list(islice(found, TOGETHER)):
                for documents in pool.map(self._documents, some):
                    self._add(*documents)
                progress(self._counts["batches"], 0, f"{self._counts['batches']:,} batches of the ledger")

    def _documents(self, key: str) -> tuple[Document | None, Document | None, Document | None]:
        bid = key.rpartition("/")[2]
        commit, plan, batch = (read(self._bucket, f"{self._ledger}{kind}/{bid}") for kind in ("commit", "plan", "batch"))
        return commit, plan, batch

    def _add(self, commit: Document | None, plan: Document | None, batch: Document | None) -> None:
        if commit is None:
            return
        self._counts["batches"] += 1
        self._statuses.update(report["status"] for report in commit["objects"].values())
        self._left_out.update(left["why"] for left in commit.get("left_out", {}).values())
        self._counts["lost"] += len(commit.get("lost", []))
        for report in commit["objects"].values():
            for name in ("rows_in", "rows_out", "rows_quarantined"):
                self._counts[name] += report[name]
            self._reasons.update(report.get("quarantined_by_reason", {}))
            if (seconds := report.get("landing_to_commit_seconds")) is not None:
                self._seconds.add(seconds)
        if commit.get("quarantine"):
            self._counts["quarantines"] += 1
            if len(self._quarantines) < OPENED:
                self._quarantines.append(commit["quarantine"])
        if batch:
            landed = max((member["landed"] for member in (plan or {}).get("members", [])), default="")
            if not self.settings or landed > self._newest:
                self.settings, self._newest = batch["settings"]["job"], landed
        roots = [split(root)[1] for root, _ in first_outputs(self.settings, self._target)]
        written = {output["key"]: output["rows"] for output in commit["outputs"]}
        self._counts["outputs"] += len(written)
        self._counts["output_bytes"] += sum(output["bytes"] for output in commit["outputs"])
        # Each row counts once, so of several outputs only the first is looked at.
        moments = {key: happened(key.removeprefix(root)) for root in roots for key in written if key.startswith(root)}
        for key, moment in moments.items():
            if moment:
                self._over_time.add(*moment, rows=written[key], files=1)
        if plan and batch:
            self._when(commit, plan, batch, moments)

    def _when(self, commit: Document, plan: Document, batch: Document, moments: dict[str, Moment | None]) -> None:
        """The rows of a batch by when they arrived and happened."""
        committed = {report["source"] for report in commit["objects"].values()}
        arrivals: dict[int, datetime] = {}
        for member in plan["members"]:
            source = batch["candidates"][member["candidate"]]["source"]
            if source in committed:
                landed = datetime.fromisoformat(member["landed"]).astimezone(UTC)
                arrivals[member["candidate"]] = arrival(split(source)[1]) or landed
        for output in plan["outputs"]:
            moment = moments.get(output["key"])
            for candidate, rows in output["rows"] if moment else []:
                if moment and candidate in arrivals:
                    self._heat.add(arrivals[candidate], *moment, rows)
                    self._late.add(arrivals[candidate], *moment, rows)

    def _examples(self) -> Iterator[Document]:
        """Some of the quarantined records of each reason."""
        shown: Counter[str] = Counter()
        for quarantine in self._quarantines:
            wanted = [reason for reason in self._reasons if shown[reason] < EXAMPLES]
            if not wanted:
                return
            key = split(quarantine)[1] if quarantine.startswith("s3://") else quarantine
            try:
                body = client("s3").get_object(Bucket=self._bucket, Key=key)["Body"]
            except client("s3").exceptions.NoSuchKey:
                continue
            for line in body.iter_lines():
                record = json.loads(line)
                if shown[record["reason"]] < EXAMPLES:
                    shown[record["reason"]] += 1
                    yield example(record, WIDTH)
                if all(shown[reason] >= EXAMPLES for reason in self._reasons):
                    break
            body.close()

    def document(self) -> Document:
        """The sums."""
        given_up = sum(1 for _ in keys(self._bucket, f"{self._ledger}failed/"))
        return {
            "ledger": {
                **{name: self._counts[name] for name in ("batches", "rows_in", "rows_out", "rows_quarantined", "outputs", "output_bytes", "quarantines", "lost")},
                "statuses": dict(self._statuses),
                "left_out": dict(self._left_out),
                "given_up": given_up,
            },
            "over_time": self._over_time.document(),
            "heat": self._heat.document(),
            "late": self._late.document(),
            "latency": self._seconds.document(),
            "quarantine": {"reasons": dict(self._reasons.most_common()), "examples": list(self._examples())},
        }


def first_outputs(settings: Document, target: str) -> list[tuple[str, str]]:
    """Where the files of the first output lie, of each table that the job writes, and the ledger of its compaction."""
    found = []
    for written in destinations(settings).values():
        root = written["target"] if "route" in settings else target
        found.append((root + first_output(written), f"{root}_lakewright/"))
    return found


def first_output(settings: Document) -> str:
    """Where the files of the first output lie below the target."""
    outputs = settings.get("output") or [{}]
    if (prefix := outputs[0].get("prefix")) is not None:
        return str(prefix)
    return f"{outputs[0]['format']}/" if len(outputs) > 1 else ""


def landed(source: str, error_prefix: str | None) -> Document:
    """What lies in the source now."""
    bucket, prefix = split(source)
    errors = split(error_prefix)[1] if error_prefix else None
    sizes = Sizes()
    for item in listing(bucket, prefix):
        if not (errors and item["Key"].startswith(errors)):
            sizes.add(item["Size"])
            if sizes.count % 10_000 == 0:
                progress(sizes.count, 0, f"{sizes.count:,} objects of the source")
    return sizes.document()


def made() -> str:
    """When the report is made."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def gathered(target: str, name: str | None = None, compaction: Compaction | None = None) -> Document:
    """All that the report shows of one job, by its target."""
    commits = Commits(target)
    commits.read()
    settings = commits.settings
    if not settings:
        raise NoLedger(f"{target} has no ledger of a rekey job: nothing is committed there yet, or it is another job's target")
    progress(0, 0, "files of the target")
    lake = looked_at(first_outputs(settings, target), compaction or Compaction())
    read = commits.document()
    lies = landed(settings["source"], settings.get("error_prefix"))
    return {
        "name": name or settings["name"],
        "source": settings["source"],
        "target": target,
        "table": ", ".join(written["table"] for written in destinations(settings).values() if written.get("table")) or None,
        "zone": settings["timestamp"].get("zone") or "UTC",
        "partition_by": settings.get("partition_by"),
        "landed": lies,
        **lake,
        **read,
        "spent": spent(read["ledger"], lies, settings),
    }
