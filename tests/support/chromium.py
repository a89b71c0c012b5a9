"""A headless Chromium: found, and steered over its debugging pipe (no driver, no port, no websocket)."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any, Self

from tests.support.debian import need

BROWSERS = ("chromium", "google-chrome", "chromium-browser", "google-chrome-stable")

KEYS = {"Tab": 9, "Enter": 13, "Space": 32, "ArrowRight": 39, "ArrowDown": 40}
_TYPED = {"Enter": "\r", "Space": " "}
_PATIENCE = 60.0


def find_browser() -> str:
    """A browser's path, see `debian.need`."""
    return need(f"a browser ({', '.join(BROWSERS)})", _browser, "chromium")


def _browser() -> str | None:
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


class Chromium:
    """One browser; `tab` opens pages in it."""

    def __init__(self, binary: str, profile: Path) -> None:
        """Start `binary` with a fresh profile in the folder `profile`."""
        to_browser, from_test = os.pipe()
        to_test, from_browser = os.pipe()
        # above 4, so that putting them at 3 and 4 in the child cannot overwrite one with the other
        high = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_browser, from_browser)]
        command = [binary, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        command += ["--hide-scrollbars", "--disable-background-networking", "--remote-debugging-pipe"]
        command += [f"--user-data-dir={profile}", "about:blank"]
        shell = f'exec "$0" "$@" 3<&{high[0]} 4>&{high[1]}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, *command], pass_fds=high, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for end in (to_browser, from_browser, *high):
            os.close(end)
        self._out, self._in = os.fdopen(from_test, "wb", buffering=0), os.fdopen(to_test, "rb", buffering=0)
        self._answers: dict[int, Queue[dict[str, Any]]] = {}
        self._tabs: dict[str, Tab] = {}
        self._count = 0
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.call("Browser.close")
        self._process.wait(timeout=_PATIENCE)
        self._out.close()

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol and wait for its result."""
        self._count += 1
        number, answer = self._count, Queue()
        self._answers[number] = answer
        command = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        self._out.write(json.dumps(command).encode() + b"\0")
        reply = answer.get(timeout=_PATIENCE)
        assert "error" not in reply, f"{method}: {reply['error']}"
        return reply["result"]

    @contextmanager
    def tab(self, **how: Any) -> Iterator["Tab"]:
        """A page of its own, in a context of its own (no cookies, no storage); options as for `Tab`."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._tabs[session] = tab = Tab(self, session, **how)
        tab.prepare()
        yield tab
        self.call("Target.disposeBrowserContext", browserContextId=context)

    def _read(self) -> None:
        rest = b""
        while data := self._in.read(1 << 16):
            *messages, rest = (rest + data).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self._answers.pop(message["id"]).put(message)
                elif tab := self._tabs.get(message.get("sessionId", "")):
                    tab.hear(message["method"], message["params"])


class Tab:
    """One page.

    Attributes:
        console: what the page and the browser wrote to its console, errors and refusals of a policy included.
        requests: the address of everything that the page asked for.
        asked_for_file: the file input whose dialog was opened; dialogs are kept shut.
    """

    def __init__(
        self, browser: Chromium, session: str, *, width: int = 1280, height: int = 900, phone: bool = False,
        dark: bool = False, language: str = "en-US",
    ) -> None:  # fmt: skip
        self._browser, self._session = browser, session
        self._size, self._phone, self._dark, self._language = (width, height), phone, dark, language
        self.console: list[str] = []
        self.requests: list[str] = []
        self.asked_for_file: int | None = None

    def prepare(self) -> None:
        """Set size, colours and language, and listen."""
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")
        self.call("Page.setInterceptFileChooserDialog", enabled=True)
        width, height = self._size
        scale = 2 if self._phone else 1
        screen = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": self._phone}
        self.call("Emulation.setDeviceMetricsOverride", **screen)
        self.call("Emulation.setTouchEmulationEnabled", enabled=self._phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if self._dark else "light"}
        motion = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.call("Emulation.setEmulatedMedia", features=[scheme, motion])
        agent = self._browser.call("Browser.getVersion")["userAgent"]
        self.call("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=self._language)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, to this page."""
        return self._browser.call(method, self._session, **parameters)

    def hear(self, event: str, facts: dict[str, Any]) -> None:
        """Take note of an event."""
        if event == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])
        elif event == "Log.entryAdded":
            self.console.append(facts["entry"]["text"])
        elif event == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(one.get("value", one)) for one in facts["args"]))
        elif event == "Runtime.exceptionThrown":
            self.console.append(json.dumps(facts["exceptionDetails"]))
        elif event == "Page.fileChooserOpened":
            self.asked_for_file = facts["backendNodeId"]

    def open(self, address: str) -> None:
        """Go to an address and wait until its document is there."""
        failed = self.call("Page.navigate", url=address).get("errorText")
        assert not failed, f"{address}: {failed}"
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The JSON value of an expression, awaited."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression holds."""
        until = time.monotonic() + _PATIENCE
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < until, f"never true: {condition}; console: {self.console}"
            time.sleep(0.03)

    def choose(self, field: str, file: Path) -> None:
        """Put a file into the file input that a CSS selector names, as the browser's dialog does."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=field)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def answer_dialog(self, file: Path) -> None:
        """Choose a file in the dialog that the page opened."""
        until = time.monotonic() + _PATIENCE
        while self.asked_for_file is None:
            assert time.monotonic() < until, "the page opened no dialog"
            time.sleep(0.03)
        self.call("DOM.setFileInputFiles", backendNodeId=self.asked_for_file, files=[str(file)])
        self.asked_for_file = None

    def drop(self, file: Path, x: float, y: float) -> None:
        """Drag a file over the page and let it fall at a place in pixels."""
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for step in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=step, x=x, y=y, data=data)

    def press(self, key: str) -> None:
        """Press and let go of a key of `KEYS`."""
        facts = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        facts |= {"text": _TYPED[key]} if key in _TYPED else {}
        self.call("Input.dispatchKeyEvent", type="keyDown" if key in _TYPED else "rawKeyDown", **facts)
        self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def picture(self, *, whole: bool = False) -> bytes:
        """A PNG of the window, or of the whole page."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"])
