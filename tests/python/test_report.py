"""`cargo xtask report`: its sums against a ledger, memory that does not grow with it, and the page in a browser."""

import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

import chrome
from flights.table import table_input
from landing.jobs import load
from localcloud import clients
from report import gather, write
from report.bounded import NAMES, Heat, Late, OverTime, Seconds, Sizes
from report.gather import Commits, gathered, made
from report.lake import Compaction
from report.moments import arrival, happened
from report.others import other
from report.page import page

SOURCE, TARGET = "s3://landing/anpr/", "s3://lake/anpr/"
BEGAN = datetime(2026, 5, 1, tzinfo=UTC)
DRAWN = "document.documentElement?.dataset.drawn"
HOSTILE = "</script><script>document.title = 'taken'</script><img src=x onerror=alert(1)>"
Documents = dict[str, dict[str, Any]]
# What the jobs below have done.
OTHERS = [
    {
        "kind": "split", "name": "users", "of": "result", "done": 2, "before": ["rows", 1_003, None], "after": ["objects", 1_000, 65_000],
        "notes": {"under way or failed": 1, "rows whose key another row has": 3},
    },
    {
        "kind": "compact", "name": "d.t", "of": "partition", "done": 2, "before": ["files", 12, 1_200], "after": ["files", 2, 1_000],
        "notes": {"merges that readers see, of all time": 3, "planned, and not published yet or given up": 2, "failed": 1},
    },
    {
        "kind": "repartition", "name": "ev", "of": "run", "done": 2, "before": ["files", 2, 700], "after": ["files", 3, 650],
        "notes": {"under way": 1, "withdrawn": 1, "rows of the newest run": 90},
    },
]


def batch(number: int, objects: int = 3) -> Documents:
    """The documents of a batch: each of its objects arrives in an hour, with rows of that hour and of two days before it."""
    bid = f"{number:032x}"
    arrived = BEGAN + timedelta(hours=number)
    keys = [f"anpr/{arrived:%Y/%m/%d/%H}/{bid}-{place}.json.gz" for place in range(objects)]
    outputs = []
    for late, rows in ((0, 10), (48, 2)):
        at = arrived - timedelta(hours=late)
        key = f"anpr/year={at:%Y}/month={at:%m}/day={at:%d}/hour={at:%H}/{bid}-00000000-00000.zstd.parquet"
        outputs.append({"key": key, "rows": [[place, rows] for place in range(objects)]})
    job = {"name": "anpr", "source": SOURCE, "target": TARGET, "timestamp": {"column": "at"}, "output": [{"format": "parquet"}]}
    reports = {
        f"{number:028x}{place:04x}": {
            "source": f"s3://landing/{key}",
            "status": "committed",
            "rows_in": 13,
            "rows_out": 12,
            "rows_quarantined": 1,
            "quarantined_by_reason": {"no_timestamp": 1},
            "landing_to_commit_seconds": 60 + place,
        }
        for place, key in enumerate(keys)
    }
    quarantine = f"s3://lake/anpr/_lakewright/quarantine/{bid}-00000000.jsonl"
    return {
        "batch": {"settings": {"job": job}, "candidates": [{"source": f"s3://landing/{key}"} for key in keys]},
        "plan": {"members": [{"candidate": place, "landed": "2026-06-01T00:00:00Z"} for place in range(objects)], "outputs": outputs},
        "commit": {
            "objects": reports,
            "left_out": {"f" * 32: {"why": "refused"}},
            "lost": [],
            "outputs": [{"key": output["key"], "rows": sum(rows for _, rows in output["rows"]), "bytes": 5_000} for output in outputs],
            "quarantine": quarantine,
        },
    }


