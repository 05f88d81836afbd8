"""The widgets of the size analysis, in JupyterLab and a real browser."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

from tests.support import CHECKOUT, Installation, Spawned, free_port, require, wait_until

pytestmark = pytest.mark.slow

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-port=0",
    "--window-size=1400,3000",
)
# JupyterLab draws only what is in sight.
_TO_THE_PANEL = """
[...document.querySelectorAll('.jp-CodeCell')].find(
    c => c.textContent.includes('look(panel('))?.scrollIntoView()
"""
_NO_NEWS = "JSON.parse(document.getElementById('jupyter-config-data').text).news.disabled"


class Page:
    """A tab of a running Chromium, driven through its own protocol."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=180, suppress_origin=True)
        self._count = 0

    def do(self, method: str, **params: Any) -> Any:
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._count:
                return answer.get("result", answer)

    def close(self) -> None:
        self._socket.close()

    def ask(self, script: str) -> Any:
        """What an expression is in the page; None where it fails."""
        answer = self.do("Runtime.evaluate", expression=script, returnByValue=True)
        return answer.get("result", {}).get("value")

    def wait(self, script: str, what: str, timeout: float = 90) -> None:
        """Wait until an expression holds, with the panel in sight."""
        wait_until(lambda: (self.ask(_TO_THE_PANEL), self.ask(script))[1], timeout, what)

    def click(self, selector: str) -> None:
        box = self.ask(
            f"(r => [r.x + r.width / 2, r.y + r.height / 2])"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        at = {"x": box[0], "y": box[1]}
        self.do("Input.dispatchMouseEvent", type="mouseMoved", **at)
        for kind in ("mousePressed", "mouseReleased"):
            self.do("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    def choose(self, widget: str, *labels: str) -> None:
        """Pick options of a list by what they are called."""
        self.ask(
            f"(s => {{ for (const o of s.options) o.selected = {json.dumps(labels)}"
            ".includes(o.textContent); s.dispatchEvent(new Event('change', {bubbles: true})) })"
            f"(document.querySelector('.archon-{widget} select'))"
        )

    def press(self, selector: str, key: str, code: int) -> None:
        self.ask(f"document.querySelector({selector!r}).focus()")
        for kind in ("keyDown", "keyUp"):
            self.do("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)


@contextlib.contextmanager
def laboratory(installation: Installation) -> Iterator[str]:
    """JupyterLab at copies of the runbooks; gives the address of the size analysis."""
    shutil.copytree(CHECKOUT / "runbooks", installation.root / "runbooks")
    port = free_port()
    lab: Spawned = installation.spawn("lab", "--no-browser", "--port", str(port))
    try:
        lab.wait_for("token=", 90)
        folder = installation.root / "runbooks"
        assert f"notebooks from local directory: {folder}" in lab.stderr
        token = lab.stderr.split("token=")[1].split()[0]
        yield f"http://127.0.0.1:{port}/lab/tree/size_analysis.ipynb?token={token}"
    finally:
        lab.send(signal.SIGTERM)
        lab.finish(60).ended(143)


def kernel_is_ready(address: str) -> bool:
    """Whether the notebook's kernel waits for cells, and the page is connected to it."""
    server, token = address.partition("/lab/")[0], address.split("token=")[1]
    with urllib.request.urlopen(f"{server}/api/sessions?token={token}", timeout=120) as answer:  # noqa: S310 - our own server
        kernels = [session["kernel"] for session in json.load(answer)]
    return any(k["execution_state"] == "idle" and k["connections"] for k in kernels)


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    browser = shutil.which("chromium")
    require(browser, "the package chromium")
    argv = [str(browser), *_FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    with (folder / "said").open("wb") as said:
        popen = subprocess.Popen(argv, stdout=said, stderr=said)
    try:
        port = folder / "profile" / "DevToolsActivePort"
        wait_until(lambda: port.exists() and port.read_text().strip(), 60, "Chromium listens")
        where = f"http://127.0.0.1:{port.read_text().split()[0]}/json/list"
        with urllib.request.urlopen(where, timeout=120) as answer:
            tabs = json.load(answer)
        page = Page(next(t for t in tabs if t["type"] == "page")["webSocketDebuggerUrl"])
        with contextlib.closing(page):
            yield page
    finally:
        popen.terminate()
        popen.wait(120)


def test_every_widget_changes_what_is_shown(installation: Installation, tmp_path: Path) -> None:
    with laboratory(installation) as address, chromium(tmp_path) as page:
        page.do("Page.navigate", url=address)
        page.wait("!!document.querySelector('.jp-Notebook .jp-Cell')", "the notebook is open")
        assert page.ask(_NO_NEWS), "it asks its makers for news"
        wait_until(lambda: kernel_is_ready(address), 90, "the kernel is ready")
        _run_all(page)
        page.wait("!!document.querySelector('.archon-panel .archon-views img')", "the widgets")
        kept = installation.site().settings.retention.last

        assert _shows(page, "Backups kept", str(kept))
        page.press(".archon-retention .noUi-handle", "ArrowRight", 39)
        _follows(page, "Backups kept", str(kept + 1))
        page.press(".archon-rows .noUi-handle", "ArrowRight", 39)
        _follows(page, "Rows a week", "510")
        page.choose("dimension", "3072")
        _follows(page, "Embedding dimension", "3072")
        _follows(page, "Type", "halfvec")
        page.click(".archon-half input")
        _follows(page, "Type", "vector, as now")
        page.choose("period", "7 days")
        page.choose("tables", "archon_tasks")
        page.wait(f"!{_TEXT}.includes('archon_prompts')", "other tables are gone")
        assert page.ask(f"{_TEXT}.includes('archon_tasks')")
        page.choose("source", "archon")
        page.wait(f"{_TEXT}.includes('It cannot be shown')", "a source that is not there is told")


_TEXT = "document.querySelector('.archon-views').textContent"


def _run_all(page: Page) -> None:
    """By the menu, as a person does."""
    page.ask(
        "[...document.querySelectorAll('.lm-MenuBar-item')]"
        ".find(i => i.textContent === 'Run').id = 'run-menu'"
    )
    page.click("#run-menu")
    item = ".lm-Menu-item[data-command='runmenu:run-all']"
    page.wait(f"!!document.querySelector({item!r})", "the menu is open")
    page.click(item)


def _shows(page: Page, what: str, value: str) -> bool:
    """Whether a row of facts has this value."""
    found = page.ask(
        "[...document.querySelectorAll('.archon-views tr')]"
        f".find(r => r.children[0]?.textContent === {what!r})?.children[1]?.textContent"
    )
    return bool(found == value)


def _follows(page: Page, what: str, value: str) -> None:
    wait_until(lambda: _shows(page, what, value), 60, f"{what} becomes {value}")
