"""The jobs of a `lakewright.toml`, as far as they are needed to try it: functions, buckets, tables, prefixes."""

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from localcloud.ledger import split
from localcloud.progress import Failure

FUNCTIONS = {
    "rekey": ["rekey"],
    "split": ["split-plan", "split-rows"],
    "compact": ["compact-plan", "compact-merge", "compact-publish"],
    "repartition": ["repartition-plan", "repartition-write", "repartition-commit"],
}
# Rekey's own partitions.
PARTITION_BY = ["year", "month", "day", "hour"]
# Where the data of tables lie that no job writes.
TABLES = "s3://lakewright-tables/"


def destinations(settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a job writes to: by the values of `route`, each with the job's settings where it has none of its own; else itself."""
    route = settings.get("route")
    if not route:
        return {"": settings}
    shared = {name: value for name, value in settings.items() if name not in ("route", "target", "table")}
    return {value: shared | own for value, own in route["tables"].items()}


class Job(NamedTuple):
    """One entry."""

    kind: str
    name: str
    settings: dict[str, Any]

    @property
    def source(self) -> str | None:
        """The prefix that is read, or the place of the table that is."""
        source = self.settings.get("source")
        if source is None or source.startswith("s3://"):
            return source
        return f"{TABLES}{source.replace('.', '/')}/"

    @property
    def source_table(self) -> str | None:
        """The table that is read."""
        source = self.settings.get("source")
        return None if source is None or source.startswith("s3://") else source

    @property
    def format(self) -> str | None:
        """What its objects hold; of a table's, whatever the files hold."""
        if self.source_table:
            return None
        return self.settings.get("format", "json" if self.kind == "rekey" else None)


class Jobs(NamedTuple):
    """All entries."""

    file: Path
    jobs: list[Job]

    def functions(self) -> list[str]:
        """The functions that they are made of."""
        kinds = {job.kind for job in self.jobs}
        return [name for kind, names in FUNCTIONS.items() if kind in kinds for name in names]

    def written_tables(self) -> dict[str, Job]:
        """The tables over what jobs write."""
        return {
            written["table"]: job
            for job in self.jobs
            if job.kind in ("rekey", "repartition")
            for written in destinations(job.settings).values()
            if "table" in written
        }

    def takers(self) -> list[Job]:
        """The jobs that files can be landed for."""
        written = self.written_tables()
        return [job for job in self.jobs if job.source and job.source_table not in written]

    def taker(self, name: str | None) -> Job:
        """The job that files are landed for: the one of that name, or the only one."""
        takers = self.takers()
        names = ", ".join(f"`{job.name}`" for job in takers)
        if name is None:
            if len(takers) == 1:
                return takers[0]
            if not takers:
                raise Failure(f"{self.file}: no job reads files that could be landed; leave out --land")
            raise Failure(f"{self.file} has several jobs that read files ({names}): say which: --land NAME=FOLDER")
        for job in takers:
            if job.name == name:
                return job
        raise Failure(f"{self.file} has no job `{name}` that reads files: there is {names or 'none'}")

    def buckets(self) -> list[str]:
        """Every bucket that is named."""
        places = [
            place
            for job in self.jobs
            for key in ("source", "target", "generations", "ledger")
            if isinstance(place := job.settings.get(key), str) and place.startswith("s3://")
        ]
        places += [place for job in self.jobs for place in job.settings.get("sources", [])]
        return list(dict.fromkeys(split(place)[0] for place in places))


def load(file: Path) -> Jobs:
    """Reads the file as far as that. The rules between entries are the CDK app's and the functions' to check."""
    try:
        content = tomllib.loads(file.read_text())
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failure(f"{file} is no TOML: {error}") from error
    jobs = []
    for kind in FUNCTIONS:
        entries = content.get(kind, [])
        if not isinstance(entries, list):
            raise Failure(f"{file}: write [[{kind}]] in double brackets, since there may be several")
        for entry in entries:
            jobs.append(Job(kind, str(entry.get("name") or entry.get("table") or entry.get("target")), entry))
    if not jobs:
        raise Failure(f"{file} names no job: write one of {', '.join(f'[[{kind}]]' for kind in FUNCTIONS)}")
    return Jobs(file, jobs)
