"""Deployed repartition jobs, as the tests use them: their source, their runs, what they wrote."""

import csv
import io
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from account.names import LAKE, LANDING, database
from lake import data_keys, download
from localcloud.clients import client
from localcloud.ledger import split
from machine import Machine, invoke

DATABASE = database("shop")
FORMATS = ["parquet", "json", "csv"]
# Jobs that may read every bucket have functions of their own.
CONFIG = tomllib.loads(Path(__file__).with_name("lakewright.toml").read_text())
READING_ANYWHERE = {job["name"] for job in CONFIG["repartition"] if job.get("allow_any_source")}
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def csv_text(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """Rows as a CSV file with a header."""
    body = io.StringIO(newline="")
    writer = csv.writer(body, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return body.getvalue().encode()


def csv_table(name: str, columns: dict[str, str], body: bytes) -> None:
    """Puts a CSV file, and registers it as a crawler does."""
    client("s3").put_object(Bucket=LANDING, Key=f"{name}/part-0.csv", Body=body)
    client("glue").create_table(
        DatabaseName=DATABASE,
        TableInput={
            "Name": name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"classification": "csv", "skip.header.line.count": "1", "EXTERNAL": "TRUE"},
            "StorageDescriptor": {
                "Columns": [{"Name": column, "Type": kind} for column, kind in columns.items()],
                "Location": f"s3://{LANDING}/{name}/",
                "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
                "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
                "SerdeInfo": {
                    "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
                    "Parameters": {"field.delim": ","},
                },
            },
        },
    )


class Job(Machine):
    """One `[[repartition]]` entry of tests/python/lakewright.toml."""

    def __init__(self, name: str, outputs: dict[str, str]) -> None:
        key = name.replace("_", "")
        super().__init__(outputs[f"Repartition{key}StateMachineArn"])
        self.target = f"s3://{LAKE}/{name.replace('_', '-')}/"
        assert outputs[f"Repartition{key}TargetBucket"] == LAKE
        reach = "Anywhere" if name in READING_ANYWHERE else ""
        self._name, self._plan = name, outputs[f"RepartitionPlan{reach}FunctionName"]

    def plan(self) -> dict[str, Any]:
        """The answer of `repartition-plan`."""
        return invoke(self._plan, {"name": self._name})

    def files(self, below: str, folder: Path) -> list[Path]:
        """The files below a prefix of the target, brought to a folder, in the order of their names."""
        bucket, prefix = split(self.target)
        return download(bucket, sorted(data_keys(f"s3://{bucket}/{prefix}{below}")), folder)
