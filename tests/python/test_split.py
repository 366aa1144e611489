"""split on the deployed stack: the real state machine and functions, results in Athena's own bytes."""

import json
import re
import sys
from typing import Any

import pytest

from account.names import LANDING, RESULTS
from localcloud.polling import poll
from localcloud.progress import Failure
from localcloud.queues import held_back, quick_retries, waiting
from machine import FunctionFailed, failure
from operate import status
from splits import STATUS_SECONDS, SplitJob, Values

NOTES: list[str | None] = [
    "plain",
    'in "quotes", with a comma',
    "two\nlines\r\nor three\r",
    '"',
    "",
    None,
    "Straße 門 🎉",
    "\t\\ \x7f",
]


def user(user_id: str | None, age: int | None, tags: list[str] | None, note: str | None) -> Values:
    """A row of the job `users`, as Athena prints it."""
    return {
        "user_id": user_id,
        "age": None if age is None else str(age),
        "tags": None if tags is None else json.dumps(tags),
        "note": note,
    }


def numbered(prefix: str, count: int) -> list[Values]:
    """Rows with all kinds of values, whose ids begin with `prefix`."""
    return [
        user(
            f"{prefix}{n}",
            None if n % 7 == 0 else n * 10**15,
            None if n % 5 == 0 else [str(n), 'a"b'][: n % 3],
            NOTES[n % len(NOTES)],
        )
        for n in range(count)
    ]


def expected(row: Values) -> dict[str, Any]:
    """The object of a row of the job `users`."""
    age, tags = row["age"], row["tags"]
    return row | {"age": age and int(age), "tags": tags and json.loads(tags)}


def of_users(job: SplitJob, rows: dict[str, Values]) -> int:
    """Holds the objects against the rows, by key; answers with the objects' bytes."""
    objects = job.objects(rows)
    assert {key: json.loads(found["Bytes"]) for key, found in objects.items()} == {
        key: expected(row) for key, row in rows.items()
    }
    assert {list(json.loads(found["Bytes"])) == list(rows[key]) for key, found in objects.items()} == {True}
    assert {found["ContentType"] for found in objects.values()} == {"application/json"}
    return sum(len(found["Bytes"]) for found in objects.values())


def by_key(rows: list[Values]) -> dict[str, Values]:
    """The rows by their keys, where the ids need no escape."""
    return {f"{row['user_id']}.json": row for row in rows}


def test_every_row_is_an_object_and_again_nothing_is_written(users: SplitJob) -> None:
    rows = numbered("every-", 350)
    result = users.put_result("every", rows)
    summary = users.succeeded(result=result)
    size = of_users(users, by_key(rows))
    assert sorted(key for key in users.keys() if key.startswith("every-")) == sorted(by_key(rows))
    facts = {name: summary[name] for name in ("name", "rows", "objects", "bytes", "chunks", "collisions", "duplicates")}
    assert facts == {
        "name": "users",
        "rows": 350,
        "objects": 350,
        "bytes": size,
        "chunks": 4,
        "collisions": 0,
        "duplicates": 0,
    }
    job = summary["id"]
    entries = [entry.removeprefix(f"{job}/") for entry in users.ledger() if entry.startswith(f"{job}/")]
    assert {"plan", "_SUCCESS", *(f"done/{chunk:010}" for chunk in range(4))} <= set(entries)
    assert not [entry for entry in entries if entry.startswith(("failed/", "outcome/"))]

    before = users.versions()
    assert users.succeeded(result=result) == summary
    after = users.versions()
    assert {key for key in after if after[key] != before.get(key)} == {
        key for key in after.keys() - before.keys() if key.startswith(f"_lakewright/split/{job}/run/")
    }
    assert {len(versions) for versions in after.values()} == {1}


