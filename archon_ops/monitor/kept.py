"""Answers kept for a moment, so that a busy client does not read the directory each time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import datetime
from functools import cached_property

from archon_ops.errors import OpsError
from archon_ops.monitor.snapshot import Reader, Snapshot, unreadable

HOLD_SECONDS = 1.0
# A directory on a network that went away answers never; the next request must not wait as well.
ANSWER_SECONDS = 30.0

Clock = Callable[[], datetime]


class Answers:
    """The bodies made of one snapshot, each when it is first asked for.

    Args:
        snapshot: what they tell.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    @cached_property
    def status(self) -> bytes:
        """The body of the status."""
        return _json(self.snapshot.status)

    @cached_property
    def listing(self) -> bytes:
        """The body of the list."""
        return _json(self.snapshot.listing)

    @cached_property
    def verdict(self) -> bytes:
        """The body of the health check."""
        return _json(self.snapshot.verdict)


class Kept:
    """The answers of one source, read anew when they are older than a second.

    It is used by one event loop; reading is done by a thread, and never by two at once.

    Args:
        reader: of the source.
        clock: the present, UTC.
    """

    def __init__(self, reader: Reader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._answers: Answers | None = None
        self._until = 0.0
        self._reading: asyncio.Task[Answers] | None = None

    def warm(self) -> None:
        """Read once, before anybody asks."""
        self._reader.look(self._clock())

    async def answers(self) -> Answers:
        """The answers, at most a second old, within the deadline."""
        if self._answers is not None and time.monotonic() < self._until:
            return self._answers
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        try:
            return await asyncio.wait_for(asyncio.shield(self._reading), ANSWER_SECONDS)
        except TimeoutError:
            return self._late()

    async def _read(self) -> Answers:
        self._answers = Answers(await asyncio.to_thread(self._reader.look, self._clock()))
        self._until = time.monotonic() + HOLD_SECONDS
        return self._answers

    def _late(self) -> Answers:
        watched = self._reader.watched
        why = f"{watched.directory.path} did not answer within {ANSWER_SECONDS:.0f} s"
        return Answers(unreadable(watched, self._clock(), OpsError(why, "is its disk there?")))


def _json(value: object) -> bytes:
    # ASCII, so that nothing in a name acts on a terminal that shows it.
    return json.dumps(value, allow_nan=False).encode("ascii")
