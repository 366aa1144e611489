"""What the functions say has no value of a record: not their answers, not their logs, not their metrics, which are lines of the
log. Where `LAKEWRIGHT_SHOW_VALUES` says so, it has."""

import gzip
import io
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from jobs import Job, notification
from localcloud.clients import client
from machine import FunctionFailed, configure, environment, invoke
from repartitions import DATABASE, LAKE, LANDING, csv_table
from splits import SplitJob

pytestmark = pytest.mark.only_local(reason="it reads what the functions write where MiniStack keeps it; on AWS their logs come late")
MARKER = "Zaphod42"
SWITCH = "LAKEWRIGHT_SHOW_VALUES"
AT = "2026-05-01T00:00:00Z"


def logged(since: int) -> list[str]:
    """The lines that functions have logged since."""
    text = Path(os.environ["LAKEWRIGHT_CLOUD_LOG"]).read_bytes()[since:].decode()
    return [line for line in text.splitlines() if line.startswith("{")]


class Failures:
    """Each job with records that have the marker in every field, each kind of failure."""

    def __init__(self, outputs: dict[str, str], doors: Job, users: SplitJob) -> None:
        self._outputs, self._doors, self._users = outputs, doors, users
        self.said: dict[str, str] = {}

    def ask(self, what: str, function: str, request: dict[str, Any]) -> None:
        """Notes what a function answers."""
        try:
            self.said[what] = json.dumps(invoke(self._outputs[function], request))
        except FunctionFailed as error:
            self.said[what] = f"{error.name}: {error.message}"

    def rekey(self, run: str) -> str:
        """Records that are set aside, and objects that cannot be read; answers with where the records are."""
        whole = {"door": MARKER, "opened": 1, "at": AT, "beyond": MARKER}
        records = [whole, whole | {"opened": MARKER}, whole | {"at": MARKER}, whole | {"at": f"0001-01-01T{MARKER}"}]
        text = "".join(json.dumps(record) + "\n" for record in records) + f"{MARKER}\n" + f'{{"door": "{MARKER}'
        source = self._doors.land(f"values/{run}.json", text.encode())
        self.ask("set aside", "RekeyFunctionName", notification(source))
        for name, body in {
            "cut.json.gz": gzip.compress(text.encode())[:-9],
            "not.parquet": b"PAR1" + text.encode() + b"PAR1",
        }.items():
            self.ask(name, "RekeyFunctionName", notification(self._doors.land(f"values/{run}-{name}", body)))
        (commit,) = self._doors.committed([source])
        return commit["quarantine"]

    def split(self, run: str) -> None:
        """Results that are broken, and a query that fails."""
        header = '"user_id","age","tags","note"\n'
        for name, row in {
            "after the quote": f'"1","{MARKER}"{MARKER},"","{MARKER}"',
            "fields": f'"1","{MARKER}"',
            "unclosed": f'"1","{MARKER}',
        }.items():
            location = f"{self._users.results}values-{run}-{name}.csv"
            self._users.put(location, f"{header}{row}\n".encode(), "text/csv")
            self.ask(name, "SplitPlanFunctionName", {"name": "users", "result": location})
        started = client("athena").start_query_execution(
            QueryString=f"SELECT CAST('{MARKER}' AS INTEGER)", ResultConfiguration={"OutputLocation": self._users.results}
        )
        _, cause = self._users.failed(query_execution_id=started["QueryExecutionId"])
        self.said["query"] = cause
        self.ask("request", "SplitPlanFunctionName", {"name": "users", "query": f"SELECT '{MARKER}'", "result": "s3://x/y"})

    def repartition(self, run: str) -> None:
        """A value that does not fit its column, and one that does not fit its partition's."""
        glue = client("glue")
        columns = {"vin (1-10)": "string", "county": "string", "postal code": "bigint", "model year": "bigint", "make": "string"}
        try:
            csv_table("vehicles_csv", columns, b"a,b,c,d,e\n")
        except glue.exceptions.AlreadyExistsException:
            pass
        key = f"vehicles_csv/values-{run}.csv"
        for name, row in {"column": f"{MARKER},{MARKER},{MARKER},2011,KIA", "partition": f"{MARKER},{MARKER},1,{MARKER},KIA"}.items():
            client("s3").put_object(Bucket=LANDING, Key=key, Body=f"h\n{row}\n".encode())
            plan = invoke(self._outputs["RepartitionPlanAnywhereFunctionName"], {"name": "vehicles"})
            try:
                for task in [*plan["prepare"], *plan["tasks"]]:
                    self.ask(f"repartition {name} {task['task'] if 'task' in task else 0}", "RepartitionWriteAnywhereFunctionName", task)
            finally:
                client("s3").delete_object(Bucket=LANDING, Key=key)
                # The plan is withdrawn, because its source is gone.
                self.ask(f"repartition {name}: commit", "RepartitionCommitAnywhereFunctionName", {"plan": plan["plan"]})

    def compact(self, run: str) -> None:
        """Files that do not fit together."""
        for number, values in enumerate([[MARKER], [1], [[MARKER]], [{"a": MARKER}], [MARKER], [2]]):
            body = io.BytesIO()
            parquet.write_table(arrow.table({"c": values}), body)
            key = f"denied-archive/values={run}/{number}.parquet"
            client("s3").put_object(Bucket=LAKE, Key=key, Body=body.getvalue())
        self.ask("compact", "CompactPlanFunctionName", {"target": f"s3://{LAKE}/denied-archive/", "dry_run": True})
        for number in range(6):
            client("s3").delete_object(Bucket=LAKE, Key=f"denied-archive/values={run}/{number}.parquet")

    def all(self, run: str) -> tuple[list[str], str]:
        """Brings all of them about; answers with the lines of the logs, and the key of what was set aside."""
        before = Path(os.environ["LAKEWRIGHT_CLOUD_LOG"]).stat().st_size
        quarantine = self.rekey(run)
        self.split(run)
        self.repartition(run)
        self.compact(run)
        return logged(before), quarantine


@contextmanager
def shown(functions: list[str]) -> Iterator[None]:
    """The functions show values meanwhile."""
    with ExitStack() as stack:
        for function in functions:
            before = environment(function)
            configure(function, before | {SWITCH: "true"})
            stack.callback(configure, function, before)
        yield


def test_values_of_records_are_in_no_message_unless_it_is_asked_for(
    shop: None, outputs: dict[str, str], doors: Job, users: SplitJob
) -> None:
    silent = Failures(outputs, doors, users)
    lines, quarantine = silent.all("silent")
    assert MARKER in doors.get(quarantine).decode()
    assert len([line for line in lines if '"ERROR"' in line]) > 5
    assert [line for line in lines if "_aws" in line]
    assert {what: said for what, said in silent.said.items() if MARKER in said} == {}
    assert [line for line in lines if MARKER in line] == []

    with shown([name for key, name in outputs.items() if key.endswith("FunctionName")]):
        open_ = Failures(outputs, doors, users)
        lines, _ = open_.all("shown")
    quoting = {what for what, said in open_.said.items() if MARKER in said}
    assert {"query"} <= quoting, open_.said
    assert [what for what in quoting if what.startswith("repartition column")], open_.said
    assert [line for line in lines if MARKER in line]