@contextmanager
def buckets() -> Iterator[Any]:
    """Two empty buckets."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        clients.client.cache_clear()
        with mock_aws():
            s3 = boto3.client("s3")
            for bucket in ("landing", "lake"):
                s3.create_bucket(Bucket=bucket)
            yield s3
    clients.client.cache_clear()


@pytest.fixture
def s3() -> Iterator[Any]:
    """Two empty buckets of one test."""
    with buckets() as s3:
        yield s3


def put(s3: Any, number: int) -> Documents:
    """A batch, as it is in source, ledger and target."""
    documents, bid = batch(number), f"{number:032x}"
    for kind, document in documents.items():
        s3.put_object(Bucket="lake", Key=f"anpr/_lakewright/{kind}/{bid}", Body=json.dumps(document).encode())
    for candidate in documents["batch"]["candidates"]:
        s3.put_object(Bucket="landing", Key=candidate["source"].removeprefix("s3://landing/"), Body=b"x" * 1_000)
    for output in documents["commit"]["outputs"]:
        s3.put_object(Bucket="lake", Key=output["key"], Body=b"x" * output["bytes"])
    records = [{"source": candidate["source"], "offset": 7, "reason": "no_timestamp", "detail": "`at` is null", "record": HOSTILE} for candidate in documents["batch"]["candidates"]]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    s3.put_object(Bucket="lake", Key=documents["commit"]["quarantine"].removeprefix("s3://lake/"), Body=lines.encode())
    return documents


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The report of 60 batches, of which seven are read at once."""
    with buckets() as s3, pytest.MonkeyPatch.context() as patch:
        patch.setattr(gather, "TOGETHER", 7)
        for number in range(60):
            put(s3, number)
        s3.put_object(Bucket="lake", Key=f"anpr/_lakewright/failed/{'e' * 32}", Body=b"{}")
        return gathered(TARGET)


def test_the_sums_are_those_of_the_ledger(document: dict[str, Any]) -> None:
    batches = [batch(number) for number in range(60)]
    reports = [report for documents in batches for report in documents["commit"]["objects"].values()]
    assert document["ledger"] == {
        "batches": 60,
        "rows_in": sum(report["rows_in"] for report in reports),
        "rows_out": sum(report["rows_out"] for report in reports),
        "rows_quarantined": 180,
        "outputs": 120,
        "output_bytes": 600_000,
        "quarantines": 60,
        "lost": 0,
        "statuses": {"committed": 180},
        "left_out": {"refused": 60},
        "given_up": 1,
    }
    assert (document["landed"]["count"], document["landed"]["bytes"]) == (180, 180_000)
    # Half of the late rows' hours have rows that are not late, so some partitions have two files.
    paths = Counter(output["key"].rpartition("/")[0] for documents in batches for output in documents["plan"]["outputs"])
    assert document["lake"] == {"count": 120, "bytes": 600_000, "sizes": [[4096, 120, 600_000]], "partitions": len(paths)}
    assert [document["latency"][name] for name in ("median", "p95", "longest")] == [61, 62, 62]
    heat = document["heat"]
    assert heat["step"] == "hour" and len(heat["cells"]) == 120
    found = {(heat["happened"][x], heat["arrived"][y]): rows for x, y, rows in heat["cells"]}
    assert found["2026-05-01 05:00", "2026-05-01 05:00"] == 30 and found["2026-04-29 05:00", "2026-05-01 05:00"] == 6
    assert document["late"]["classes"] == [["the same hour", 1800], ["48 to 71 hours", 360]]
    assert sum(rows for _, rows, _ in document["over_time"]["bins"]) == document["ledger"]["rows_out"]
    assert document["quarantine"]["reasons"] == {"no_timestamp": 180}
    assert [example["record"] for example in document["quarantine"]["examples"]] == [HOSTILE] * 3
    puts = dict((what, count) for what, count, _ in document["spent"]["lines"])["S3, PUT requests"]
    assert puts == 120 + 60 + 3 * 60 + 180


def test_a_ledger_that_is_not_there_is_said(s3: Any) -> None:
    with pytest.raises(gather.Failure, match="has no ledger of a rekey job"):
        gathered(TARGET)


