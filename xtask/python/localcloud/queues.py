"""The queues of a job, as the stack's outputs name them."""

from localcloud.clients import client


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
