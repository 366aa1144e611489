"""An S3 server that keeps objects in files, so that they may be larger than the machine's memory.

    python -m harness.disk PORT FOLDER

It does what the functions ask of S3: ranges, conditional writes, copies, which share their bytes, multipart uploads and
listings. It checks no signatures, and its ETags are numbers.
"""

import email.utils
import itertools
import os
import socketserver
import sys
import threading
import xml.etree.ElementTree as ET
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs, quote, unquote

from harness.forgetful import PAGE, answer, refusal
from harness.program import ProgramFailed
from harness.server import Server, free_port

PIECE = 1 << 20


@dataclass(frozen=True)
class Stored:
    """An object: what it is made of, a file for each part."""

    parts: tuple[Path, ...]
    sizes: tuple[int, ...]
    etag: str
    at: datetime

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(self.sizes)

    def pieces(self, start: int, end: int) -> Iterator[tuple[Path, int, int]]:
        """Where a range of it lies: files, offsets and lengths."""
        before = 0
        for path, size in zip(self.parts, self.sizes, strict=True):
            low, high = max(start - before, 0), min(end - before, size)
            if low < high:
                yield path, low, high - low
            before += size


@dataclass
class Shelf:
    """What all connections share."""

    folder: Path
    objects: dict[str, Stored] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    uploads: dict[str, dict[int, Stored]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, body: BinaryIO, length: int) -> Stored:
        """Takes a body in."""
        number = next(self.numbers)
        path = self.folder / f"{number}"
        buffer = memoryview(bytearray(min(length, PIECE)))
        left = length
        with path.open("wb") as file:
            while left:
                count = body.readinto(buffer[: min(left, PIECE)])  # type: ignore[attr-defined]
                if not count:
                    raise ConnectionError("the body was cut short")
                file.write(buffer[:count])
                left -= count
        return Stored((path,), (length,), f'"{number:032x}"', datetime.now(UTC))

    def put(self, path: str, stored: Stored, fields: Mapping[str, str]) -> bytes | None:
        """Puts an object where the request's conditions hold; else the refusal."""
        with self.lock:
            existing = self.objects.get(path)
            if fields.get("if-none-match") == "*" and existing:
                return refusal("412 Precondition Failed", "PreconditionFailed")
            if (wanted := fields.get("if-match")) is not None:
                if existing is None:
                    return refusal("404 Not Found", "NoSuchKey")
                if existing.etag != wanted:
                    return refusal("412 Precondition Failed", "PreconditionFailed")
            if existing is None:
                insort(self.keys, path)
            self.objects[path] = stored
        return None


