"""`cargo xtask cost`: what an estimate follows from."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from localcloud.progress import Failure
from operate.cost import Volume, estimate, instead, priced, settings

CONFIG: dict[str, Any] = {
    "rekey": [{"name": "anpr", "source": "s3://in/anpr/", "target": "s3://lake/anpr/", "table": "anpr.events"}],
    "compact": [{"table": "anpr.events"}],
}
PRICES = priced(None)
EXAMPLE = Path(__file__).parents[2] / "infra" / "examples" / "compact.toml"


def usd(what: str, config: dict[str, Any] = CONFIG, **given: str) -> float:
    """The dollars of all lines whose name has this in it."""
    lines = estimate(config, settings(given), 0.5, PRICES)
    found = [line.usd for line in lines if what in line.what]
    assert found, what
    return sum(found)


def rekey(**more: Any) -> dict[str, Any]:
    """The configuration, with more settings of its rekey job."""
    return {**CONFIG, "rekey": [CONFIG["rekey"][0] | more]}


@pytest.mark.parametrize(
    ("what", "more", "less"),
    [
        # What lands.
        ("PUT", usd("PUT", gb_per_day="20"), usd("PUT", gb_per_day="10")),
        ("Lambda", usd("Lambda", gb_per_day="20"), usd("Lambda", gb_per_day="10")),
        # Late records make more files, which are merged again.
        ("PUT", usd("PUT", late="0.2"), usd("PUT", late="0")),
        ("GET", usd("GET", late="0.2"), usd("GET", late="0")),
        # Noncurrent versions are kept.
        ("merged files", usd("merged files", noncurrent_days="30"), usd("merged files", noncurrent_days="0")),
        # The configuration: a batch has fewer files, a sweep looks up what landed.
        ("PUT", usd("PUT", rekey(batch={"window": "0s"})), usd("PUT", rekey(batch={"window": "300s"}))),
        ("sweep", usd("sweep", rekey(sweep={"days": 7})), usd("sweep", rekey(sweep={"days": 3}))),
    ],
)
def test_more_costs_more(what: str, more: float, less: float) -> None:
    assert more > less > 0, what


def test_a_sweep_that_is_off_costs_nothing() -> None:
    lines = estimate(rekey(sweep={"schedule": "off"}), Volume(), 0.5, PRICES)
    assert not [line for line in lines if "sweep" in line.what]


def test_a_month_is_as_on_paper() -> None:
    """10 GB a day in objects of 5 MB: 60,000 objects, 300 GB."""
    lines = {line.what: line for line in estimate({"rekey": CONFIG["rekey"]}, settings({"late": "0"}), 0.5, PRICES)}
    # A window of a minute has less than an object for each poller: each object is a batch of its own, and 1.5 files.
    assert lines["S3, PUT requests"].count == pytest.approx(60_000 * (1.5 + 3 + 1))
    assert lines["S3, PUT requests"].usd == pytest.approx(330_000 * 5e-6)
    # 1,650 GB of JSON at 6.5 CPU seconds each; 150,000 waits of 50 ms in half a GB.
    assert lines["Lambda, GB seconds"].count == pytest.approx(1650 * 6.5 * 1.769 + 150_000 * 0.05 * 0.5)
    assert lines["S3, GB that are kept"].usd == pytest.approx(300 * 1.25 * 0.023)


def test_prices_of_a_file_take_the_place_of_the_published_ones(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text("s3_put = 10e-6\nglue_dpu_hour = 0.88")
    assert priced(own) == PRICES | {"s3_put": 10e-6, "glue_dpu_hour": 0.88}
    assert instead(Volume(), priced(own))[0].usd == pytest.approx(2 * instead(Volume(), PRICES)[0].usd)
    own.write_text("s3_puts = 1")
    with pytest.raises(Failure, match="unknown prices"):
        priced(own)


@pytest.mark.parametrize(("given", "says"), [({"gb": "1"}, "unknown settings"), ({"late": "much"}, "no number")])
def test_what_is_no_setting_is_refused(given: dict[str, str], says: str) -> None:
    with pytest.raises(Failure, match=says):
        settings(given)


def table(page: Path) -> list[list[str]]:
    """The rows of the table of costs, with the first number of each cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.read_text().splitlines() if " GB of gzip |" in line]
    return [[cell.split()[0].replace(",", "") for cell in row] for row in rows]


def costs(day: str, dpus: str, minutes: str) -> list[str]:
    """What a row should say: rekey, compact, compact with versions for 30 days, Glue, Firehose."""
    config = tomllib.loads(EXAMPLE.read_text())
    given = {"gb_per_day": day, "glue_dpus": dpus, "glue_minutes": minutes}

    def of(job: str, **more: str) -> float:
        lines = estimate(config, settings(given | more), 0.5, PRICES)
        return sum(line.usd for line in lines if line.job == job and line.what != "S3, GB that are kept")

    name = config["compact"][0]["table"]
    found = [of("anpr"), of(name), of(name, noncurrent_days="30"), *(line.usd for line in instead(settings(given), PRICES))]
    return [f"{usd:.0f}" for usd in found]


def test_the_tables_on_the_pages_are_what_the_command_says() -> None:
    jobs = {"1": ("2", "5"), "10": ("2", "5"), "100": ("4", "10"), "1000": ("20", "20")}
    root = EXAMPLE.parents[2]
    whole = table(root / "infra/README.md")
    assert whole == [[day, *costs(day, *job)] for day, job in jobs.items()]
    assert table(root / "README.md") == [[*row[:3], *row[4:]] for row in whole[1:]]


def test_the_command_adds_everything_up() -> None:
    command = [sys.executable, "-m", "operate.cost", "--config", str(EXAMPLE), "--set", '{"gb_per_day": "100"}']
    answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["value"]
    rows = answer["rows"]
    total = next(row for row in rows if row[0] == "all")
    cents = [float(row[3].replace(",", "")) for row in rows if row[0] not in ("all", "instead")]
    assert float(total[3].replace(",", "")) == pytest.approx(sum(cents), abs=0.01 * len(cents))
    assert [row[1] for row in rows if row[0] == "instead"] == ["a Glue job each hour, DPU hours", "Firehose's dynamic partitioning, GB"]
