"""Looks at files, and proposes a job for them as a commented `lakewright.toml`. Whatever is given is not guessed."""

import argparse
import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from landing import files, records, tables, times
from landing.survey import FORMATS, kind_of, looked_at
from localcloud.progress import Failure, run

LANDING, LAKE = "lakewright-landing", "lakewright-lake"
MARK = "# Written by `cargo xtask try`"
# As hive's reserved words go, none is a name that files have.
_NAME = re.compile(r"[^a-z0-9]+")
SHOWN = 6


def name_of(paths: list[Path]) -> str:
    """A job's name, from that of the file or folder."""
    stem = paths[0].resolve().name.split(".")[0]
    name = _NAME.sub("_", stem.lower()).strip("_")
    return name if name and name[0].isalpha() else f"job_{name}".rstrip("_")


def text(value: Any) -> str:
    """A value as TOML. JSON's texts are TOML's, except for the character DEL."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {text(of)}" for key, of in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(text, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def span(candidate: times.Candidate) -> list[str]:
    """Partitions that neither hold a handful of rows each nor all of them."""
    days = (candidate.last - candidate.first).total_seconds() / 86_400
    if days <= 4:
        return ["year", "month", "day", "hour"]
    return ["year", "month", "day"] if days <= 800 else ["year", "month"]


def free(parts: list[str], columns: dict[str, str]) -> tuple[list[str], list[str]]:
    """The partitions, and those of them that are also columns: a table has one or the other."""
    names = {name.lower() for name in columns}
    taken = [part for part in parts if part in names]
    if taken and parts[-1:] == ["day"] and "date" not in names:
        return ["date"], []
    if taken and parts[-1:] == ["hour"] and not names & {"date", "hour"}:
        return ["date", "hour"], []
    return parts, taken


def agreed(seen: records.Records, given: argparse.Namespace) -> tuple[times.Candidate | None, list[times.Candidate]]:
    """The timestamp's column: the one that was asked for, or the likeliest."""
    if given.timestamp is None:
        found = times.candidates(seen.rows)
        if found and given.timestamp_format:
            chosen = times.chosen(seen.rows, found[0].column, given.timestamp_format)
            found = [chosen, *found[1:]] if chosen else []
        return (found[0] if found else None), found[1:]
    names = sorted({name for row in seen.rows for name, _ in times.fields(row)})
    if given.timestamp not in names:
        raise Failure(f"there is no column `{given.timestamp}` in the files: there is {', '.join(names)}")
    chosen = times.chosen(seen.rows, given.timestamp, given.timestamp_format)
    if chosen is None:
        raise Failure(
            f"no value of `{given.timestamp}` is read as a time"
            + (f" by {given.timestamp_format}" if given.timestamp_format else "")
            + ": give the form with --timestamp-format, in strptime's notation, such as %d/%m/%Y"
        )
    return chosen, [other for other in times.candidates(seen.rows) if other.column != given.timestamp]


def about(candidate: times.Candidate) -> str:
    """What a column is as a time, in words."""
    form = {"text": "usual form", "date": "dates only", "number": "counted from 1970"}.get(candidate.kind)
    return (
        f"`{candidate.column}` ({form or candidate.pattern}): a time in {candidate.parsed:,} of {candidate.records:,} "
        f"records, {candidate.first:%Y-%m-%d %H:%M} to {candidate.last:%Y-%m-%d %H:%M}"
    )


class Proposal:
    """A job, line by line."""

    def __init__(self, kind: str) -> None:
        self.lines = [f"[[{kind}]]"]

    def set(self, key: str, value: Any) -> None:
        """A setting."""
        self.lines.append(f"{key} = {text(value)}")

    def say(self, words: str) -> None:
        """A comment."""
        self.lines.append(f"# {words}")


def output_of(formats: list[str]) -> list[dict[str, str]]:
    """What is written."""
    return [{"format": name} for name in formats]


def begun(proposal: Proposal, name: str, kind: str, seen: records.Records) -> None:
    """The settings that every job has."""
    proposal.set("name", name)
    proposal.say("Where the files land. Before you deploy: your own bucket.")
    proposal.set("source", f"s3://{LANDING}/{name}/")
    proposal.set("format", kind)
    if seen.csv:
        proposal.say("How the CSV is written.")
        form: dict[str, Any] = {"delimiter": seen.csv.delimiter, "quote": seen.csv.quote, "header": seen.csv.header}
        if not seen.csv.header:
            form["columns"] = seen.csv.columns
        proposal.set("csv", form)


