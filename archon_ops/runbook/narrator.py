"""The listener of actions inside of a notebook: everything becomes an event of its run."""

from __future__ import annotations

import time

from archon_ops.runbook.journal import Events

_PROGRESS_SECONDS = 1.0


class Narrator:
    """A report (archon_ops.model.report.Report) that writes events.

    Args:
        events: where to.
        pause_at: name of the phase at whose begin to wait for a signal.
    """

    def __init__(self, events: Events) -> None:
        self._events = events
        self._told = 0.0

    def phase(self, name: str, title: str) -> None:
        """A phase of an action begins."""
        self._events.add("phase", name=name, title=title)

    def step(self, name: str, title: str) -> None:
        """A part of a phase begins."""
        self._events.add("part", name=name, title=title)

    def ok(self, text: str) -> None:
        """Something was checked or done, and holds."""
        self._events.add("ok", text=text)

    def info(self, text: str) -> None:
        """A fact worth a line."""
        self._events.add("info", text=text)

    def warn(self, text: str) -> None:
        """Something a person should know."""
        self._events.add("warn", text=text)

    def progress(self, label: str, done: int, total: int | None) -> None:
        """How far it is, once a second at most."""
        if time.monotonic() - self._told >= _PROGRESS_SECONDS:
            self._told = time.monotonic()
            self._events.add("progress", label=label, done=done, total=total)
