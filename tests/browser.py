"""A page in a real browser: what it asked for, and what the console said."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support import require

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--dump-dom",
)


@dataclass(frozen=True)
class Opened:
    """What came of opening a page.

    Attributes:
        dom: the document as the browser understood it.
        console: lines of its console.
        requests: addresses that the page, not the browser itself, asked for.
    """

    dom: str
    console: list[str]
    requests: list[str]


def in_chromium(page: Path, folder: Path) -> Opened:
    """Open a file in headless Chromium; its profile and logs go into `folder`."""
    browser = shutil.which("chromium")
    require(browser, "the package chromium")
    log = folder / "net.json"
    own = (f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}")
    done = subprocess.run(
        [str(browser), *_FLAGS, *own, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=360,
        check=True,
    )
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Opened(done.stdout, console, _requests(log))


def _requests(log: Path) -> list[str]:
    """What the browser asks for on its own has no origin, what a page asks for has one."""
    events = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    asked = {e["url"] for e in events if e.get("initiator", "not an origin") != "not an origin"}
    return sorted(asked)
