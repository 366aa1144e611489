"""The queues of a job, as the stack's outputs name them."""

from collections.abc import Iterator
from contextlib import contextmanager

from localcloud.clients import client
from localcloud.polling import poll

SWITCH_SECONDS = 120


def waiting(queue_url: str) -> int:
    """About how many messages are in a queue. Good for a hint; it proves nothing."""
    attributes = client("sqs").get_queue_attributes(
        QueueUrl=queue_url, AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"])


def peek(queue_url: str) -> list[str]:
    """The bodies of some messages, which stay in the queue."""
    received = client("sqs").receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [message["Body"] for message in received.get("Messages", [])]


def arn_of(queue_url: str) -> str:
    """A queue's ARN."""
    attributes = client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
    return attributes["QueueArn"]


@contextmanager
def quick_retries(queue_url: str, seconds: int) -> Iterator[None]:
    """Messages that fail come again after so many seconds. On AWS it is six times the function's timeout."""
    sqs = client("sqs")
    before = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"VisibilityTimeout": str(seconds)})
    try:
        yield
    finally:
        sqs.set_queue_attributes(QueueUrl=queue_url, Attributes=before)


@contextmanager
def held_back(queue_url: str) -> Iterator[None]:
    """The queue feeds nobody meanwhile."""
    functions = client("lambda")
    (mapping,) = functions.list_event_source_mappings(EventSourceArn=arn_of(queue_url))["EventSourceMappings"]
    switch(mapping["UUID"], on=False)
    try:
        yield
    finally:
        switch(mapping["UUID"], on=True)


def switch(mapping: str, on: bool) -> None:
    """Switches an event source mapping on or off, and waits until it is: on AWS that takes up to a minute."""
    functions = client("lambda")
    functions.update_event_source_mapping(UUID=mapping, Enabled=on)
    wanted = "Enabled" if on else "Disabled"

    def switched() -> bool | None:
        return True if functions.get_event_source_mapping(UUID=mapping)["State"] == wanted else None

    poll(switched, f"event source mapping that is {wanted}", SWITCH_SECONDS)


def redrive(dead_letters: str, queue: str) -> None:
    """Brings what is in a dead-letter queue back, as `aws sqs start-message-move-task` does, which MiniStack lacks."""
    sqs = client("sqs")
    while messages := sqs.receive_message(QueueUrl=dead_letters, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            sqs.send_message(QueueUrl=queue, MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=dead_letters, ReceiptHandle=message["ReceiptHandle"])