def test_a_job_without_commits_does_not_hide_the_others(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "outputs", dict)
    file = tmp_path / "lakewright.toml"
    job = '[[rekey]]\nname = "{0}"\nsource = "s3://landing/{0}/"\ntimestamp = {{ column = "at" }}\ntarget = "s3://lake/{0}/"\n'
    file.write_text(job.format("anpr") + job.format("later"))
    with pytest.raises(gather.Failure, match="nothing is committed yet by rekey anpr, later"):
        write.of_configuration(load(file))
    put(s3, 0)
    documents, missing = write.of_jobs(load(file))
    assert [document["name"] for document in documents] == ["anpr"] and missing == ["later"]
    assert documents[0]["latency"]["window"] == 60 and documents[0]["queues"] == {}


def test_what_a_rule_of_the_bucket_has_deleted_is_left_out(s3: Any) -> None:
    put(s3, 0)
    put(s3, 1)
    s3.delete_object(Bucket="lake", Key=f"anpr/_lakewright/plan/{0:032x}")
    document = gathered(TARGET)
    assert document["ledger"]["batches"] == 2 and document["late"]["classes"] == [["the same hour", 30], ["48 to 71 hours", 6]]


def test_merged_partitions_are_counted_where_readers_find_them(s3: Any) -> None:
    for number in range(3):
        put(s3, number)
    at = BEGAN + timedelta(hours=1)
    path = f"year={at:%Y}/month={at:%m}/day={at:%d}/hour={at:%H}"
    state = {"generation": 1, "directory": f"s3://lake/anpr.generations/{path}/00000001/"}
    s3.put_object(Bucket="lake", Key=f"anpr/_lakewright/partition/{path}/state", Body=json.dumps(state).encode())
    s3.put_object(Bucket="lake", Key=f"anpr.generations/{path}/00000001/compacted-00000001-00000.parquet", Body=b"x" * 70_000)
    document = gathered(TARGET)
    # Its old file of 5,000 bytes is not counted any more.
    assert document["lake"]["bytes"] == 5 * 5_000 + 70_000 and document["lake"]["count"] == 6


def test_the_tables_of_a_route_are_counted_where_they_lie(s3: Any) -> None:
    moved = batch(0)
    targets = ("cars/", "else/where/")
    tables = {name: {"target": f"s3://lake/{name}", "table": f"d.{name[:4]}"} for name in targets}
    moved["batch"]["settings"]["job"]["route"] = {"column": "kind", "tables": tables}
    for document in (moved["plan"], moved["commit"]):
        for output, target in zip(document["outputs"], targets):
            output["key"] = output["key"].replace("anpr/", target)
    for output in moved["commit"]["outputs"]:
        s3.put_object(Bucket="lake", Key=output["key"], Body=b"x" * 5_000)
    for kind, document in moved.items():
        s3.put_object(Bucket="lake", Key=f"anpr/_lakewright/{kind}/{0:032x}", Body=json.dumps(document).encode())
    s3.put_object(Bucket="lake", Key="anpr/_lakewright/quarantine/x", Body=b"")
    document = gathered(TARGET)
    assert (document["lake"]["count"], document["lake"]["partitions"], document["table"]) == (2, 2, "d.cars, d.else")
    assert sum(rows for _, rows, _ in document["over_time"]["bins"]) == 36


