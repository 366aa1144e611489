"""The commands of a page: what its blocks of shell have, one by one, with their placeholders filled in."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The AWS CLI of version 2 reads a payload as base64 unless it is told otherwise; that of version 1, which has packages in
# Python's registry, reads it as it is and does not know the option.
ONLY_VERSION_2 = " --cli-binary-format raw-in-base64-out"
SECONDS = 240


@dataclass(frozen=True)
class Command:
    """A command, as the page has it and as it is run."""

    written: str
    run: str


def commands(page: Path, programs: tuple[str, ...], placeholders: Mapping[str, str]) -> Iterator[Command]:
    """The commands of these programs in the page's blocks of shell."""
    for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        # A comment begins after spaces; a line goes on after a backslash, and within quotes.
        text = re.sub(r"(^|\s)# .*$", "", block, flags=re.MULTILINE).replace("\\\n", " ")
        for line in re.findall(r"(?:'[^']*'|[^'\n])+", text):
            written = " ".join(line.split()) if "\n" not in line else line.strip()
            if written.startswith(programs):
                run = written.replace(ONLY_VERSION_2, "")
                for placeholder, value in placeholders.items():
                    run = run.replace(placeholder, value)
                yield Command(written, run)


def ran(command: Command, folder: Path, **variables: str) -> str:
    """What a command says, which is to succeed."""
    ended = subprocess.run(
        ["sh", "-ceu", command.run], cwd=folder, capture_output=True, text=True, timeout=SECONDS, env=os.environ | variables
    )
    assert ended.returncode == 0, (command.run, ended.stdout, ended.stderr)
    return ended.stdout
