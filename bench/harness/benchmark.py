"""What the benchmarks have in common: their arguments, the functions' binaries, and where results go."""

import argparse
import json
import shutil
import zipfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.machine import description, first_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

BENCH = Path(__file__).resolve().parent.parent
STATE = BENCH.parent / ".lakewright" / "bench"
IN_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Common:
    """What every benchmark is asked."""

    functions: Path
    repetitions: int
    state: Path
    scratch: Path
    patience_seconds: float
    results: Path
    recorded: Path | None

    def binary(self, function: str) -> Path:
        """A function's binary, taken out of its deployment package."""
        with zipfile.ZipFile(self.functions / function / "bootstrap.zip") as package:
            binary = Path(package.extract("bootstrap", self.state / "functions" / function))
        binary.chmod(0o755)
        return binary

    def record(self, run: "DataclassInstance") -> None:
        """Keeps a single run."""
        line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds")} | asdict(run)) + "\n"
        for path in [self.state / "runs.jsonl", *([self.recorded] if self.recorded else [])]:
            with path.open("a") as log:
                log.write(line)


def names(text: str) -> list[str]:
    """The names in a list with commas; none in an empty one."""
    return [name for name in text.split(",") if name]


def parser(description: str | None, repetitions: int) -> argparse.ArgumentParser:
    """A parser of what every benchmark is asked."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", type=Path, required=True, help="the folder with <function>/bootstrap.zip")
    parser.add_argument("--repetitions", type=int, default=repetitions)
    parser.add_argument("--state", type=Path, default=STATE, help="for data that is made once, and logs")
    parser.add_argument("--scratch", type=Path, default=IN_MEMORY if IN_MEMORY.is_dir() else STATE, help="for outputs")
    parser.add_argument("--patience", type=float, default=0, help="seconds to wait for a quiet machine before a run")
    parser.add_argument("--record", type=Path, help="a file that gets each run too, as a line of JSON")
    parser.add_argument("--results", type=Path, default=BENCH / "RESULTS.md")
    return parser


def common(given: argparse.Namespace) -> Common:
    """What the command line says of it."""
    given.state.mkdir(parents=True, exist_ok=True)
    return Common(
        functions=given.functions.resolve(),
        repetitions=given.repetitions,
        state=given.state.resolve(),
        scratch=given.scratch.resolve() / "lakewright-bench",
        patience_seconds=given.patience,
        results=given.results,
        recorded=given.record,
    )


def check(parser: argparse.ArgumentParser, given: list[str], known: Any) -> None:
    """Ends with a usage error where a name is not known."""
    for name in given:
        if name not in known:
            parser.error(f"{name} is none of {', '.join(known)}")


def check_peers(parser: argparse.ArgumentParser, given: list[str], known: Any) -> None:
    """Ends with a usage error where a peer is not known, or lacks what it runs on."""
    check(parser, given, known)
    if "Spark" in given and shutil.which("java") is None:
        parser.error("Spark needs Java (sudo apt-get install default-jre-headless), or leave it out of --peers")


def circumstances(versions: str) -> dict[str, str]:
    """When, where and with what something was measured."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": first_line("git", "-C", str(BENCH), "describe", "--always", "--dirty"),
        "machine": description(),
        "versions": versions,
    }


def write_chapter(page: Path, chapter: str) -> None:
    """Puts a chapter, which begins with a heading of the first level, in the place of the one of the same heading, or at
    the end."""
    heading = chapter.splitlines()[0]
    before = page.read_text() if page.exists() else ""
    chapters: list[str] = []
    for line in before.splitlines(keepends=True):
        if line.startswith("# "):
            chapters.append("")
        if chapters:
            chapters[-1] += line
    chapters = [old.strip("\n") for old in chapters]
    at = next((number for number, old in enumerate(chapters) if old.splitlines()[0] == heading), len(chapters))
    chapters[at : at + 1] = [chapter.strip("\n")]
    page.write_text("\n\n".join(chapters) + "\n")
    print(f"written: {page}")