class Connection(socketserver.StreamRequestHandler):
    """One client's connection."""

    disable_nagle_algorithm = True
    rbufsize = PIECE

    def handle(self) -> None:
        """Serves one request after the other."""
        while first := self.rfile.readline():
            fields = {}
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = line.decode("latin-1").partition(":")
                fields[name.lower()] = value.strip()
            if fields.get("expect") == "100-continue":
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            method, target, _ = first.decode("latin-1").split(" ")
            path, _, query = target.partition("?")
            asked = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
            reply = self._serve(method, unquote(path), asked, fields)
            if reply is not None:
                self.wfile.write(reply)

    @property
    def _shelf(self) -> Shelf:
        return self.server.shelf  # type: ignore[attr-defined]

    def _serve(self, method: str, path: str, asked: dict[str, str], fields: dict[str, str]) -> bytes | None:
        length = int(fields.get("content-length", 0))
        if method in ("GET", "HEAD"):
            return self._list(path.strip("/"), asked) if "list-type" in asked else self._get(method, path, fields)
        if method == "POST":
            return self._upload(path, asked, fields, self.rfile.read(length))
        if method == "DELETE":
            self._shelf.uploads.pop(asked["uploadId"], None)
            return answer("204 No Content")
        if (source := fields.get("x-amz-copy-source")) is not None:
            return self._copy(unquote("/" + source.lstrip("/")), path, fields)
        stored = self._shelf.keep(self.rfile, length)
        if (number := asked.get("partNumber")) is not None:
            upload = self._shelf.uploads.get(asked["uploadId"])
            if upload is None:
                return refusal("404 Not Found", "NoSuchUpload")
            upload[int(number)] = stored
        # A bucket has no second slash.
        elif path.strip("/").count("/") and (refused := self._shelf.put(path, stored, fields)):
            return refused
        return answer("200 OK", b"", f"ETag: {stored.etag}")

    def _get(self, method: str, path: str, fields: dict[str, str]) -> bytes | None:
        found = self._shelf.objects.get(path)
        if found is None:
            return answer("404 Not Found") if method == "HEAD" else refusal("404 Not Found", "NoSuchKey")
        if fields.get("if-match", found.etag) != found.etag:
            return refusal("412 Precondition Failed", "PreconditionFailed")
        known = [f"ETag: {found.etag}", f"Last-Modified: {email.utils.format_datetime(found.at, usegmt=True)}"]
        if method == "HEAD":
            return answer("200 OK", b"", *known, length=found.size)
        status, start, end = "200 OK", 0, found.size
        if (wanted := fields.get("range")) is not None:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last) + 1 if last else found.size, found.size)
            if start >= found.size:
                return refusal("416 Requested Range Not Satisfiable", "InvalidRange")
            status = "206 Partial Content"
            known.append(f"Content-Range: bytes {start}-{end - 1}/{found.size}")
        self.wfile.write(answer(status, b"", *known, length=end - start))
        for part, offset, count in found.pieces(start, end):
            with part.open("rb") as file:
                while count:
                    sent = os.sendfile(self.connection.fileno(), file.fileno(), offset, count)
                    offset, count = offset + sent, count - sent
        return None

    def _copy(self, source: str, path: str, fields: dict[str, str]) -> bytes:
        found = self._shelf.objects.get(source)
        if found is None:
            return refusal("404 Not Found", "NoSuchKey")
        if fields.get("x-amz-copy-source-if-match", found.etag) != found.etag:
            return refusal("412 Precondition Failed", "PreconditionFailed")
        copied = Stored(found.parts, found.sizes, found.etag, datetime.now(UTC))
        text = f"<CopyObjectResult><ETag>{found.etag}</ETag></CopyObjectResult>"
        return self._shelf.put(path, copied, fields) or answer("200 OK", text.encode())

    def _upload(self, path: str, asked: dict[str, str], fields: dict[str, str], body: bytes) -> bytes:
        bucket, _, key = path.lstrip("/").partition("/")
        of = f"<Bucket>{bucket}</Bucket><Key>{quote(key)}</Key>"
        if "uploads" in asked:
            upload = f"upload-{next(self._shelf.numbers)}"
            self._shelf.uploads[upload] = {}
            kind, of = "InitiateMultipartUploadResult", f"{of}<UploadId>{upload}</UploadId>"
            return answer("200 OK", f"<{kind}>{of}</{kind}>".encode())
        parts = self._shelf.uploads.get(asked["uploadId"])
        if parts is None:
            return refusal("404 Not Found", "NoSuchUpload")
        numbers = [int(number.text or 0) for number in ET.fromstring(body).iter() if number.tag.endswith("PartNumber")]
        if any(number not in parts for number in numbers):
            return refusal("400 Bad Request", "InvalidPart")
        chosen = [parts[number] for number in numbers]
        etag = f'"{next(self._shelf.numbers):032x}-{len(chosen)}"'
        paths, sizes = tuple(part.parts[0] for part in chosen), tuple(part.sizes[0] for part in chosen)
        refused = self._shelf.put(path, Stored(paths, sizes, etag, datetime.now(UTC)), fields)
        if refused is None:
            del self._shelf.uploads[asked["uploadId"]]
        kind = "CompleteMultipartUploadResult"
        return refused or answer("200 OK", f"<{kind}>{of}<ETag>{etag}</ETag></{kind}>".encode())

    def _list(self, bucket: str, asked: dict[str, str]) -> bytes:
        root = f"/{bucket}/"
        prefix = root + asked.get("prefix", "")
        after = asked.get("start-after") or unquote(asked.get("continuation-token", ""))
        with self._shelf.lock:
            keys = self._shelf.keys
            start = max(bisect_left(keys, prefix), bisect_right(keys, root + after) if after else 0)
            page = [key for key in keys[start : start + PAGE + 1] if key.startswith(prefix)]
        truncated, page = len(page) > PAGE, page[:PAGE]
        contents = "".join(self._listed(path, root) for path in page)
        last = quote(page[-1].removeprefix(root)) if truncated else ""
        text = (
            f"<ListBucketResult><Name>{bucket}</Name><EncodingType>url</EncodingType><KeyCount>{len(page)}</KeyCount>"
            f"<IsTruncated>{str(truncated).lower()}</IsTruncated>"
            f"<NextContinuationToken>{last}</NextContinuationToken>{contents}</ListBucketResult>"
        )
        return answer("200 OK", text.encode(), "Content-Type: application/xml")

    def _listed(self, path: str, root: str) -> str:
        stored = self._shelf.objects[path]
        at = stored.at.isoformat(timespec="milliseconds").removesuffix("+00:00")
        return (
            f"<Contents><Key>{quote(path.removeprefix(root))}</Key><Size>{stored.size}</Size>"
            f"<ETag>{stored.etag.replace(chr(34), '&quot;')}</ETag><LastModified>{at}Z</LastModified></Contents>"
        )


class Threads(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, port: int, folder: Path) -> None:
        self.shelf = Shelf(folder)
        super().__init__(("127.0.0.1", port), Connection)

    def handle_error(self, *_: object) -> None:
        """Says nothing of a client that went away."""


class DiskStore(Server):
    """A running server over a folder."""

    NAME = "keeps objects in files"

    def __init__(self, folder: Path, log: Path) -> None:
        port = free_port()
        command = [sys.executable, "-m", "harness.disk", str(port), str(folder)]
        super().__init__(command, {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}, port, log)

    def copy(self, bucket: str, copies: Iterable[tuple[str, str]]) -> None:
        """Copies objects within a bucket, from key to key, which takes no room. The server asks for no signature."""
        connection = HTTPConnection("127.0.0.1", self._port)
        for source, target in copies:
            connection.request("PUT", f"/{bucket}/{quote(target)}", headers={"x-amz-copy-source": f"{bucket}/{quote(source)}"})
            with connection.getresponse() as reply:
                if reply.status != 200:
                    raise ProgramFailed(f"{source} was not copied: {reply.status}")
                reply.read()
        connection.close()

    def size(self, bucket: str, key: str) -> int:
        """The bytes of an object."""
        return self._s3.head_object(Bucket=bucket, Key=key)["ContentLength"]

    def environment(self) -> dict[str, str]:
        """What a client needs to reach it, and nothing but it, for S3."""
        return {"AWS_ENDPOINT_URL_S3": self.endpoint}


if __name__ == "__main__":
    Threads(int(sys.argv[1]), Path(sys.argv[2])).serve_forever()
