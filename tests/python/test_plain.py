"""What `cargo xtask package --config` makes is deployed without the CDK, by the commands of infra/README.md."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from commands import ROOT, commands, ran
from firsthour import FUNCTIONS, command, exported, up
from localcloud import clients
from localcloud.deploy import make_bucket
from localcloud.divergences import grant_what_only_ministack_asks_for
from localcloud.ledger import Ledger
from localcloud.zips import architecture
from release.sbom import bill, metadata

CONFIG = """[[rekey]]
name = "plain"
source = "s3://plain-landing/in/"
timestamp = { column = "at" }
target = "s3://plain-lake/out/"
partition_by = ["date"]
batch = { window = "0s", objects = 1 }
"""
SECONDS = 240


def packaged(folder: Path) -> Path:
    """The folder of a configuration, with the functions that the tests have built."""
    config = folder / "lakewright.toml"
    config.write_text(CONFIG)
    zips = Path(os.environ[FUNCTIONS])
    built = architecture(zips / "rekey/bootstrap.zip")
    # MiniStack has neither anomaly detection nor math of metrics; the names are not those of the stack that is there.
    pairs = ("create-buckets=*", "lull-alarm=false", "late-alarm=false", "name-prefix=plain-")
    contexts = [f"--context={pair}" for pair in pairs]
    line = command("package", "--config", str(config), *contexts, "--architecture", built, "--functions", str(zips))
    ended = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 0, (ended.stdout, ended.stderr)
    (bundle,) = json.loads(ended.stdout)["bundles"]
    wrong = {"arm64": "x86_64", "x86_64": "arm64"}[built]
    refused = subprocess.run([*line[:-4], "--architecture", wrong, *line[-2:]], capture_output=True, text=True, timeout=SECONDS)
    assert refused.returncode == 1 and f"is built for {built}, and {wrong} is to be deployed" in refused.stderr, refused.stderr
    # Refused before it is made.
    return Path(shutil.copytree(bundle["folder"], folder / "stack"))


def test_a_package_is_deployed_without_the_cdk(tmp_path: Path) -> None:
    folder = packaged(tmp_path)
    assert subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder).returncode == 0
    lint = Path(sys.executable).with_name("cfn-lint")
    assert subprocess.run([lint, "--template", folder / "lakewright.template.json"]).returncode == 0
    terraform = shutil.which("terraform")
    if terraform:
        assert subprocess.run([terraform, "fmt", "-check", "-diff"], cwd=folder).returncode == 0
    with up(tmp_path / "log") as summary, pytest.MonkeyPatch.context() as patch:
        for name, value in exported(summary["exports"]).items():
            patch.setenv(name, value)
        clients.client.cache_clear()
        make_bucket("acme-deployments")
        placeholders = {"--stack-name Lakewright": "--stack-name plain"}
        deploying = [
            one
            for one in commands(ROOT / "infra/README.md", ("aws s3 sync", "aws cloudformation deploy"), placeholders)
        ]
        assert len(deploying) == 2
        for one in deploying:
            ran(one, folder, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        cloudformation = clients.client("cloudformation")
        resources = cloudformation.describe_stack_resources(StackName="plain")["StackResources"]
        grant_what_only_ministack_asks_for(
            [one["PhysicalResourceId"] for one in resources if one["ResourceType"] == "AWS::IAM::Role"]
        )
        key = f"in/{uuid4().hex}.json"
        body = b'{"at": "2026-06-01T00:00:00Z", "n": 1}'
        clients.client("s3").put_object(Bucket="plain-landing", Key=key, Body=body)
        source = f"s3://plain-landing/{key}"
        assert Ledger("s3://plain-lake/out/").wait_for({source}, SECONDS)[source]["rows_out"] == 1
        takes_its_notification_along(json.loads((folder / "lakewright.template.json").read_text()))
    clients.client.cache_clear()


def takes_its_notification_along(template: dict[str, Any]) -> None:
    """A job that is removed: its bucket stays, as `create-buckets` names it, and has no notification (infra/test/template.test.ts)."""
    s3, cloudformation = clients.client("s3"), clients.client("cloudformation")

    def notified() -> int:
        return len(s3.get_bucket_notification_configuration(Bucket="plain-landing").get("QueueConfigurations", []))

    assert notified() == 1
    resources = template["Resources"].values()
    (bucket,) = (one for one in resources if one["Properties"].get("BucketName") == "plain-landing" and "Retain" in one["DeletionPolicy"])
    del bucket["Properties"]["NotificationConfiguration"]
    s3.put_object(Bucket="acme-deployments", Key="without-the-job.json", Body=json.dumps(template))
    cloudformation.update_stack(
        StackName="plain",
        TemplateURL=f"{s3.meta.endpoint_url}/acme-deployments/without-the-job.json",
        Parameters=[{"ParameterKey": key, "UsePreviousValue": True} for key in template["Parameters"]],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    cloudformation.get_waiter("stack_update_complete").wait(StackName="plain", WaiterConfig={"Delay": 1})
    assert notified() == 0


def test_a_bill_names_what_is_compiled_in() -> None:
    lock: dict[str, Any] = tomllib.loads((ROOT / "Cargo.lock").read_text())
    found = bill(metadata(ROOT, "aarch64-unknown-linux-gnu"), lock)
    locked = {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}
    names = {component["name"] for component in found["components"]}
    assert {"lakewright-core", "lakewright-jobs", "aws-sdk-s3", "parquet", "tokio"} <= names
    # What tests and commands have.
    assert not names & {"proptest", "xtask", "lakewright-tests", "clap"}
    for component in found["components"]:
        checksum = locked[component["name"], component["version"]]
        assert [one["content"] for one in component.get("hashes", [])] == ([checksum] if checksum else [])
        assert component["licenses"]
    references = {component["bom-ref"] for component in [found["metadata"]["component"], *found["components"]]}
    assert {entry["ref"] for entry in found["dependencies"]} == references
    assert all(set(entry["dependsOn"]) <= references for entry in found["dependencies"])
