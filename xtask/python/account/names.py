"""What the end-to-end tests' buckets and databases are called. On the local cloud as in their configuration; in an account each
run has names of its own, so that two runs do not meet, and nothing is touched that a run has not made."""

import os
import re

# The run, if it is in an account.
RUN = os.environ.get("LAKEWRIGHT_TEST_RUN", "")
BUCKETS = "lakewright-test-"


def stack(run: str) -> str:
    """The stack, and what its functions' names begin with."""
    return f"{BUCKETS}{run}"


def bucket(kind: str, run: str = RUN) -> str:
    """A bucket, by what it is for."""
    return f"{BUCKETS}{run}-{kind}" if run else f"{BUCKETS}{kind}"


def database(name: str, run: str = RUN) -> str:
    """A database of the catalog."""
    return f"{name}_{run}" if run else name


def configuration(text: str, run: str = RUN) -> str:
    """The tests' configuration with the run's names in it."""
    named = text.replace(f"s3://{BUCKETS}", f"s3://{bucket('', run)}")
    # A table is `database.table`.
    return re.sub(r'(?m)^((?:table|source) = ")(\w+)\.', lambda found: f"{found[1]}{database(found[2], run)}.", named)


def output(kind: str, table: str, name: str) -> str:
    """The stack's output of a job that is called by its table."""
    return re.sub(r"[^A-Za-z0-9]", "", f"{kind}{table}{name}")


LANDING, LAKE, OBJECTS, RESULTS, STRICT = map(bucket, ("landing", "lake", "objects", "results", "strict"))
