"""What roles are granted, in their inline policies and in the managed ones to which CDK moves what an inline one does not hold."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from localcloud.clients import client

Statement = dict[str, Any]


def listed(value: Any) -> list[Any]:
    """What a policy may say once or in a list."""
    return value if isinstance(value, list) else [value]


def document(statements: list[Statement]) -> str:
    """A policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@dataclass(frozen=True)
class Inline:
    """A policy that is part of a role."""

    role: str
    name: str

    def statements(self) -> list[Statement]:
        """What it says."""
        answer = client("iam").get_role_policy(RoleName=self.role, PolicyName=self.name)
        return listed(answer["PolicyDocument"]["Statement"])

    @contextmanager
    def saying(self, statements: list[Statement]) -> Iterator[None]:
        """It says something else meanwhile."""
        before = self.statements()
        if statements:
            self._put(statements)
        else:
            client("iam").delete_role_policy(RoleName=self.role, PolicyName=self.name)
        try:
            yield
        finally:
            self._put(before)

    def _put(self, statements: list[Statement]) -> None:
        client("iam").put_role_policy(RoleName=self.role, PolicyName=self.name, PolicyDocument=document(statements))


@dataclass(frozen=True)
class Managed:
    """A policy that is attached to a role."""

    role: str
    arn: str

    def statements(self) -> list[Statement]:
        """What it says."""
        iam = client("iam")
        version = iam.get_policy(PolicyArn=self.arn)["Policy"]["DefaultVersionId"]
        answer = iam.get_policy_version(PolicyArn=self.arn, VersionId=version)
        return listed(answer["PolicyVersion"]["Document"]["Statement"])

    @contextmanager
    def saying(self, statements: list[Statement]) -> Iterator[None]:
        """An inline policy that says something else is in its place meanwhile. MiniStack cannot set a version back."""
        iam, name = client("iam"), f"InPlaceOf{self.arn.rpartition('/')[2]}"
        iam.detach_role_policy(RoleName=self.role, PolicyArn=self.arn)
        if statements:
            iam.put_role_policy(RoleName=self.role, PolicyName=name, PolicyDocument=document(statements))
        try:
            yield
        finally:
            iam.attach_role_policy(RoleName=self.role, PolicyArn=self.arn)
            if statements:
                iam.delete_role_policy(RoleName=self.role, PolicyName=name)


def policies(role: str) -> Iterator[Inline | Managed]:
    """A role's policies."""
    iam = client("iam")
    for page in iam.get_paginator("list_role_policies").paginate(RoleName=role):
        yield from (Inline(role, name) for name in page["PolicyNames"])
    for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName=role):
        yield from (Managed(role, attached["PolicyArn"]) for attached in page["AttachedPolicies"])


def statements(role: str) -> Iterator[Statement]:
    """What a role's policies say."""
    for policy in policies(role):
        yield from policy.statements()


def role_of(function: str) -> str:
    """The name of a function's role."""
    arn = client("lambda").get_function_configuration(FunctionName=function)["Role"]
    return arn.rpartition("/")[2]


def reduced(statement: Statement, action: str, where: str) -> list[Statement]:
    """A statement without an action on the resources whose ARN contains `where`, or is that of all buckets."""
    actions, resources = listed(statement["Action"]), listed(statement["Resource"])
    if action not in actions or statement["Effect"] != "Allow":
        return [statement]
    rest = [other for other in actions if other != action]
    kept = [resource for resource in resources if where not in resource and not resource.endswith(":s3:::*")]
    return [
        *([{**statement, "Action": rest}] if rest else []),
        *([{**statement, "Action": action, "Resource": kept}] if kept else []),
    ]


@contextmanager
def without(role: str, action: str, where: str = "") -> Iterator[None]:
    """The role lacks an action meanwhile, on the resources whose ARN contains `where`."""
    with ExitStack() as stack:
        changed = False
        for policy in list(policies(role)):
            granted = policy.statements()
            less = [rest for statement in granted for rest in reduced(statement, action, where)]
            if less != granted:
                stack.enter_context(policy.saying(less))
                changed = True
        if not changed:
            raise ValueError(f"{role} has no {action} on {where or 'anything'}")
        yield
