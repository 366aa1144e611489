"""The inline policies of roles."""

from collections.abc import Iterator
from typing import Any

from localcloud.clients import client

Statement = dict[str, Any]


def listed(value: Any) -> list[Any]:
    """What a policy may say once or in a list."""
    return value if isinstance(value, list) else [value]


def documents(role: str) -> dict[str, dict[str, Any]]:
    """A role's inline policies, by name."""
    iam = client("iam")
    return {
        name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for page in iam.get_paginator("list_role_policies").paginate(RoleName=role)
        for name in page["PolicyNames"]
    }


def statements(role: str) -> Iterator[Statement]:
    """The statements of a role's inline policies."""
    for document in documents(role).values():
        yield from listed(document["Statement"])