def test_the_other_jobs_are_summed_from_their_ledgers(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def put_each(entries: dict[str, Any]) -> None:
        for key, document in entries.items():
            s3.put_object(Bucket="lake", Key=key, Body=document if isinstance(document, bytes) else json.dumps(document).encode())

    done = {"rows": 500, "objects": 500, "bytes": 32_500, "collisions": 0, "duplicates": 0}
    split = "users/_lakewright/split"
    put_each({f"{split}/{job}/plan": {} for job in "abc"} | {f"{split}/a/_SUCCESS": done})
    put_each({f"{split}/b/_SUCCESS": done | {"rows": 503, "collisions": 1, "duplicates": 2}, f"{split}/c/done/00000000": {}})

    def plan(path: str, generation: int, inputs: int) -> dict[str, Any]:
        bins = [{"output": "compacted.parquet", "bytes": 100 * inputs, "inputs": [{}] * inputs}]
        return {"bins": bins, "settings": {}, "from": f"s3://lake/t/{path}", "to": f"s3://lake/t.generations/{path}{generation:08}/"}

    partition = "t/_lakewright/partition"
    for path, generation, inputs in [("day=1/", 1, 99), ("day=1/", 2, 6), ("day=2/", 1, 6), ("day=2/", 2, 8), ("day=3/", 1, 9)]:
        put_each({f"{partition}/{path}plan/{generation:08}": plan(path, generation, inputs)})
    put_each({f"{partition}/{path}": {} for path in ("day=1/published/00000001", "day=1/published/00000002", "day=2/published/00000001", "day=3/failed/00000001")})
    # What it replaces was deleted with its generation, and the next is not published.
    put_each({f"t.generations/{path}/compacted.parquet": b"x" * 500 for path in ("day=1/00000002", "day=2/00000001", "day=2/00000002")})
    client = boto3.client("glue")
    client.create_database(DatabaseInput={"Name": "d"})
    client.create_table(DatabaseName="d", TableInput=table_input("t", "s3://lake/t", {"a": "int"}, ["day"]))

    run = "ev/_lakewright/repartition/ev/"
    put_each({f"{run}{9_999_999_999 - number}/plan": {"sources": [{"size": 350}] * number} for number in range(4)})
    committed = {"rows": 90, "outputs": 3, "bytes": 650}
    put_each({f"{run}9999999999/commit": committed | {"outputs": 9}, f"{run}9999999998/commit": committed | {"withdrawn": True}, f"{run}9999999997/commit": committed})

    file = tmp_path / "lakewright.toml"
    file.write_text(
        '[[split]]\nname = "users"\ntarget = "s3://lake/users/"\nkey = "{id}"\nsources = ["s3://landing/"]\n'
        '[[compact]]\ntable = "d.t"\n'
        '[[repartition]]\nname = "ev"\nsource = "s3://landing/ev/"\ntarget = "s3://lake/ev/"\nfiles = 3\n'
    )
    monkeypatch.setattr(write, "outputs", dict)
    document = write.of_configuration(load(file))
    assert document == {"jobs": [], "missing": [], "others": OTHERS}
    client.delete_table(DatabaseName="d", Name="t")
    assert "its ledger cannot be read" in write.of_others(load(file))[1]["error"]
    (in_place,) = load(file).jobs[1:2]
    merged = plan("day=1/", 1, 5) | {"settings": {"mode": "in_place"}}
    put_each({f"p/_lakewright/partition/day=1/{entry}/00000001": merged for entry in ("plan", "published")} | {"t/day=1/compacted.parquet": b"x" * 70})
    found = other(in_place._replace(settings={"mode": "in_place", "target": "s3://lake/p/"}))
    assert (found["before"], found["after"]) == (["files", 5, 500], ["files", 1, 70])


@pytest.mark.parametrize(
    ("sizes", "compaction", "after"),
    [
        ([10] * 4, Compaction(), 4),
        ([10] * 5, Compaction(), 1),
        ([10] * 5, Compaction(min_files=6), 5),
        ([60] * 10, Compaction(target_size=100), 6),
        ([75] * 10, Compaction(target_size=100), 10),
        ([60] * 10 + [90], Compaction(target_size=100), 7),
        ([10, 20], Compaction(files=1), 1),
    ],
)
def test_what_compact_would_leave(sizes: list[int], compaction: Compaction, after: int) -> None:
    assert compaction.after(sizes) == after


def test_memory_does_not_grow_with_the_ledger() -> None:
    def peak(batches: int) -> int:
        commits = Commits(TARGET)
        # As the sums of a lake of many years are to those that they are usually limited to.
        commits._over_time, commits._heat = OverTime(bins=50), Heat(bins=50, cells=200)  # noqa: SLF001
        tracemalloc.start()
        for number in range(batches):
            documents = batch(number)
            commits._add(documents["commit"], documents["plan"], documents["batch"])  # noqa: SLF001
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert commits._counts["batches"] == batches  # noqa: SLF001
        return held

    peak(10)
    few, many = peak(300), peak(3_000)
    assert many < 1.5 * few


def test_sums_over_time_become_coarser_and_stay_whole() -> None:
    times, heat, late = OverTime(bins=50), Heat(bins=50, cells=80), Late()
    for hour in range(2_000):
        at = BEGAN + timedelta(hours=hour)
        times.add(at, 0, rows=3, files=1)
        heat.add(at + timedelta(hours=hour % 40), at, 0, 3)
        late.add(at + timedelta(hours=hour % 40), at, 0, 3)
    document = times.document()
    assert document["step"] == "month" and [sum(bin[place] for bin in document["bins"]) for place in (1, 2)] == [6_000, 2_000]
    assert document["bins"][0] == ["2026-05", 31 * 24 * 3, 31 * 24]
    found = heat.document()
    assert found["step"] == "month" and sum(rows for _, _, rows in found["cells"]) == 6_000
    assert sum(rows for _, rows in late.document()["classes"]) == 6_000
    # What is known by the day alone is not shown by the hour.
    times = OverTime()
    times.add(BEGAN, NAMES.index("day"), rows=1, files=1)
    assert times.document() == {"step": "day", "bins": [["2026-05-01", 1, 1]]}


def test_an_axis_with_one_time_far_off_has_no_endless_gap() -> None:
    heat = Heat(bins=10)
    heat.add(BEGAN, BEGAN, 0, 1)
    heat.add(BEGAN, datetime(1970, 1, 1, tzinfo=UTC), 0, 1)
    assert heat.document()["happened"] == ["1970-01-01 00:00", "2026-05-01 00:00"]


def test_sizes_and_seconds() -> None:
    sizes, seconds = Sizes(), Seconds()
    for size in (0, 1, 1023, 1024, 1500):
        sizes.add(size)
    assert sizes.document()["sizes"] == [[0, 1, 0], [1, 1, 1], [512, 1, 1023], [1024, 2, 2524]]
    for second in range(1, 1001):
        seconds.add(second)
    assert [seconds.quantile(share) for share in (0.5, 0.95, 1)] == [500, 950, 1000]
    assert Seconds().quantile(0.5) is None


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("anpr/2026/05/01/13/x.gz", "2026-05-01T13"),
        ("anpr/year=2026/month=5/day=1/x.gz", "2026-05-01T00"),
        ("anpr/dt=2026-05-01/hour=07/x.gz", "2026-05-01T07"),
        ("anpr/2026/13/01/13/x.gz", None),
        ("anpr/x.gz", None),
    ],
)
def test_when_an_object_arrived(key: str, expected: str | None) -> None:
    found = arrival(key)
    assert (found and f"{found:%Y-%m-%dT%H}") == expected


