"""What is said, where, and in which form."""

from __future__ import annotations

import codecs
import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Callable

import pytest

from archon_ops.cli.console import Console
from archon_ops.errors import PreconditionError
from archon_ops.model.report import Report

Invoke = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]
Captured = pytest.CaptureFixture[str]
TARGET = "demo@here/postgres#1234"


def test_it_is_a_report() -> None:
    report: Report = Console()
    assert report is not None


def test_the_look_is_the_one_of_the_scripts(inv: Invoke) -> None:
    run = inv("level")
    rule = "━" * 60
    assert run.stderr.splitlines() == [
        rule,
        "A Title".center(60).rstrip(),
        "demo".center(60).rstrip(),
        rule,
        "",
        "▶ Looking",
        "[✓] holds",
        "[INFO] fact",
        "[WARN] odd \\x1b[2Jname\\n",
    ]
    assert "\x1b" not in run.stdout


def test_a_table_in_a_pipe_is_not_cut_and_aligned(inv: Invoke) -> None:
    lines = inv("level").stdout.splitlines()
    assert lines[3] == f"a-{'x' * 100}      5"
    assert lines[4] == f"b{' ' * 101}  12345"


@pytest.mark.parametrize("env", [{"LC_ALL": "", "LANG": "C"}, {"PYTHONIOENCODING": "ascii"}])
def test_ascii_where_nothing_else_can_be_shown(inv: Invoke, env: dict[str, str]) -> None:
    run = inv("level", env=env)
    assert run.returncode == 6
    assert run.stderr.isascii()
    assert "[OK] holds" in run.stderr
    assert "> Looking" in run.stderr


@pytest.mark.parametrize("flag", ["--quiet", "--json"])
def test_only_warnings_remain(inv: Invoke, flag: str) -> None:
    assert inv("level", flag).stderr.splitlines() == ["[WARN] odd \\x1b[2Jname\\n"]


def test_verbose_brings_talk_back_and_names_phases(inv: Invoke) -> None:
    run = inv("level", "--json", "--verbose")
    assert "▶ Looking (level.look)" in run.stderr
    assert run.stdout == ""


def test_phases_are_collected_even_when_nothing_is_said() -> None:
    console = Console(quiet=True)
    before = time.monotonic()
    console.phase("a.b", "A")
    (phase,) = console.phases
    assert phase[0] == "a.b"
    assert before <= phase[1] <= time.monotonic()


def test_progress_is_silent_in_a_pipe(capsys: Captured) -> None:
    console = Console()
    for done in range(1000):
        console.progress("dump", done << 20, 1000 << 20)
    assert capsys.readouterr().err == ""


def test_a_second_document_is_refused(capsys: Captured) -> None:
    console = Console(wants_json=True)
    console.json({})
    with pytest.raises(RuntimeError):
        console.json({})
    assert json.loads(capsys.readouterr().out) == {}


def test_without_a_terminal_the_plan_is_shown_and_nothing_done(inv: Invoke) -> None:
    run = inv("wreck", "--json")
    assert run.returncode == 3
    assert "PLAN: wreck demo" in run.stderr
    assert "--yes" in json.loads(run.stdout)["error"]["hint"]


def test_yes_agrees_beforehand(inv: Invoke) -> None:
    run = inv("wreck", "--yes")
    assert (run.returncode, run.stdout) == (0, "wrecked\n")
    assert "PLAN" in run.stderr


# --- on a terminal ------------------------------------------------------------------------


class Terminal:
    """A pseudo terminal that a command believes in."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.seen = ""
        # What is read may end in the middle of a character.
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def until(self, found: Callable[[str], bool], seconds: float = 120) -> str:
        """Read until something is seen, or nothing more comes."""
        deadline = time.monotonic() + seconds
        while not found(self.seen) and time.monotonic() < deadline:
            if not select.select([self.master], [], [], 0.2)[0]:
                continue
            try:
                read = os.read(self.master, 4096)
            except OSError:  # Linux says so when the other side is closed
                break
            self.seen += self._decoder.decode(read)
        return self.seen

    def close(self) -> None:
        """Both ends."""
        for end in (self.master, self.slave):
            os.close(end)


@pytest.fixture
def screen() -> object:
    """A terminal for one test."""
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.mark.parametrize(
    ("answer", "code"), [(f"{TARGET}\n", 0), ("yes\n", 3), ("\n", 3), ("\x04", 3), ("\x03", 130)]
)
def test_the_target_is_typed_exactly(
    start: Start, screen: Terminal, answer: str, code: int
) -> None:
    end = screen.slave
    run = start("wreck", stdin=end, stderr=end, start_new_session=True, preexec_fn=_controlling)
    assert "PLAN: wreck demo" in screen.until(lambda seen: "to go on: " in seen)
    os.write(screen.master, answer.encode())
    assert run.wait(120) == code
    assert run.stdout is not None
    assert ("wrecked" in run.stdout.read()) == (code == 0)
    if code == 3:
        assert "nothing was changed" in screen.until(lambda seen: "nothing was" in seen)


def _controlling() -> None:
    """Make the terminal the one whose Ctrl-C reaches us."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize(
    ("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colour_only_where_it_is_welcome(
    start: Start, screen: Terminal, env: dict[str, str], coloured: bool
) -> None:
    run = start("level", env=env, stdout=screen.slave, stderr=screen.slave)
    seen = screen.until(lambda seen: "12345" in seen)
    assert run.wait(120) == 6
    assert ("\x1b[32m✓" in seen) == coloured
    assert "12345" in seen
    assert "[2Jname" in seen
    assert "\x1b[2J" not in seen


def test_progress_on_a_terminal_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with open(terminal.slave, "w", closefd=False) as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        console = Console()
        began = time.monotonic()
        for done in range(20000):
            console.progress("dump", done << 20, 20000 << 20)
        seconds = time.monotonic() - began
        console.ok("done")
    seen = terminal.until(lambda seen: "done" in seen)
    terminal.close()
    assert "dump: 0 B of about 19.5 GB (0 %)" in seen
    assert seen.count("\n") == 1
    assert seen.count("\r\x1b[K") <= seconds / 0.1 + 3


def test_a_wrong_answer_raises_a_precondition_error() -> None:
    with pytest.raises(PreconditionError, match="only when somebody confirms"):
        Console().confirm(TARGET, "plan")


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ("inv backups lists them", "inv backups lists them (with --source demo)"),
        ("inv backups --source other", "inv backups --source other"),
        ("mount the disk", "mount the disk"),
    ],
)
def test_a_hint_does_not_lose_the_source_that_was_given(
    capsys: Captured, hint: str, said: str
) -> None:
    Console(source="demo").failure("no such backup", hint, 3)
    Console(source="demo", wants_json=True).failure("no such backup", hint, 3)
    shown = capsys.readouterr()
    assert shown.err == f"error: no such backup\nhint: {said}\n"
    assert json.loads(shown.out)["error"]["hint"] == said
