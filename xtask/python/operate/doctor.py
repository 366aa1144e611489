"""Says before a deployment what of it will fail: it reads the configuration, the CDK contexts and, if there is one, the synthesized
template, and looks at the account. It changes nothing, and needs credentials that may look: `s3:GetBucketLocation`,
`s3:GetEncryptionConfiguration`, `s3:GetBucketNotification`, `s3:ListBucket`, `glue:GetTable`, `kms:DescribeKey`, `kms:ListAliases`,
`lambda:GetAccountSettings` and `sts:GetCallerIdentity`."""

import argparse
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from landing.jobs import PARTITION_BY, destinations
from localcloud.clients import client
from localcloud.ledger import split
from localcloud.progress import Failure, progress, run

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
MOST_RESOURCES = 500
MOST_TEMPLATE_BYTES = 1_000_000
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MOST_ENVIRONMENT_BYTES = 4096
# What a reference to another resource becomes: a queue's URL.
REFERENCE_BYTES = 140
# Lambda keeps so many invocations for functions without a reserve.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
KEPT_UNRESERVED = 100


@dataclass(frozen=True)
class Finding:
    """Something that will fail, or may."""

    fails: bool
    subject: str
    says: str


def fails(subject: str, says: str) -> Finding:
    """What will fail."""
    return Finding(fails=True, subject=subject, says=says)


def may_fail(subject: str, says: str) -> Finding:
    """What may, or cannot be seen."""
    return Finding(fails=False, subject=subject, says=says)


@dataclass(frozen=True)
class Deployment:
    """What is to be deployed."""

    config: dict[str, Any]
    context: dict[str, str]

    def jobs(self, kind: str) -> list[dict[str, Any]]:
        """The jobs of a kind."""
        return self.config.get(kind, [])

    def listed(self, name: str) -> list[str]:
        """A context that is a list."""
        return [part.strip() for part in self.context.get(name, "").split(",") if part.strip()]

    def pairs(self, name: str) -> dict[str, str]:
        """A context of pairs."""
        return dict(part.split("=", 1) for part in self.listed(name) if "=" in part)

    def locations(self) -> Iterator[tuple[str, str]]:
        """Each location that the configuration names, and who does."""
        for kind in ("rekey", "split", "compact", "repartition"):
            for job in self.jobs(kind):
                name = job.get("name") or job.get("table") or job.get("target")
                found = [job.get(key) for key in ("source", "target", "ledger", "generations")] + job.get("sources", [])
                for location in found:
                    if isinstance(location, str) and location.startswith("s3://"):
                        yield location, f"{kind} `{name}`"

    def buckets(self) -> dict[str, list[str]]:
        """The buckets that exist already, and who names them."""
        created = self.listed("create-buckets")
        named: dict[str, list[str]] = {}
        for location, job in self.locations():
            bucket, _ = split(location)
            if created != ["*"] and bucket not in created:
                jobs = named.setdefault(bucket, [])
                if job not in jobs:
                    jobs.append(job)
        return named

    def tables(self) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Each table, its job, and the job's kind."""
        for kind in ("rekey", "compact", "repartition"):
            for job in self.jobs(kind):
                for written in destinations(job).values():
                    if "table" in written:
                        yield written["table"], written, kind
                if kind == "repartition" and not job.get("source", "s3://").startswith("s3://"):
                    yield job["source"], job, "source"

    def keys(self, bucket: str) -> set[str]:
        """The KMS keys that the roles may use for a bucket."""
        keys = {self.pairs("kms-keys").get(bucket)}
        for kind in ("rekey", "split", "compact", "repartition"):
            for job in self.jobs(kind):
                if any(split(location)[0] == bucket for location in [job.get("target", "")] if location.startswith("s3://")):
                    keys.add(job.get("encryption", {}).get("key"))
        return {key for key in keys if key}


def code(error: ClientError) -> str:
    """The code of an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def of_buckets(deployment: Deployment, account: str, region: str) -> Iterator[Finding]:
    """Buckets that are missing, elsewhere, somebody else's, or encrypted with a key that no role may use."""
    s3 = client("s3")
    for bucket, jobs in deployment.buckets().items():
        subject = f"s3://{bucket} ({', '.join(jobs)})"
        owner = deployment.pairs("bucket-owners").get(bucket, account)
        try:
            s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=owner)
        except ClientError as error:
            match code(error):
                case "404" | "NoSuchBucket":
                    yield fails(subject, f"there is no such bucket: create it, or let the stack do so (-c create-buckets={bucket})")
                case "301" | "PermanentRedirect":
                    yield fails(subject, f"it is in another region than {region}")
                case _:
                    yield fails(
                        subject,
                        f"it is not of account {owner}, or you may not look at it: name its owner (-c bucket-owners={bucket}=ACCOUNT). {error}",
                    )
            continue
        found = s3.get_bucket_location(Bucket=bucket).get("LocationConstraint") or "us-east-1"
        if found != region:
            yield fails(subject, f"it is in {found}, and the stack in {region}: S3 notifies only within a region")
        yield from of_key(deployment, bucket, subject)