def rekey(name: str, kind: str, seen: records.Records, given: argparse.Namespace) -> tuple[Proposal, dict[str, Any]]:
    """Files that have times go into partitions by them."""
    chosen, others = agreed(seen, given)
    if chosen is None:
        columns = ", ".join(list(seen.columns)[:20])
        raise Failure(
            f"no column holds a time in at least half of the records ({columns}): name it with --timestamp and, "
            "if its form is unusual, --timestamp-format; or write the files as they are with --job repartition"
        )
    proposal = Proposal("rekey")
    begun(proposal, name, kind, seen)
    proposal.say(about(chosen) + ".")
    if chosen.twin:
        proposal.say(f"`{chosen.twin}` fits all of them as well: make sure that day and month are not swapped.")
    for other in others[:3]:
        proposal.say(f"Or: {about(other)}.")
    rule: dict[str, Any] = {"column": chosen.column}
    if chosen.pattern:
        rule["format"] = chosen.pattern
    if given.unit:
        rule["unit"] = given.unit
    if given.zone:
        rule["zone"] = given.zone
    else:
        proposal.say('Times without an offset are UTC; for others add zone = "Europe/Berlin".')
    proposal.set("timestamp", rule)
    proposal.set("target", f"s3://{LAKE}/{name}/")
    if given.partition_by:
        parts, taken = given.partition_by, []
    else:
        parts, taken = free(span(chosen), seen.columns)
    days = (chosen.last - chosen.first).total_seconds() / 86_400
    proposal.say(f"The times span {days:,.1f} days.")
    if taken:
        proposal.say(f"The files' own columns {', '.join(taken)} give way to the partitions of that name.")
    proposal.set("partition_by", parts)
    proposal.say("The Glue table, which gives the columns and takes the partitions.")
    proposal.set("table", f"{name}.{name}")
    columns = tables.lowered(times.with_time(seen.columns, seen.rows, rule), parts)
    proposal.say("Its columns, from the files: " + ", ".join(f"{column} {of}" for column, of in columns.items()))
    proposal.set("output", output_of(given.output))
    return proposal, {
        "job": name,
        "kind": "rekey",
        "timestamp": rule,
        "parsed": chosen.parsed,
        "records": chosen.records,
        "ambiguous": chosen.twin,
        "partition_by": parts,
        "columns": columns,
    }


def repartition(name: str, kind: str, seen: records.Records, given: argparse.Namespace) -> tuple[Proposal, dict[str, Any]]:
    """Files without times become few large ones, or partitions by columns."""
    proposal = Proposal("repartition")
    begun(proposal, name, kind, seen)
    proposal.set("target", f"s3://{LAKE}/{name}/")
    if given.partition_by:
        proposal.set("partition_by", given.partition_by)
    else:
        proposal.say("All rows in one file. Or by columns: partition_by = [\"country\"].")
        proposal.set("files", 1)
    proposal.set("output", output_of(given.output))
    return proposal, {
        "job": name,
        "kind": "repartition",
        "partition_by": given.partition_by or [],
        "columns": seen.columns,
    }


def checked(body: str) -> str:
    """The hash by which a file is known to be as it was written."""
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def write(file: Path, body: str, *, force: bool) -> None:
    """Writes the configuration; what somebody else wrote or has changed is left."""
    if file.exists() and not force:
        head, _, rest = file.read_text().partition("\n")
        if not (head.startswith(MARK) and head.endswith(checked(rest))):
            raise Failure(
                f"{file} is there and not as `try` left it: name another file with --config, or overwrite it with --force"
            )
    file.write_text(f"{MARK}; unchanged while this is its hash: {checked(body)}\n{body}")


def main() -> dict[str, Any]:
    """Writes the configuration, and answers with what it says."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--files", type=json.loads, required=True)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--flags", type=json.loads, required=True)
    parsed = arguments.parse_args()
    given = argparse.Namespace(**parsed.flags)
    paths = [Path(path) for path in parsed.files]
    looks = looked_at(files.gathered(paths))
    kind = kind_of(looks, given.format, "the job that is asked for")
    seen = records.read([look for look in looks if look.format == kind], kind, given.delimiter)
    if not seen.rows:
        raise Failure(f"no record of {FORMATS[kind]} is found in the files")
    name = given.name or name_of(paths)
    job = given.job or ("rekey" if given.timestamp or times.candidates(seen.rows) else "repartition")
    proposal, facts = (rekey if job == "rekey" else repartition)(name, kind, seen, given)
    proposed = "\n".join(
        [
            f"# From {len(looks):,} files, of which {len(seen.rows):,} records were looked at.",
            "# All settings: docs/lakewright.schema.json. To try a change: cargo xtask up --config FILE --land FILES",
            "",
            *proposal.lines,
            "",
        ]
    )
    write(parsed.config, proposed, force=given.force)
    compressions = Counter(look.compression or "none" for look in looks if look.format == kind)
    others = [f"{look.landing.path}: {look.problem or 'it holds ' + FORMATS[look.format or 'csv']}" for look in looks if look.format != kind]
    return {
        **facts,
        "format": kind,
        "compression": dict(compressions),
        "files": len(looks),
        "looked_at": len(seen.rows),
        "broken": seen.broken,
        "unlike": others[:SHOWN],
        "config": str(parsed.config),
        "text": proposed,
    }


if __name__ == "__main__":
    run(main)
