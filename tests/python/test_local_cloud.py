"""What the project relies on of the local cloud. When a version of MiniStack breaks one of these, the other tests
would fail for reasons that are not the project's."""

import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flights.table import table_input
from localcloud.athena import ask
from localcloud.batching import LONGEST_WINDOW_SECONDS, PAYLOAD_BYTES, Windows, fitting
from localcloud.clients import client
from localcloud.ledger import keys
from localcloud.polling import poll

SECONDS = 30


@pytest.fixture
def bucket() -> str:
    """An empty bucket."""
    name = f"contract-{uuid.uuid4().hex[:12]}"
    client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="module")
def role() -> str:
    """A role for state machines, which must exist."""
    trust = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
    made = client("iam").create_role(
        RoleName=f"contract-{uuid.uuid4().hex[:12]}",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    return made["Role"]["Arn"]


def status(call: Any, **arguments: Any) -> int:
    """The HTTP status of a call."""
    try:
        return call(**arguments)["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


def test_an_object_is_created_once(bucket: str) -> None:
    put = client("s3").put_object
    assert status(put, Bucket=bucket, Key="k", Body=b"a", IfNoneMatch="*") == 200
    assert status(put, Bucket=bucket, Key="k", Body=b"b", IfNoneMatch="*") == 412
    assert client("s3").get_object(Bucket=bucket, Key="k")["Body"].read() == b"a"


def test_of_racing_writers_one_wins(bucket: str) -> None:
    def put(racer: int) -> list[int]:
        return [
            status(client("s3").put_object, Bucket=bucket, Key=f"k{n}", Body=bytes([racer]), IfNoneMatch="*")
            for n in range(20)
        ]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(put, range(8)))
    for attempts in zip(*answers, strict=True):
        assert sorted(attempts) == [200, *[412] * 7]


def test_a_multipart_upload_is_created_once(bucket: str) -> None:
    s3 = client("s3")
    codes = []
    for body in (b"a", b"b"):
        upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=body)
        codes.append(
            status(
                s3.complete_multipart_upload,
                Bucket=bucket,
                Key="k",
                UploadId=upload,
                MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
                IfNoneMatch="*",
            )
        )
    assert codes == [200, 412]


def test_reads_and_writes_follow_the_etag(bucket: str) -> None:
    s3 = client("s3")
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"a")["ETag"]
    new = s3.put_object(Bucket=bucket, Key="k", Body=b"b", IfMatch=old)["ETag"]
    assert status(s3.put_object, Bucket=bucket, Key="k", Body=b"c", IfMatch=old) == 412
    assert status(s3.get_object, Bucket=bucket, Key="k", IfMatch=old) == 412
    assert status(s3.get_object, Bucket=bucket, Key="k", IfMatch=new) == 200
    assert s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-0")["ContentRange"] == "bytes 0-0/1"


def test_a_listing_is_complete_and_ordered(bucket: str) -> None:
    names = [f"p/{n:04}" for n in range(1_050)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: client("s3").put_object(Bucket=bucket, Key=name, Body=b""), reversed(names)))
    assert list(keys(bucket, "p/")) == names


def test_notifications_reach_the_queue_with_urlencoded_keys(bucket: str) -> None:
    sqs = client("sqs")
    url = sqs.create_queue(QueueName=bucket)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    may = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    rules = [{"Name": "prefix", "Value": "in/"}]
    configuration = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": rules}}}
    client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [configuration]}
    )
    client("s3").put_object(Bucket=bucket, Key="outside", Body=b"1")
    client("s3").put_object(Bucket=bucket, Key="in/a b+c=é.json", Body=b"1")
    seen: list[dict[str, Any]] = []

    def arrived() -> bool | None:
        received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        seen.extend(json.loads(message["Body"]) for message in received.get("Messages", []))
        return True if any("Records" in body for body in seen) else None

    poll(arrived, "notification", SECONDS)
    assert [body["Event"] for body in seen if "Records" not in body] == ["s3:TestEvent"]
    (object_key,) = [record["s3"]["object"]["key"] for body in seen for record in body.get("Records", [])]
    assert object_key == "in/a+b%2Bc%3D%C3%A9.json"


