"""MiniStack's S3, where that of AWS refuses a request that expects another owner of the bucket.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html

A contract test (tests/python/test_local_permissions.py) holds it to that.
"""

from typing import Any

from ministack.services import s3


def owners_are_looked_at() -> None:
    """From now on."""
    dispatch = s3._dispatch  # noqa: SLF001

    def dispatched(method: str, bucket: str, key: str, headers: dict[str, str], *rest: Any) -> Any:
        expected = headers.get("x-amz-expected-bucket-owner")
        if expected and bucket in s3._buckets and expected != s3.get_account_id():  # noqa: SLF001
            return s3._error("AccessDenied", "Access Denied", 403)  # noqa: SLF001
        return dispatch(method, bucket, key, headers, *rest)

    s3._dispatch = dispatched  # noqa: SLF001
