"""`cargo xtask doctor`: each fault that it knows, on the local cloud."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from localcloud.clients import client
from operate import doctor
from operate.doctor import Deployment, diagnose

KEYS = ["year", "month", "day", "hour"]


class Account:
    """What an account has, in which nothing is wrong."""

    def __init__(self) -> None:
        self.name = f"doctor-{uuid4().hex[:8]}"
        self.landing, self.lake = f"{self.name}-landing", f"{self.name}-lake"
        for bucket in (self.landing, self.lake):
            client("s3").create_bucket(Bucket=bucket)
        client("glue").create_database(DatabaseInput={"Name": self.name})
        self.table("events", KEYS)
        self.rekey: dict[str, Any] = {
            "name": "anpr",
            "source": f"s3://{self.landing}/anpr/",
            "target": f"s3://{self.lake}/anpr/",
            "table": f"{self.name}.events",
        }
        self.compact: dict[str, Any] = {"table": f"{self.name}.events"}
        self.context = {"max-concurrency": "5", "backfill-concurrency": "2", "compact-concurrency": "5"}

    def table(self, name: str, keys: list[str], **parameters: str) -> None:
        """Makes a table."""
        client("glue").create_table(
            DatabaseName=self.name,
            TableInput={
                "Name": name,
                "PartitionKeys": [{"Name": key, "Type": "string"} for key in keys],
                "StorageDescriptor": {"Columns": [], "Location": f"s3://{self.lake}/anpr"},
                "Parameters": parameters,
            },
        )

    def said(self, template: Path | None = None, **context: str) -> list[tuple[bool, str]]:
        """What the doctor says: whether it fails, and the subject and the words."""
        config = {"rekey": [self.rekey], "compact": [self.compact]}
        found = diagnose(Deployment(config, self.context | context), template)
        return [(one.fails, f"{one.subject}: {one.says}") for one in found]


@pytest.fixture
def account() -> Iterator[Account]:
    """An account."""
    account = Account()
    yield account
    for bucket in (account.landing, account.lake):
        client("s3").delete_bucket(Bucket=bucket)


def the(found: list[tuple[bool, str]]) -> tuple[bool, str]:
    """The only finding."""
    assert len(found) == 1, found
    return found[0]


def test_where_nothing_is_wrong_nothing_is_said(account: Account) -> None:
    assert account.said() == []


def test_a_bucket_that_is_missing(account: Account) -> None:
    missing = f"{account.name}-none"
    account.rekey["source"] = f"s3://{missing}/anpr/"
    fails, said = the(account.said())
    assert fails
    assert f"s3://{missing} (rekey `anpr`): there is no such bucket" in said
    assert account.said(**{"create-buckets": missing}) == []


def test_a_bucket_in_another_region(account: Account) -> None:
    elsewhere = f"{account.name}-elsewhere"
    client("s3").create_bucket(Bucket=elsewhere, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    account.rekey["source"] = f"s3://{elsewhere}/anpr/"
    try:
        fails, said = the(account.said())
        assert fails
        assert "it is in eu-central-1, and the stack in us-east-1" in said
    finally:
        client("s3").delete_bucket(Bucket=elsewhere)


def test_a_bucket_of_another_account(account: Account) -> None:
    fails, said = the(account.said(**{"bucket-owners": f"{account.landing}=444455556666"}))
    assert fails
    assert f"s3://{account.landing} (rekey `anpr`): it is not of account 444455556666" in said


def test_a_bucket_encrypted_with_a_key_that_no_role_may_use(account: Account) -> None:
    key = client("kms").create_key()["KeyMetadata"]["KeyId"]
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    client("s3").put_bucket_encryption(Bucket=account.lake, ServerSideEncryptionConfiguration={"Rules": [rule]})
    fails, said = the(account.said())
    assert fails
    assert f"-c kms-keys={account.lake}={key}" in said
    assert account.said(**{"kms-keys": f"{account.lake}={key}"}) == []
    client("kms").create_alias(AliasName=f"alias/{account.name}", TargetKeyId=key)
    assert account.said(**{"kms-keys": f"{account.lake}=alias/{account.name}"}) == []
    account.rekey["encryption"] = {"algorithm": "aws:kms", "key": key}
    assert account.said() == []


@pytest.mark.parametrize(("prefix", "overlaps"), [("", True), ("anpr/2026/", True), ("orders/", False)])
def test_notifications_that_overlap(account: Account, prefix: str, overlaps: bool) -> None:
    queue = client("sqs").create_queue(QueueName=account.name)["QueueUrl"]
    arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}]}
    client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
    told = {
        "QueueArn": arn,
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}},
    }
    client("s3").put_bucket_notification_configuration(
        Bucket=account.landing, NotificationConfiguration={"QueueConfigurations": [told]}
    )
    found = account.said()
    if overlaps:
        fails, said = the(found)
        assert fails
        assert f"{arn} is told of `{prefix}*`, which overlaps `anpr/*`" in said
    else:
        assert found == []
    # The stack's own are no others, and with EventBridge there are none.
    assert account.said(stack=account.name[:-1]) == ([] if not overlaps else found)
    fails, said = the(account.said(notifications="eventbridge"))
    assert "does not send its events to EventBridge" in said
    client("s3").put_bucket_notification_configuration(
        Bucket=account.landing,
        NotificationConfiguration={"QueueConfigurations": [told], "EventBridgeConfiguration": {}},
    )
    assert account.said(notifications="eventbridge") == []


def test_a_table_that_is_missing(account: Account) -> None:
    account.rekey["table"] = account.compact["table"] = f"{account.name}.none"
    found = account.said()
    assert [fails for fails, _ in found] == [True, True]
    assert all("there is no such table" in said for _, said in found)


def test_a_table_of_a_route_that_is_missing(account: Account) -> None:
    account.rekey.pop("table")
    there = {"target": f"s3://{account.lake}/anpr/", "table": f"{account.name}.events"}
    account.rekey["route"] = {"column": "kind", "tables": {"a": there, "b": there | {"table": f"{account.name}.none"}}}
    fails, said = the(account.said())
    assert fails and said.startswith(f"table {account.name}.none (rekey `anpr`): there is no such table")


def test_partition_keys_that_differ(account: Account) -> None:
    account.rekey["partition_by"] = ["date"]
    fails, said = the(account.said())
    assert fails
    assert f"its partition keys are {KEYS}, and partition_by is ['date']" in said


def test_a_table_that_cannot_be_compacted(account: Account) -> None:
    account.table("projected", KEYS, **{"projection.enabled": "true"})
    account.table("whole", [])
    for name, says in [("projected", "partition projection"), ("whole", "no partitions")]:
        account.compact["table"] = f"{account.name}.{name}"
        fails, said = the(account.said())
        assert fails
        assert says in said


def test_lake_formation_in_the_way(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """MiniStack has no Lake Formation: of Glue's answer only this differs."""

    class Guarded:
        def get_table(self, **request: Any) -> dict[str, Any]:
            answer = client("glue").get_table(**request)
            return {"Table": answer["Table"] | {"IsRegisteredWithLakeFormation": True}}

    monkeypatch.setattr(doctor, "client", lambda service: Guarded() if service == "glue" else client(service))
    found = account.said()
    assert [fails for fails, _ in found] == [False, False]
    assert all("Lake Formation guards it" in said for _, said in found)


