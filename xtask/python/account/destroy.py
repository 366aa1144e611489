"""Removes what a run has made in an account: only what has the run's name."""

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from account import names
from localcloud.clients import client
from localcloud.polling import DeadlineExceeded, poll
from localcloud.progress import progress

STACK_SECONDS = 1800
# As many as S3 deletes at once.
BATCH = 1000


def stack(name: str) -> None:
    """Deletes the stack. Its buckets stay."""
    cloudformation = client("cloudformation")
    try:
        found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in str(error):
            return
        raise
    cloudformation.delete_stack(StackName=name)
    identity: str = found["StackId"]

    def gone() -> dict[str, Any] | None:
        described = cloudformation.describe_stacks(StackName=identity)["Stacks"][0]
        return None if described["StackStatus"].endswith("_IN_PROGRESS") else described

    ended = poll(gone, f"end of the deletion of stack {name}", STACK_SECONDS)
    if ended["StackStatus"] != "DELETE_COMPLETE":
        raise ValueError(f"it is {ended['StackStatus']}: {ended.get('StackStatusReason', 'no reason is given')}")


def buckets(run: str) -> list[str]:
    """The run's buckets."""
    found = [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]]
    return [name for name in found if name.startswith(names.bucket("", run))]


def versions(bucket: str) -> Iterator[dict[str, str]]:
    """Every version and delete marker of a bucket."""
    for page in client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket):
        for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            yield {"Key": version["Key"], "VersionId": version["VersionId"]}


def bucket(name: str) -> None:
    """Empties a bucket and deletes it."""
    s3 = client("s3")
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=name):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    found = list(versions(name))
    for begin in range(0, len(found), BATCH):
        answer = s3.delete_objects(Bucket=name, Delete={"Objects": found[begin : begin + BATCH], "Quiet": True})
        if errors := answer.get("Errors"):
            raise ValueError(f"{len(errors)} objects cannot be deleted, the first is {errors[0]}")
    s3.delete_bucket(Bucket=name)


def databases(run: str) -> list[str]:
    """The run's databases."""
    pages = client("glue").get_paginator("get_databases").paginate()
    found = [database["Name"] for page in pages for database in page["DatabaseList"]]
    return [name for name in found if name.endswith(names.database("", run))]


def logs(run: str) -> list[str]:
    """The log groups of the run's functions, which a function that ends late makes anew."""
    pages = client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"/aws/lambda/{names.stack(run)}-")
    return [group["logGroupName"] for page in pages for group in page["logGroups"]]


def each(kind: str, listed: Callable[[str], list[str]], delete: Callable[[str], Any], run: str) -> Iterator[str]:
    """Deletes all of one kind; says what is left, and why."""
    try:
        found = listed(run)
    except (BotoCoreError, ClientError) as error:
        yield f"{kind}s of run {run}, which cannot be listed: {error}"
        return
    for name in found:
        try:
            delete(name)
        except (BotoCoreError, ClientError, ValueError, DeadlineExceeded) as error:
            yield f"{kind} {name}: {error}"


def destroy(run: str) -> list[str]:
    """Removes all of it; answers with what is left, and why."""
    if not run:
        raise ValueError("without a name, everything would be the run's")
    glue, cloudwatch = client("glue"), client("logs")
    left = []
    kinds: list[tuple[str, Callable[[str], list[str]], Callable[[str], Any]]] = [
        # First: its functions write, and send.
        ("stack", lambda run: [names.stack(run)], stack),
        ("bucket", buckets, bucket),
        ("database", databases, lambda name: glue.delete_database(Name=name)),
        ("log group", logs, lambda name: cloudwatch.delete_log_group(logGroupName=name)),
    ]
    for number, (kind, listed, delete) in enumerate(kinds):
        progress(number, len(kinds), f"destroying: {kind}s")
        left += each(kind, listed, delete, run)
    return left
