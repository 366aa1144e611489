"""Waits until the local cloud answers."""

import urllib.error
import urllib.request

from localcloud.clients import client
from localcloud.polling import DeadlineExceeded, poll
from localcloud.progress import Failure, progress, run

STARTUP_SECONDS = 60


def wait_until_ready() -> None:
    """Waits until MiniStack answers."""
    url = f"{client('s3').meta.endpoint_url}/_ministack/ready"
    progress(0, 1, "waiting for MiniStack")

    def ready() -> bool | None:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return True if response.status == 200 else None
        except (urllib.error.URLError, OSError):
            return None

    try:
        poll(ready, f"answer from {url}", STARTUP_SECONDS, interval=0.1)
    except DeadlineExceeded as error:
        raise Failure(str(error)) from error


if __name__ == "__main__":
    run(wait_until_ready)