def test_more_concurrency_than_the_account_has(account: Account) -> None:
    fails, said = the(account.said(**{"max-concurrency": "900", "compact-concurrency": "900"}))
    assert not fails
    assert "the jobs may take 1802 invocations at once, and the account has " in said


def test_quotas(account: Account, tmp_path: Path) -> None:
    template = tmp_path / "Lakewright.template.json"
    queue = {"type": "AWS::SQS::Queue"}

    def written(resources: int, jobs: int) -> Path:
        urls = [part for job in range(jobs) for part in (f'"job-{job}":"', {"Ref": f"Queue{job}"}, '",')]
        function = {
            "Type": "AWS::Lambda::Function",
            "Properties": {"FunctionName": "rekey", "Environment": {"Variables": {"LAKEWRIGHT_QUEUES": {"Fn::Join": ["", urls]}}}},
        }
        rest = {f"Queue{number}": {"Type": "AWS::SQS::Queue"} | queue for number in range(resources - 1)}
        template.write_text(json.dumps({"Resources": {"Rekey": function, **rest}}))
        return template

    assert account.said(written(500, 20)) == []
    fails, said = the(account.said(written(501, 20)))
    assert fails
    assert "it has 501 resources of at most 500" in said
    fails, said = the(account.said(written(500, 30)))
    assert fails
    assert "function rekey: its environment has about" in said
