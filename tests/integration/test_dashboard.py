"""The dashboard in a real terminal (tmux), with a source elsewhere and one whose files are here."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Installation, require, wait_until
from tests.web import Answer, Web, web

# As the document has it, with the word behind the sign.
PICTURE = """\
┌──────────────────────────────────────┐
│ 📦 Backup Status                     │
├──────────────────────────────────────┤
│ 🔷 Local AI Platform                 │
│   Last    2.3h ago 🟢 healthy        │
│   Size    1.2 GB                     │
│   Backups 8/10                       │
│ ─────────────────────                │
│ 🔶 Archon Knowledge Base             │
│   Last    7.7h ago 🟡 aging          │
│   Size    457.4 KB                   │
│   Backups 5/10                       │
│   Trust   unmanaged                  │
│   Note    it has no manifest: it is  │
│           judged by its age alone,   │
│           nothing of its content can │
│           be proven                  │
│ ─────────────────────                │
│ Overall   🟡 Some Aging              │
└──────────────────────────────────────┘
"""
ALERT = "Archon Knowledge Base: Backup aging (7.7h old, status: aging)"
STATUS = "/api/backup/status"
_TERMINALS = ("TERM", "COLUMNS", "LINES")  # what a terminal itself knows better


class Terminal:
    """A tmux of these tests' own."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.pids: list[int] = []

    def tmux(self, *args: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self.socket), "-u", "-f", "/dev/null", *args],  # noqa: S607
            capture_output=True,
            encoding="utf-8",
            check=True,
            timeout=120,
        )
        return done.stdout

    def start(self, installation: Installation, *args: str, **env: str) -> None:
        """Run `inv dashboard` in it, and then tell how it ended: tmux itself at times does not."""
        variables = {**installation.environment(env), "ARCHON_SOURCE": "archon"}
        words = [f"{name}={value}" for name, value in variables.items() if name not in _TERMINALS]
        command = ["env", "-u", "COLUMNS", "-u", "LINES", *words]
        command += [sys.executable, "-m", "invoke", "dashboard", *args]
        os.environ.pop("TMUX", None)
        size = ("-x", "100", "-y", "30", "-c", str(installation.root))
        self.tmux("new-session", "-d", *size, "sleep", "600")
        told = ("sh", "-c", '"$@"; echo "ended with $?"; exec sleep 600', "sh", *command)
        self.tmux("respawn-window", "-k", "-c", str(installation.root), *told)
        shell = int(self.tmux("list-panes", "-F", "#{pane_pid}"))
        children = Path(f"/proc/{shell}/task/{shell}/children")
        wait_until(children.read_text, 30, "the dashboard begins")
        self.pids = [int(children.read_text()), shell]
        self.pids.append(int(self.tmux("display-message", "-p", "#{pid}")))

    def shown(self, *args: str) -> str:
        lines = self.tmux("capture-pane", "-p", *args).splitlines()
        return "".join(f"{line.rstrip()}\n" for line in lines)

    def wait(self, *texts: str) -> str:
        """The screen once all of these stand in it, wherever lines end: it is drawn bit by bit."""
        seen = ""

        def drawn() -> bool:
            nonlocal seen
            seen = self.shown()
            flowing = " ".join(seen.split())
            return all(text in seen or text in flowing for text in texts)

        wait_until(drawn, 60, f"{texts!r} in\n{self.shown()}")
        return seen

    def resize(self, columns: int, rows: int) -> None:
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    require(shutil.which("tmux"), "tmux")
    made = Terminal(tmp_path / "tmux")
    yield made
    subprocess.run(
        ["tmux", "-S", str(made.socket), "kill-server"],  # noqa: S607
        capture_output=True,
        check=False,
    )
    for pid in made.pids:  # of the dashboard, its shell, and tmux itself
        wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), 60, f"the end of {pid}")


@pytest.fixture
def server() -> Iterator[Web]:
    document = {
        "age_hours": 2.3,
        "size_human": "1.2 GB",
        "count": 8,
        "max_retention": 10,
        "health": "healthy",
        "health_message": "Backup is fresh (2.3h old)",
    }
    with web() as running:
        running.answers[STATUS] = Answer(json.dumps(document).encode())
        yield running


