"""How the local cloud judges permissions: what the project relies on, and where MiniStack is laxer or stricter than AWS
documents. Where it is laxer, assertions on the template (infra/test) hold what the end-to-end tests cannot see. When a version
of MiniStack changes one of these, a test here says which."""

import io
import json
import os
import uuid
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest

from callers import ACCOUNT, REGION, allow, answered, as_json, caller, role
from flights.table import table_input
from localcloud.clients import client
from localcloud.ledger import keys
from localcloud.polling import poll
from localcloud.queues import arn_of, waiting

SECONDS = 30
DENIED, DENIED_BY_JSON = "AccessDenied", "AccessDeniedException"


@pytest.fixture
def bucket() -> str:
    """A bucket with an object `in/a`."""
    name = f"contract-{uuid.uuid4().hex[:12]}"
    client("s3").create_bucket(Bucket=name)
    client("s3").put_object(Bucket=name, Key="in/a", Body=b"a")
    return name


def objects(bucket: str, prefix: str) -> str:
    """The ARN of the objects below a prefix."""
    return f"arn:aws:s3:::{bucket}/{prefix}*"


# What the project relies on.


def test_a_signature_that_is_wrong_is_refused_but_the_root_user_s(bucket: str) -> None:
    """Functions sign with the keys of their role's session. The tests are the root user."""
    s3 = caller(allow("s3:GetObject", objects(bucket, "in/")), secret="another")("s3")
    assert answered(s3.get_object, Bucket=bucket, Key="in/a") == "SignatureDoesNotMatch"
    root = boto3.Session("test", "another").client("s3")
    assert answered(root.get_object, Bucket=bucket, Key="in/a") == "allowed"


def test_what_is_not_allowed_is_denied_by_action_and_prefix(bucket: str) -> None:
    s3 = caller(allow("s3:GetObject", objects(bucket, "in/")), allow("s3:PutObject", objects(bucket, "out/")))("s3")
    assert answered(s3.get_object, Bucket=bucket, Key="in/a") == "allowed"
    assert answered(s3.put_object, Bucket=bucket, Key="out/a", Body=b"") == "allowed"
    assert answered(s3.get_object, Bucket=bucket, Key="out/a") == DENIED
    assert answered(s3.put_object, Bucket=bucket, Key="in/a", Body=b"") == DENIED
    assert answered(s3.delete_object, Bucket=bucket, Key="in/a") == DENIED


