"""How an action tells what it is doing, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Report(Protocol):
    """The listener of a running action: a terminal, a notebook, or nobody."""

    def phase(self, name: str, title: str) -> None:
        """A phase begins: `name` is stable ("backup.dump"), `title` is for people."""

    def step(self, name: str, title: str) -> None:
        """A part of a phase begins; it can be named, recorded and held at like a phase."""

    def ok(self, text: str) -> None:
        """Something was checked or done, and holds."""

    def info(self, text: str) -> None:
        """A fact worth a line."""

    def warn(self, text: str) -> None:
        """Something a person should know; the action goes on."""

    def progress(self, label: str, done: int, total: int | None) -> None:
        """`done` of about `total` bytes (None: unknown) of the current phase."""


class Silent:
    """The listener of actions that nobody watches."""

    def phase(self, name: str, title: str) -> None:
        """Ignore it."""

    def step(self, name: str, title: str) -> None:
        """Ignore it."""

    def ok(self, text: str) -> None:
        """Ignore it."""

    def info(self, text: str) -> None:
        """Ignore it."""

    def warn(self, text: str) -> None:
        """Ignore it."""

    def progress(self, label: str, done: int, total: int | None) -> None:
        """Ignore it."""
