"""The S3 server over a folder does what the functions ask of S3.

python -m unittest discover --start-directory bench --top-level-directory bench
"""

import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from harness.disk import DiskStore
from harness.forgetful import PAGE

BUCKET = "lake"


class Disk(unittest.TestCase):
    """One server for all."""

    store: DiskStore
    s3: Any

    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        (folder / "objects").mkdir()
        cls.store = cls.enterClassContext(DiskStore(folder / "objects", folder / "disk.log"))
        cls.s3 = cls.store.client("s3")
        cls.store.make_bucket(BUCKET)

    def refused(self, code: str, call: Callable[..., Any], **arguments: object) -> None:
        """The call is refused with this code."""
        with self.assertRaises(ClientError) as caught:
            call(Bucket=BUCKET, **arguments)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)

    def read(self, key: str, **more: object) -> bytes:
        """An object, or a part of it."""
        return self.s3.get_object(Bucket=BUCKET, Key=key, **more)["Body"].read()

    def test_ranges_and_conditions(self) -> None:
        etag = self.s3.put_object(Bucket=BUCKET, Key="a b/c", Body=b"0123456789", IfNoneMatch="*")["ETag"]
        self.assertEqual(self.read("a b/c", IfMatch=etag), b"0123456789")
        self.assertEqual(self.read("a b/c", Range="bytes=3-5"), b"345")
        self.assertEqual(self.read("a b/c", Range="bytes=8-99"), b"89")
        self.assertEqual(self.s3.head_object(Bucket=BUCKET, Key="a b/c")["ContentLength"], 10)
        self.refused("InvalidRange", self.s3.get_object, Key="a b/c", Range="bytes=10-")
        self.refused("PreconditionFailed", self.s3.get_object, Key="a b/c", IfMatch='"other"')
        self.refused("PreconditionFailed", self.s3.put_object, Key="a b/c", Body=b"", IfNoneMatch="*")
        self.refused("PreconditionFailed", self.s3.put_object, Key="a b/c", Body=b"", IfMatch='"other"')
        self.refused("NoSuchKey", self.s3.get_object, Key="nothing")
        self.s3.put_object(Bucket=BUCKET, Key="a b/c", Body=b"new", IfMatch=etag)
        self.assertEqual(self.read("a b/c"), b"new")

    def test_parts_become_one_object_once(self) -> None:
        def uploaded() -> dict[str, Any]:
            of = {"Bucket": BUCKET, "Key": "large"}
            upload = self.s3.create_multipart_upload(**of)["UploadId"]
            parts = [
                {"PartNumber": number, "ETag": self.s3.upload_part(**of, UploadId=upload, PartNumber=number, Body=body)["ETag"]}
                for number, body in [(2, b"world"), (1, b"hello ")]
            ]
            return of | {"UploadId": upload, "MultipartUpload": {"Parts": parts[::-1]}, "IfNoneMatch": "*"}

        first, second = uploaded(), uploaded()
        self.s3.complete_multipart_upload(**first)
        self.assertEqual(self.read("large"), b"hello world")
        self.assertEqual(self.read("large", Range="bytes=4-7"), b"o wo")
        del second["Bucket"]
        self.refused("PreconditionFailed", self.s3.complete_multipart_upload, **second)
        self.store.copy(BUCKET, [("large", "copies/1")])
        self.assertEqual(self.read("copies/1"), b"hello world")

    def test_pages_of_a_listing(self) -> None:
        self.store.put(BUCKET, "many/first", b"x")
        keys = [f"many/é {number:04}" for number in range(PAGE + 5)]
        self.store.copy(BUCKET, (("many/first", key) for key in keys))
        self.assertEqual(list(self.store.keys(BUCKET, "many/é")), keys)
        self.assertEqual(dict(self.store.listing(BUCKET, "many/f")).keys(), {"many/first"})
