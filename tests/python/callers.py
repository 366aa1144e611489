"""Callers of the local cloud with permissions of their own."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud.clients import client
from localcloud.policies import Statement, document

ACCOUNT, REGION = "000000000000", "us-east-1"
Session = Callable[[str], Any]


def allow(actions: str | list[str], resources: str | list[str], **conditions: dict[str, str]) -> Statement:
    """A statement that allows."""
    statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return statement | ({"Condition": conditions} if conditions else {})


def role(principal: dict[str, str], *statements: Statement) -> str:
    """A role that somebody may assume, with these permissions; answers with its ARN."""
    name = f"contract-{uuid.uuid4().hex[:12]}"
    trust = document([{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}])
    made = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    if statements:
        policy = document(list(statements))
        client("iam").put_role_policy(RoleName=name, PolicyName="granted", PolicyDocument=policy)
    return made["Role"]["Arn"]


def caller(*statements: Statement, secret: str | None = None) -> Session:
    """Clients that may do what the statements allow, and nothing else; and not even that with a secret that is not theirs."""
    arn = role({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, *statements)
    keys = client("sts").assume_role(RoleArn=arn, RoleSessionName="contract")["Credentials"]
    session = boto3.Session(keys["AccessKeyId"], secret or keys["SecretAccessKey"], keys["SessionToken"])
    config = Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "max_attempts": 1})
    return lambda service: session.client(service, config=config)


def answered(call: Any, **arguments: Any) -> str:
    """`allowed`, or the code with which a call is refused."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "allowed"


def as_json(value: Any) -> str:
    """A value as JSON."""
    return json.dumps(value)
