"""A headless Chromium that loads one page after another, asked over a pipe by the DevTools protocol.

To start one for every page would cost three times as much. Every page finds the storage of the browser empty, every
name of the network is unknown, and time is virtual, as with ``--virtual-time-budget``.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
#: Seconds after which a browser is taken to hang.
PATIENCE = 300
#: Milliseconds that pass for a page after it was asked for, while nothing is being fetched.
BUDGET = 4000
#: An address on the network that a page from disk asked for; what the browser asks for itself has another site.
ASKED_BY_PAGE = re.compile(
    r'SiteForCookies: \{site=file://[^"]*",(?:"upload_id":"\d+",)?"url":"((?:https?|wss?)://[^"]+)"'
)


class Browser:
    """A running browser, with the log of what it asks of the network in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.netlog = folder / "net.json"
        to_read, self.writing = os.pipe()
        self.reading, to_write = os.pipe()
        options = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
            *("--disable-background-networking", "--disable-component-update", "--disable-extensions"),
            *("--disable-dev-shm-usage", "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND"),
            *("--remote-debugging-pipe", f"--log-net-log={self.netlog}", f"--user-data-dir={folder / 'profile'}"),
        ]
        command = f'exec "$@" 3<&{to_read} 4>&{to_write}'  # the ends that Chromium looks for
        self.process = subprocess.Popen(
            ["bash", "-c", command, "bash", str(PROGRAM), *options],
            pass_fds=(to_read, to_write),
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read), os.close(to_write)
        self.unread, self.number = b"", 0
        self.events: list[dict[str, Any]] = []
        self.page: Path | None = None  # what was loaded last
        tab = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.tab = self.ask("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable", self.tab)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.ask("Browser.close")
            self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self.writing), os.close(self.reading)

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The answer to a command."""
        self.number += 1
        said: dict[str, Any] = {"id": self.number, "method": method, "params": parameters}
        os.write(self.writing, json.dumps(said | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def await_event(self, method: str) -> None:
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self.unread:
            if not select.select([self.reading], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError(f"Chromium said nothing for {PATIENCE} seconds.")
            piece = os.read(self.reading, 1 << 20)
            if not piece:
                raise RuntimeError("Chromium ended.")
            self.unread += piece
        message, _, self.unread = self.unread.partition(b"\0")
        return json.loads(message)

    def load(self, page: Path) -> tuple[str, list[str], list[str]]:
        """Load a page from disk: its elements, what the console says, and the addresses it asks of the network."""
        self.ask("Storage.clearDataForOrigin", self.tab, origin="file://", storageTypes="all")
        self.ask("Emulation.setVirtualTimePolicy", self.tab, policy="pause")
        self.events.clear()
        self.page = None
        failed = self.ask("Page.navigate", self.tab, url=page.as_uri()).get("errorText")
        if failed:
            raise RuntimeError(f"{page}: {failed}")
        self.let_pass()
        self.page = page
        return (self.evaluate("document.documentElement.outerHTML"), *self.heard())

    def heard(self) -> tuple[list[str], list[str]]:
        """What the console of the loaded page has said so far, and the addresses that it asked of the network."""
        console, asked = [], []
        for event in self.events:
            what = event.get("params", {})
            if event.get("method") == "Runtime.consoleAPICalled":
                console.append(" ".join(str(each.get("value", each.get("description"))) for each in what["args"]))
            elif event.get("method") == "Runtime.exceptionThrown":
                thrown = what["exceptionDetails"]
                console.append(f"{thrown['text']} {thrown.get('exception', {}).get('description', '')}")
            elif event.get("method") == "Log.entryAdded":
                console.append(f"{what['entry']['text']} {what['entry'].get('url', '')}")
            elif event.get("method") == "Network.requestWillBeSent":
                asked.append(what["request"]["url"])
            elif event.get("method") == "Network.webSocketCreated":
                asked.append(what["url"])
        return console, [url for url in asked if re.match("(https?|wss?):", url)]

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression in the loaded page.

        Raises:
            RuntimeError: if it throws an exception.
        """
        answer = self.ask("Runtime.evaluate", self.tab, expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def let_pass(self, milliseconds: int = BUDGET) -> None:
        """Let time pass for the loaded page."""
        over = "Emulation.virtualTimeBudgetExpired"
        self.events = [event for event in self.events if event.get("method") != over]
        policy = "pauseIfNetworkFetchesPending"
        self.ask("Emulation.setVirtualTimePolicy", self.tab, policy=policy, budget=milliseconds)
        self.await_event(over)

    def asked_of_network(self) -> list[str]:
        """After the end: all that pages asked of the network, in whatever way, by the browser's own log."""
        return ASKED_BY_PAGE.findall(self.netlog.read_text(encoding="utf8", errors="replace"))