def of_key(deployment: Deployment, bucket: str, subject: str) -> Iterator[Finding]:
    """The bucket's default encryption."""
    try:
        rules = client("s3").get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as error:
        if "NotFound" not in code(error):
            yield may_fail(subject, f"its encryption cannot be seen: {error}")
        return
    for rule in rules:
        key = rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID")
        if not key:
            continue
        try:
            described = client("kms").describe_key(KeyId=key)["KeyMetadata"]
        except ClientError as error:
            yield fails(subject, f"it is encrypted with {key}, which cannot be seen: {error}")
            continue
        if described.get("KeyManager") == "AWS":
            continue
        if described.get("KeyState", "Enabled") != "Enabled":
            yield fails(subject, f"it is encrypted with {key}, which is {described['KeyState']}")
        allowed = {known.rpartition("/")[2] if not known.startswith("alias/") else known for known in deployment.keys(bucket)}
        aliases = {alias["AliasName"] for alias in client("kms").list_aliases(KeyId=described["KeyId"])["Aliases"]}
        if not allowed & {described["KeyId"], *aliases}:
            yield fails(subject, f"it is encrypted with {key}, which no role may use: -c kms-keys={bucket}={key}")


def overlap(one: str, other: str) -> bool:
    """Whether some key begins with both."""
    return one.startswith(other) or other.startswith(one)


def of_notifications(deployment: Deployment, missing: set[str], stack: str) -> Iterator[Finding]:
    """Notifications that S3 would not take beside those that are there.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html"""
    how = deployment.listed("notifications")
    everywhere = next((part for part in how if "=" not in part), "s3")
    own = deployment.pairs("notifications")
    for job in deployment.jobs("rekey"):
        bucket, prefix = split(job["source"])
        by = own.get(bucket, everywhere)
        if bucket in missing or bucket not in deployment.buckets():
            continue
        subject = f"notifications of s3://{bucket} (rekey `{job['name']}`)"
        try:
            present = client("s3").get_bucket_notification_configuration(Bucket=bucket)
        except ClientError as error:
            yield may_fail(subject, f"they cannot be seen: {error}")
            continue
        if by == "eventbridge" and "EventBridgeConfiguration" not in present:
            yield fails(subject, "the bucket does not send its events to EventBridge: turn that on")
        if by != "s3":
            continue
        for kind in ("QueueConfigurations", "TopicConfigurations", "LambdaFunctionConfigurations"):
            for configured in present.get(kind, []):
                target = next(value for name, value in configured.items() if name.endswith("Arn"))
                rules = configured.get("Filter", {}).get("Key", {}).get("FilterRules", [])
                begins = next((rule["Value"] for rule in rules if rule["Name"].lower() == "prefix"), "")
                created = any(event.startswith("s3:ObjectCreated:") for event in configured["Events"])
                if created and overlap(begins, prefix) and f":{stack}-" not in target:
                    yield fails(
                        subject,
                        f"{target} is told of `{begins}*`, which overlaps `{prefix}*`: S3 takes no second one. "
                        f"Hear of it by EventBridge or SNS (-c notifications={bucket}=eventbridge)",
                    )


def of_tables(deployment: Deployment) -> Iterator[Finding]:
    """Tables that are missing, have other partition keys, or that Lake Formation guards."""
    glue = client("glue")
    for name, job, kind in deployment.tables():
        subject = f"table {name} ({kind} `{job.get('name', name)}`)"
        database, _, table_name = name.partition(".")
        try:
            table = glue.get_table(DatabaseName=database, Name=table_name)["Table"]
        except ClientError as error:
            if code(error) != "EntityNotFoundException":
                yield fails(subject, f"it cannot be seen: {error}")
            elif not job.get("manage_table"):
                yield fails(subject, "there is no such table: create it, or run its crawler")
            continue
        keys = [key["Name"] for key in table.get("PartitionKeys", [])]
        wanted = job.get("partition_by", PARTITION_BY)
        if kind == "rekey" and keys != [key.lower() for key in wanted]:
            yield fails(subject, f"its partition keys are {keys}, and partition_by is {wanted}")
        projected = str(table.get("Parameters", {}).get("projection.enabled", "")).lower() == "true"
        if kind == "compact" and projected:
            yield fails(subject, "it has partition projection: its readers would never see the new files")
        if kind == "compact" and not keys:
            yield fails(subject, "it has no partitions")
        location = table.get("StorageDescriptor", {}).get("Location", "").rstrip("/")
        if kind == "rekey" and location != job["target"].rstrip("/"):
            yield may_fail(subject, f"it lies at {location}, and the job writes to {job['target']}")
        if table.get("IsRegisteredWithLakeFormation"):
            yield may_fail(
                subject,
                "Lake Formation guards it: grant the function's role (output …RoleArn) DESCRIBE, ALTER and INSERT on it, "
                "and a data location permission on its prefix, after the deployment",
            )


