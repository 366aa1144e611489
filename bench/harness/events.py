"""What triggers a function: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html"""

import json
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote_plus

from harness.cloud import REGION, StoredObject


def notified(objects: Sequence[StoredObject]) -> dict[str, Any]:
    """A batch of one message for each object, with S3's notification in it."""
    return sqs_batch([json.dumps({"Records": [_notification(stored)]}) for stored in objects])


def sqs_batch(bodies: Sequence[str]) -> dict[str, Any]:
    """A batch of messages."""
    return {"Records": [_message(body) for body in bodies]}


def _message(body: str) -> dict[str, Any]:
    return {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "EXAMPLE",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1590105600000",
            "SenderId": "EXAMPLE",
            "ApproximateFirstReceiveTimestamp": "1590105600000",
        },
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:000000000000:landed",
        "awsRegion": REGION,
    }


def _notification(stored: StoredObject) -> dict[str, Any]:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": "2020-05-22T00:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:EXAMPLE"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "EXAMPLE", "x-amz-id-2": "EXAMPLE"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "landed",
            "bucket": {
                "name": stored.bucket,
                "ownerIdentity": {"principalId": "EXAMPLE"},
                "arn": f"arn:aws:s3:::{stored.bucket}",
            },
            "object": {
                "key": quote_plus(stored.key, safe="/"),
                "size": stored.size,
                "eTag": stored.etag,
                "sequencer": "0055AED6DCD90281E5",
            },
        },
    }
