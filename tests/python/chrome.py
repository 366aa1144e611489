"""A headless Chromium, driven over a pipe by its own protocol: https://chromedevtools.github.io/devtools-protocol/"""

import fcntl
import json
import os
import select
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60
# Where it reads its commands and writes its answers.
READS, WRITES = 3, 4
# Above those two.
FREE = 10
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]
KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "Home": 36, "End": 35, "Tab": 9, "Enter": 13}


def program() -> str | None:
    """The browser of this machine."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One page, with what it complained of and asked for."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser, self._session = browser, session
        self.complaints: list[str] = []
        self.requests: list[str] = []

    def ask(self, method: str, **parameters: Any) -> Any:
        """A command of the protocol."""
        return self._browser.ask(method, parameters, self._session)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """A key, as somebody presses it."""
        text = {"text": "\r"} if key == "Enter" else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=KEYS[key], **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=KEYS[key])

    def screenshot(self, file: Path) -> None:
        """The whole page as a PNG."""
        file.write_bytes(b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]))

    def heard(self, event: dict[str, Any]) -> None:
        """What the page does by itself."""
        method, what = event["method"], event["params"]
        if method == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(what["exceptionDetails"]))
        elif method == "Log.entryAdded" or (method == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning")):
            self.complaints.append(str(what.get("entry", what.get("args"))))


class Browser:
    """A running browser."""

    def __init__(self, process: subprocess.Popen[bytes], to: int, of: int) -> None:
        self._process, self._to, self._of = process, to, of
        self._number, self._buffer = 0, b""
        self._pages: dict[str, Page] = {}

    def ask(self, method: str, parameters: dict[str, Any], session: str | None = None) -> Any:
        """Sends a command, and waits for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            if (page := self._pages.get(answer.get("sessionId", ""))) and "method" in answer:
                page.heard(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._of], [], [], SECONDS)
            assert ready, "the browser does not answer"
            read = os.read(self._of, 1 << 20)
            assert read, f"the browser has ended: {self._process.poll()}"
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, file: Path, ready: str, *, width: int = 1100, height: int = 800, dark: bool = False) -> Page:
        """A file, once an expression of it is true."""
        target = self.ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.ask("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.ask(f"{domain}.enable")
        page.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        page.ask("Page.navigate", url=file.as_uri())
        wait = f"new Promise((done) => {{ const look = () => ({ready}) ? done(true) : requestAnimationFrame(look); look(); }})"
        assert page.evaluate(wait)
        return page


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser, until its end."""
    name = program()
    assert name, f"none of {', '.join(NAMES)} is installed"
    pipes = [os.pipe(), os.pipe()]
    (commands, to), (of, answers) = pipes
    given = [fcntl.fcntl(end, fcntl.F_DUPFD, FREE) for end in (commands, answers)]

    def take() -> None:
        os.dup2(given[0], READS)
        os.dup2(given[1], WRITES)

    line = [name, *QUIET, f"--user-data-dir={profile}"]
    # Chromium wants them under these numbers.
    with subprocess.Popen(line, stderr=subprocess.DEVNULL, preexec_fn=take, pass_fds=(READS, WRITES)) as process:  # noqa: PLW1509
        for end in (commands, answers, *given):
            os.close(end)
        try:
            yield Browser(process, to, of)
        finally:
            process.terminate()
            process.wait(SECONDS)
            os.close(to)
            os.close(of)
