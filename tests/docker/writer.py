"""A neighbour that writes all the time, and knows what the server has acknowledged."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from types import TracebackType

import psycopg

from tests.docker.database import Connection
from tests.support import wait_until

TABLES = ("public.chat_message", "langfuse.traces", "n8n.execution_entity")
_PAUSE_SECONDS = 0.005
_AGAIN_SECONDS = 0.1
_BODY = "x" * 200


class Writer:
    """Inserts a row into each neighbour's table, one transaction after another, in a thread.

    A row counts as acknowledged when its commit was answered. One whose answer was lost may be
    there or not, so it does not count; its number is never used again.

    Attributes:
        failures: what went wrong on the way, as messages; a restart of the server is one.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self.failures: list[str] = []
        self._connect = connect
        self._key = uuid.uuid4()
        self._acknowledged: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="neighbour", daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def acknowledged(self) -> int:
        """How many transactions the server has acknowledged."""
        return len(self._acknowledged)

    def wait_for_more(self, count: int = 20, timeout: float = 30) -> None:
        """Wait until that many further transactions are acknowledged."""
        wanted = self.acknowledged + count
        wait_until(
            lambda: self.acknowledged >= wanted, timeout, f"neighbours write: {self.failures[-3:]}"
        )

    def stop(self) -> None:
        """Stop writing; may be called twice."""
        self._stop.set()
        self._thread.join(timeout=30)
        assert not self._thread.is_alive(), "the neighbour's writer does not stop"

    def lost(self) -> dict[str, list[int]]:
        """Table -> numbers of acknowledged rows that are not there; empty when none was lost."""
        acknowledged = set(self._acknowledged)
        lost: dict[str, list[int]] = {}
        with self._connect() as connection:
            for table in TABLES:
                rows = connection.execute(
                    f"SELECT n FROM {table} WHERE writer = %s".encode(), [self._key]
                ).fetchall()
                if missing := sorted(acknowledged - {n for (n,) in rows}):
                    lost[table] = missing
        return lost

    def _work(self) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                with self._connect() as connection:
                    while not self._stop.wait(_PAUSE_SECONDS):
                        number += 1
                        self._insert(connection, number)
                        self._acknowledged.append(number)
            except psycopg.Error as error:
                self.failures.append(str(error).strip())
                self._stop.wait(_AGAIN_SECONDS)

    def _insert(self, connection: Connection, number: int) -> None:
        with connection.transaction():
            for table in TABLES:
                connection.execute(
                    f"INSERT INTO {table} VALUES (%s, %s, %s)".encode(),
                    [self._key, number, _BODY],
                )
