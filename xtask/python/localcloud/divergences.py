"""Permissions that MiniStack asks for and AWS does not: granted on the local cloud only, never by the template. For each,
a contract test (tests/python/test_local_cloud.py) says that MiniStack still asks for it."""

from collections.abc import Iterable

from localcloud.clients import client
from localcloud.policies import Statement, document, listed, statements

POLICY = "AskedForByMiniStackOnly"


def beyond_aws(granted: Statement) -> list[Statement]:
    """What MiniStack asks for where AWS judges a call by this statement."""
    actions, more = listed(granted["Action"]), []
    if granted["Effect"] == "Allow" and "sqs:SendMessage" in actions:
        # AWS authorizes a batch as several sqs:SendMessage requests.
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
        more.append({**granted, "Action": "sqs:SendMessageBatch"})
    if granted["Effect"] == "Allow" and "sqs:ChangeMessageVisibility" in actions:
        # The same page.
        more.append({**granted, "Action": "sqs:ChangeMessageVisibilityBatch"})
    queries = [action for action in actions if action in ("athena:GetQueryExecution", "athena:GetQueryResults")]
    if granted["Effect"] == "Allow" and queries:
        # AWS judges these by the workgroup of the query; MiniStack does not look it up.
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonathena.html
        more.append({**granted, "Action": queries, "Resource": "*"})
    return more


def grant_what_only_ministack_asks_for(roles: Iterable[str]) -> None:
    """Adds it to the roles that have what AWS asks for."""
    for role in roles:
        more = [statement for granted in statements(role) for statement in beyond_aws(granted)]
        if more:
            client("iam").put_role_policy(RoleName=role, PolicyName=POLICY, PolicyDocument=document(more))
