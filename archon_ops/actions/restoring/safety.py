"""A backup of what is live: beside what does it no harm yet, and whole before anything leaves."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from archon_ops.actions.backup import safety_backup
from archon_ops.actions.recording import Recording
from archon_ops.errors import OpsError
from archon_ops.model.plan import DATABASE, RestorePlan
from archon_ops.model.report import Report
from archon_ops.postgres import databases
from archon_ops.postgres.server import Server

# A backup that is given up ends when it next says something; one that waits is ended after these.
_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Saving:
    """A safety backup at work, or none.

    Attributes:
        run: the restore that it belongs to.
        future: the file; None where no backup is taken.
        accepted: whether somebody agreed to go on without one.
    """

    run: Recording
    future: Future[Path] | None
    accepted: bool

    def look(self) -> None:
        """Go on, unless it has failed by now.

        Raises:
            OpsError: it could not be taken, though what is live can be read.
        """
        if self.future and self.future.done():
            self._path(self.future)

    def wait(self) -> None:
        """Wait for its end; raises as `look` does. Before this nothing may leave service."""
        if self.future and (path := self._path(self.future)):
            self.run.details["safety_backup"] = path.name
        elif self.future and (error := self.future.exception()):
            self.run.site.report.warn(f"no safety backup was taken: {error}")

    def _path(self, future: Future[Path]) -> Path | None:
        try:
            return future.result()
        except OpsError:
            if self.accepted:
                return None
            raise


@contextlib.contextmanager
def saving(run: Recording, server: Server, planned: RestorePlan) -> Iterator[Saving]:
    """Take a safety backup, if the plan says so, while the block builds what will replace it.

    When the block fails the backup is given up, and nothing is left of it.
    """
    accepted = bool(planned.unreadable)
    if not planned.safety:
        yield Saving(run, None, accepted)
        return
    site, stopped = run.site, threading.Event()
    site.report.phase("restore.safety", "Safety backup of what is live")
    if planned.scope == DATABASE:
        site.report.info("taken while the new one is built; nothing is switched before it is whole")
    aside = replace(run, site=site.reporting_to(_aside(site.report, stopped)), details={})
    with ThreadPoolExecutor(1, thread_name_prefix="safety") as pool:
        future = pool.submit(safety_backup, aside, server)
        try:
            yield Saving(run, future, accepted)
        except BaseException:
            stopped.set()
            _end(server, site.run_id, future)
            raise


def _end(server: Server, run_id: str, future: Future[Path]) -> None:
    wait([future], timeout=_STOP_SECONDS)
    if not future.done():
        with (
            contextlib.suppress(OpsError, psycopg.Error),  # what ended the block is what matters
            server.connect(databases.MAINTENANCE) as connection,
        ):
            databases.end_sessions_of(connection, (run_id,))


class _Stopped(Exception):  # noqa: N818 - no error: nobody wants the backup any more
    """What the backup was taken for has failed."""


class _Aside:
    """The listener of what runs beside: its phases are not the run's; what came of it is said."""

    def __init__(self, report: Report, stopped: threading.Event) -> None:
        self._report = report
        self._stopped = stopped

    def phase(self, name: str, title: str) -> None:  # noqa: ARG002 - see the class
        self._go_on()

    step = phase

    def ok(self, text: str) -> None:
        self._go_on()
        if text.startswith("Safety backup"):
            self._report.ok(text)

    def info(self, text: str) -> None:  # noqa: ARG002
        self._go_on()

    def warn(self, text: str) -> None:
        self._report.warn(text)

    def progress(self, label: str, done: int, total: int | None) -> None:  # noqa: ARG002
        self._go_on()

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise _Stopped


def _aside(report: Report, stopped: threading.Event) -> Report:
    return _Aside(report, stopped)