def test_a_partition_is_registered_once_and_sql_sees_its_rows(bucket: str) -> None:
    glue = client("glue")
    database = bucket.replace("-", "_")
    location = f"s3://{bucket}/t/"
    glue.create_database(DatabaseInput={"Name": database})
    glue.create_table(DatabaseName=database, TableInput=table_input("t", location, {"a": "int"}, ["day"]))
    storage = glue.get_table(DatabaseName=database, Name="t")["Table"]["StorageDescriptor"]
    partition = {"Values": ["01"], "StorageDescriptor": {**storage, "Location": f"{location}day=01/"}}

    def register() -> list[str]:
        answer = glue.batch_create_partition(DatabaseName=database, TableName="t", PartitionInputList=[partition])
        return [error["ErrorDetail"]["ErrorCode"] for error in answer.get("Errors", [])]

    assert register() == []
    assert register() == ["AlreadyExistsException"]
    import io

    import pyarrow as arrow
    import pyarrow.parquet as parquet

    file = io.BytesIO()
    parquet.write_table(arrow.table({"a": [1, 2, None]}), file)
    client("s3").put_object(Bucket=bucket, Key="t/day=01/x.parquet", Body=file.getvalue())
    client("s3").put_object(Bucket=bucket, Key="t/_lakewright/commit/x", Body=b"{}")
    assert ask("SELECT count(*) AS n, sum(a) AS s FROM t", database, f"s3://{bucket}/r/") == {"n": 3.0, "s": 3.0}


def test_a_result_lies_where_athena_puts_it_and_a_token_names_its_query(bucket: str) -> None:
    athena = client("athena")
    token = str(uuid.uuid4())
    request = {
        "QueryString": """SELECT 1 AS n, 'a "b", c' AS text, NULL AS nothing""",
        "ClientRequestToken": token,
        "ResultConfiguration": {"OutputLocation": f"s3://{bucket}/results/"},
    }
    assert [athena.start_query_execution(**request)["QueryExecutionId"] for _ in range(2)] == [token, token]

    def ended() -> dict[str, Any] | None:
        execution = athena.get_query_execution(QueryExecutionId=token)["QueryExecution"]
        return None if execution["Status"]["State"] in ("QUEUED", "RUNNING") else execution

    execution = poll(ended, "end of the query", 30)
    assert execution["Status"]["State"] == "SUCCEEDED"
    location = execution["ResultConfiguration"]["OutputLocation"]
    assert location == f"s3://{bucket}/results/{token}.csv"
    body = client("s3").get_object(Bucket=bucket, Key=location.removeprefix(f"s3://{bucket}/"))["Body"].read()
    assert body == b'"n","text","nothing"\n"1","a ""b"", c",\n'


def test_a_partition_is_moved(bucket: str) -> None:
    glue = client("glue")
    database = bucket.replace("-", "_")
    glue.create_database(DatabaseInput={"Name": database})
    glue.create_table(DatabaseName=database, TableInput=table_input("t", f"s3://{bucket}/t/", {"a": "int"}, ["day"]))
    storage = glue.get_table(DatabaseName=database, Name="t")["Table"]["StorageDescriptor"]
    partition = {"Values": ["01"], "StorageDescriptor": {**storage, "Location": f"s3://{bucket}/t/day=01/"}}
    glue.batch_create_partition(DatabaseName=database, TableName="t", PartitionInputList=[partition])
    moved = {"Values": ["01"], "StorageDescriptor": {**storage, "Location": f"s3://{bucket}/t.generations/day=01/"}}
    entry = {"PartitionValueList": ["01"], "PartitionInput": moved}
    assert glue.batch_update_partition(DatabaseName=database, TableName="t", Entries=[entry]).get("Errors", []) == []
    (found,) = glue.get_partitions(DatabaseName=database, TableName="t")["Partitions"]
    assert found["StorageDescriptor"]["Location"] == moved["StorageDescriptor"]["Location"]


def test_partitions_are_listed_in_pages_and_without_columns_if_asked(bucket: str) -> None:
    glue = client("glue")
    database = bucket.replace("-", "_")
    glue.create_database(DatabaseInput={"Name": database})
    glue.create_table(DatabaseName=database, TableInput=table_input("t", f"s3://{bucket}/t/", {"a": "int"}, ["day"]))
    storage = glue.get_table(DatabaseName=database, Name="t")["Table"]["StorageDescriptor"]
    partitions = [{"Values": [day], "StorageDescriptor": storage} for day in ("01", "02", "03")]
    glue.batch_create_partition(DatabaseName=database, TableName="t", PartitionInputList=partitions)
    asked = {"DatabaseName": database, "TableName": "t", "ExcludeColumnSchema": True, "MaxResults": 2}
    first = glue.get_partitions(**asked)
    second = glue.get_partitions(**asked, NextToken=first["NextToken"])
    assert [len(first["Partitions"]), len(second["Partitions"]), "NextToken" in second] == [2, 1, False]
    for listed in first["Partitions"] + second["Partitions"]:
        assert listed["StorageDescriptor"] == {name: value for name, value in storage.items() if name != "Columns"}
    whole = glue.get_partitions(DatabaseName=database, TableName="t")["Partitions"]
    assert [partition["StorageDescriptor"] for partition in whole] == [storage] * 3


