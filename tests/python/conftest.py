"""The deployed jobs, as fixtures."""

import json
import os
from pathlib import Path

import pytest

from jobs import Job
from account import names
from localcloud.clients import client
from repartitions import DATABASE
from splits import SplitJob


OUT = pytest.StashKey[list[tuple[str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    """What says that a test is none for an account."""
    config.addinivalue_line("markers", "only_local(reason): what of the local cloud the test needs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In an account, leaves out what needs the local cloud; `pytest_terminal_summary` says what, and why."""
    if not names.RUN:
        return
    out = [(item, marker) for item in items if (marker := item.get_closest_marker("only_local"))]
    config.stash[OUT] = sorted({(item.nodeid.partition("[")[0], marker.kwargs["reason"]) for item, marker in out})
    config.hook.pytest_deselected(items=[item for item, _ in out])
    items[:] = [item for item in items if not item.get_closest_marker("only_local")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Names what was left out."""
    for test, reason in config.stash.get(OUT, []):
        terminalreporter.write_line(f"only on the local cloud: {test}: {reason}")


@pytest.fixture(scope="session")
def outputs() -> dict[str, str]:
    """The deployed stack's outputs."""
    return json.loads(Path(os.environ["LAKEWRIGHT_OUTPUTS"]).read_text())


@pytest.fixture(scope="session")
def doors(outputs: dict[str, str]) -> Job:
    """A job whose table the tests make and change."""
    job = Job("doors", outputs)
    job.create_table(names.database("house"), "doors", {"door": "string", "opened": "int", "at": "timestamp"}, ["date"])
    return job


@pytest.fixture(scope="session")
def sensors(outputs: dict[str, str]) -> Job:
    """A job without a table."""
    return Job("sensors", outputs)


@pytest.fixture(scope="session")
def flights(outputs: dict[str, str]) -> Job:
    """The demo's job."""
    from flights import table

    job = Job("flights", outputs)
    table.create(job.target, table.HOURS, names.database(table.DATABASE))
    return job


@pytest.fixture(scope="session")
def shop() -> None:
    """The database of the tables that are repartitioned."""
    client("glue").create_database(DatabaseInput={"Name": DATABASE})


@pytest.fixture(scope="session")
def users(outputs: dict[str, str]) -> SplitJob:
    """A split job whose keys are made of a column."""
    return SplitJob("users", outputs)


@pytest.fixture(scope="session")
def refused(outputs: dict[str, str]) -> SplitJob:
    """A split job whose objects S3 does not take."""
    return SplitJob("refused", outputs)


@pytest.fixture(scope="session")
def dear(outputs: dict[str, str]) -> SplitJob:
    """A split job that asks before it writes."""
    return SplitJob("dear", outputs)
