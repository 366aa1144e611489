"""Runs MiniStack as the tests need it: it opens one port, and writes down what each role was allowed and denied.

MiniStack's CloudTrail keeps calls, but neither the role that made one nor the resources that it was judged for: a copy's
source, the objects of a batch that is deleted. So this listens where permissions are enforced. A contract test
(tests/python/test_local_cloud.py) holds it to that.
"""

import json
import os
import threading
from pathlib import Path
from typing import Any

from hypercorn.config import Config
from ministack import app
from ministack.core import iam_evaluator

from localcloud.batching import batches_as_lambda_makes_them
from localcloud.notes import states_put_objects
from localcloud.owners import owners_are_looked_at
from localcloud.partitions import listed_as_glue_does
from localcloud.queries import results_as_athena_writes_them

# Where the decisions are written: JSON lines, each decision once.
DECISIONS = "LAKEWRIGHT_DECISIONS"


def record(path: Path) -> None:
    """Writes down each decision about a role's session from now on."""
    enforce = iam_evaluator.enforce
    seen: set[str] = set()
    lock = threading.Lock()
    path.write_text("")

    def recorded(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        denied = enforce(access_key_id, iam_action, service, region, resource_arn, service_context)
        caller = iam_evaluator.resolve_caller_identity(access_key_id)
        # arn:aws:sts::<account>:assumed-role/<role>/<session>
        kind, *names = caller["userArn"].split("/") if caller else ("",)
        if kind.endswith(":assumed-role"):
            decision = {
                "role": names[0],
                "action": iam_action,
                "resource": resource_arn,
                "prefix": (service_context or {}).get("s3:prefix"),
                "allowed": denied is None,
            }
            line = json.dumps(decision) + "\n"
            with lock:
                if line not in seen:
                    seen.add(line)
                    with path.open("a") as file:
                        file.write(line)
        return denied

    iam_evaluator.enforce = recorded


def main() -> None:
    """Serves until it is ended."""
    if decisions := os.environ.get(DECISIONS):
        record(Path(decisions))
    results_as_athena_writes_them()
    batches_as_lambda_makes_them()
    states_put_objects()
    listed_as_glue_does()
    owners_are_looked_at()
    # As the services of AWS that are used here. Offered HTTP/2, the SDK for Rust takes it.
    Config.alpn_protocols = ["http/1.1"]
    # With TLS it also listens on port 443 where it may, which would conflict with other programs that use that port.
    app._port_is_bindable = lambda host, port: False  # noqa: SLF001
    app.main()


if __name__ == "__main__":
    main()