def test_a_state_machine_goes_through_lists(bucket: str, role: str) -> None:
    """As that of repartition does; and waits of given length, and failures that stop nobody else."""
    missing = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sqs:getQueueUrl",
        "Arguments": {"QueueName": "{% $states.input.queue %}"},
        "Output": "{% $states.input %}",
        "Catch": [
            {
                "ErrorEquals": ["States.ALL"],
                "Next": "Left",
                "Output": '{% {"queue": $states.input.queue, "error": $exists($states.errorOutput.Error)} %}',
            }
        ],
        "Next": "Wait",
    }
    wait = {"Type": "Wait", "Seconds": "{% $states.input.seconds %}", "Output": {}, "Next": "Stands"}
    inner = {
        "Type": "Map",
        "Items": "{% $states.input.parts %}",
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": "Part",
            "States": {"Part": {"Type": "Pass", "Output": "{% $states.input * 2 %}", "End": True}},
        },
        "Output": '{% $merge([$states.input, {"parts": $states.result}]) %}',
        "Next": "Look",
    }
    states = {
        "Parts": inner,
        "Look": missing,
        "Wait": wait,
        "Stands": {"Type": "Pass", "End": True},
        "Left": {"Type": "Pass", "End": True},
    }
    outer = {
        "Type": "Map",
        "Items": "{% $states.input.items %}",
        "MaxConcurrency": 2,
        "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Parts", "States": states},
        "Output": '{% {"failures": [$states.result[$exists(error)]], "all": $count($states.result)} %}',
        "End": True,
    }
    functions = client("stepfunctions")
    machine = functions.create_state_machine(
        name=bucket,
        definition=json.dumps({"QueryLanguage": "JSONata", "StartAt": "Items", "States": {"Items": outer}}),
        roleArn=role,
    )["stateMachineArn"]
    client("sqs").create_queue(QueueName=bucket)

    def output_of(items: list[dict[str, Any]]) -> Any:
        execution = functions.start_execution(stateMachineArn=machine, input=json.dumps({"items": items}))["executionArn"]

        def ended() -> dict[str, Any] | None:
            described = functions.describe_execution(executionArn=execution)
            return None if described["status"] == "RUNNING" else described

        described = poll(ended, "end of the execution", SECONDS)
        assert described["status"] == "SUCCEEDED", described.get("cause")
        return json.loads(described["output"])

    def item(queue: str, parts: list[int]) -> dict[str, Any]:
        return {"queue": queue, "parts": parts, "seconds": 0}

    assert output_of([]) == {"failures": [], "all": 0}
    assert output_of([item(bucket, [])]) == {"failures": [], "all": 1}
    one, two = {"queue": "no-such-queue", "error": True}, {"queue": "nor-this-one", "error": True}
    assert output_of([item(bucket, [1, 2]), item(one["queue"], [1])]) == {"failures": [one], "all": 2}
    several = [item(one["queue"], []), item(bucket, [3]), item(two["queue"], [])]
    assert output_of(several) == {"failures": [one, two], "all": 3}


def test_a_state_machine_goes_through_a_list_in_s3(bucket: str, role: str) -> None:
    """As those of compact and repartition do: the map is in JSONPath, what it does with each item and what follows is not.
    Items know the execution, put objects, and these are found by what follows."""
    client("s3").put_object(Bucket=bucket, Key="list.json", Body=json.dumps([{"n": n} for n in range(150)]).encode())
    each = {
        "Type": "Task",
        "QueryLanguage": "JSONata",
        "Resource": "arn:aws:states:::aws-sdk:s3:putObject",
        "Arguments": {
            "Bucket": bucket,
            "Key": '{% $states.input.run & "/n=" & $string($states.input.item.n) & "/Some.Error" %}',
            "Body": '{% {"double": $states.input.item.n * 2} %}',
            "ContentType": "application/json",
        },
        "Output": "{% {} %}",
        "End": True,
    }
    over = {
        "Type": "Map",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Parameters": {"Bucket.$": "$.list.bucket", "Key.$": "$.list.key"},
        },
        "ItemSelector": {"run.$": "$$.Execution.Name", "item.$": "$$.Map.Item.Value"},
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Each",
            "States": {"Each": each},
        },
        "MaxConcurrency": 4,
        "ResultPath": None,
        "Next": "Found",
    }
    found = {
        "Type": "Task",
        "QueryLanguage": "JSONata",
        "Resource": "arn:aws:states:::aws-sdk:s3:listObjectsV2",
        "Arguments": {"Bucket": bucket, "Prefix": '{% $states.context.Execution.Name & "/" %}', "MaxKeys": 100},
        "Output": '{% {"found": $count($states.result.Contents), "first": $states.result.Contents[0].Key, "kept": $states.input.list.key} %}',
        "End": True,
    }
    functions = client("stepfunctions")
    machine = functions.create_state_machine(
        name=bucket,
        definition=json.dumps({"StartAt": "Over", "States": {"Over": over, "Found": found}}),
        roleArn=role,
    )["stateMachineArn"]
    request = {"list": {"bucket": bucket, "key": "list.json"}}
    execution = functions.start_execution(stateMachineArn=machine, name="run-1", input=json.dumps(request))["executionArn"]

    def ended() -> dict[str, Any] | None:
        described = functions.describe_execution(executionArn=execution)
        return None if described["status"] == "RUNNING" else described

    described = poll(ended, "end of the execution", SECONDS)
    assert described["status"] == "SUCCEEDED", described.get("cause")
    assert json.loads(described["output"]) == {"found": 100, "first": "run-1/n=0/Some.Error", "kept": "list.json"}
    body = client("s3").get_object(Bucket=bucket, Key="run-1/n=149/Some.Error")["Body"].read()
    assert json.loads(body) == {"double": 298}