@pytest.mark.parametrize(
    ("path", "expected", "resolution"),
    [
        ("year=2026/month=05/day=01/hour=13/", "2026-05-01T13", "hour"),
        ("year=2026/month=5/day=1/", "2026-05-01T00", "day"),
        ("kind=a/Date=2026-05-01/hour=3/", "2026-05-01T03", "hour"),
        ("year=2026/month=05/", "2026-05-01T00", "month"),
        ("year=2026/", "2026-01-01T00", "year"),
        ("country=de/", None, None),
        ("year=__HIVE_DEFAULT_PARTITION__/", None, None),
        ("year=2026/month=13/day=01/", None, None),
    ],
)
def test_when_rows_happened(path: str, expected: str | None, resolution: str | None) -> None:
    found = happened(path)
    assert (found and (f"{found.time:%Y-%m-%dT%H}", NAMES[found.resolution])) == (expected and (expected, resolution))


def test_the_page_in_a_browser(document: dict[str, Any], tmp_path: Path) -> None:
    other = document | {"name": "second", "queues": {"waiting": 3, "dead": 1}}
    file = tmp_path / "report.html"
    # A job whose partitions have no time, and that has written nothing.
    empty = {"count": 0, "bytes": 0, "sizes": []}
    bare = document | {
        "name": "third",
        "landed": empty,
        "lake": empty | {"partitions": 0},
        "heat": Heat().document(),
        "late": Late().document(),
        "over_time": OverTime().document(),
        "latency": Seconds().document(),
        "quarantine": {"reasons": {}, "examples": []},
        "compaction": document["compaction"] | {"score": None, "most": []},
    }
    file.write_text(page({"made": made(), "jobs": [document, other, bare], "missing": ["fourth"], "others": OTHERS}))
    pictures = {}
    with chrome.browser(tmp_path / "profile") as browser:
        for name, width, dark in (("light", 1100, False), ("dark", 1100, True), ("phone", 390, False)):
            shown = browser.open(file, DRAWN, width=width, dark=dark)
            assert shown.evaluate("document.documentElement.dataset.drawn") == "20"
            assert shown.evaluate("[...document.querySelectorAll('.chart')].filter((place) => place.querySelector('svg, canvas')).length") == 20
            # Nothing is wider than the page.
            assert shown.evaluate("document.documentElement.scrollWidth") == width
            pictures[name] = tmp_path / f"{name}.png"
            shown.screenshot(pictures[name])
            assert pictures[name].stat().st_size > 50_000
            assert shown.complaints == []
            assert shown.requests == [file.as_uri()]
        background = "getComputedStyle(document.body).backgroundColor"
        shown = browser.open(file, DRAWN)
        light = shown.evaluate(background)
        shown.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        assert shown.evaluate(background) != light
        # The numbers are the ledger's.
        flow = shown.evaluate("document.querySelector('#job-0 .flow').innerText")
        for text in ("180 objects", "2,340 rows", "2,340 read = 2,160 written + 180 quarantined", "120 files", "left out of a batch, refused: 60 objects", "always fails: 1 object"):
            assert text in flow, (text, flow)
        others = "[...document.querySelectorAll('#other-{} tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
        assert shown.evaluate(others.format(1)) == [["before", "files", "12", "1.2 KiB"], ["after", "files", "2", "1,000 B"]]
        assert shown.evaluate("document.querySelector('#other-0 p').textContent").startswith("2 results done: 1,003 rows became 1,000 objects, 63.5 KiB; under way or failed: 1; ")
        assert "Nothing is committed yet by fourth." in shown.evaluate("document.querySelector('#made').textContent")
        assert "in the dead-letter queue: 1 message" in shown.evaluate("document.querySelector('#job-1 .flow').innerText")
        # A table behind each chart, with the same numbers.
        rows = "[...document.querySelectorAll('#job-0-{} tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
        assert shown.evaluate(rows.format("late")) == [["the same hour", "1,800", "83.3 %"], ["48 to 71 hours", "360", "16.7 %"]]
        heat = document["heat"]
        assert shown.evaluate(rows.format("heat"))[0] == [heat["happened"][heat["cells"][0][0]], heat["arrived"][heat["cells"][0][1]], str(heat["cells"][0][2])]
        assert len(shown.evaluate(rows.format("heat"))) == 120
        assert shown.evaluate(rows.format("quarantine")) == [["no_timestamp", "180"]]
        # What is in a record is text, whatever it looks like.
        assert shown.evaluate("document.querySelector('.example pre').textContent") == HOSTILE
        assert "taken" not in shown.evaluate("document.title")
        # By keyboard: a chart is read with the arrows, a table opens with Enter.
        shown.evaluate("document.querySelector('#job-0-late-chart').focus()")
        for key in ("ArrowRight", "ArrowRight"):
            shown.press(key)
        reading = shown.evaluate("document.querySelector('#job-0-late-reading').textContent")
        assert reading == "late by: 48 to 71 hours · rows: 360 · share: 16.7 %"
        shown.evaluate("document.querySelector('#job-0-late summary').focus()")
        shown.press("Enter")
        assert shown.evaluate("document.querySelector('#job-0-late details').open")
        assert shown.complaints == []
