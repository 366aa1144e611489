"""Writes the report: one HTML file with its data, its charts' library and nothing from elsewhere."""

import json
from pathlib import Path
from typing import Any

from localcloud.progress import Failure

HERE = Path(__file__).parent
# Apache ECharts, pinned with the CDK app's packages.
LIBRARY = HERE.parents[2] / "infra" / "node_modules" / "echarts" / "dist" / "echarts.min.js"


def script(text: str) -> str:
    """Text of a script element, which ends with the first `</script`, whatever it is in."""
    if "</script" in text.lower():
        raise Failure("a script of the report has `</script` in it")
    return text


def data(document: dict[str, Any]) -> str:
    """JSON that ends no element and begins no comment."""
    return json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")


def page(document: dict[str, Any], library: Path = LIBRARY) -> str:
    """The whole file."""
    parts = {
        "css": (HERE / "page.css").read_text(),
        "data": data(document),
        "library": script(library.read_text()),
        "script": script((HERE / "page.js").read_text()),
    }
    # In one pass, so that nothing in a part is taken for a place.
    text = (HERE / "page.html").read_text()
    made = []
    for number, piece in enumerate(text.split("{{")):
        if number == 0:
            made.append(piece)
            continue
        name, _, rest = piece.partition("}}")
        made += [parts[name], rest]
    return "".join(made)
