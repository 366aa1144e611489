"""s3s-fs: an S3 server that keeps its objects as files. It checks signatures; of two racing writers it may let both win.

cargo install s3s-fs --version 0.14.1 --locked --features binary
"""

from collections.abc import Iterator
from pathlib import Path

from harness.server import KEY, SECRET, Server, free_port


class FileServer(Server):
    """A running s3s-fs."""

    NAME = "s3s-fs"

    def __init__(self, binary: Path, root: Path, log: Path) -> None:
        self._root = root
        port = free_port()
        address = ["--host", "127.0.0.1", "--port", str(port)]
        command = [str(binary), str(root), *address, "--access-key", KEY, "--secret-key", SECRET]
        super().__init__(command, {"RUST_LOG": "error"}, port, log)

    def objects(self, bucket: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        """The keys below a prefix, without it, and the objects."""
        folder = self._root / bucket / prefix
        for path in folder.rglob("*"):
            # What it knows of an object besides its bytes it keeps in hidden files.
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(folder).as_posix(), path.read_bytes()
