"""MiniStack's Step Functions, where AWS's can do more: a state puts an object.

Contract tests (tests/python/test_local_cloud.py) hold it to that.
"""

import json
from typing import Any

from ministack.services import s3, stepfunctions

# As Step Functions names them, and as S3 does.
_HEADERS = {
    "ContentType": "content-type",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SsekmsKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
}


def _put(given: dict[str, Any]) -> dict[str, Any]:
    """Puts an object, whose body is written as JSON.
    https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html"""
    unknown = set(given) - {"Bucket", "Key", "Body", *_HEADERS}
    if unknown:
        raise stepfunctions._ExecutionError("States.Runtime", f"unknown parameters: {sorted(unknown)}")  # noqa: SLF001
    body = json.dumps(given["Body"]).encode()
    headers = {header: given[name] for name, header in _HEADERS.items() if name in given}
    status, _, answer = s3._put_object(given["Bucket"], given["Key"], body, {**headers, "content-length": str(len(body))})  # noqa: SLF001
    if status >= 300:
        raise stepfunctions._ExecutionError("S3.S3Exception", str(answer))  # noqa: SLF001
    return {}


def states_put_objects() -> None:
    """From now on."""
    dispatch = stepfunctions._dispatch_aws_sdk_rest_xml  # noqa: SLF001

    def dispatched(service_info: Any, service: str, action: str, given: Any) -> Any:
        if (service, action) == ("s3", "putObject"):
            return _put(given)
        return dispatch(service_info, service, action, given)

    stepfunctions._dispatch_aws_sdk_rest_xml = dispatched  # noqa: SLF001
