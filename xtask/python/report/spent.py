"""What a job has asked of AWS for what its ledger says it did, and what that costs at published prices. Requests follow from the
protocol, as docs/OPERATIONS.md has them; the time of Lambda is an estimate from what is measured in bench/RESULTS.md."""

from typing import Any

from operate.cost import GB_OF_A_CPU, Volume, messages, priced, s3_requests

MEMORY_GB = 0.5


def spent(ledger: dict[str, Any], landed: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Each kind of request with its number and dollars."""
    prices, usual = priced(None), Volume()
    objects, batches = sum(ledger["statuses"].values()), ledger["batches"]
    object_mb = landed["bytes"] / max(1, landed["count"]) / 1e6
    puts, gets = s3_requests(objects, object_mb, batches, ledger["outputs"] + ledger["quarantines"])
    gb = objects * object_mb / 1000
    compute = gb * usual.expansion * usual.rekey_cpu * GB_OF_A_CPU + (ledger["outputs"] + objects) * usual.wait * MEMORY_GB
    asked = [
        ("S3, PUT requests", puts, "s3_put"),
        ("S3, GET requests", gets, "s3_get"),
        ("SQS, requests", messages(objects), "sqs_request"),
        ("Lambda, invocations", batches, "lambda_request"),
        ("Lambda, GB seconds (estimate)", compute, "lambda_gb_second"),
    ]
    if settings.get("table"):
        asked.append(("Glue, requests", 2 * batches, "glue_request"))
    lines = [[what, round(count), count * prices[price]] for what, count, price in asked]
    return {"prices": prices["date"], "lines": lines, "usd": sum(usd for _, _, usd in lines), "gb": gb}
