"""Writes a data set's records in another form: what lands is not always a JSON object a line.

python -m anpr.forms --dataset DIR --form parquet --out DIR
"""

import argparse
import gzip
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

from anpr.arrow import ARROW
from anpr.dataset import EXPECTATION, OBJECTS

JSON, PARQUET, ENVELOPE = "json", "parquet", "envelope"
# How the names of the objects end.
EXTENSIONS = {JSON: ".json.gz", PARQUET: ".parquet", ENVELOPE: ".json.gz"}
# Where an envelope has its records.
RECORDS = "Records"


def envelope(path: Path, out: Path) -> None:
    """One document with all records of an object, as CloudTrail writes them."""
    lines = gzip.decompress(path.read_bytes()).splitlines()
    out.write_bytes(gzip.compress(b'{"' + RECORDS.encode() + b'":[' + b",".join(lines) + b"]}", 6, mtime=0))


def parquet(path: Path, out: Path) -> None:
    """One row group with Snappy, as Firehose writes it."""
    with pa.input_stream(path, compression="gzip") as stream:
        table = pj.read_json(stream, parse_options=pj.ParseOptions(explicit_schema=ARROW))
    pq.write_table(table, out, compression="snappy")


def write(dataset: Path, form: str, folder: Path) -> None:
    """Writes the data set. What to expect is written last: a folder that has it is complete."""
    objects = dataset / OBJECTS
    for path in sorted(objects.rglob(f"*{EXTENSIONS[JSON]}")):
        name = path.name.removesuffix(EXTENSIONS[JSON]) + EXTENSIONS[form]
        out = folder / OBJECTS / path.relative_to(objects).with_name(name)
        out.parent.mkdir(parents=True, exist_ok=True)
        {ENVELOPE: envelope, PARQUET: parquet}[form](path, out)
    shutil.copyfile(dataset / EXPECTATION, folder / EXPECTATION)


def main() -> None:
    """Writes one data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--form", choices=[ENVELOPE, PARQUET], required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    write(given.dataset, given.form, given.out)


if __name__ == "__main__":
    main()
