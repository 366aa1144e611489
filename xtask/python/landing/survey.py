"""Looks at a configuration and at the files that are to land for its jobs, before anything is built or started: what is
wrong is said now, and what is to be made is written down."""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from flights.table import table_input
from landing import files, jobs, records, tables, times
from landing.jobs import PARTITION_BY, Job, Jobs, destinations
from localcloud.progress import Failure, progress, run

Table = dict[str, Any]
FORMATS = {"json": "JSON", "csv": "CSV", "parquet": "Parquet"}


def landings(config: Jobs, given: list[str]) -> dict[str, list[Path]]:
    """The paths to land for each job, from `[NAME=]PATH`."""
    by_job: dict[str, list[Path]] = {}
    names = {job.name for job in config.jobs}
    for text in given:
        name, separator, path = text.partition("=")
        if separator and name in names:
            by_job.setdefault(config.taker(name).name, []).append(Path(path))
        elif separator and not Path(text).exists():
            config.taker(name)
        else:
            by_job.setdefault(config.taker(None).name, []).append(Path(text))
    return by_job


def looked_at(found: list[files.Landing]) -> list[files.Look]:
    """A look at each file."""
    looks = []
    for number, landing in enumerate(found):
        progress(number, len(found), f"looking at {landing.key}")
        looks.append(files.look(landing))
    return looks


def is_looked_at(job: Job) -> bool:
    """Whether files of the job's format are looked at. Others only land."""
    return job.format is None or job.format in FORMATS


def kind_of(looks: list[files.Look], expected: str | None, what: str) -> str:
    """The format of most of the files; if the job reads another one, that is said before all records are quarantined."""
    kinds = Counter(look.format for look in looks if look.format)
    if not kinds:
        problems = "\n".join(f"  {look.landing.path}: {look.problem}" for look in looks[:5])
        raise Failure(f"no file can be read:\n{problems}")
    ((most, _),) = kinds.most_common(1)
    if expected and expected not in kinds:
        raise Failure(
            f"{what} reads {FORMATS[expected]}, but the files hold {FORMATS[most]}: "
            f'write format = "{most}" in its entry, or name other files'
        )
    return expected or most


def routed(seen: records.Records, kind: str, route: dict[str, Any], value: str) -> records.Records:
    """The records that `route` sends where those of a value go, and their columns."""

    def goes_there(row: records.Record) -> bool:
        found = dict(times.fields(row)).get(route["column"])
        text = found if isinstance(found, str) else json.dumps(found)
        return text == value or (route.get("otherwise") == value and text not in route["tables"])

    rows = [row for row in seen.rows if goes_there(row)]
    columns = seen.columns if kind != "json" and rows else records.columns_of_json(rows)
    return seen._replace(rows=rows, columns=columns)


def planned(job: Job, paths: list[Path]) -> tuple[dict[str, Any], list[Table]]:
    """What lands for a job, and the tables that follow from it."""
    found = files.gathered(paths)
    landing = {
        "job": job.name,
        "kind": job.kind,
        "source": job.source,
        "files": [{"path": str(one.path), "key": one.key} for one in found],
        "problems": [],
    }
    if not is_looked_at(job):
        return landing, []
    looks = looked_at(found)
    kind = kind_of(looks, job.format, f"{job.kind} `{job.name}`")
    delimiter = (job.settings.get("csv") or {}).get("delimiter")
    seen = records.read([look for look in looks if look.format == kind], kind, delimiter)
    made: list[Table] = []
    if job.source_table:
        database, name = job.source_table.split(".", 1)
        columns = tables.lowered(seen.columns, [])
        made.append({"database": database, "input": tables.source_input(name, str(job.source), kind, columns, seen.csv)})
    for value, written in destinations(job.settings).items():
        if "table" not in written or written.get("manage_table"):
            continue
        database, name = written["table"].split(".", 1)
        keys = written.get("partition_by", PARTITION_BY if job.kind == "rekey" else [])
        of = routed(seen, kind, job.settings["route"], value) if "route" in job.settings else seen
        columns = tables.lowered(times.with_time(of.columns, of.rows, job.settings.get("timestamp", {})), keys)
        if columns:
            made.append({"database": database, "input": table_input(name, written["target"], columns, keys)})
        elif "route" not in job.settings:
            raise Failure(f"{job.kind} `{job.name}`: no columns for its table {written['table']} are seen in the files")
    problems = [f"{look.landing.path}: {look.problem}" for look in looks if look.problem]
    return landing | {"problems": problems}, made


def unmade(config: Jobs, made: list[Table]) -> list[str]:
    """The tables that nothing says the columns of."""
    have = {f"{table['database']}.{table['input']['Name']}" for table in made}
    notes = []
    for job in config.jobs:
        for written in destinations(job.settings).values():
            table = written.get("table")
            if table and job.kind != "compact" and table not in have and not written.get("manage_table"):
                missing = f"the table {table} of {job.kind} `{job.name}` is not there: "
                if is_looked_at(job):
                    missing += f"nothing landed that shows its columns. Land a sample with --land {job.name}=FOLDER, or create it in Glue"
                else:
                    missing += f"its columns are not read from files of the format {job.format}. Create it in Glue"
                notes.append(missing)
        if job.source_table and job.source_table not in have and job.source_table not in config.written_tables():
            notes.append(
                f"the table {job.source_table}, which {job.kind} `{job.name}` reads, is not there: "
                f"land its files with --land {job.name}=FOLDER, or create it in Glue"
            )
    return notes


def main() -> dict[str, Any]:
    """Writes the plan, and answers with what has to be built and synthesized for it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--land", type=json.loads, default=[])
    arguments.add_argument("--plan", type=Path, required=True)
    given = arguments.parse_args()
    config = jobs.load(given.config)
    landed, made = [], []
    for name, paths in landings(config, given.land).items():
        landing, new = planned(config.taker(name), paths)
        landed.append(landing)
        made += new
    written = config.written_tables()
    named = [*written, *(job.settings.get("table") or job.source_table for job in config.jobs), *(job.source_table for job in config.jobs)]
    databases = {table.split(".", 1)[0] for table in named if table}
    plan = {
        "config": str(given.config),
        "buckets": config.buckets(),
        "databases": sorted(databases),
        "tables": made,
        "landings": landed,
    }
    given.plan.write_text(json.dumps(plan))
    elsewhere = [job for job in config.jobs if job.source_table and job.source_table not in written]
    notes = unmade(config, made)
    return {
        "jobs": len(config.jobs),
        "functions": config.functions(),
        "table_locations": ",".join(f"{job.source_table}={job.source}" for job in elsewhere),
        "files": sum(len(landing["files"]) for landing in landed),
        "notes": notes + [problem for landing in landed for problem in landing["problems"]],
    }


if __name__ == "__main__":
    run(main)
