"""What a person at a terminal sees, and what a program at the end of a pipe reads.

Standard output carries data: one JSON document, a table, plain text. Everything that is said
about it goes to standard error. `--quiet` leaves warnings and errors of that; so does `--json`,
unless `--verbose` asks for the rest as well.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from archon_ops.cli.progress import Progress
from archon_ops.cli.stream import colourful, movable, put, terminal
from archon_ops.cli.table import drawn_table, plain_table
from archon_ops.cli.text import as_called, clean, document
from archon_ops.errors import OpsError, PreconditionError

_WIDTH = 60
_RULE = "━" * _WIDTH
_COLOURS = {"✓": "32", "INFO": "36", "WARN": "33", "error": "31"}
_PAUSE_SECONDS = 0.05
_ANSWERS = {"y": True, "yes": True, "n": False, "no": False, "": False}


class Console:
    """The listener of a running command (archon_ops.model.report.Report), and its voice.

    Args:
        wants_json: standard output is to hold one JSON document and nothing else.
        verbose: say also the stable names of phases, and where a bug was raised.
        quiet: say nothing but warnings and errors.
        yes: the person agreed beforehand to what `confirm` asks.
        source: name given with --source, which the commands of a hint want too; None: none was.
        pause_at: name of the phase at whose begin to wait for a signal (tests and drills).

    Attributes:
        phases: name of each phase and the monotonic time, in seconds, at which it began.
    """

    def __init__(
        self,
        *,
        wants_json: bool = False,
        verbose: bool = False,
        quiet: bool = False,
        yes: bool = False,
        source: str | None = None,
        pause_at: str | None = None,
    ) -> None:
        self.wants_json = wants_json
        self.verbose = verbose
        self.phases: list[tuple[str, float]] = []
        self._talks = not quiet and (verbose or not wants_json)
        self._yes = yes
        self._source = source
        self._pause_at = pause_at
        self._progress = Progress()
        self._drawing = False
        self._document_written = False

    # --- talk: standard error -------------------------------------------------------------

    def banner(self, title: str, source: str = "") -> None:
        """Say between two heavy lines what begins or has ended, and for which source."""
        lines = [clean(title), *([clean(source)] if source else [])]
        centred = "\n".join(line.center(_WIDTH).rstrip() for line in lines)
        self.say(f"{_RULE}\n{centred}\n{_RULE}")

    def phase(self, name: str, title: str) -> None:
        """A phase begins: `name` is stable ("backup.snapshot"), `title` is for people."""
        self.say(f"\n▶ {clean(title)}{f' ({name})' if self.verbose else ''}")
        self._entered(name)

    def step(self, name: str, title: str) -> None:
        """A part of a phase begins; a line in it."""
        self.info(f"{title}{f' ({name})' if self.verbose else ''}")
        self._entered(name)

    def ok(self, text: str) -> None:
        """Something was checked or done, and holds."""
        self._tagged("✓", text)

    def info(self, text: str) -> None:
        """A fact worth a line."""
        self._tagged("INFO", self._of_source(text))

    def warn(self, text: str) -> None:
        """Something a person should know; said also with --quiet and --json."""
        self._aside(f"[{_coloured('WARN')}] {clean(self._of_source(text))}\n")

    def say(self, text: str) -> None:
        """Plain lines without a mark; names in them are the caller's to clean."""
        if self._talks:
            self._aside(f"{text}\n")

    def progress(self, label: str, done: int, total: int | None) -> None:
        """`done` of about `total` bytes (None: unknown); drawn on a terminal only."""
        if not (self._talks and movable(sys.stderr)):
            return
        line = self._progress.line(label, done, total)
        if line is not None:
            width = shutil.get_terminal_size().columns - 1
            put(sys.stderr, f"\r\x1b[K{line[:width]}")
            self._drawing = True

    def failure(self, message: str, hint: str, code: int) -> None:
        """Say why a command failed, in at most three lines or as the one JSON document."""
        hint = self._of_source(hint)
        if self.wants_json and not self._document_written:
            told = {"message": as_called(message), "hint": as_called(hint)}
            self.json({"error": {"code": int(code), **told}})
            return
        what, *why = [clean(line.strip()) for line in message.splitlines() if line.strip()] or ["?"]
        lines = [f"{_coloured('error')}: {what}", *([f"       {' '.join(why)}"] if why else [])]
        lines += [f"hint: {' '.join(map(clean, hint.splitlines()))}"] if hint else []
        self._aside("\n".join(lines) + "\n")

    def _of_source(self, text: str) -> str:
        """The same, and that the commands in it want the flag with which this one was called."""
        if self._source and "inv " in text and "--source" not in text:
            return f"{text} (with --source {self._source})"
        return text

    # --- data: standard output ------------------------------------------------------------

    def json(self, value: object) -> None:
        """The one JSON document of this command (`archon_ops.cli.text.document`).

        Raises:
            RuntimeError: there was one already.
        """
        if self._document_written:
            raise RuntimeError("a second JSON document")
        text = document(value)
        self._document_written = True
        self._out(f"{text}\n")

    def data(self, text: str) -> None:
        """Data as it is, byte for byte: the caller answers for what is in it."""
        self._out(text)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Rows for people; nothing with --json. None is shown as "-", numbers to the right."""
        if self.wants_json:
            return
        if movable(sys.stdout):
            self._out(drawn_table(title, columns, rows, colour=colourful(sys.stdout)))
        else:
            self._out(plain_table(title, columns, rows))

    # --- questions ------------------------------------------------------------------------

    def confirm(self, target: str, plan_text: str) -> None:
        """Show a plan and let the person type its target, so that no wrong one is hit.

        Args:
            target: what the plan changes, spelled as in the plan.
            plan_text: the plan, several lines.

        Raises:
            PreconditionError: not confirmed, or nobody is there who could.
        """
        plan = "\n".join(clean(line) for line in plan_text.splitlines())
        if self._yes:
            self.say(plan)
            return
        self._aside(f"{plan}\n")
        if not (terminal(sys.stdin) and terminal(sys.stderr)):
            raise PreconditionError(
                f"{clean(target)} is changed only when somebody confirms it",
                "read the plan, then repeat the command with --yes",
            )
        if self._typed(f"\nType {clean(target)} to go on: ").strip() != target:
            raise PreconditionError("not confirmed, nothing was changed")

    def ask(self, question: str, instead: str) -> bool:
        """Let the person answer yes or no.

        Args:
            question: what only they know.
            instead: what to type where nobody can be asked.

        Raises:
            PreconditionError: nobody is there who could, or they ended the input.
        """
        if not (terminal(sys.stdin) and terminal(sys.stderr)):
            raise PreconditionError(f"only a person can tell: {clean(question)}", instead)
        while said := self._typed(f"{clean(question)} [y/N] "):
            word = said.strip().lower()
            if word in _ANSWERS:
                return _ANSWERS[word]
        raise PreconditionError("there was no answer, nothing was changed", instead)

    # --- inside ---------------------------------------------------------------------------

    def _typed(self, prompt: str) -> str:
        """The line that a person types; empty where they end the input."""
        line = ""
        try:
            self._aside(prompt)
            line = sys.stdin.readline()
        finally:
            if not line.endswith("\n"):  # what is said next begins a line of its own
                self._aside("\n")
        return line

    def _entered(self, name: str) -> None:
        self.phases.append((name, time.monotonic()))
        if name == self._pause_at:
            self._pause(name)

    def _tagged(self, tag: str, text: str) -> None:
        self.say(f"[{_coloured(tag)}] {clean(text)}")

    def _aside(self, text: str) -> None:
        self._wipe()
        put(sys.stderr, as_called(text))  # where it is full or gone, no place is left to say so

    def _out(self, text: str) -> None:
        self._wipe()
        trouble = put(sys.stdout, text)
        if trouble is not None:
            raise OpsError(f"cannot write the output: {trouble.strerror}") from trouble

    def _wipe(self) -> None:
        if self._drawing:
            put(sys.stderr, "\r\x1b[K")
            self._drawing = False

    def _pause(self, name: str) -> None:
        """Hold the run here until SIGUSR1; signals that end it do so from here too."""
        with _released_by_usr1() as released:
            self._aside(f"paused at {name}\n")
            while not released.is_set():
                time.sleep(_PAUSE_SECONDS)


@contextlib.contextmanager
def _released_by_usr1() -> Iterator[threading.Event]:
    released = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield released
        return
    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: released.set())
    try:
        yield released
    finally:
        signal.signal(signal.SIGUSR1, before)


def _coloured(tag: str) -> str:
    return f"\x1b[{_COLOURS[tag]}m{tag}\x1b[0m" if colourful(sys.stderr) else tag
