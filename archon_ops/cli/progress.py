"""One line on a terminal that says how far a long transfer is."""

from __future__ import annotations

import time

from archon_ops.cli.text import clean
from archon_ops.model.units import human_size

# A line drawn ten times a second looks alive; the caller may report every megabyte.
_INTERVAL_SECONDS = 0.1


class Progress:
    """The state between two reports: what is measured, since when, and when it was last drawn."""

    def __init__(self) -> None:
        self._label = ""
        self._started = 0.0
        self._drawn = 0.0
        self._first = 0

    def line(self, label: str, done: int, total: int | None) -> str | None:
        """The line to draw now; None when it is too early for another one.

        Args:
            label: what is being transferred.
            done: bytes so far.
            total: about how many bytes there will be; None when unknown.
        """
        now = time.monotonic()
        if label != self._label:
            self._label, self._started, self._first = label, now, done
        elif now - self._drawn < _INTERVAL_SECONDS:
            return None
        self._drawn = now
        return _line(label, done, total, self._rate(now, done))

    def _rate(self, now: float, done: int) -> float:
        seconds = now - self._started
        return (done - self._first) / seconds if seconds > 0 else 0.0


def _line(label: str, done: int, total: int | None, rate: float) -> str:
    # The total is an estimate: 100 % is said by the line that follows, not by this one.
    share = f" of about {human_size(total)} ({min(99, 100 * done // total)} %)" if total else ""
    speed = f", {human_size(int(rate))}/s" if rate else ""
    return f"  {clean(label)}: {human_size(done)}{share}{speed}"