def test_lists_are_held_to_their_prefix(bucket: str) -> None:
    listing = allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", StringLike={"s3:prefix": "in/*"})
    s3 = caller(listing)("s3")
    assert answered(s3.list_objects_v2, Bucket=bucket, Prefix="in/") == "allowed"
    assert answered(s3.list_objects_v2, Bucket=bucket, Prefix="out/") == DENIED
    assert answered(s3.list_objects_v2, Bucket=bucket) == DENIED


def test_a_copy_reads_its_source(bucket: str) -> None:
    put, source = allow("s3:PutObject", objects(bucket, "out/")), f"{bucket}/in/a"
    writer = caller(put)("s3")
    assert answered(writer.copy_object, Bucket=bucket, Key="out/a", CopySource=source) == DENIED
    reader_too = caller(put, allow("s3:GetObject", objects(bucket, "in/")))("s3")
    assert answered(reader_too.copy_object, Bucket=bucket, Key="out/a", CopySource=source) == "allowed"


def test_a_multipart_upload_takes_put_object_alone_and_its_end_another_permission(bucket: str) -> None:
    s3 = caller(allow("s3:PutObject", objects(bucket, "out/")))("s3")
    where = {"Bucket": bucket, "Key": "out/a"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    part = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    assert answered(s3.list_parts, **where, UploadId=upload) == DENIED
    assert answered(s3.abort_multipart_upload, **where, UploadId=upload) == DENIED
    assert answered(s3.complete_multipart_upload, **where, UploadId=upload, MultipartUpload=parts) == "allowed"


def test_a_version_takes_a_permission_of_its_own(bucket: str) -> None:
    client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = client("s3").put_object(Bucket=bucket, Key="in/a", Body=b"b")["VersionId"]
    current, each = (
        caller(allow(action, objects(bucket, "in/")))("s3") for action in ("s3:GetObject", "s3:GetObjectVersion")
    )
    assert answered(current.get_object, Bucket=bucket, Key="in/a", VersionId=version) == DENIED
    assert answered(each.get_object, Bucket=bucket, Key="in/a", VersionId=version) == "allowed"


def test_a_bucket_that_wants_encryption_refuses_every_way_of_writing_without(bucket: str) -> None:
    everybody = {"Principal": "*", "Action": "s3:PutObject", "Resource": objects(bucket, "")}
    unencrypted = {"Null": {"s3:x-amz-server-side-encryption": "true"}}
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", **everybody, "Condition": unencrypted}]}
    client("s3").put_bucket_policy(Bucket=bucket, Policy=as_json(policy))
    s3 = caller(allow(["s3:GetObject", "s3:PutObject"], objects(bucket, "")))("s3")
    for encryption, expected in [({}, DENIED), ({"ServerSideEncryption": "AES256"}, "allowed")]:
        to = {"Bucket": bucket, "Key": "out", **encryption}
        assert answered(s3.put_object, **to, Body=b"") == expected
        assert answered(s3.copy_object, **to, CopySource=f"{bucket}/in/a") == expected
        assert answered(s3.create_multipart_upload, **to) == expected


def test_the_task_token_s_actions_have_no_resource_type() -> None:
    machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:any"
    for resource, expected in [(machine, DENIED_BY_JSON), ("*", "TaskDoesNotExist")]:
        functions = caller(allow("states:SendTaskHeartbeat", resource))("stepfunctions")
        assert answered(functions.send_task_heartbeat, taskToken="none") == expected


def test_decisions_about_roles_are_written_down(bucket: str) -> None:
    """By xtask/python/localcloud/serve.py: the end-to-end tests hold what was granted against them."""
    s3 = caller(allow("s3:PutObject", objects(bucket, "out/")), allow("s3:ListBucket", f"arn:aws:s3:::{bucket}"))("s3")
    s3.put_object(Bucket=bucket, Key="out/a", Body=b"")
    s3.list_objects_v2(Bucket=bucket, Prefix="out/")
    answered(s3.copy_object, Bucket=bucket, Key="out/b", CopySource=f"{bucket}/in/a")
    # MiniStack judges the copy's source when it has allowed the target.
    lines = Path(os.environ["LAKEWRIGHT_DECISIONS"]).read_text().splitlines()
    decisions = [decision for decision in map(json.loads, lines) if bucket in decision["resource"]]
    of_bucket = f"arn:aws:s3:::{bucket}"
    assert [(d["action"], d["resource"], d["prefix"], d["allowed"]) for d in decisions] == [
        ("s3:PutObject", f"{of_bucket}/out/a", None, True),
        ("s3:ListBucket", of_bucket, "out/", True),
        ("s3:PutObject", f"{of_bucket}/out/b", None, True),
        ("s3:GetObject", f"{of_bucket}/in/a", None, False),
    ]


# Where MiniStack is stricter than AWS: granted on the local cloud only (xtask/python/localcloud/divergences.py).


def test_stricter_a_batch_of_messages_takes_a_permission_that_aws_does_not_have() -> None:
    """AWS judges it as sqs:SendMessage."""
    url = client("sqs").create_queue(QueueName=f"contract-{uuid.uuid4().hex[:12]}")["QueueUrl"]
    entries = [{"Id": "1", "MessageBody": "1"}]
    sqs = caller(allow("sqs:SendMessage", arn_of(url)))("sqs")
    assert answered(sqs.send_message, QueueUrl=url, MessageBody="1") == "allowed"
    assert answered(sqs.send_message_batch, QueueUrl=url, Entries=entries) == DENIED
    sqs = caller(allow("sqs:SendMessageBatch", arn_of(url)))("sqs")
    assert answered(sqs.send_message_batch, QueueUrl=url, Entries=entries) == "allowed"


def test_stricter_a_batch_of_visibilities_takes_a_permission_that_aws_does_not_have() -> None:
    """AWS judges it as sqs:ChangeMessageVisibility."""
    url = client("sqs").create_queue(QueueName=f"contract-{uuid.uuid4().hex[:12]}")["QueueUrl"]
    client("sqs").send_message(QueueUrl=url, MessageBody="1")
    (message,) = client("sqs").receive_message(QueueUrl=url)["Messages"]
    entries = [{"Id": "1", "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}]
    sqs = caller(allow("sqs:ChangeMessageVisibility", arn_of(url)))("sqs")
    assert answered(sqs.change_message_visibility_batch, QueueUrl=url, Entries=entries) == DENIED
    sqs = caller(allow("sqs:ChangeMessageVisibilityBatch", arn_of(url)))("sqs")
    assert answered(sqs.change_message_visibility_batch, QueueUrl=url, Entries=entries) == "allowed"
    assert client("sqs").receive_message(QueueUrl=url)["Messages"]


def test_stricter_a_query_is_not_judged_by_its_workgroup(bucket: str) -> None:
    """On AWS the workgroup is the resource of both calls."""
    started = client("athena").start_query_execution(
        QueryString="SELECT 1", ResultConfiguration={"OutputLocation": f"s3://{bucket}/results/"}
    )
    query = {"QueryExecutionId": started["QueryExecutionId"]}
    actions = ["athena:GetQueryExecution", "athena:GetQueryResults"]
    workgroup = f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/primary"
    for resource, expected in [(workgroup, DENIED_BY_JSON), ("*", "allowed")]:
        athena = caller(allow(actions, resource))("athena")
        assert answered(athena.get_query_execution, **query) == expected


def test_stricter_a_batch_of_deletions_is_refused_as_a_whole(bucket: str) -> None:
    """AWS deletes what may be deleted, and names each other key in its answer."""
    for key in ("out/a", "out/b"):
        client("s3").put_object(Bucket=bucket, Key=key, Body=b"")
    s3 = caller(allow("s3:DeleteObject", objects(bucket, "out/")))("s3")
    batch = [{"Key": "out/a"}, {"Key": "in/a"}]
    assert answered(s3.delete_objects, Bucket=bucket, Delete={"Objects": batch}) == DENIED
    assert list(keys(bucket, "")) == ["in/a", "out/a", "out/b"]
    batch = [{"Key": "out/a"}, {"Key": "out/b"}]
    assert answered(s3.delete_objects, Bucket=bucket, Delete={"Objects": batch}) == "allowed"


def test_stricter_an_alias_of_a_key_is_no_condition() -> None:
    """AWS knows kms:ResourceAliases."""
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    alias = f"alias/contract-{uuid.uuid4().hex[:12]}"
    client("kms").create_alias(AliasName=alias, TargetKeyId=key)
    of_alias = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}}
    asked = {"KeyId": key, "KeySpec": "AES_256"}
    by_alias = caller(allow("kms:GenerateDataKey", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/*", **of_alias))("kms")
    assert answered(by_alias.generate_data_key, **asked) == DENIED_BY_JSON
    by_key = caller(allow("kms:GenerateDataKey", key))("kms")
    assert answered(by_key.generate_data_key, **asked) == "allowed"


# Where MiniStack is laxer than AWS: the template's assertions hold these.


def test_laxer_a_missing_key_is_missing_without_list_bucket(bucket: str) -> None:
    """AWS answers 403 unless s3:ListBucket is allowed."""
    s3 = caller(allow("s3:GetObject", objects(bucket, "in/")))("s3")
    assert answered(s3.get_object, Bucket=bucket, Key="in/none") == "NoSuchKey"
    assert answered(s3.head_object, Bucket=bucket, Key="in/none") == "404"


def test_laxer_tags_are_written_and_copied_without_a_permission(bucket: str) -> None:
    """AWS asks for s3:PutObjectTagging, and for a copy of a tagged object for s3:GetObjectTagging too."""
    client("s3").put_object(Bucket=bucket, Key="in/tagged", Body=b"", Tagging="a=b")
    s3 = caller(allow("s3:GetObject", objects(bucket, "in/")), allow("s3:PutObject", objects(bucket, "out/")))("s3")
    assert answered(s3.put_object, Bucket=bucket, Key="out/a", Body=b"", Tagging="a=b") == "allowed"
    assert answered(s3.copy_object, Bucket=bucket, Key="out/b", CopySource=f"{bucket}/in/tagged") == "allowed"
    assert client("s3").get_object_tagging(Bucket=bucket, Key="out/b")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_laxer_objects_encrypted_with_a_key_take_no_permission_for_the_key(bucket: str) -> None:
    """AWS asks for kms:GenerateDataKey to write one and kms:Decrypt to read one, and the key has to exist."""
    s3 = caller(allow(["s3:GetObject", "s3:PutObject"], objects(bucket, "")))("s3")
    for key in (client("kms").create_key()["KeyMetadata"]["Arn"], f"arn:aws:kms:{REGION}:{ACCOUNT}:key/none"):
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
        assert answered(s3.put_object, Bucket=bucket, Key="a", Body=b"", **encryption) == "allowed"
        assert answered(s3.get_object, Bucket=bucket, Key="a") == "allowed"


def test_laxer_payloads_need_not_be_signed_where_a_bucket_wants_it(bucket: str) -> None:
    """AWS knows s3:x-amz-content-sha256."""
    unsigned = {"StringEquals": {"s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}
    everybody = {"Principal": "*", "Action": "s3:PutObject", "Resource": objects(bucket, "")}
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", **everybody, "Condition": unsigned}]}
    client("s3").put_bucket_policy(Bucket=bucket, Policy=as_json(policy))
    s3 = caller(allow("s3:PutObject", objects(bucket, "")))("s3")
    # Over TLS boto3 sends what it does not sign.
    assert answered(s3.put_object, Bucket=bucket, Key="a", Body=b"a") == "allowed"


def test_a_buckets_owner_is_judged(bucket: str) -> None:
    """As the request expects it (MiniStack by itself does not look at that: `localcloud/owners.py`), and by s3:ResourceAccount."""
    s3 = caller(allow("s3:GetObject", objects(bucket, "")))("s3")
    for account, expected in [(ACCOUNT, "allowed"), ("111122223333", DENIED)]:
        assert answered(s3.get_object, Bucket=bucket, Key="in/a", ExpectedBucketOwner=account) == expected
    for account, expected in [(ACCOUNT, "allowed"), ("111122223333", DENIED)]:
        owned = {"s3:ResourceAccount": account}
        s3 = caller(allow("s3:GetObject", objects(bucket, ""), StringEquals=owned))("s3")
        assert answered(s3.get_object, Bucket=bucket, Key="in/a") == expected


def test_laxer_and_stricter_a_table_is_judged_by_its_database_alone() -> None:
    """AWS wants the catalog, the database and the table, each of them."""
    database = f"contract_{uuid.uuid4().hex[:12]}"
    client("glue").create_database(DatabaseInput={"Name": database})
    table = {"DatabaseName": database, "Name": "t"}
    client("glue").create_table(DatabaseName=database, TableInput=table_input("t", "s3://b/t/", {"a": "int"}, ["day"]))
    arn = f"arn:aws:glue:{REGION}:{ACCOUNT}"
    for resource, expected in [
        ("catalog", DENIED_BY_JSON),
        (f"table/{database}/t", DENIED_BY_JSON),
        (f"database/{database}", "allowed"),
    ]:
        glue = caller(allow(["glue:GetTable", "glue:BatchCreatePartition"], f"{arn}:{resource}"))("glue")
        assert answered(glue.get_table, **table) == expected
        partitions = {"DatabaseName": database, "TableName": "t", "PartitionInputList": [{"Values": ["1"]}]}
        assert answered(glue.batch_create_partition, **partitions) == expected


def test_laxer_a_state_machine_does_everything_whatever_its_role_and_whoever_may_assume_it(bucket: str) -> None:
    """AWS asks the role for each call, and for states:StartExecution of a Distributed Map's items."""
    url = client("sqs").create_queue(QueueName=bucket)["QueueUrl"]
    client("s3").put_object(Bucket=bucket, Key="list", Body=b"[1, 2]")
    send = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "End": True}
    each = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Send",
        "States": {"Send": {**send, "Parameters": {"QueueUrl": url, "MessageBody": "1"}}},
    }
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Parameters": {"Bucket": bucket, "Key": "list"},
    }
    over = {"Type": "Map", "ItemReader": reader, "ItemProcessor": each, "End": True}
    functions = client("stepfunctions")
    machine = functions.create_state_machine(
        name=bucket,
        definition=as_json({"StartAt": "Over", "States": {"Over": over}}),
        roleArn=role({"Service": "lambda.amazonaws.com"}),
    )["stateMachineArn"]
    execution = functions.start_execution(stateMachineArn=machine)["executionArn"]

    def ended() -> str | None:
        status = functions.describe_execution(executionArn=execution)["status"]
        return None if status == "RUNNING" else status

    assert poll(ended, "end of the execution", SECONDS) == "SUCCEEDED"
    assert waiting(url) == 2


def test_laxer_a_queue_feeds_a_function_that_may_not_receive_from_it(bucket: str) -> None:
    """AWS refuses the event source mapping. Nor does MiniStack look at who may assume the function's role."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("handler.py", "def handle(event, context):\n    return {}\n")
    client("lambda").create_function(
        FunctionName=bucket,
        Runtime="python3.11",
        Handler="handler.handle",
        Role=role({"Service": "states.amazonaws.com"}),
        Code={"ZipFile": archive.getvalue()},
    )
    sqs = client("sqs")
    url = sqs.create_queue(QueueName=bucket)["QueueUrl"]
    client("lambda").create_event_source_mapping(EventSourceArn=arn_of(url), FunctionName=bucket)
    sqs.send_message(QueueUrl=url, MessageBody="1")

    def empty() -> bool | None:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts: dict[str, Any] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return True if set(counts.values()) == {"0"} else None

    poll(empty, "end of the message", SECONDS)


def test_laxer_a_role_need_not_trust_the_scheduler(bucket: str) -> None:
    """AWS refuses the schedule; and it starts nothing that the role may not, which MiniStack does a minute later."""
    machine = client("stepfunctions").create_state_machine(
        name=bucket,
        definition=as_json({"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": True}}}),
        roleArn=role({"Service": "states.amazonaws.com"}),
    )["stateMachineArn"]
    target = {"Arn": machine, "RoleArn": role({"Service": "lambda.amazonaws.com"})}
    schedule = {"ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": {"Mode": "OFF"}}
    assert answered(client("scheduler").create_schedule, Name=bucket, **schedule, Target=target) == "allowed"


def test_what_is_missing_executions_and_messages_cannot_be_redriven() -> None:
    """So the tests start an execution again, and move dead letters by hand."""
    redrive = client("stepfunctions").redrive_execution
    execution = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:any:none"
    assert answered(redrive, executionArn=execution) == "InvalidAction"
    move = client("sqs").start_message_move_task
    assert answered(move, SourceArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:none") == "InvalidAction"
