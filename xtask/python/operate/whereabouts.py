"""Shows where landed objects are, as the function `rekey` says: waiting, in a batch, written to which files, or left out, and why."""

import argparse
import json
from typing import Any

from localcloud.progress import run
from operate.overview import invoke, outputs, sized

STATES = {
    "unread": "no job reads it",
    "missing": "there is no such object",
    "waiting": "no batch has it yet: its message waits, or failed; a sweep sends it again",
    "under_way": "it is in a batch that is not committed",
    "given_up": "it always fails: sweeps leave it alone, and a redrive sends it again",
    "committed": "its rows are written",
    "lost": "it disappeared after its batch was planned, so rows of it may be missing",
    "gone": "it did not exist any more when it was read",
    "superseded": "a newer object had replaced it when it was read",
    "ignored": "it is empty",
}


def told(found: dict[str, Any]) -> dict[str, Any]:
    """The answer for one object, in words."""
    summary = STATES[found["state"]]
    if found["name"]:
        summary = f"{summary} (rekey `{found['name']}`)"
    details = []
    if batch := found.get("batch"):
        details.append(f"batch {batch}")
    if left_out := found.get("left_out"):
        why = f": {left_out['detail']}" if left_out.get("detail") else ""
        details.append(f"its last batch left it out, as {left_out['why']}{why}; it is planned alone")
    if given_up := found.get("given_up"):
        details.append(f"{given_up['error']}: {given_up['message']}")
    if report := found.get("report"):
        details.append(f"{report['rows_in']:,} rows in = {report['rows_out']:,} written + {report['rows_quarantined']:,} quarantined")
        details += [f"{sized(output['rows'], 'row')} in {output['key']}" for output in report["outputs"]]
        if report.get("quarantine"):
            details.append(f"quarantined in {report['quarantine']}")
    return {"source": found["source"], "state": found["state"], "summary": summary, "details": details}


def main() -> dict[str, Any]:
    """Asks once."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--objects", type=json.loads, required=True)
    function = outputs().get("RekeyFunctionName", "rekey")
    said = invoke(function, {"status": arguments.parse_args().objects})
    return {"objects": [told(found) for found in said["objects"]]}


if __name__ == "__main__":
    run(main)
