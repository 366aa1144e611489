"""Waits until the ledger says that every landed object is committed."""

import argparse
import json
from pathlib import Path
from typing import Any

from localcloud.ledger import Commit, Ledger, files
from localcloud.polling import DeadlineExceeded
from localcloud.progress import Failure, progress, run
from localcloud.queues import peek, waiting

DEADLINE_SECONDS = 600
# One look lists the ledger and reads what is new in it; more looks would only slow the local cloud down.
INTERVAL_SECONDS = 1.0


def main() -> dict[str, Any]:
    """Waits, and answers with the ledger's sums."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--source", required=True)
    arguments.add_argument("--target", required=True)
    arguments.add_argument("--manifest", type=Path, required=True)
    arguments.add_argument("--dead-letters", required=True)
    given = arguments.parse_args()
    landed = json.loads(given.manifest.read_text())["objects"]
    sources = {given.source + item["key"] for item in landed}

    def watch(commits: dict[str, Commit]) -> None:
        done = len(sources & commits.keys())
        progress(done, len(sources), f"objects committed, {len(files(commits.values()))} files written")
        if waiting(given.dead_letters):
            bodies = "\n".join(peek(given.dead_letters))
            raise Failure(f"messages failed until they reached the dead-letter queue:\n{bodies}")

    try:
        commits = Ledger(given.target).wait_for(sources, DEADLINE_SECONDS, watch, INTERVAL_SECONDS)
    except DeadlineExceeded as error:
        raise Failure(str(error)) from error
    ours = [commit for source, commit in commits.items() if source in sources]
    written = files(ours)
    seconds = sorted(commit["landing_to_commit_seconds"] for commit in ours)
    return {
        "batches": len({commit["batch"] for commit in ours}),
        "seconds_median": seconds[len(seconds) // 2],
        "seconds_p95": seconds[len(seconds) * 95 // 100],
        "seconds_longest": seconds[-1],
        "objects": len(ours),
        "rows_in": sum(commit["rows_in"] for commit in ours),
        "rows_out": sum(commit["rows_out"] for commit in ours),
        "rows_quarantined": sum(commit["rows_quarantined"] for commit in ours),
        "outputs": len(written),
        "output_bytes": sum(written.values()),
    }


if __name__ == "__main__":
    run(main)
