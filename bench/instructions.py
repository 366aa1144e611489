"""Counts the instructions of rekey by stage, under callgrind: a profile that does not depend on what else the machine does.

    cargo rustc --release --package lakewright-functions --bin rekey -- -C strip=none
    python bench/instructions.py --binary target/release/rekey

One batch of 100,000 records. Valgrind has no SHA instructions, so that hashing, which is in software here, is left out
of the shares.
"""

import argparse
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from contenders.data import land, make
from contenders.lakewright import Job, Lakewright
from harness.benchmark import STATE
from harness.cloud import LocalCloud

SIZE, RECORDS, MEMORY_MB = "100k", 100_000, 256

# The first stage whose pattern is in a function's name.
STAGES = {
    "hash payloads (software, only here)": r"sha2|sigv4",
    "copy, fill and compare memory": r"mem(cpy|move|set|cmp)",
    "allocate and free memory": r"alloc\.c:|rdl_|raw_vec",
    "inflate": r"zlib_rs|flate2|crc32|compression::",
    "frame and parse JSON": r"lakewright_core::(json|records|lines|reading)|validations|from_utf8",
    "read timestamps": r"lakewright_core::time|jiff",
    "route to partitions": r"rekey::route|lakewright_core::partition|lateness|hdrhistogram",
    "spool and gather rows": r"spool|arrow|lz4_flex",
    "compress with Snappy": r"snap::",
    "encode Parquet": r"parquet::|encode::|hash",
    "requests and runtime": r"aws_|smithy|hyper|tokio|http|rustls|tower|h2::|mio::|serde|lambda_runtime|toml|base64|pem",
}
WITHOUT = next(iter(STAGES))


def stage(function: str) -> str:
    """The stage that a function belongs to."""
    return next((name for name, pattern in STAGES.items() if re.search(pattern, function)), "other")


def count(binary: Path, folder: Path) -> Counter[str]:
    """Runs the function under callgrind; its instructions by stage."""
    counts = folder / "callgrind.out"
    wrapper = folder / "bootstrap"
    options = f"--tool=callgrind --callgrind-out-file={counts}"
    wrapper.write_text(f'#!/bin/sh\nexec valgrind {options} {binary} 2>"{folder}/valgrind.log"\n')
    wrapper.chmod(0o755)
    data = make(SIZE, RECORDS, STATE / "data")
    with LocalCloud(STATE) as cloud:
        function = Lakewright(wrapper, cloud, STATE, folder)
        function.run("instructions", Job(MEMORY_MB), land(SIZE, data, cloud), 1)
    annotate = ["callgrind_annotate", "--threshold=100", str(counts)]
    listed = subprocess.run(annotate, check=True, capture_output=True, text=True).stdout
    found = re.findall(r"^\s*([\d,]+) \([ \d.]+%\)  (\S.*:.*)$", listed, re.MULTILINE)
    stages: Counter[str] = Counter()
    for instructions, function_name in found:
        stages[stage(function_name)] += int(instructions.replace(",", ""))
    return stages


def main() -> None:
    """Prints the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", type=Path, required=True, help="the function rekey, with its symbols")
    binary = arguments.parse_args().binary.resolve()
    STATE.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        stages = count(binary, Path(folder))
    hashing = stages.pop(WITHOUT, 0)
    whole = stages.total()
    if not whole:
        sys.exit("error: no function has a name: build the binary with its symbols (-C strip=none)")
    print("| stage | instructions a record | share |\n| --- | ---: | ---: |")
    for name, instructions in stages.most_common():
        print(f"| {name} | {instructions / RECORDS:,.0f} | {instructions / whole:.1%} |")
    print(f"| **all** | {whole / RECORDS:,.0f} | |\n\n{WITHOUT}: {hashing / RECORDS:,.0f}")


if __name__ == "__main__":
    main()
