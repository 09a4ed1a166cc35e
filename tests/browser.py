"""A real browser without a window, for tests of the live page and for its pictures in the docs.

Chromium is driven over a pipe by its own protocol (`--remote-debugging-pipe`): messages in JSON,
each ended by a zero byte. What a page does with its script is seen in this way, and no other.

    with Browser() as browser:
        browser.open(url)
        browser.wait("document.querySelectorAll('.group').length > 0")

A browser has a folder of its own that goes with it. Tests skip where there is none.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

__all__ = ("CHROMIUM", "Browser")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en-US", "--remote-debugging-pipe",
)  # fmt: skip
_PATIENCE = 120.0  # seconds


class Browser:
    """One browser with one tab."""

    def __init__(self, width: int = 1240, height: int = 900) -> None:
        assert CHROMIUM is not None
        self._folder = tempfile.mkdtemp(prefix="gopark-browser-")
        requests, self._w = os.pipe()
        self._r, answers = os.pipe()
        # It reads from descriptor 3 and writes to 4, whatever ours are.
        shell = f'exec "$@" 3<&{requests} 4>&{answers}'
        size = f"--window-size={width},{height}"
        command = [CHROMIUM, *_OPTIONS, size, f"--user-data-dir={self._folder}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command],
            pass_fds=(requests, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(requests)
        os.close(answers)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.complaints: list[str] = []  # of the page: errors, what its policy has kept out
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._send(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError, AssertionError):
            self._session = None
            self._send("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._r)
        os.close(self._w)
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- what a test asks for -------------------------------------------------------------

    def open(self, url: str) -> None:
        self._send("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """What an expression gives; a promise is waited for."""
        found = self._send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str) -> None:
        """Ask until the answer is true."""
        deadline = time.monotonic() + _PATIENCE
        while not self.run(f"Boolean({script})"):
            assert time.monotonic() < deadline, f"never true: {script}; {self.complaints}"
            time.sleep(0.02)

    def text(self, selector: str) -> str:
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def type(self, selector: str, text: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self._send("Input.insertText", text=text)

    def press(self, key: str) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            self._send("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def tree(self) -> list[tuple[str, str]]:
        """Role and name of everything that assistive technology is told of."""
        nodes = self._send("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"]
        ]

    def prefer(self, scheme: str, script: bool = True) -> None:
        """A dark or a light scheme, with or without scripts."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._send("Emulation.setEmulatedMedia", features=features)
        self._send("Emulation.setScriptExecutionDisabled", value=not script)

    def resize(self, width: int, height: int) -> None:
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def picture(self, file: pathlib.Path) -> None:
        data = self._send("Page.captureScreenshot", format="png", optimizeForSpeed=False)["data"]
        file.write_bytes(base64.b64decode(data))

    # --- the protocol ---------------------------------------------------------------------

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._w, json.dumps(message).encode() + b"\0")
        for answer in self._messages():
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self._event(answer)
        raise AssertionError(f"the browser has ended before it answered {method}")

    def _messages(self) -> Iterator[dict[str, Any]]:
        while True:
            while b"\0" in self._buffer:
                message, _, self._buffer = self._buffer.partition(b"\0")
                yield json.loads(message)
            data = os.read(self._r, 1 << 16)
            if not data:
                return
            self._buffer += data

    def _event(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(str(params["entry"]["text"]))
