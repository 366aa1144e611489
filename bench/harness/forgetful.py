"""An S3 server that takes objects and forgets them, which costs next to nothing: what is left is the client's own work.

    python -m harness.forgetful PORT REMEMBERED…

It keeps objects whose path has one of the remembered texts in it, and serves these as S3 would, with create-only
writes and ranges. Of the others it counts bytes. It checks no signatures.
"""

import asyncio
import email.utils
import hashlib
import sys
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote
from urllib.request import urlopen
from xml.sax.saxutils import escape

from harness.server import Server, free_port

PAGE = 1000
OK = b'HTTP/1.1 200 OK\r\nETag: "d41d8cd98f00b204e9800998ecf8427e"\r\nContent-Length: 0\r\n\r\n'
COUNTED = "/forgotten"


@dataclass
class Memory:
    """What all connections share."""

    remembered: tuple[bytes, ...]
    objects: dict[str, bytes] = field(default_factory=dict)
    forgotten: int = 0
    forgotten_bytes: int = 0


def answer(status: str, body: bytes = b"", *fields: str, length: int | None = None) -> bytes:
    """An answer; `length` where that is not the body's."""
    now = email.utils.formatdate(usegmt=True)
    head = [f"HTTP/1.1 {status}", f"Date: {now}", f"Content-Length: {len(body) if length is None else length}", *fields]
    return "\r\n".join([*head, "", ""]).encode() + body


def refusal(status: str, code: str) -> bytes:
    """An error, as S3 words it."""
    return answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._received = bytearray()
        self._head = b""
        self._length = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._received += data
        while True:
            if not self._head:
                end = self._received.find(b"\r\n\r\n")
                if end < 0:
                    return
                self._head = bytes(self._received[:end])
                del self._received[: end + 4]
                lower = self._head.lower()
                at = lower.find(b"\r\ncontent-length:")
                self._length = 0 if at < 0 else int(lower[at + 17 :].split(b"\r\n", 1)[0])
                if b"\r\nexpect: 100-continue" in lower:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if len(self._received) < self._length:
                return
            head, self._head = self._head, b""
            first = head.partition(b"\r\n")[0]
            memory = self._memory
            # A bucket has no second slash but that of HTTP/1.1.
            is_object = first.startswith(b"PUT ") and first.count(b"/") > 2
            if is_object and not any(text in first for text in memory.remembered):
                memory.forgotten += 1
                memory.forgotten_bytes += self._length
                del self._received[: self._length]
                self._transport.write(OK)
                continue
            body = bytes(self._received[: self._length])
            del self._received[: self._length]
            self._transport.write(self._serve(head.decode("latin-1"), body))

    def _serve(self, head: str, body: bytes) -> bytes:
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        path, _, query = target.partition("?")
        path = unquote(path)
        memory = self._memory
        if path == COUNTED:
            return answer("200 OK", f"{memory.forgotten} {memory.forgotten_bytes}".encode())
        if "list-type=2" in query:
            return self._list(path.strip("/"), query)
        if method == "PUT":
            if fields.get("if-none-match") == "*" and path in memory.objects:
                return refusal("412 Precondition Failed", "PreconditionFailed")
            memory.objects[path] = body
            return answer("200 OK", b"", f"ETag: {etag(body)}")
        found = memory.objects.get(path)
        if found is None:
            return answer("404 Not Found") if method == "HEAD" else refusal("404 Not Found", "NoSuchKey")
        if fields.get("if-match", etag(found)) != etag(found):
            return refusal("412 Precondition Failed", "PreconditionFailed")
        known = (f"ETag: {etag(found)}", "Last-Modified: Wed, 20 May 2026 10:00:00 GMT")
        if method == "HEAD":
            return answer("200 OK", b"", *known, length=len(found))
        if (asked := fields.get("range")) is None:
            return answer("200 OK", found, *known)
        start, _, last = asked.removeprefix("bytes=").partition("-")
        if int(start) >= len(found):
            return refusal("416 Requested Range Not Satisfiable", "InvalidRange")
        end = min(int(last) + 1 if last else len(found), len(found))
        part = found[int(start) : end]
        return answer("206 Partial Content", part, *known, f"Content-Range: bytes {start}-{end - 1}/{len(found)}")

    def _list(self, bucket: str, query: str) -> bytes:
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        prefix = f"/{bucket}/{asked.get('prefix', '')}"
        keys = sorted(path for path in self._memory.objects if path.startswith(prefix))
        after = asked.get("start-after") or asked.get("continuation-token") or ""
        keys = keys[bisect_right(keys, f"/{bucket}/{after}") :]
        page, truncated = keys[:PAGE], len(keys) > PAGE
        contents = "".join(self._listed(bucket, path, "encoding-type" in asked) for path in page)
        last = page[-1].removeprefix(f"/{bucket}/") if truncated else ""
        text = (
            f"<ListBucketResult><Name>{bucket}</Name><IsTruncated>{str(truncated).lower()}</IsTruncated>"
            f"<NextContinuationToken>{last}</NextContinuationToken>"
            f"<KeyCount>{len(page)}</KeyCount>{contents}</ListBucketResult>"
        )
        return answer("200 OK", text.encode(), "Content-Type: application/xml")

    def _listed(self, bucket: str, path: str, encoded: bool) -> str:
        key, body = path.removeprefix(f"/{bucket}/"), self._memory.objects[path]
        return (
            f"<Contents><Key>{quote(key) if encoded else escape(key)}</Key><Size>{len(body)}</Size>"
            f"<ETag>{escape(etag(body))}</ETag><LastModified>2026-05-20T10:00:00.000Z</LastModified></Contents>"
        )


def etag(body: bytes) -> str:
    """S3's, of an object in one piece. Of what is large, a beginning will do."""
    return f'"{hashlib.md5(body[:4096], usedforsecurity=False).hexdigest()}"'


async def serve(port: int, remembered: Sequence[str]) -> None:
    """Serves until it is ended."""
    memory = Memory(tuple(text.encode() for text in remembered))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(memory), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


class Forgetful(Server):
    """A running server that forgets."""

    NAME = "answers and forgets"

    def __init__(self, remembered: Sequence[str], log: Path) -> None:
        port = free_port()
        command = [sys.executable, "-m", "harness.forgetful", str(port), *remembered]
        super().__init__(command, {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}, port, log)

    def forgotten(self) -> tuple[int, int]:
        """How many objects it took and forgot, and their bytes."""
        with urlopen(self.endpoint + COUNTED) as counted:
            count, size = counted.read().split()
        return int(count), int(size)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2:]))