def of_concurrency(deployment: Deployment) -> Iterator[Finding]:
    """Functions that together would take more than the account has."""
    subject = "concurrency of Lambda"
    try:
        limits = client("lambda").get_account_settings()["AccountLimit"]
    except ClientError as error:
        yield may_fail(subject, f"it cannot be seen: {error}")
        return
    free = limits.get("UnreservedConcurrentExecutions", limits["ConcurrentExecutions"])
    number = lambda name, otherwise: int(deployment.context.get(name, otherwise))  # noqa: E731
    rekeys, splits = len(deployment.jobs("rekey")), len(deployment.jobs("split"))
    compacts = len(deployment.jobs("compact"))
    asked = (rekeys + splits) * number("max-concurrency", 50) + rekeys * number("backfill-concurrency", 5)
    asked += compacts * number("compact-concurrency", 100) + len(deployment.jobs("repartition")) * number("max-concurrency", 50)
    if asked > free:
        yield may_fail(
            subject,
            f"the jobs may take {asked} invocations at once, and the account has {free}: lower max-concurrency and compact-concurrency, or ask for more",
        )


def size(value: Any) -> int:
    """The bytes of a value of an environment, with what references become."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list):
        return sum(map(size, value))
    if isinstance(value, dict):
        if "Fn::Join" in value:
            return size(value["Fn::Join"][1])
        return REFERENCE_BYTES
    return len(str(value))


def of_quotas(template: Path) -> Iterator[Finding]:
    """What the template has too much of."""
    text = template.read_text()
    resources = json.loads(text)["Resources"]
    subject = f"template {template.name}"
    if len(resources) > MOST_RESOURCES:
        yield fails(subject, f"it has {len(resources)} resources of at most {MOST_RESOURCES}: make two stacks of it (name-prefix)")
    if len(text.encode()) > MOST_TEMPLATE_BYTES:
        yield fails(subject, f"it has {len(text.encode())} bytes of at most {MOST_TEMPLATE_BYTES}: make two stacks of it (name-prefix)")
    for resource in resources.values():
        if resource["Type"] != "AWS::Lambda::Function":
            continue
        variables = resource["Properties"].get("Environment", {}).get("Variables", {})
        taken = sum(len(name) + size(value) for name, value in variables.items())
        if taken > MOST_ENVIRONMENT_BYTES:
            name = resource["Properties"].get("FunctionName")
            yield fails(
                f"function {name}",
                f"its environment has about {taken} bytes of at most {MOST_ENVIRONMENT_BYTES}: it has an entry for each job, so make two stacks of them (name-prefix)",
            )


def diagnose(deployment: Deployment, template: Path | None = None) -> list[Finding]:
    """Everything that is found."""
    try:
        account = client("sts").get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:
        raise Failure(f"the account cannot be asked: {error}") from error
    region = client("s3").meta.region_name
    stack = deployment.context.get("stack", f"{deployment.context.get('name-prefix', '')}Lakewright")
    found = list(of_buckets(deployment, account, region))
    missing = {finding.subject.split()[0].removeprefix("s3://") for finding in found if "no such bucket" in finding.says}
    progress(1, 4, "notifications")
    found += of_notifications(deployment, missing, stack)
    progress(2, 4, "tables")
    found += of_tables(deployment)
    progress(3, 4, "quotas")
    found += of_concurrency(deployment)
    if template:
        found += of_quotas(template)
    return found


def main() -> dict[str, Any]:
    """Looks at everything once."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--context", type=json.loads, default={})
    arguments.add_argument("--template", type=Path)
    given = arguments.parse_args()
    deployment = Deployment(tomllib.loads(given.config.read_text()), given.context)
    found = diagnose(deployment, given.template)
    return {"findings": [{"fails": one.fails, "subject": one.subject, "says": one.says} for one in found]}


if __name__ == "__main__":
    run(main)
