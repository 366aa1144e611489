"""Nothing superfluous: what the functions' roles are granted, the end-to-end tests use. What they do not use is listed with its
reason in unused-grants.toml. This runs after all other end-to-end tests."""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from localcloud.divergences import POLICY
from localcloud.policies import listed, policies, role_of

pytestmark = pytest.mark.only_local(reason="it reads what MiniStack wrote down of each decision")
REASONS = Path(__file__).with_name("unused-grants.toml")


@dataclass(frozen=True, order=True)
class Grant:
    """An action that a function's role is granted on a pattern of ARNs, for lists held to a pattern of prefixes."""

    function: str
    action: str
    resource: str
    prefix: str | None = None

    def __str__(self) -> str:
        return f"{self.function}: {self.action} on {self.resource}" + (f" below {self.prefix}" if self.prefix else "")


@dataclass(frozen=True)
class Call:
    """A call that a role was allowed."""

    role: str
    action: str
    resource: str
    prefix: str | None


@dataclass(frozen=True)
class Reason:
    """Grants that no test uses, and why they are granted all the same."""

    function: str
    action: str
    resource: str
    reason: str

    def covers(self, grant: Grant) -> bool:
        """Whether the grant is one of them."""
        pairs = [(grant.function, self.function), (grant.action, self.action), (grant.resource, self.resource)]
        return all(matches(value, pattern) for value, pattern in pairs)


@cache
def pattern_of(text: str) -> re.Pattern[str]:
    """A pattern as IAM reads it."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(part, re.escape(part)) for part in text), re.DOTALL)


def matches(value: str, pattern: str) -> bool:
    """Whether a value matches a pattern of IAM."""
    return pattern_of(pattern).fullmatch(value) is not None


def granted(function: str, role: str) -> Iterator[Grant]:
    """What a role is granted by the template."""
    for policy in policies(role):
        if getattr(policy, "name", None) == POLICY:
            continue
        for statement in policy.statements():
            if statement["Effect"] != "Allow":
                continue
            conditions = statement.get("Condition", {}).values()
            prefixes = [prefix for keys in conditions for prefix in listed(keys.get("s3:prefix", []))] or [None]
            for action, resource, prefix in product(listed(statement["Action"]), listed(statement["Resource"]), prefixes):
                yield Grant(function, action, resource, prefix)


def as_ministack_judges(grant: Grant) -> tuple[str, str]:
    """Action and pattern of what MiniStack judges where AWS goes by this grant: tests/python/test_local_permissions.py."""
    match grant.action.split(":"):
        case ["sqs", "SendMessage"]:
            return "sqs:SendMessageBatch", grant.resource
        case ["athena", _]:
            return grant.action, "*"
        case ["glue", _]:
            kind, _, name = grant.resource.rpartition(":")[2].partition("/")
            database = {"catalog": "*", "database": name, "table": name.split("/")[0]}[kind]
            return grant.action, f"*:database/{database}"
        case _:
            return grant.action, grant.resource


def is_used(grant: Grant, calls: set[Call]) -> bool:
    """Whether one of the role's calls needed it."""
    action, resource = as_ministack_judges(grant)
    return any(
        call.action.lower() == action.lower()
        and matches(call.resource, resource)
        and (grant.prefix is None or call.prefix is None or matches(call.prefix, grant.prefix))
        for call in calls
    )


@pytest.fixture(scope="module")
def unused(outputs: dict[str, str]) -> list[Grant]:
    """What was granted and not used."""
    lines = Path(os.environ["LAKEWRIGHT_DECISIONS"]).read_text().splitlines()
    decisions = [decision for decision in map(json.loads, lines) if decision.pop("allowed")]
    calls = [Call(**decision) for decision in decisions]
    found = []
    for key, function in outputs.items():
        if key.endswith("FunctionName"):
            role = role_of(function)
            own = {call for call in calls if call.role == role}
            found += [grant for grant in granted(function, role) if not is_used(grant, own)]
    return sorted(set(found), key=str)


@pytest.fixture(scope="module")
def reasons() -> list[Reason]:
    """Why some grants are not used."""
    return [Reason(**entry) for entry in tomllib.loads(REASONS.read_text())["unused"]]


def test_every_grant_is_used_or_has_a_reason(unused: list[Grant], reasons: list[Reason]) -> None:
    assert [str(grant) for grant in unused if not any(reason.covers(grant) for reason in reasons)] == []


def test_every_reason_is_one_for_a_grant_that_is_not_used(unused: list[Grant], reasons: list[Reason]) -> None:
    assert [reason for reason in reasons if not any(reason.covers(grant) for grant in unused)] == []