@pytest.fixture
def house(empty_installation: Installation, server: Web) -> Installation:
    """Dumps of the former script, and the platform's API; alerts go to monitoring.log."""
    root = empty_installation.root
    (root / "archon.toml").write_text(
        f"""
[monitor]
log = "monitoring.log"
[monitor.remotes.local-ai]
url = "{server.url}{STATUS}"
display_name = "Local AI Platform"
"""
    )
    (root / "backups").mkdir()
    for number in range(5):
        dump = root / "backups" / f"archon_postgres-2025121{number}_022448.dump"
        dump.write_bytes(b"\0" * (468381 if number == 4 else 300000))
        at = time.time() - (7.7 if number == 4 else 30 - number) * 3600
        os.utime(dump, (at, at))
    return empty_installation


def test_the_documents_picture_with_two_sources(house: Installation, terminal: Terminal) -> None:
    terminal.start(house, "--refresh", "1")
    wait_until(lambda: terminal.shown().startswith(PICTURE), 60, f"{PICTURE}: {terminal.shown()}")
    terminal.wait(f"[WARN] {ALERT}")
    log = (house.root / "monitoring.log").read_text()
    assert log.endswith(f"[WARNING] {ALERT.replace(': ', ': WARNING - ', 1)}\n")
    coloured = [line for line in terminal.shown("-e").splitlines() if "2.3h ago" in line]
    assert "\x1b[38;5;" in coloured[0] or "\x1b[32m" in coloured[0]


@pytest.mark.slow
def test_its_keys(house: Installation, terminal: Terminal, server: Web) -> None:
    terminal.start(house, "--refresh", "600")
    terminal.wait("Overall")
    asked = len(server.asked)
    terminal.press("r")
    wait_until(lambda: len(server.asked) > asked, 60, "a look at the press of r")
    terminal.press("l")
    dump = "archon_postgres-20251214_022448.dump"
    terminal.wait("Drills, verifications and failures", dump, "457.4 KB ██████")
    terminal.press("Escape")
    terminal.wait("Overall")
    terminal.press("1")
    terminal.wait("of an API only its status is known")
    terminal.press("q")
    terminal.wait("ended with 0")
    assert f"[WARN] {ALERT}" in terminal.shown("-S", "-10")  # what it said stays


@pytest.mark.slow
def test_narrow_terminals_and_an_api_that_goes_away(
    house: Installation, terminal: Terminal, server: Web
) -> None:
    terminal.start(house, "--refresh", "1")
    terminal.wait("Overall")
    terminal.resize(24, 40)
    wait_until(lambda: terminal.shown().startswith("┌───────────────────┐\n"), 60, "a narrow box")
    server.answers[STATUS] = Answer(b"<html>", kind="text/html")
    terminal.resize(100, 40)
    terminal.wait("API unavailable", "it answers HTML, not JSON", "⚪ Some Unavailable")
    terminal.wait("[WARN] Local AI Platform: API unavailable")
    os.kill(terminal.pids[0], signal.SIGTERM)
    terminal.wait("ended with 143", "stopped by SIGTERM")


def test_no_color(house: Installation, terminal: Terminal) -> None:
    terminal.start(house, NO_COLOR="1")
    terminal.wait("Overall")
    codes = set(re.findall(r"38;5;(\d+)", terminal.shown("-e")))
    assert codes <= {str(grey) for grey in range(232, 256)}


@pytest.mark.parametrize("more", [(), ("--quiet",)])
def test_without_a_terminal_it_is_printed_once(house: Installation, more: tuple[str, ...]) -> None:
    done = house.run("dashboard", *more, env={"ARCHON_SOURCE": "archon"}).ok()
    assert done.stdout == PICTURE
    assert done.stderr == f"[WARN] {ALERT}\n"


def test_a_terminal_of_ascii(house: Installation) -> None:
    env = {"ARCHON_SOURCE": "archon", "LC_ALL": "C", "COLUMNS": "40"}
    done = house.run("dashboard", env=env).ok()
    assert done.stdout.isascii()
    assert "|   Last    7.7h ago [!] aging" in done.stdout


@pytest.mark.parametrize("refresh", ["0", "1e9", "soon"])
def test_a_refresh_that_makes_no_sense(house: Installation, refresh: str) -> None:
    house.run("dashboard", "--refresh", refresh).ended(2)