def test_what_is_missing_is_written_and_nothing_else(users: SplitJob) -> None:
    rows = numbered("again-", 250)
    location = users.put_result("again", rows)
    with held_back(users.queue):
        execution = users.start(result=location)
        job = users.invoke(result=location, run="by-hand")["id"]

        def waited_for() -> bool | None:
            return True if any(entry.startswith(f"{job}/run/token-") for entry in users.ledger()) else None

        poll(waited_for, "run of the state machine", STATUS_SECONDS)
        assert users.invoke(cancel=job)["chunks_done"] == 0
    assert failure(users.ended(execution))[0] == "Lakewright.Cancelled"
    assert not [key for key in users.keys() if key.startswith("again-")]
    # One object exists, and is not written again.
    body = json.dumps(expected(rows[16]), separators=(",", ":")).encode()
    users.put(users.target + "again-16.json", body, "application/json")
    summary = users.succeeded(result=location)
    assert (summary["id"], summary["rows"]) == (job, 250)
    of_users(users, by_key(rows))
    assert {len(versions) for key, versions in users.versions().items() if key.startswith("again-")} == {1}


@pytest.mark.only_local(reason="`cargo xtask status` asks the function `split-plan` by its own name; this stack's has a prefix")
def test_status_is_shown_by_the_id_alone(
    users: SplitJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = numbered("shown-", 250)
    location = users.put_result("shown", rows)

    def shown(job: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["status", "--job", job])
        return status.main()

    with held_back(users.queue):
        job = users.invoke(result=location, run="by-hand")["id"]
        assert {name: status.ask(job)[name] for name in ("name", "state", "rows", "chunks", "chunks_done")} == {
            "name": "users",
            "state": "running",
            "rows": 250,
            "chunks": 3,
            "chunks_done": 0,
        }
        users.invoke(cancel=job)
    cancelled = shown(job)
    assert cancelled["state"] == "cancelled"
    # Chunks whose messages have come meanwhile are noted.
    assert all(failure.endswith("Cancelled: not begun") for failure in cancelled["failures"])
    assert "0 of 250 rows are written" in cancelled["outcome"]
    assert users.succeeded(result=location)["id"] == job
    done = shown(job)
    assert done["state"] == "succeeded"
    assert re.match("250 objects, [0-9]+ bytes", done["outcome"])
    with pytest.raises(Failure, match="no split job of this function knows the id `nowhere`"):
        shown("nowhere")


@pytest.mark.parametrize(
    ("user_id", "key"),
    [
        ("../up", "..%2Fup.json"),
        ("100%", "100%25.json"),
        ("a b+c=d", "a b+c=d.json"),
        ("new\nline", "new%0Aline.json"),
        ("門", "門.json"),
        ("", "__EMPTY__.json"),
        (None, "__NULL__.json"),
        ("__NULL__", "%5F_NULL__.json"),
    ],
)
def test_no_value_leaves_the_prefix(users: SplitJob, user_id: str | None, key: str) -> None:
    row = user(user_id, 1, [], f"key of {user_id!r}")
    summary = users.succeeded(result=users.put_result(f"key-{key.encode().hex()}", [row]))
    assert summary["objects"] == 1
    of_users(users, {key: row})


def test_rows_that_share_a_key_fail_the_job_before_anything_is_written(users: SplitJob) -> None:
    rows = numbered("shared-", 150)
    rows[120] |= {"user_id": "shared-17"}
    location = users.put_result("shared", rows)
    error, cause = users.failed(result=location)
    assert error == "Lakewright.KeyCollision"
    assert "rows 17 and 120 have the key users/shared-17.json" in cause
    with pytest.raises(FunctionFailed, match="rows 17 and 120") as failed:
        users.invoke(result=location)
    assert failed.value.name == error
    assert not [key for key in users.keys() if key.startswith("shared-")]


def test_the_same_row_twice_is_one_object(users: SplitJob) -> None:
    rows = numbered("twice-", 20)
    summary = users.succeeded(result=users.put_result("twice", [*rows, rows[3]]))
    assert (summary["rows"], summary["objects"], summary["duplicates"]) == (21, 20, 1)
    of_users(users, by_key(rows))


def test_existing_objects_are_never_overwritten(users: SplitJob) -> None:
    rows = numbered("taken-", 150)
    users.put(users.target + "taken-3.json", b"somebody else's", "text/plain")
    error, cause = users.failed(result=users.put_result("taken", rows))
    assert error == "Lakewright.KeyTaken"
    outcome = json.loads(cause)
    assert (outcome["chunks"], outcome["chunks_done"], outcome["rows_done"]) == (2, 1, 50)
    ((chunk, message),) = ((failed["chunk"], failed["message"]) for failed in outcome["failures"])
    assert chunk == 0
    assert "users/taken-3.json for row 3" in message
    assert users.get("taken-3.json")["Bytes"] == b"somebody else's"
    of_users(users, {key: row for key, row in by_key(rows).items() if key != "taken-3.json"})


def test_a_chunk_that_never_succeeds_fails_the_job_by_name(refused: SplitJob) -> None:
    rows: list[Values] = [{"n": str(n)} for n in range(25)]
    with quick_retries(refused.queue, 1):
        error, cause = refused.failed(result=refused.put_result("never", rows))
    assert error == "Lakewright.ChunkFailed"
    outcome = json.loads(cause)
    assert (outcome["chunks"], outcome["chunks_done"], outcome["rows_done"]) == (3, 0, 0)
    assert [(failed["chunk"], failed["error"]) for failed in outcome["failures"]] == [
        (chunk, "ChunkFailed") for chunk in range(3)
    ]
    assert all("dead-letter queue" in failed["message"] for failed in outcome["failures"])
    assert refused.keys() == []
    assert not [entry for entry in refused.ledger() if entry.endswith("/_SUCCESS")]

    def settled() -> bool | None:
        return True if waiting(refused.queue) == waiting(refused.dead_letters) == 0 else None

    poll(settled, "end of all messages", STATUS_SECONDS)


def test_nobody_need_wait(users: SplitJob) -> None:
    rows = numbered("alone-", 120)
    report = users.invoke(result=users.put_result("alone", rows))
    assert (report["rows"], report["objects"], report["chunks"], report["enqueued"]) == (120, 120, 2, 2)

    def done() -> dict[str, Any] | None:
        status = users.status(report["id"])
        return status if status and status["state"] != "running" else None

    status = poll(done, "end of the job", STATUS_SECONDS)
    assert (status["state"], status["rows_done"], status["chunks_done"]) == ("succeeded", 120, 2)
    assert json.loads(users.get(f"_lakewright/split/{report['id']}/_SUCCESS")["Bytes"]) == status["summary"]
    of_users(users, by_key(rows))


def test_a_job_above_the_limit_asks_first(dear: SplitJob) -> None:
    location = dear.put_result("dear", [{"a": "1"}])
    error, cause = dear.failed(result=location)
    assert error == "Lakewright.ConfirmationNeeded"
    assert "max_puts is 3" in cause
    assert dear.keys() == dear.ledger() == []
    summary = dear.succeeded(result=location, confirm=True)
    key = f"{summary['id']}/0"
    assert dear.keys() == [key]
    assert dear.get(key)["Bytes"] == b'{"a":"1"}'


def test_a_query_is_run_and_its_result_split(users: SplitJob) -> None:
    summary = users.succeeded(query="SELECT 'queried' AS user_id, 7 AS age")
    assert summary["rows"] == 1
    # The type is that of the query's column.
    assert users.get("queried.json")["Bytes"] == b'{"user_id":"queried","age":7}'
    assert users.succeeded(query_execution_id=summary["id"]) == summary


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({}, "Lakewright.BadRequest", "one of query, query_execution_id and result"),
        ({"query": "SELECT 1", "result": "s3://b/k"}, "Lakewright.BadRequest", "one of query"),
        ({"result": "s3://b/k", "name": "dear"}, "Lakewright.BadRequest", "no other name"),
        ({"result": f"s3://{LANDING}/x.csv", "job": "elsewhere"}, "Lakewright.SourceNotAllowed", "sources"),
        ({"result": f"s3://{RESULTS}/users/none.csv"}, "Lakewright.Unreadable", "no such object"),
        ({"result": f"s3://{RESULTS}/users/x.csv", "speling": 1}, "Lakewright.BadTrigger", "speling"),
        ({"query": "SELECT nothing FROM nowhere"}, "Lakewright.QueryFailed", "LAKEWRIGHT_SHOW_VALUES"),
        (
            {"query_execution_id": "7f1c3a52-0d5e-4f0b-9a57-3b1f0c2d4e6a"},
            "Lakewright.QueryMissing",
            "7f1c3a52-0d5e-4f0b-9a57-3b1f0c2d4e6a",
        ),
    ],
)
def test_a_giventhat_means_nothing_fails_by_name(
    users: SplitJob, given: dict[str, Any], error: str, says: str
) -> None:
    name, cause = users.failed(**given)
    assert (name, says in cause) == (error, True), cause
