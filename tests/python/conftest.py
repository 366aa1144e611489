"""The deployed jobs, as fixtures."""

import json
import os
from pathlib import Path

import pytest

from jobs import Job
from localcloud.clients import client
from repartitions import DATABASE
from splits import SplitJob


@pytest.fixture(scope="session")
def outputs() -> dict[str, str]:
    """The deployed stack's outputs."""
    return json.loads(Path(os.environ["LAKEWRIGHT_OUTPUTS"]).read_text())


@pytest.fixture(scope="session")
def doors(outputs: dict[str, str]) -> Job:
    """A job whose table the tests make and change."""
    job = Job("doors", outputs)
    job.create_table("house", "doors", {"door": "string", "opened": "int", "at": "timestamp"}, ["date"])
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
    table.create(job.target)
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
