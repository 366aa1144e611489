"""compact on the deployed stack: the real state machine and functions, while rekey lands and readers read."""

import json
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from account.names import LAKE, RESULTS, database, output as output_name
from jobs import Job
from lake import CatalogTable, data_keys, download, snapshot
from localcloud.athena import ask
from localcloud.clients import client
from localcloud.ledger import listing, split
from localcloud.polling import poll
from localcloud.policies import document, role_of
from machine import FunctionFailed, Machine, failure, invoke, output
from readers import READERS

DAYS = ["2026-06-01", "2026-06-02", "2026-06-03"]
OBJECTS = 12
ENERGY = database("energy")
SETTLE_SECONDS = 120
COLUMNS = ["meter", "n", "kwh", "at"]


class Meters:
    """The table `house.meters`: landed by rekey, compacted."""

    def __init__(self, outputs: dict[str, str]) -> None:
        self.job = Job("meters", outputs)
        self.job.create_table(
            ENERGY, "meters", {"meter": "string", "n": "int", "kwh": "double", "at": "timestamp"}, ["date"]
        )
        self.table = CatalogTable(ENERGY, "meters")
        self.machine = Machine(outputs[output_name("Compact", f"{ENERGY}.meters", "StateMachineArn")])
        self._plan = outputs["CompactPlanFunctionName"]
        self.merger = outputs["CompactMergeFunctionName"]
        self._landed = 0
        self._lock = threading.Lock()

    def land(self) -> tuple[str, set[int]]:
        """Puts an object with ten rows for each day; answers with its location and the rows' numbers."""
        with self._lock:
            number, self._landed = self._landed, self._landed + 1
        rows = [
            {"meter": f"m{n % 7}", "n": n, "kwh": None if n % 11 == 0 else n / 8, "at": f"{DAYS[n % 3]}T{n % 24:02}:00:00Z"}
            for n in range(number * 30, number * 30 + 30)
        ]
        body = "".join(json.dumps(row) + "\n" for row in rows).encode()
        return self.job.land(f"2026/06/01/00/{number:05}.json", body), {row["n"] for row in rows}

    def plan(self, **request: Any) -> dict[str, Any]:
        """The answer of `compact-plan`."""
        return invoke(self._plan, {"table": f"{ENERGY}.meters", **request})

    def planned(self, partitions: int) -> dict[str, Any]:
        """What would be done, once all files of so many partitions have settled."""

        def look() -> dict[str, Any] | None:
            answer = self.plan(dry_run=True)
            # Files that are not settled would be carried, beside the merged one.
            settled = answer["partitions_planned"] == answer["files_after"] == partitions
            return answer if settled else None

        return poll(look, f"plan for {partitions} partitions", SETTLE_SECONDS, interval=1)

    def plans(self) -> list[str]:
        """The lists of what runs had to do."""
        prefix = f"{self.job.target}_lakewright/compact/"
        return [item["Key"] for item in listing(*split(prefix))]

    def numbers(self) -> Counter[int]:
        """The rows' numbers, as a query finds them that follows the catalog."""
        with tempfile.TemporaryDirectory() as folder:
            paths = [str(path) for files in self.table.files(Path(folder)).values() for path in files]
            found = duckdb.connect().execute("SELECT n FROM read_parquet($1, hive_partitioning = false)", [paths])
            return Counter(n for (n,) in found.fetchall())

    def totals(self) -> list[tuple[int, int, int]]:
        """What Athena answers for each day: the rows, the different numbers, and their sum."""
        with self.table.as_tables() as partitions:
            rows = " UNION ALL ".join(f"SELECT n FROM {partition}" for partition in partitions)
            columns = ", ".join(
                f"{asked} FILTER (WHERE n % {len(DAYS)} = {day}) AS c{day}_{place}"
                for day in range(len(DAYS))
                for place, asked in enumerate(["count(*)", "count(DISTINCT n)", "sum(n)"])
            )
            sql = f"SELECT {columns} FROM ({rows}) AS meters"
            found = ask(sql, self.table.database, f"s3://{RESULTS}/compact/")
        numbers = [int(number or 0) for number in found.values()]
        return list(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))

    def rows(self) -> dict[str, Counter[tuple[Any, ...]]]:
        """All rows with their partition, by reader."""
        with tempfile.TemporaryDirectory() as folder:
            files = [(values, path) for values, paths in self.table.files(Path(folder)).items() for path in paths]
            paths = [path for _, path in files]
            return {
                reader: Counter(
                    (*values, row["meter"], row["n"], row["kwh"], row["at"].replace(tzinfo=None))
                    for (values, _), rows in zip(files, read(paths, COLUMNS), strict=True)
                    for row in rows
                )
                for reader, read in READERS.items()
            }


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Does something again and again beside what follows; what fails there fails here."""
    done = threading.Event()
    failures: list[BaseException] = []

    def repeat() -> None:
        try:
            while not done.is_set():
                work()
        except BaseException as failure:  # noqa: BLE001
            failures.append(failure)

    worker = threading.Thread(target=repeat)
    worker.start()
    try:
        yield
    finally:
        done.set()
        worker.join()
    if failures:
        raise failures[0]


@contextmanager
def denied(function: str, action: str, resources: list[str]) -> Iterator[None]:
    """A function may not do something meanwhile."""
    role, policy = role_of(function), "DeniedMeanwhile"
    statement = {"Effect": "Deny", "Action": action, "Resource": resources}
    client("iam").put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=document([statement]))
    try:
        yield
    finally:
        client("iam").delete_role_policy(RoleName=role, PolicyName=policy)


@pytest.fixture(scope="module")
def meters(outputs: dict[str, str]) -> Meters:
    """The table, with many small files."""
    meters = Meters(outputs)
    meters.job.committed([meters.land()[0] for _ in range(OBJECTS)])
    return meters


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(meters: Meters) -> None:
    planned = meters.planned(len(DAYS))
    before = snapshot(meters.job.target)
    answer = meters.machine.succeeded(dry_run=True)
    assert (answer["dry_run"], answer["plan"], answer["partitions_planned"]) == (True, None, len(DAYS))
    assert (answer["files_before"], answer["files_after"]) == (planned["files_before"], planned["files_after"])
    assert answer["files_before"] == OBJECTS * len(DAYS)
    assert answer["files_after"] == len(DAYS)
    assert snapshot(meters.job.target) == before


def test_small_files_become_few_while_rows_land_and_queries_run(meters: Meters) -> None:
    meters.planned(len(DAYS))
    before = meters.rows()
    assert all(rows == before["DuckDB"] for rows in before.values())
    assert sum(before["DuckDB"].values()) == OBJECTS * 30
    old = {values: data_keys(location) for values, location in meters.table.locations().items()}

    landed: dict[str, set[int]] = {}
    seen: set[int] = set(range(OBJECTS * 30))
    counted = [OBJECTS * 10] * len(DAYS)
    queries = questions = 0

    def query() -> None:
        nonlocal queries
        found = meters.numbers()
        assert max(found.values()) == 1, f"rows seen twice: {[n for n, times in found.items() if times > 1]}"
        assert seen <= found.keys(), f"rows seen no more: {sorted(seen - found.keys())}"
        seen.update(found)
        queries += 1

    def question() -> None:
        nonlocal questions
        for day, (total, different, checksum) in enumerate(meters.totals()):
            # Objects land one after the other, each with ten rows of a day: those that are seen are the first ones.
            numbers = range(day, total * len(DAYS), len(DAYS))
            assert (different, checksum, total % 10) == (total, sum(numbers), 0), f"day {day}: {total} rows"
            assert total >= counted[day], f"day {day}: {total} rows after {counted[day]}"
            counted[day] = total
        questions += 1

    plans = len(meters.plans())

    def land() -> None:
        poll(lambda: True if len(meters.plans()) > plans else None, "plan", SETTLE_SECONDS)
        source, numbers = meters.land()
        landed[source] = numbers
        meters.job.committed([source])

    with meanwhile(query), meanwhile(question), meanwhile(land):
        report = output(meters.machine.ended(meters.machine.start()))
    assert queries > 1 and questions > 1
    assert report["failures"] == report["refused"] == []
    assert report["partitions_planned"] == len(DAYS)
    assert report["files_before"] >= OBJECTS * len(DAYS)

    # The partitions have moved, and what landed meanwhile moved with them.
    locations = meters.table.locations()
    assert all("/meters.generations/" in location for location in locations.values())
    for values, location in locations.items():
        found = {key.rpartition("/")[2] for key in data_keys(location)}
        assert not found & {key.rpartition("/")[2] for key in old[values]}, values
        assert len([name for name in found if name.startswith("compacted-")]) == 1, values
        assert len(found) == 1 + len(landed), values
    expected = set(range(OBJECTS * 30)).union(*landed.values())
    assert meters.numbers() == Counter(expected)
    after = meters.rows()
    assert all(rows == after["DuckDB"] for rows in after.values())
    assert before["DuckDB"] <= after["DuckDB"]


def test_the_old_files_go_once_their_grace_period_is_over(meters: Meters) -> None:
    bases = [f"{meters.job.target}date={day}/" for day in DAYS]
    rows = meters.rows()["DuckDB"]

    def gone() -> bool | None:
        assert meters.machine.succeeded()["failures"] == []
        return None if any(data_keys(base) for base in bases) else True

    poll(gone, "deletion of the old files", SETTLE_SECONDS, interval=1)
    assert meters.rows()["DuckDB"] == rows


def test_a_partition_that_fails_is_named_and_the_others_are_finished(meters: Meters) -> None:
    meters.job.committed([meters.land()[0] for _ in range(OBJECTS)])
    before, rows = meters.table.locations(), meters.rows()["DuckDB"]
    bucket, target = split(meters.job.target)
    # Both the table's own directory and what compactions made.
    day = [f"arn:aws:s3:::{bucket}/{target.rstrip('/')}{part}date={DAYS[0]}/*" for part in ["/", ".generations/"]]

    def moved() -> list[bool]:
        after = meters.table.locations()
        return [before[values] != after[values] for values in sorted(before)]

    def failed() -> dict[str, Any] | None:
        # A run may first have to delete what an earlier one replaced.
        ended = meters.machine.ended(meters.machine.start())
        return ended if ended["status"] == "FAILED" and moved()[1:] == [True, True] else None

    with denied(meters.merger, "s3:GetObject", day):
        execution = poll(failed, "run of which a part fails", SETTLE_SECONDS, interval=1)
    error, cause = failure(execution)
    assert error == "Lakewright.PartitionsFailed"
    said = json.loads(cause)
    assert said["failures"] == [{"partition": f"date={DAYS[0]}/", "error": "Lakewright.AccessDenied"}]
    assert said["all"] == f"{meters.job.target}_lakewright/compact/failed/{execution['name']}/"
    noted = client("s3").get_object(Bucket=bucket, Key=f"{split(said['all'])[1]}date={DAYS[0]}/Lakewright.AccessDenied")
    assert "needs s3:GetObject" in json.loads(noted["Body"].read())["cause"]
    assert not moved()[0]

    def taken_up() -> bool | None:
        assert meters.machine.succeeded()["failures"] == []
        return True if all(moved()) else None

    poll(taken_up, "run that takes up what failed", SETTLE_SECONDS, interval=1)
    assert meters.rows()["DuckDB"] == rows


def test_a_projected_table_is_refused_by_name(meters: Meters) -> None:
    before = meters.table.set_parameters(**{"projection.enabled": "true"})
    try:
        error, cause = meters.machine.failed()
        assert error == "Lakewright.TableUnsuited"
        assert "projection" in cause
    finally:
        meters.table.set_parameters(**before)


def test_a_request_that_means_nothing_is_refused_by_name(meters: Meters) -> None:
    with pytest.raises(FunctionFailed) as refused:
        meters.plan(table=f"{ENERGY}.nothing")
    assert refused.value.name.startswith("Lakewright.Bad")


def test_files_without_a_catalog_are_compacted_in_place(outputs: dict[str, str], tmp_path: Path) -> None:
    machine = Machine(outputs["CompactarchiveStateMachineArn"])
    location = f"s3://{LAKE}/archive/"
    bucket, prefix = split(location)
    for number in range(6):
        path = tmp_path / f"{number}.parquet"
        parquet.write_table(arrow.table({"n": range(number * 10, number * 10 + 10)}), path)
        client("s3").put_object(Bucket=bucket, Key=f"{prefix}day=1/{number}.parquet", Body=path.read_bytes())

    def merged() -> list[str] | None:
        machine.succeeded()
        keys = data_keys(location)
        return keys if len(keys) == 1 else None

    keys = poll(merged, "one file", SETTLE_SECONDS, interval=1)
    (path,) = download(bucket, keys, tmp_path / "merged")
    for reader, read in READERS.items():
        (rows,) = read([path], ["n"])
        assert sorted(row["n"] for row in rows) == list(range(60)), reader
