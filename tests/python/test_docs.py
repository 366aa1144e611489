"""Pages of docs/ and the README: what programs make is as they make it, each configuration is one, and each command is run."""

import gzip
import html
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from docsite.reference import DOCS, current
from firsthour import SECONDS, exported, processes, said, up, with_functions

README = DOCS.parent / "README.md"
PAGES = [README, DOCS / "tutorial.md", *sorted((DOCS / "how-to").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What a page tells to type and is run elsewhere, or not at all, and why.
ELSEWHERE = {
    "cargo xtask up": "test_up.py",
    ". .lakewright/env.sh": "test_up.py, and here",
    "cargo lambda invoke rekey --remote --data-file events/rekey-s3.json": "test_up.py",
    "aws s3 ls --recursive s3://lakewright-lake/": "test_up.py runs such a line of the page of operations",
    "pip install cargo-lambda && rustup target add aarch64-unknown-linux-gnu": "it changes the machine",
    "cd infra && npm ci": "every command has done it",
    "npx cdk bootstrap": "it needs an account",
    "npx cdk deploy -c config=../lakewright.toml": "it needs an account; infra's tests synthesize the configurations",
}


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of code of a language."""
    return [text for found, text in BLOCK.findall(page.read_text()) if found == language]


def commands(page: Path) -> list[str]:
    """What a page tells to type in a shell, without its comments."""
    lines = [re.split(r"\s+#\s", line)[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]
    return [line for line in lines if line]


def test_the_reference_is_that_of_the_schema_and_the_errors() -> None:
    assert (DOCS / "reference.md").read_text() == current(), "run `cargo xtask docs`"


def test_the_pages_are_built_as_a_book(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("mdbook")
    built = subprocess.run([program, "build", DOCS, "--dest-dir", tmp_path], capture_output=True, text=True)
    assert built.returncode == 0 and "WARN" not in built.stderr, built.stderr
    pages = re.findall(r"\]\((\S+)\.md\)", (DOCS / "SUMMARY.md").read_text())
    assert len(pages) > 10
    for page in pages:
        title = re.match(r"# (.+)", (DOCS / f"{page}.md").read_text())[1]
        # Its heading is there, and each page leads to the others.
        text = html.unescape((tmp_path / f"{page}.html").read_text())
        assert re.sub(r"[`*]", "", title) in re.sub(r"<[^>]+>", "", text) and "toc" in text, page


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")], ids=lambda page: page.stem)
def test_each_configuration_on_a_page_is_one(page: Path, tmp_path: Path) -> None:
    # Each says how a job is configured, so together they would be one configuration.
    file = tmp_path / "lakewright.toml"
    file.write_text("\n".join(blocks(page, "toml")))
    assert said("check", str(file), deploys=False)["mistakes"] == []


def test_the_demo_ends_with_five_lines_and_a_report() -> None:
    shown = said("demo")
    assert len(shown["lines"]) == 5 and shown["differences"] == []
    (job,) = shown["report"]["jobs"]
    assert job["rows"] == {"in": 336_785, "out": 336_776, "quarantined": 9}
    assert job["landing_to_commit_seconds"]["window"] == 10
    # One file for each day and a few more.
    assert 366 == job["lake"]["partitions"] <= job["lake"]["files"] < 1.3 * 366
    report = Path(shown["report"]["file"]).read_text()
    assert report.startswith("<!doctype html>") and "336785" in report


def test_each_command_on_a_page_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = dict.fromkeys(line for page in PAGES for line in commands(page))
    trips = "at,km\n" + "".join(f"2026-05-{day:02} 12:00:00,{day}\n" for day in range(1, 29))
    (tmp_path / "trips.csv.gz").write_bytes(gzip.compress(trips.encode()))
    tried = said(*shlex.split("cargo xtask try trips.csv.gz")[2:], folder=tmp_path)
    assert Path(tried["report"]["file"]).exists() and tried["report"]["jobs"][0]["rows"]["out"] == 28
    said(*shlex.split("cargo xtask check lakewright.toml")[2:], folder=tmp_path, deploys=False)
    run = ["cargo xtask try trips.csv.gz", "cargo xtask check lakewright.toml"]
    monkeypatch.chdir(tmp_path)
    line = "cargo xtask up --config lakewright.toml --land trips.csv.gz"
    with up(tmp_path / "log", *shlex.split(line)[3:]) as summary:
        run.append(line)
        for name, value in exported(summary["exports"]).items():
            monkeypatch.setenv(name, value)
        for line in ("cargo xtask status", "cargo xtask report"):
            said(*shlex.split(line)[2:], folder=tmp_path, deploys=False)
            run.append(line)
    assert (tmp_path / "lakewright-report.html").exists()
    # By `test_the_demo_ends_with_five_lines_and_a_report`.
    run.append("cargo xtask demo")
    assert set(told) == {*run, *ELSEWHERE}


def test_the_simulation_says_its_result_as_json() -> None:
    run = said("sim", "--seeds", "3", "--only-histories", deploys=False)
    assert (run["histories"], run["crash_points"], run["violation"], run["steps"]) == (3, 0, None, [])
    assert run["invocations"] > 0 and sum(run["faults"].values()) > 0
    assert said("sim", "--replay", "1", deploys=False)["steps"]


def test_ctrl_c_in_the_middle_leaves_nothing_running() -> None:
    demo = subprocess.Popen(with_functions("demo"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert demo.stderr
    # The cloud is up, and the flights are landing.
    assert any("Local cloud" in line for line in demo.stderr)
    demo.send_signal(signal.SIGINT)
    said_last = demo.stderr.read()
    assert demo.wait(SECONDS) == 130 and "interrupted: all that was started is stopped" in said_last
    assert not (left := processes(demo.pid)), left
