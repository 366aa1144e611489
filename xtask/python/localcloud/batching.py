"""MiniStack's event source mappings of queues, where Lambda's are others: a batch holds up to `BatchSize` messages instead of
ten, ends with six megabytes, and waits for more messages during the mapping's window.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html

Lambda polls a queue several times at once, and each of its pollers fills a batch of its own; here there is one.
"""

import os
import time
from collections.abc import Iterable
from typing import Any

from ministack.services import lambda_svc, sqs

# A batch's payload, with room for what surrounds the messages.
PAYLOAD_BYTES = 6_000_000
ENVELOPE_BYTES = 1_000
# No window is longer here, unless it is said: somebody sits and waits.
LONGEST_WINDOW_SECONDS = float(os.environ.get("LAKEWRIGHT_LONGEST_WINDOW_SECONDS", "10"))

Message = dict[str, Any]


def fitting(messages: Iterable[Message], most: int) -> int:
    """How many of these, in order, are one batch."""
    number, size = 0, 0
    for message in messages:
        size += len(message["body"].encode()) + ENVELOPE_BYTES
        if number == most or (number > 0 and size > PAYLOAD_BYTES):
            break
        number += 1
    return number


class Windows:
    """Since when each queue's messages have been waiting for more."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def batch(self, queue: str, visible: list[Message], most: int, window: float, now: float) -> int:
        """How many of the visible messages are handed over now; 0 while the window is open."""
        if not visible:
            self._since.pop(queue, None)
            return 0
        number = fitting(visible, most)
        began = self._since.setdefault(queue, now)
        is_full = number == most or number < len(visible)
        if not is_full and now - began < min(window, LONGEST_WINDOW_SECONDS):
            return 0
        del self._since[queue]
        return number


def window_of(arn: str) -> float:
    """The seconds of the batching window of the queue's event source mapping."""
    mappings = (mapping for _, _, mapping in lambda_svc._iter_all_esms())  # noqa: SLF001
    windows = (mapping.get("MaximumBatchingWindowInSeconds", 0) for mapping in mappings if mapping.get("EventSourceArn") == arn)
    return next(windows, 0) or 0


def batches_as_lambda_makes_them() -> None:
    """From now on."""
    windows = Windows()

    def receive(url: str, most: int) -> list[Message]:
        with sqs._queues_lock:  # noqa: SLF001
            queue = sqs._get_q(url)  # noqa: SLF001
            attributes = queue["attributes"]
            sqs._expire_retained(queue)  # noqa: SLF001
            sqs._dlq_sweep(queue)  # noqa: SLF001
            now = time.time()
            for message in queue["messages"]:
                sqs._ensure_msg_fields(message)  # noqa: SLF001
            visible = [message for message in queue["messages"] if message["visible_at"] <= now]
            number = windows.batch(url, visible, int(most or 1), window_of(attributes["QueueArn"]), now)
            if number == 0:
                return []
            return sqs._collect_msgs(queue, number, int(attributes.get("VisibilityTimeout", "30")))  # noqa: SLF001

    sqs._receive_messages_for_esm = receive  # noqa: SLF001