def test_a_state_machine_waits_until_its_token_comes_back(bucket: str, role: str) -> None:
    sqs, functions = client("sqs"), client("stepfunctions")
    url = sqs.create_queue(QueueName=bucket)["QueueUrl"]
    message = (
        '{% $merge([$sift($states.context.Execution.Input, function($v, $k) { $not($k in ["b"]) }), '
        '{"token": $states.context.Task.Token, "hash": $hash($states.context.Execution.Id, "SHA-256")}]) %}'
    )
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Arguments": {"QueueUrl": url, "MessageBody": message},
        "End": True,
    }
    machine = functions.create_state_machine(
        name=bucket,
        definition=json.dumps({"QueryLanguage": "JSONata", "StartAt": "Wait", "States": {"Wait": state}}),
        roleArn=role,
    )["stateMachineArn"]
    executions = [
        functions.start_execution(stateMachineArn=machine, input=json.dumps({"a": n, "b": 0}))["executionArn"]
        for n in range(2)
    ]
    received: dict[int, dict[str, Any]] = {}

    def asked() -> bool | None:
        for got in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            body = json.loads(got["Body"])
            received[body.pop("a")] = body
        return True if len(received) == 2 else None

    poll(asked, "messages with tokens", SECONDS)
    assert [sorted(body) for body in received.values()] == [["hash", "token"]] * 2
    assert all(re.fullmatch("[0-9a-f]{64}", body["hash"]) for body in received.values())
    for body in received.values():
        functions.send_task_heartbeat(taskToken=body["token"])
    functions.send_task_success(taskToken=received[0]["token"], output='{"rows": 1}')
    functions.send_task_failure(taskToken=received[1]["token"], error="Lakewright.ChunkFailed", cause="why")

    def ended() -> list[dict[str, Any]] | None:
        described = [functions.describe_execution(executionArn=execution) for execution in executions]
        return None if any(each["status"] == "RUNNING" for each in described) else described

    good, bad = poll(ended, "end of the executions", SECONDS)
    assert (good["status"], json.loads(good["output"])) == ("SUCCEEDED", {"rows": 1})
    assert (bad["status"], bad["error"], bad["cause"]) == ("FAILED", "Lakewright.ChunkFailed", "why")
    with pytest.raises(ClientError) as late:
        functions.send_task_success(taskToken=received[0]["token"], output="{}")
    assert late.value.response["Error"]["Code"] in ("TaskDoesNotExist", "TaskTimedOut", "InvalidToken")


def test_messages_are_handed_over_as_lambda_does() -> None:
    small, large = {"body": "m"}, {"body": "m" * (PAYLOAD_BYTES // 2)}
    assert [fitting([small] * 30, most) for most in (1, 10, 1_000)] == [1, 10, 30]
    assert (fitting([large] * 3, 10), fitting([{"body": "m" * PAYLOAD_BYTES}], 10)) == (1, 1)
    windows = Windows()
    # A window begins with the first message, and ends early where the batch is full.
    assert [windows.batch("a", [small], 10, 5, now) for now in (0.0, 4.9, 5.0)] == [0, 0, 1]
    assert [windows.batch("a", [small] * count, 10, 5, 6.0) for count in (9, 10)] == [0, 10]
    assert windows.batch("b", [small], 10, 0, 0.0) == 1
    assert [windows.batch("c", [small], 10, 300, now) for now in (0.0, LONGEST_WINDOW_SECONDS)] == [0, 1]
