"""Deploys a synthesized CDK assembly, as `cdk deploy` does: assets to their buckets, then the stack."""

import argparse
import io
import json
import zipfile
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from localcloud.clients import client
from localcloud.divergences import grant_what_only_ministack_asks_for
from localcloud.polling import DeadlineExceeded, poll
from localcloud.progress import Failure, progress, run
from localcloud.ready import wait_until_ready

BOOTSTRAP_VERSION = "/cdk-bootstrap/hnb659fds/version"
STACK_SECONDS = 180


def zipped(folder: Path) -> bytes:
    """The folder as a zip; names in order, so that equal folders make equal zips."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def resolved(text: str, account: str, region: str) -> str:
    """A bucket or key of the assembly, with its placeholders replaced."""
    return (
        text.replace("${AWS::AccountId}", account).replace("${AWS::Region}", region).replace("${AWS::Partition}", "aws")
    )


def make_bucket(name: str) -> None:
    """Creates a bucket in the client's region."""
    s3 = client("s3")
    # S3 takes this region as no constraint.
    elsewhere = s3.meta.region_name != "us-east-1"
    where = {"CreateBucketConfiguration": {"LocationConstraint": s3.meta.region_name}} if elsewhere else {}
    s3.create_bucket(Bucket=name, **where)


def upload_assets(assembly: Path, stack: str, account: str, region: str) -> None:
    """Puts the assembly's file assets, of which the template is one, where the template expects them: in buckets that exist."""
    s3 = client("s3")
    manifest = json.loads((assembly / f"{stack}.assets.json").read_text())
    assets = list(manifest["files"].values())
    for number, asset in enumerate(assets):
        progress(number, len(assets) + 1, "uploading assets")
        source = assembly / asset["source"]["path"]
        zip_it = asset["source"].get("packaging") == "zip" and source.is_dir()
        body = zipped(source) if zip_it else source.read_bytes()
        for destination in asset["destinations"].values():
            bucket, key = (resolved(destination[field], account, region) for field in ("bucketName", "objectKey"))
            s3.put_object(Bucket=bucket, Key=key, Body=body)


def failures(stack: str) -> str:
    """The events of the resources that could not be made."""
    events = client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    lines = [
        f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', '')}"
        for event in events
        if event["ResourceStatus"].endswith("_FAILED")
    ]
    return "\n".join(lines) or "no failed event was recorded"


def template_url(assembly: Path, stack: str, account: str, region: str) -> str:
    """Where the template was put: it is too large for a request."""
    artifact = json.loads((assembly / "manifest.json").read_text())["artifacts"][stack]
    uri = resolved(artifact["properties"]["stackTemplateAssetObjectUrl"], account, region)
    return f"{client('s3').meta.endpoint_url}/{uri.removeprefix('s3://')}"


def create_stack(stack: str, url: str, seconds: float) -> dict[str, Any]:
    """Creates the stack of a template and waits until it exists, so many seconds at most."""
    cloudformation = client("cloudformation")
    try:
        cloudformation.create_stack(
            StackName=stack,
            TemplateURL=url,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        )
    except ClientError as error:
        raise Failure(f"CreateStack was refused: {error}") from error

    def settled() -> dict[str, Any] | None:
        described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        return None if described["StackStatus"].endswith("_IN_PROGRESS") else described

    described = poll(settled, f"end of the creation of stack {stack}", seconds)
    if described["StackStatus"] != "CREATE_COMPLETE":
        raise Failure(f"stack {stack} is {described['StackStatus']}:\n{failures(stack)}")
    return described


def roles(resources: list[dict[str, Any]]) -> list[str]:
    """The names of a stack's roles."""
    return [
        resource["PhysicalResourceId"] for resource in resources if resource["ResourceType"] == "AWS::IAM::Role"
    ]


def main() -> dict[str, Any]:
    """Deploys, and answers with the stack's outputs and resources."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--assembly", type=Path, required=True)
    arguments.add_argument("--stack", required=True)
    given = arguments.parse_args()
    wait_until_ready()
    try:
        account = client("sts").get_caller_identity()["Account"]
        region = client("s3").meta.region_name
        # What `cdk bootstrap` leaves behind, and the template looks up.
        client("ssm").put_parameter(Name=BOOTSTRAP_VERSION, Value="30", Type="String", Overwrite=True)
        make_bucket(f"cdk-hnb659fds-assets-{account}-{region}")
        upload_assets(given.assembly, given.stack, account, region)
        progress(1, 2, "creating the stack")
        described = create_stack(
            given.stack, template_url(given.assembly, given.stack, account, region), STACK_SECONDS
        )
    except DeadlineExceeded as error:
        raise Failure(str(error)) from error
    resources = client("cloudformation").describe_stack_resources(StackName=given.stack)["StackResources"]
    grant_what_only_ministack_asks_for(roles(resources))
    return {
        "resources": len(resources),
        "outputs": {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])},
    }


if __name__ == "__main__":
    run(main)
